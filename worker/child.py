"""One ffmpeg process: its own process group, its pipes, and an end that it cannot outlive.

Two things end it with its worker: the kernel (PDEATHSIG, set by setpriv where there is one) and the guard.

    nsenter ...                enters the job's namespace, if it has one
    setpriv --pdeathsig KILL   ties it to the worker; in a namespace it also gives up what ffmpeg does not need;
                               where the worker is root, it becomes the caller's user
    ffmpeg ...                 each replaces the one before: ffmpeg is our own child
"""

from __future__ import annotations

import asyncio
import errno
import functools
import os
import shutil
import signal
import subprocess
from contextlib import suppress
from glob import glob

from app.guard import Guard
from app.wire import attach
from worker import pipe
from worker.aside import aside
from worker.plan import Plan

# Of root's powers a job of root keeps those about files.
_CAP_SETPCAP = 1 << 8
_FILE_POWERS = "-all,+chown,+dac_override,+dac_read_search,+fowner,+fsetid"


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

    def yield_to_others(self, niceness: int) -> None:
        """Makes it and what it has started as nice as that, if it is less nice: never more urgent."""
        with suppress(OSError):  # it has ended already
            if niceness > os.getpriority(os.PRIO_PROCESS, self.pid):
                os.setpriority(os.PRIO_PGRP, self.pid, niceness)

    def signal_group(self, number: int) -> None:
        """Sends a signal to it and everything it has started, if it still runs."""
        if self._process.returncode is None:
            self._to_group(number)

    def kill(self) -> None:
        """Ends it and everything it has started, at once."""
        if self._process.returncode is None:
            self._to_group(signal.SIGKILL)

    async def wait(self) -> int:
        """Its exit code, or minus the signal that ended it."""
        if self._process.returncode is None:
            await _ended(self._process)
            self._to_group(signal.SIGKILL)  # what it has started and left behind; its own id is still taken
        self._guard.forget(self.pid)
        return self._process.wait()

    def _to_group(self, number: int) -> None:
        with suppress(ProcessLookupError, PermissionError):  # macOS says EPERM of a group that has ended
            os.killpg(self.pid, number)

    def close(self) -> None:
        """Closes every pipe end that is still open."""
        for name in self._ends:
            self.shut(name)


async def reach(ready: Plan) -> None:
    """Looks whether the directory answers in which a process is to start: this process would wait with it.

    Raises Hung, OSError.
    """
    if ready.cwd is not None:
        await aside(os.stat, ready.cwd)


def spawn(ready: Plan, guard: Guard) -> Child:
    """Starts it. With `progress`, ffmpeg is told a descriptor of its own to report on.

    Raises OSError when the program cannot be started.
    """
    program, *arguments = ready.argv
    if shutil.which(program) is None:  # setpriv would say it, where nobody reads
        raise OSError(errno.ENOENT, "it is not there, or cannot be run", program)
    out, child_out = pipe.pair(ours_reads=True, size=attach.CHUNK)  # pictures come this way
    err, child_err = pipe.pair(ours_reads=True)
    into, child_in = pipe.pair(ours_reads=False) if ready.stdin else (None, None)
    report, child_report = pipe.pair(ours_reads=True) if ready.progress else (None, None)
    try:
        process = subprocess.Popen(
            [*ready.enter, *_tie(ready), program, *_reporting(child_report), *arguments],
            cwd=ready.cwd,
            env=dict(ready.environment),
            stdin=child_in if child_in is not None else subprocess.DEVNULL,
            stdout=child_out,
            stderr=child_err,
            pass_fds=() if child_report is None else (child_report,),
            process_group=0,
            umask=ready.umask,
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


def _tie(ready: Plan) -> tuple[str, ...]:
    if _setpriv is None:
        return ()
    words = [_setpriv, "--pdeathsig", "KILL"]
    if ready.enter or _may_give_up():
        words += ["--no-new-privs", "--inh-caps=-all", f"--bounding-set={_FILE_POWERS}"]
    if ready.user and os.geteuid() == 0 and tuple(ready.user[:2]) != (0, os.getegid()):
        user, group, *others = ready.user
        groups = ",".join(str(one) for one in sorted({*others, *_device_groups()}))
        words += ["--reuid", str(user), "--regid", str(group)]
        words += ["--groups", groups] if groups else ["--clear-groups"]
    return (*words, "--")


@functools.cache
def _may_give_up() -> bool:
    """Whether this process is root with the power to give up powers."""
    if os.geteuid() != 0 or not os.path.exists("/proc/self/status"):
        return False
    with open("/proc/self/status") as file:
        powers = next((line.split()[1] for line in file if line.startswith("CapEff:")), "0")
    return bool(int(powers, 16) & _CAP_SETPCAP)


@functools.cache
def _device_groups() -> frozenset[int]:
    """The groups that may use the graphics devices here; what its caller's host calls them is something else."""
    return frozenset(os.stat(path).st_gid for path in glob("/dev/dri/render*")) - {0}


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
