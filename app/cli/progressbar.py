"""How far a job is, in words and as a bar, from the JSON that the API gives. Pure.

    running on w1  ━━━━━━━━━────────────  43%  0:42 left  1.20x  24 fps

Where nobody knows how long the result will be, the media time so far stands for the percentage and there is
no bar. Whatever the numbers are, there is never more than 100 % and never NaN.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any

from app.cli.terminal import clipped, printable
from app.state.lifecycle import DONE, FINAL, QUEUED, WAITING
from app.wire.signing import is_word

Job = Mapping[str, Any]

BAR = range(10, 41)  # columns
STEADY = (4, 9, 5, 7)  # columns of the facts, so that the bar does not tremble when a number gets longer
FILLED, EMPTY = "━─"
FILLED_ASCII, EMPTY_ASCII = "#-"


def line(job: Job, columns: int, now: float, ascii_only: bool = False) -> str:
    """One line, narrower than the terminal: a bar where it fits, and the facts, the best ones first."""
    head = standing(job, now)
    parts = [text.rjust(wide) for text, wide in zip(facts(job), STEADY, strict=False)]
    while parts and _length(head, parts) >= columns:
        parts.pop()
    done = fraction(job)
    room = min(columns - 1 - _length(head, parts) - 2, BAR[-1])
    if done is not None and parts and room in BAR:
        parts.insert(0, bar(done, room, ascii_only))
    return clipped(printable("  ".join([head, *parts])), columns - 1)


def plain(job: Job, now: float) -> str:
    """The same for a file or a pipe, without a bar and without a clock that makes every line differ."""
    parts = facts(job)
    text = standing(job, now if job["state"] in FINAL else None)
    return f"{text}: {', '.join(parts)}" if parts else text


def standing(job: Job, now: float | None) -> str:
    """The job's state in words; with the time it has taken, if `now` is given."""
    state = job["state"]
    if state in FINAL:
        return _ending(job)
    if state == QUEUED:
        since, words = job["created"], _queued(job)
    elif state == WAITING:
        left = "" if now is None or not job["due"] else f" in {clock(max(0.0, job['due'] - now))}"
        return f"failed ({job['reason']}), tried again{left}"
    else:
        since, words = job["started"], activity(job) + _where(job)
    if now is None or since is None or (state != QUEUED and facts(job)):
        return words
    return f"{words} for {clock(now - since)}"


def _queued(job: Job) -> str:
    attempts = job.get("attempts") or [{}]
    why = {"lose": "its worker was lost", "defer": "it failed", "release": "it was handed back"}
    words = why.get(attempts[-1].get("event", ""))
    return f"queued again ({words})" if words else "queued"


def activity(job: Job) -> str:
    """The state in one word, which for a running job may be what is done to it."""
    return "cancelling" if job["cancelling"] else "paused" if job.get("paused") else str(job["state"])


def facts(job: Job) -> list[str]:
    """What a running job's progress says, the best first: percent, time left, speed, frames a second."""
    progress = job.get("progress") or {}
    if job["state"] in (*FINAL, QUEUED, WAITING) or not progress:
        return []
    left, speed, fps = (number(progress.get(name)) for name in ("left", "speed", "fps"))
    found = [
        percent(job) or (media_time(job) and f"at {media_time(job)}"),
        f"{clock(left)} left" if left is not None and percent(job) else "",
        f"{speed:.0f}x" if speed and speed >= 10 else f"{speed:.2f}x" if speed else "",
        f"{fps:.0f} fps" if fps else "",
    ]
    return [text for text in found if text]


def fraction(job: Job) -> float | None:
    """How much is done, 0 to 1; None if unknown."""
    if job["state"] == DONE:
        return 1.0
    done = number((job.get("progress") or {}).get("fraction"))
    if done is None or (done >= 1 and job["cancelling"]):  # ffmpeg has ended, and not by itself
        return None
    return min(done, 1.0)


def percent(job: Job) -> str:
    """`43%`, or nothing if unknown. Not rounded up: 100 % is the end."""
    done = fraction(job)
    return "" if done is None else f"{int(done * 100 + 1e-9)}%"


def media_time(job: Job) -> str:
    """How much media has come out, as `0:12`; nothing if unknown."""
    seconds = number((job.get("progress") or {}).get("out_time"))
    return "" if seconds is None else clock(seconds)


def bar(done: float, columns: int, ascii_only: bool = False) -> str:
    """A bar of that many columns. Full only at the end."""
    filled, empty = (FILLED_ASCII, EMPTY_ASCII) if ascii_only else (FILLED, EMPTY)
    length = int(min(max(done, 0.0), 1.0) * columns + 1e-9)
    return filled * length + empty * (columns - length)


def clock(seconds: float | None) -> str:
    """`0:42`, `12:03`, `1:02:03`, `17 days`; `-` for what is no time."""
    known = number(seconds)
    if known is None:
        return "0:00" if isinstance(seconds, int | float) and seconds < 0 else "-"
    minutes, second = divmod(int(known), 60)
    hours, minute = divmod(minutes, 60)
    if hours >= 240:
        return f"{hours // 24} days"
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def age(seconds: float) -> str:
    """About how long, in one unit: `0 s`, `59 s`, `3 min`, `2 h`, `4 d`."""
    whole = max(int(seconds), 0)
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if whole >= length:
            return f"{whole // length} {unit}"
    return f"{whole} s"


def took(job: Job, now: float) -> float | None:
    """How long the job has run, or ran; None if it never did."""
    if job["started"] is None or job["state"] == QUEUED:
        return None
    return float((job["finished"] or now) - job["started"])


def number(value: object) -> float | None:
    """The value if it is a number that makes sense here: finite and not negative."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value) or value < 0:
        return None
    return float(value)


def _ending(job: Job) -> str:
    ran = took(job, 0.0)
    after = "" if ran is None else f" {'in' if job['state'] == DONE else 'after'} {clock(ran)}{_where(job)}"
    return f"{job['state']}{after}" + (f": {job['reason']}" if job["reason"] else "")


def _where(job: Job) -> str:
    worker = job.get("worker") or ""
    return f" on {worker}" if is_word(worker, range(1, 65)) else ""


def _length(head: str, parts: list[str]) -> int:
    return len("  ".join([head, *parts]))
