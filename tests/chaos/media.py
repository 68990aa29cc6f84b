"""Makes small films, and sees whether others are whole: decodes them and counts their pictures."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

AT_ONCE = 25  # files that one ffmpeg decodes: most of its time is its start


def frames(paths: Sequence[Path]) -> dict[Path, int | None]:
    """How many pictures each of these films has; None for one that is not there or does not decode clean."""
    found: dict[Path, int | None] = dict.fromkeys(paths)
    there = [path for path in paths if path.exists()]
    for start in range(0, len(there), AT_ONCE):
        found |= _decoded(there[start : start + AT_ONCE])
    return found


def make(path: Path, seconds: float) -> None:
    """A small real film of 25 pictures a second."""
    source = f"testsrc2=size=64x36:rate=25:duration={seconds}"
    command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", source, "-c:v", "mpeg4", "-y", str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, timeout=60)


def _decoded(paths: list[Path]) -> dict[Path, int | None]:
    words = ["ffmpeg", "-v", "error"]
    for path in paths:
        words += ["-i", str(path)]
    for number in range(len(paths)):
        words += ["-map", f"{number}:v"]
    done = subprocess.run(
        [*words, "-fps_mode", "passthrough", "-f", "framecrc", "-"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=60,
    )
    if done.returncode or done.stderr:
        if len(paths) == 1:
            return {paths[0]: None}
        return {path: count for one in paths for path, count in _decoded([one]).items()}
    counted = Counter(row.partition(",")[0] for row in done.stdout.splitlines() if not row.startswith("#"))
    return {path: counted[str(number)] for number, path in enumerate(paths)}
