"""How a run ended, as the queue is told. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from app.wire.attach import Exit


@dataclass(frozen=True)
class Outcome:
    """An event of the lifecycle ("succeed", "fail", "cancel"), the exit code or signal, and why."""

    event: str
    exit: int | None = None
    signal: int | None = None
    reason: str = ""
    cause: str = ""

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

    def frame(self) -> Exit:
        """What an attached caller is told."""
        return Exit(self.exit, self.signal, self.reason)


def of_status(status: int, cancelled: bool) -> Outcome:
    """The outcome of a process: its exit code, or minus the signal that ended it."""
    exit_code, signal = (status, None) if status >= 0 else (None, -status)
    if cancelled:
        return Outcome("cancel", exit_code, signal, "", "cancelled")
    if status == 0:
        return Outcome("succeed", 0)
    ended = f"exit status {status}" if status > 0 else f"ended by signal {-status}"
    return Outcome("fail", exit_code, signal, ended, "exit" if status > 0 else "signal")


def refused(reason: str) -> Outcome:
    """The job cannot run here, and could nowhere."""
    return Outcome("fail", None, None, reason, "refused")
