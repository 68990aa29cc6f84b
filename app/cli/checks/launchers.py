"""The stand-in: whether its launchers are there, and reach a worker without their local program."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from app.cli.checks.finding import BAD, OK, SKIPPED, Finding

SECONDS = 15.0
PLACES = (
    "/usr/local/lib/ffgrid",
    "/usr/lib/ffgrid",
    "/opt/ffgrid/shim",
)  # where README.md and others put them
MARK = b"ffgrid shim install"
INSTALL = "ffgrid shim install DIR; then look with: ffgrid doctor --shim DIR"
_BAKED = re.compile(r"^main\('(\w+)', (\{.*\})\)$", re.MULTILINE)


def shim(folder: str | None) -> Sequence[Finding]:
    """The launchers in that folder, or wherever some are found."""
    if folder is None:
        found = list(_found())
        if not found:
            why = "no launcher is on PATH or where one usually is; hosts that call no ffmpeg need none"
            return [Finding("shim", SKIPPED, why, INSTALL)]
        return [_look(path) for path in found]
    paths = [Path(folder).absolute() / name for name in ("ffmpeg", "ffprobe")]
    return [_look(path) for path in paths]


def _found() -> Iterator[Path]:
    """The launchers in the first folder that has some."""
    for place in (*os.environ.get("PATH", "").split(os.pathsep), *PLACES):
        here = [
            Path(place) / name for name in ("ffmpeg", "ffprobe") if place and _is_launcher(Path(place) / name)
        ]
        if here:
            yield from here
            return


def _is_launcher(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return MARK in file.read(512)
    except OSError:
        return False


def _look(path: Path) -> Finding:
    if not _is_launcher(path):
        what = "is no launcher of ffgrid's" if path.exists() else "is not there"
        return Finding("shim", BAD, f"{path} {what}", f"ffgrid shim install {path.parent}")
    try:
        said = reaches(path)
    except subprocess.TimeoutExpired:
        why = f"{path} got no answer within {SECONDS:.0f} s: are all slots full?"
        return Finding("shim", SKIPPED, why, "ffgrid workers; then look again")
    if not said:
        return Finding("shim", OK, f"{path} reaches a worker")
    mend = f"see the lines above; after a change: ffgrid shim install {path.parent}"
    return Finding("shim", BAD, f"{path} reaches no worker: {said}", mend)


def reaches(path: Path) -> str:
    """Why this launcher gets no answer from a worker; "" when it does. Neither its cache nor its local program help.

    Raises subprocess.TimeoutExpired.
    """
    text = path.read_text("utf-8", "replace")
    found = _BAKED.search(text)
    if not found:
        return "it cannot be read: it was written by another version"
    baked = {**ast.literal_eval(found[2]), "local": ""}
    environ = {name: value for name, value in os.environ.items() if not name.startswith("FFGRID_")}
    with tempfile.TemporaryDirectory(prefix="ffgrid-doctor-") as folder:
        copy = Path(folder) / path.name
        copy.write_text(text.replace(found[0], f"main({found[1]!r}, {baked!r})"))
        copy.chmod(0o700)
        return _trouble(copy, {**environ, "FFGRID_CACHE": ""})


def _trouble(launcher: Path, environ: dict[str, str]) -> str:
    command, nothing = [str(launcher), "-version"], subprocess.DEVNULL
    try:
        done = subprocess.run(
            command, env=environ, stdin=nothing, capture_output=True, timeout=SECONDS, cwd="/"
        )
    except OSError as error:
        return str(error.strerror)
    if done.returncode == 0 and b" version " in done.stdout:
        return ""
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()
    return (
        said[-1].partition("(ffgrid): ")[2] or said[-1] if said else f"it ended with status {done.returncode}"
    )
