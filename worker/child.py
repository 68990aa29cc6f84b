"""One ffmpeg process: its own process group, its pipes, and an end that it cannot outlive.

Two things end it with its worker: the kernel (PDEATHSIG, set by setpriv where there is one) and the guard.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress

from app.guard import Guard
from app.wire import attach
from worker import pipe

_TIES_TO_PARENT = ("--pdeathsig", "KILL", "--")


class Child:
    """A running process. The pipe ends are ours; each is closed by `close` at the latest."""

    def __init__(self, process: subprocess.Popen[bytes], ends: dict[str, int | None], guard: Guard) -> None:
        self._process = process
        self._ends = ends
        self._guard = guard
        self.pid = process.pid
        guard.watch(self.pid)

    async def read(self, name: str) -> bytes:
        """Bytes from its "stdout", "stderr" or "progress"; b"" at the end."""
        end = self._ends[name]
        return b"" if end is None else await pipe.read(end)

    def shut(self, name: str) -> None:
        """Closes our end of one pipe: the process gets EOF, or EPIPE."""
        pipe.close(self._ends[name])
        self._ends[name] = None

    async def write(self, data: bytes) -> bool:
        """Writes to its standard input; False when it does not read any more."""
        end = self._ends["stdin"]
        if end is None:
            return False
        try:
            await pipe.write(end, data)
        except (BrokenPipeError, ConnectionResetError):
            self.end_input()
            return False
        return True

    def end_input(self) -> None:
        """Closes its standard input."""
        self.shut("stdin")

    def signal(self, number: int) -> None:
        """Sends a signal to the process itself, if it still runs."""
        if self._process.returncode is None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """Ends it and everything it has started, at once."""
        if self._process.returncode is None:
            self._end_group()

    async def wait(self) -> int:
        """Its exit code, or minus the signal that ended it."""
        if self._process.returncode is None:
            await _ended(self._process)
            self._end_group()  # what it has started and left behind; its own id is still taken
        self._guard.forget(self.pid)
        return self._process.wait()

    def _end_group(self) -> None:
        with suppress(ProcessLookupError, PermissionError):  # macOS says EPERM of a group that has ended
            os.killpg(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Closes every pipe end that is still open."""
        for name in self._ends:
            self.shut(name)


def spawn(
    argv: Sequence[str],
    cwd: str | None,
    environment: Mapping[str, str],
    guard: Guard,
    *,
    stdin: bool,
    progress: bool,
) -> Child:
    """Starts a process; with `progress`, ffmpeg is told a descriptor of its own to report on.

    Raises OSError when the program cannot be started.
    """
    if shutil.which(argv[0]) is None:  # setpriv would say it, where nobody reads
        raise OSError(errno.ENOENT, "it is not there, or cannot be run", argv[0])
    out, child_out = pipe.pair(ours_reads=True, size=attach.CHUNK)  # pictures come this way
    err, child_err = pipe.pair(ours_reads=True)
    into, child_in = pipe.pair(ours_reads=False) if stdin else (None, None)
    report, child_report = pipe.pair(ours_reads=True) if progress else (None, None)
    try:
        process = subprocess.Popen(
            [*_tie(), argv[0], *_reporting(child_report), *argv[1:]],
            cwd=cwd,
            env=dict(environment),
            stdin=child_in if child_in is not None else subprocess.DEVNULL,
            stdout=child_out,
            stderr=child_err,
            pass_fds=() if child_report is None else (child_report,),
            process_group=0,
        )
    except BaseException:
        for end in (out, err, into, report):
            pipe.close(end)
        raise
    finally:
        for end in (child_out, child_err, child_in, child_report):
            pipe.close(end)
    return Child(process, {"stdout": out, "stderr": err, "stdin": into, "progress": report}, guard)


def _reporting(descriptor: int | None) -> tuple[str, ...]:
    return () if descriptor is None else ("-progress", f"pipe:{descriptor}")


_setpriv = shutil.which("setpriv")


def _tie() -> tuple[str, ...]:
    return (_setpriv, *_TIES_TO_PARENT) if _setpriv else ()


async def _ended(process: subprocess.Popen[bytes]) -> None:
    """Waits for the process without a thread where the kernel can tell us (Linux), else with one."""
    if not hasattr(os, "pidfd_open"):
        await asyncio.to_thread(process.wait)
        return
    descriptor = os.pidfd_open(process.pid)
    try:
        await pipe.readable(descriptor)
    finally:
        os.close(descriptor)
