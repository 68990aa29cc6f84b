"""A child that sees its parent stopped or killed, which no program can see of itself, and tells the parent's job.

SIGSTOP and SIGKILL cannot be caught. So a process in a session of its own, which a stopped or killed group leaves
alone, reads the parent's state from /proc ten times a second, and tells the coordinator over a connection of its
own. That the parent is gone the coordinator sees as well, by its connection, unless it has died too.
It holds none of the parent's descriptors: their other ends must see when the parent dies.
"""

from __future__ import annotations

import _signal
import posix
from time import monotonic, sleep

from app.wire import messages
from shim.connection import tell
from shim.descriptors import close_all_but
from shim.signals import RELAYED

TYPES = False
if TYPES:
    from typing import NoReturn

    from shim.config import Config

EVERY = 0.1  # seconds between two looks
AGAIN = 1.0  # seconds after which it is said again what nobody has answered
TOLD, OVER = 202, (401, 403, 404, 409)
SEEN_SECONDS = 0.8  # after its caller's death for the coordinator to end the job itself
CANCEL_SECONDS = 10.0  # for which a dead caller's job is asked to end; some time later it is ended unasked


def start(config: Config, job_id: str) -> int | None:
    """Forks it: its process id, or None where no process can be watched (no /proc) or made."""
    parent = posix.getpid()
    try:
        stat = posix.open(f"/proc/{parent}/stat", posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return None
    try:
        child = posix.fork()
    except OSError:
        child = None
    if child == 0:
        _watch(config, job_id, parent, stat)
    posix.close(stat)
    return child


def end(child: int) -> None:
    """Ends it and leaves nothing of it."""
    try:
        posix.kill(child, _signal.SIGKILL)
        posix.waitpid(child, 0)
    except OSError:  # it has ended; where SIGCHLD is ignored the kernel keeps nothing to wait for
        return


def is_stopped(stat: bytes) -> bool | None:
    """What a line of /proc/PID/stat says: whether the process is stopped; None when it has ended.

    The name before the state may hold anything, a ")" too.
    """
    state = stat.rpartition(b")")[2].strip()[:1]
    return None if state in (b"", b"Z", b"X") else state == b"T"


def _watch(config: Config, job_id: str, parent: int, stat: int) -> NoReturn:
    try:
        _become_nobody(stat)
        _keep_telling(config, job_id, parent, stat)
        _cancel(config, job_id)
    finally:
        posix._exit(0)


def _become_nobody(kept: int) -> None:
    """Leaves the caller's session, directory and signals, and closes every descriptor but one."""
    _signal.set_wakeup_fd(-1)
    posix.setsid()
    for number in RELAYED:
        _signal.signal(number, _signal.SIG_DFL)
    posix.chdir("/")
    close_all_but(kept)
    while posix.open("/dev/null", posix.O_RDWR) < 2:  # so that no word of Python's goes into a connection
        continue


def _keep_telling(config: Config, job_id: str, parent: int, stat: int) -> None:
    paused: bool | None = False  # what the worker was told last; None: nobody knows whether it was
    again = 0.0
    while posix.getppid() == parent:
        stopped = _look(stat)
        if stopped is None:
            return
        if stopped != paused and monotonic() >= again:
            status = tell(config, messages.job_path(job_id, "pause" if stopped else "resume"))
            if status == TOLD or (not stopped and status in OVER):
                paused = stopped
            elif status == 0:
                paused = None
            again = monotonic() + (0.0 if paused == stopped else AGAIN)
        sleep(EVERY)


def _cancel(config: Config, job_id: str) -> None:
    """The parent is gone: had it ended by itself, it would have ended us first."""
    ends = monotonic() + CANCEL_SECONDS
    sleep(SEEN_SECONDS)
    while monotonic() < ends and tell(config, messages.job_path(job_id, "cancel")) not in (200, TOLD, *OVER):
        sleep(AGAIN / 2)


def _look(stat: int) -> bool | None:
    try:
        return is_stopped(posix.pread(stat, 1024, 0))
    except OSError:  # it has ended, and its parent has heard
        return None
