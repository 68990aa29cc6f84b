"""What this process has from its caller: standard input, umask, and the files that its host knows."""

from __future__ import annotations

import posix
from select import POLLIN, poll

from app.wire import roots
from shim.config import Config

_NULL = 0x103  # the device number of /dev/null
_O_PATH = getattr(posix, "O_PATH", 0)


def is_there(path: str) -> bool:
    """Whether there is such a file on this host."""
    try:
        posix.stat(path)
    except (OSError, ValueError):
        return False
    return True


def is_same(path: bytes, other: bytes) -> bool:
    """Whether both names are of one file or directory that is there."""
    try:
        return posix.stat(path)[1:3] == posix.stat(other)[1:3]
    except (OSError, ValueError):
        return False


def leads_out(path: str, config: Config, links: int = 8) -> bool:
    """Whether the file, or the directory it will be in, is behind a link that leads out of every root."""
    folder = path.rpartition("/")[0] or "."
    for name in (path, folder):
        real = _real(name)
        if real:
            return not any(roots.within(real, _real(top) or top) for top in config.roots.values())
        if links and name == path and (target := _target(path)):  # a link to what is to be written
            return leads_out(target if target.startswith("/") else f"{folder}/{target}", config, links - 1)
    return False  # it is not there, and ffmpeg will say so


def _target(path: str) -> str:
    """What a link says; "" when it is none."""
    try:
        return posix.readlink(path)
    except (OSError, ValueError):
        return ""


def _real(path: str) -> str:
    """Where the path leads, as the kernel knows it; "" when it cannot tell."""
    if not _O_PATH:
        return ""
    try:
        descriptor = posix.open(path, _O_PATH | posix.O_CLOEXEC)
        try:
            return posix.readlink(f"/proc/self/fd/{descriptor}")
        finally:
            posix.close(descriptor)
    except (OSError, ValueError):
        return ""


def stdin() -> str:
    """Whether there is something to read on the standard input: "ready", "open" (later), "none" (never)."""
    try:
        found = posix.stat(0)
        if found.st_rdev == _NULL and found.st_mode & 0o170000 == 0o020000:
            return "none"
    except OSError:
        return "none"
    waiting = poll()
    waiting.register(0, POLLIN)
    return "ready" if waiting.poll(0) else "open"


def umask() -> int:
    """This process's, which can only be read by setting it."""
    mask = posix.umask(0o077)
    posix.umask(mask)
    return mask
