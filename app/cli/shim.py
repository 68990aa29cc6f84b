"""`ffgrid shim install`: launchers that need no configuration at run time and no site packages."""

from __future__ import annotations

import compileall
import json
import os
import shlex
import shutil
import sys
from argparse import Namespace
from pathlib import Path

from app.cli.errors import USAGE, Failure
from app.cli.warming import warm
from app.settings import Settings

HOME = Path(__file__).resolve().parent.parent.parent  # the folder that holds the packages app and shim
BINARIES = ("ffmpeg", "ffprobe")

LAUNCHER = """\
{start}
# Written by `ffgrid shim install`: sends this call to {url}. Run that again to change it.
import sys
sys.path.insert(0, {home!r})
from shim.start import main
main({binary!r}, {baked!r})
"""


def install(arguments: Namespace) -> int:
    """Writes the two launchers."""
    settings = Settings.load(os.environ, {**vars(arguments), "labels": _labels(arguments.label)})
    if settings.key_file is None:
        raise Failure("the shim needs a key: give --key-file, the file that `ffgrid keys add` wrote", USAGE)
    if not settings.roots:
        raise Failure(
            "the shim needs roots: give --roots Name=/directory, the same names as the workers'", USAGE
        )
    if not is_wait(arguments.wait):
        raise Failure(f"--wait: expected seconds from 0.1 on, or never, got {arguments.wait!r}", USAGE)
    folder = Path(arguments.directory).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    local = {"ffmpeg": settings.ffmpeg, "ffprobe": settings.ffprobe}
    written = []
    for binary in BINARIES:
        real = "" if arguments.no_local else _real(local[binary], folder)
        _write(folder / binary, _launcher(binary, real, settings, arguments))
        written.append({"file": str(folder / binary), "local": real or None})
        if not arguments.json:
            print(f"wrote {folder / binary}" + (f" (local: {real})" if real else " (no local program)"))
    for package in ("app", "shim"):
        compileall.compile_dir(HOME / package, quiet=2)
    note = warm(folder, settings) if settings.cache and not arguments.no_warm else ""
    if arguments.json:
        print(json.dumps({"launchers": written, "note": note}))
    elif note:
        print(note)
    return 0


def is_wait(text: str) -> bool:
    """Whether this says how long a call waits for a worker, as the launcher will read it."""
    return text == "never" or (text.isascii() and text.replace(".", "", 1).isdigit() and float(text) >= 0.1)


def _real(program: str, folder: Path) -> str:
    """The real program's path: the first on PATH that is none of our own launchers."""
    for place in os.environ.get("PATH", os.defpath).split(os.pathsep):
        found = shutil.which(program, path=place)
        if found and Path(found).resolve().parent != folder.resolve() and not _is_launcher(Path(found)):
            return found
    return ""


def _is_launcher(path: Path) -> bool:
    with path.open("rb") as file:
        return b"ffgrid shim install" in file.read(512)


def _launcher(binary: str, real: str, settings: Settings, arguments: Namespace) -> str:
    baked = {
        "url": " ".join(settings.urls),
        "key_file": str(settings.key_file),
        "roots": ":".join(f"{name}={path}" for name, path in settings.roots.items()),
        "local": real,
        "lane": arguments.lane,
        "wait": arguments.wait,
        "labels": ",".join(f"{name}={value}" for name, value in settings.labels.items()),
        "cache": settings.cache,
    }
    return LAUNCHER.format(
        start=_start(sys.executable), home=str(HOME), binary=binary, baked=baked, url=baked["url"]
    )


def _labels(pairs: list[str]) -> str:
    """The labels as a setting has them. Raises Failure."""
    for pair in pairs:
        name, _, value = pair.partition("=")
        if not (0 < len(name) <= 64 and 0 < len(value) <= 64) or "," in pair:
            raise Failure(
                f"--label: expected NAME=VALUE without ',', 64 characters each at most, got {pair!r}", USAGE
            )
    return ",".join(pairs)


def _start(python: str) -> str:
    """The first lines: straight into Python where the kernel can read them, through sh where it cannot."""
    if " " not in python and len(python) < 120:
        return f"#!{python} -IS"
    return f"#!/bin/sh\n'''exec' {shlex.quote(python)} -IS \"$0\" \"$@\"\n' '''"


def _write(path: Path, text: str) -> None:
    """Replaces the file at once, so that a call in this moment finds the old one or the new one."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(text)
    fresh.chmod(0o755)
    fresh.replace(path)
