"""How a run ended, as the queue is told. Pure."""

from __future__ import annotations

import errno
import signal
from dataclasses import dataclass

from app.wire.attach import Exit

# What ffmpeg prints when there is no room, wherever it is that there is none.
_NO_ROOM = (b"No space left on device", b"Disk quota exceeded")
_FULL = (errno.ENOSPC, errno.EDQUOT)
TAIL = 4096  # bytes of what it printed last that are looked at


@dataclass(frozen=True)
class Outcome:
    """An event of the lifecycle ("succeed", "fail", "cancel"), the exit code or signal, and why.

    `cause` is one of `app.wire.messages.CAUSES`, or "" for a success. `again`: another try may end otherwise.
    """

    event: str
    exit: int | None = None
    signal: int | None = None
    reason: str = ""
    cause: str = ""
    again: bool = False

    def fields(self) -> dict[str, str | int]:
        """The job's fields that this sets."""
        fields: dict[str, str | int] = {"cause": self.cause}
        if self.event != "cancel" or self.reason:  # who cancelled it is written there already
            fields["reason"] = self.reason
        if self.exit is not None:
            fields["exit"] = self.exit
        if self.signal is not None:
            fields["signal"] = self.signal
        return fields

    def words(self) -> str:
        """For the log."""
        return f"{self.event}, {self.reason}" if self.reason else self.event

    def frame(self) -> Exit:
        """What an attached caller is told."""
        return Exit(self.exit, self.signal, self.reason)


def of_status(status: int, cancelled: bool, printed: bytes = b"", memory_was_short: bool = False) -> Outcome:
    """The outcome of a process: its exit code, or minus the signal that ended it, and what it `printed` last."""
    exit_code, number = (status, None) if status >= 0 else (None, -status)
    if cancelled:
        return Outcome("cancel", exit_code, number, "", "cancelled")
    if status == 0:
        return Outcome("succeed", 0)
    if number == signal.SIGKILL and memory_was_short:
        return Outcome("fail", None, number, "the worker's host was out of memory", "oom", again=True)
    if number is None and lacks_room(printed):
        return no_room(status)
    ended = f"exit status {status}" if number is None else f"ended by signal {number}"
    return Outcome("fail", exit_code, number, ended, "exit" if number is None else "signal", again=True)


def lacks_room(printed: bytes) -> bool:
    """Whether it said that there was no room: ffmpeg may end with status 0 then, its output cut short."""
    return any(words in printed for words in _NO_ROOM)


def no_room(status: int) -> Outcome:
    """The program wrote less than it should have."""
    return Outcome("fail", status, None, f"no room for its output (exit status {status})", "disk_full", True)


def overdue(cause: str, status: int, seconds: float) -> Outcome:
    """It was ended because it had reached a limit ("timeout" or "stalled") of so many seconds."""
    what = {"timeout": "it ran for {:g} s, longer than it may", "stalled": "it did nothing for {:g} s"}[cause]
    exit_code, number = (status, None) if status >= 0 else (None, -status)
    return Outcome("fail", exit_code, number, what.format(seconds), cause, again=True)


def refused(reason: str) -> Outcome:
    """The job cannot run here, and could nowhere."""
    return Outcome("fail", None, None, reason, "refused")


def stuck(reason: str, again: bool) -> Outcome:
    """Something does not react any more: a process that cannot be killed, a file system."""
    return Outcome("fail", None, None, reason, "stuck", again)


def no_file(error: OSError, doing: str) -> Outcome:
    """A file could not be opened, written or renamed here."""
    cause = "disk_full" if error.errno in _FULL else "refused"
    name = f" {error.filename}" if error.filename else ""
    return Outcome("fail", None, None, f"cannot {doing}{name}: {error.strerror}", cause, cause == "disk_full")
