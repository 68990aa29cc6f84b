"""What whole tests look at: processes, frames, the queue's own record of what happened."""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
from collections import Counter
from pathlib import Path

from app.state.store import Store
from tests.farm import Farm


def shim(farm: Farm, *args: str | Path, binary: str = "ffmpeg", **options: object) -> subprocess.Popen[bytes]:
    """A call of the stand-in, in the client's root."""
    path = farm.folder / "bin" / binary
    if not path.exists():
        farm.install_shim()
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    options = {"env": farm.environ, **pipes, **options}
    started = subprocess.Popen([path, *map(str, args)], cwd=farm.client_root, **options)  # type: ignore[call-overload]
    farm.others.append(started)
    return started  # type: ignore[no-any-return]


def direct(farm: Farm, *args: str | Path, binary: str = "ffmpeg") -> subprocess.CompletedProcess[bytes]:
    """The same call of the real program."""
    return subprocess.run(
        [binary, *map(str, args)],
        cwd=farm.client_root,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
    )


def frames(path: Path) -> str:
    """A hash over the hashes of all frames: equal for films that decode to the same pictures and sound."""
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-f", "framemd5", "-"]
    done = subprocess.run(command, capture_output=True, check=True, stdin=subprocess.DEVNULL)
    assert done.stderr == b"", done.stderr
    return hashlib.sha256(done.stdout).hexdigest()


def ffmpegs(marker: str) -> list[int]:
    """The ids of the ffmpeg processes that have this word in their command line."""
    found = []
    for entry in os.listdir("/proc"):
        try:
            words = Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            continue
        is_ffmpeg = words[0].endswith(b"/ffmpeg") and not words[0].endswith(b"bin/ffgrid")
        if entry.isdigit() and is_ffmpeg and any(marker.encode() in word for word in words[1:]):
            found.append(int(entry))
    return found


def events(farm: Farm) -> dict[str, Counter[str]]:
    """How often each event of each job was recorded."""

    async def read() -> dict[str, Counter[str]]:
        store = Store(farm.redis_url)
        try:
            rows = await store.redis.xrange(store.keys.events)
        finally:
            await store.close()
        counted: dict[str, Counter[str]] = {}
        for _, fields in rows:
            counted.setdefault(fields[b"job"].decode(), Counter())[fields[b"event"].decode()] += 1
        return counted

    return asyncio.run(read())


def litter(farm: Farm) -> list[str]:
    """Names of unfinished outputs that were left behind."""
    return [path.name for path in farm.client_root.rglob(".ffgrid-*")]
