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


def leads_out(path: str, config: Config) -> bool:
    """Whether the file, or the directory it will be in, is behind a link that leads out of every root."""
    for name in (path, path.rpartition("/")[0] or "."):
        real = _real(name)
        if real:
            return not any(roots.within(real, _real(top) or top) for top in config.roots.values())
    return False  # it is not there, and ffmpeg will say so


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
