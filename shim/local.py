"""The call becomes the local program, by exec: same process, so that signals, exit status and niceness are native."""

from __future__ import annotations

import _signal
import posix
from select import POLLIN, poll

from shim.descriptors import close_all_but

TYPES = False
if TYPES:
    from typing import NoReturn

FAILED = 1  # the exit status of a call that could neither be sent away nor run here


def run_here(binary: str, args: list[str], local: str, why: str) -> NoReturn:
    """Becomes the local program, or says why it cannot."""
    if local:
        for number in (_signal.SIGPIPE, _signal.SIGXFSZ):  # Python ignores them, and exec would hand that on
            _signal.signal(number, _signal.SIG_DFL)
        try:
            posix.execv(local, [binary, *args])
        except OSError as error:
            why = f"{why}; and {local} cannot be run here: {error.strerror}"
    fail(binary, why)


def fail(binary: str, why: str) -> NoReturn:
    """One sentence, and the end."""
    say(binary, why)
    posix._exit(FAILED)


def say(binary: str, what: str) -> None:
    """One line on the standard error."""
    try:
        posix.write(2, f"{binary} (ffgrid): {what}\n".encode("utf-8", "backslashreplace"))
    except OSError:  # it is closed, or nobody reads it
        return


def give_back(data: bytes, ended: bool) -> None:
    """Makes descriptor 0 give what was read from it, and then what is still to come.

    A file is wound back. Of a pipe or a terminal the data cannot be put back: a new pipe has it; what does not
    fit, or has not come yet, a child copies.
    """
    if not data and (not ended or not posix.isatty(0)):
        return  # nothing is missing; the end of a file or a pipe is found there again
    if posix.fstat(0).st_mode & 0o170000 == 0o100000:
        posix.lseek(0, -len(data), 1)
        return
    reader, writer = posix.pipe()
    posix.set_blocking(writer, False)
    rest = data[_written(writer, data) :]
    if (rest or not ended) and posix.fork() == 0:
        try:
            _feed(writer, rest, ended)
        finally:
            posix._exit(0)
    posix.close(writer)
    posix.dup2(reader, 0)
    posix.close(reader)


def _written(writer: int, data: bytes) -> int:
    """How much of it the pipe has taken at once."""
    size = 0
    try:
        while size < len(data):
            size += posix.write(writer, data[size : size + 4096])
    except BlockingIOError:
        return size
    return size


def _feed(writer: int, rest: bytes, ended: bool) -> None:
    """Copies until the input ends or nobody reads; waits for both, so as to take nothing that nobody gets."""
    close_all_but(0, writer)
    posix.set_blocking(writer, True)
    waiting = poll()
    waiting.register(writer, 0)
    waiting.register(0, POLLIN)
    try:
        while True:
            view = memoryview(rest)
            while view:
                view = view[posix.write(writer, view) :]
            if ended or writer in dict(waiting.poll()):
                return
            rest = posix.read(0, 65_536)
            ended = not rest
    except OSError:
        return
