"""Times as people write them, and a time after which a command stops waiting."""

from __future__ import annotations

import re
import signal
from argparse import ArgumentTypeError
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from app.cli.errors import USAGE, Failure

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
SPANS = "30s, 10m, 24h, 7d"
TIMES = "10m, 24h (so long ago), 2026-11-29T14:00 (here), or Unix seconds"


class TimedOut(BaseException):
    """The time that was given is over. No Exception: nothing on the way may take it for an error of its own."""


def span(text: str, flag: str) -> float:
    """Seconds: `90`, `90s`, `10m`, `24h`, `7d`. Raises Failure."""
    found = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)([smhdw]?)", text, re.ASCII)
    if not found or not float(found[1]):
        raise Failure(f"{flag}: expected a time such as {SPANS}, got {text!r}", USAGE)
    return float(found[1]) * UNITS[found[2] or "s"]


def timeout(text: str) -> float:
    """The same for argparse."""
    try:
        return span(text, "--timeout")
    except Failure as failure:
        raise ArgumentTypeError(str(failure).partition(": ")[2]) from None


def moment(text: str, flag: str, now: float) -> float:
    """Unix seconds of a moment: so long before `now`, a date, a date and time, or Unix seconds. Raises Failure."""
    if re.fullmatch(r"\d{9,12}(\.\d{1,9})?", text, re.ASCII):
        return float(text)
    if re.fullmatch(r"[\d.]+[smhdw]", text, re.ASCII):
        return now - span(text, flag)
    from datetime import datetime

    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        raise Failure(f"{flag}: expected {TIMES}, got {text!r}", USAGE) from None


@contextmanager
def within(seconds: float | None, what: str, then: str = "") -> Iterator[None]:
    """Raises TimedOut in the block when this time is over, with `what` has not come; without one it never does."""
    if seconds is None:
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        raise TimedOut(f"{what} within {seconds:g} s{then}")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
