"""What this machine can do: its ffmpeg and ffprobe, their versions, the encoders that can work here."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from glob import glob
from hashlib import sha256
from typing import Any

# An encoder that ffmpeg lists may still need a device: without one of these it is not offered.
DEVICES = {
    "_nvenc": "/dev/nvidia0",
    "_vaapi": "/dev/dri/renderD*",
    "_qsv": "/dev/dri/renderD*",
    "_vulkan": "/dev/dri/renderD*",
    "_amf": "/dev/dri/renderD*",
    "_v4l2m2m": "/dev/video*",
    "_rkmpp": "/dev/mpp_service",
}


class NoFFmpeg(Exception):
    """There is no ffmpeg that runs; the text says what was tried."""


@dataclass(frozen=True)
class Machine:
    """This machine as a worker: programs (name -> path), versions (name -> text), roots, labels, slots.

    `builds` gives each program's build: 16 hex digits that change when its answers may.
    """

    programs: Mapping[str, str]
    versions: Mapping[str, str]
    encoders: list[str]
    roots: Mapping[str, str]
    slots: int
    labels: Mapping[str, str] = field(default_factory=dict)
    builds: Mapping[str, str] = field(default_factory=dict)

    def about(self, version: str) -> dict[str, Any]:
        """What the registry is told: names of roots, never their paths."""
        return {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "version": version,
            "slots": self.slots,
            "roots": sorted(self.roots),
            "binaries": dict(self.versions),
            "builds": dict(self.builds),
            "encoders": self.encoders,
            "labels": dict(self.labels),
            "started": time.time(),
        }


async def inspect(
    ffmpeg: str, ffprobe: str, roots: Mapping[str, str], slots: int, labels: Mapping[str, str]
) -> Machine:
    """Looks at the programs. Raises NoFFmpeg; a missing ffprobe only means that it is not offered."""
    found = {
        name: path
        for name, path in (("ffmpeg", shutil.which(ffmpeg)), ("ffprobe", shutil.which(ffprobe)))
        if path
    }
    if "ffmpeg" not in found:
        raise NoFFmpeg(f"there is no program {ffmpeg!r}: install ffmpeg, or set FFGRID_FFMPEG to its path")
    said = {name: await _run(path, "-version") for name, path in found.items()}
    versions = {name: _version(text) for name, text in said.items()}
    if not versions["ffmpeg"]:
        raise NoFFmpeg(f"{found['ffmpeg']} does not answer -version as ffmpeg does")
    if not versions.get("ffprobe", "here"):
        del found["ffprobe"], versions["ffprobe"]
    listed = _encoders(await _run(found["ffmpeg"], "-hide_banner", "-encoders"))
    encoders = [name for name in listed if _has_device(name)]
    builds = {
        name: _build(said[name], await _run(path, "-hide_banner", "-buildconf"), *encoders)
        for name, path in found.items()
    }
    return Machine(found, versions, encoders, roots, slots, labels, builds)


async def _run(program: str, *arguments: str) -> str:
    try:
        process = await asyncio.create_subprocess_exec(
            program,
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        return ""
    out, _ = await process.communicate()
    return out.decode("utf-8", "replace")


def _build(*texts: str) -> str:
    return sha256("\0".join(texts).encode()).hexdigest()[:16]


def _version(text: str) -> str:
    """`5.1.9` of `ffmpeg version 5.1.9-0+deb12u1 Copyright ...`; "" when it is something else."""
    words = text.split(maxsplit=3)
    return words[2].partition("-")[0] if len(words) > 2 and words[1] == "version" else ""


def _encoders(listing: str) -> list[str]:
    """The names in the table of `ffmpeg -encoders`: ` V....D libx264   libx264 H.264 ...`."""
    _, _, table = listing.partition(" ------\n")
    return [line.split()[1] for line in table.splitlines() if len(line.split()) > 1]


def _has_device(encoder: str) -> bool:
    return all(glob(pattern) for suffix, pattern in DEVICES.items() if encoder.endswith(suffix))
