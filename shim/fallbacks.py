"""The record of calls that ran here: a small file that is told to a coordinator when one is asked anyway.

Each line is the time, the program, how many calls and the reason, separated by tabs. Nothing here may fail or
delay a call for long: what cannot be written or told is left.
"""

from __future__ import annotations

import posix
from _json import encode_basestring_ascii as quoted
from time import time

from app.wire import messages
from shim.config import SPOOL
from shim.connection import tell

TYPES = False
if TYPES:
    from shim.config import Config

SPOOL_BYTES = 65_536
ENTRIES = 200  # in one report
REASON = 500  # characters of a reason that are kept
EVERY = 10.0  # seconds between two reports
PATIENCE = 0.3  # seconds that a call waits for somebody to take the report
DROPPED = "for reasons that were dropped, because nobody could be told for long"


def record(cache: str, binary: str, why: str) -> None:
    """Notes a call that is going to run here."""
    line = _line(time(), binary, 1, why)
    path = f"{cache}/{SPOOL}"
    try:
        _make(cache)
        if _size(path) + len(line) > SPOOL_BYTES:
            dropped = sum(count for _, _, count, _ in _parsed(_read(path)))
            _write(f"{path}.{posix.getpid()}", _line(time(), binary, dropped, DROPPED))
            posix.rename(f"{path}.{posix.getpid()}", path)
        _append(path, line)
    except OSError:
        return


def deliver(config: Config) -> None:
    """Tells a coordinator what was noted, unless that was tried a moment ago. Takes PATIENCE at most."""
    path = f"{config.cache}/{SPOOL}"
    taken, asked = path + ".sending", path + ".asked"
    try:
        if not config.cache or not _size(path) or not _is_due(asked):
            return
        _write(asked, b"\n")
        if _size(taken):  # whoever was telling it has died
            _append(path, _read(taken))
        posix.rename(path, taken)
        lines = _read(taken)
        if tell(config, messages.FALLBACKS, _report(lines), PATIENCE) not in (202, 422):
            _append(path, lines)
        posix.unlink(taken)
    except OSError:
        return


def _report(lines: bytes) -> bytes:
    """The body for the coordinator: calls of one program and reason are one entry."""
    groups: dict[tuple[str, str], tuple[float, int]] = {}
    for at, binary, count, why in _parsed(lines):
        last, before = groups.get((binary, why), (0.0, 0))
        groups[binary, why] = (max(last, at), before + count)
    newest = sorted(groups.items(), key=lambda one: one[1][0])[-ENTRIES:]
    entries = [
        f'{{"at":{at!r},"binary":{quoted(binary)},"reason":{quoted(why)},"count":{min(count, 1_000_000)}}}'
        for (binary, why), (at, count) in newest
    ]
    return ('{"fallbacks":[' + ",".join(entries) + "]}").encode()


def _line(at: float, binary: str, count: int, why: str) -> bytes:
    return f"{at:.3f}\t{binary}\t{count}\t{' '.join(why.split())[:REASON]}\n".encode(
        "utf-8", "backslashreplace"
    )


def _parsed(lines: bytes) -> list[tuple[float, str, int, str]]:
    """The lines that are whole: another program may have cut the file."""
    found = []
    for line in lines.decode("utf-8", "replace").split("\n"):
        words = line.split("\t")
        if len(words) == 4 and words[1] in messages.BINARIES and words[3]:
            at, count = words[0].replace(".", "", 1), words[2]
            if at.isascii() and at.isdigit() and count.isascii() and count.isdigit():
                found.append((float(words[0]), words[1], int(count[:6]) or 1, words[3][:REASON]))
    return found


def _is_due(asked: str) -> bool:
    try:
        return abs(time() - posix.stat(asked).st_mtime) > EVERY
    except FileNotFoundError:
        return True


def _make(folder: str) -> None:
    """Makes the directory and those above it."""
    try:
        posix.mkdir(folder, 0o700)
    except FileExistsError:
        return
    except FileNotFoundError:
        above = folder.rpartition("/")[0]
        if not above:
            raise
        _make(above)
        posix.mkdir(folder, 0o700)


def _size(path: str) -> int:
    try:
        return posix.stat(path).st_size
    except OSError:
        return 0


def _read(path: str) -> bytes:
    descriptor = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        return posix.read(descriptor, 2 * SPOOL_BYTES)
    finally:
        posix.close(descriptor)


def _append(path: str, data: bytes) -> None:
    _write(path, data, posix.O_APPEND)


def _write(path: str, data: bytes, how: int = posix.O_TRUNC) -> None:
    """In one write, so that lines of several processes do not mix."""
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_CLOEXEC | posix.O_NOFOLLOW | how
    descriptor = posix.open(path, flags, 0o600)
    try:
        posix.write(descriptor, data)
    finally:
        posix.close(descriptor)
