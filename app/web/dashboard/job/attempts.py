"""What has happened to a job, step by step: submitted, each attempt, and what is now. Pure; no HTML, no clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from signal import Signals
from typing import Any

from app.state import lifecycle
from app.state.job import Job
from app.web import words
from app.web.dashboard.present import BADGES, Badge, Moment, moment
from app.web.words import visible

_EVENTS = {  # the move that has ended an attempt: the badge it gets
    "succeed": "done",
    "fail": "failed",
    "defer": "failed",
    "lose": "failed",
    "release": "cancelled",
    "bury": "dead",
    "cancel": "cancelled",
}
_LABELS = {"defer": "failed, tried again", "lose": "worker lost", "release": "handed back"}


@dataclass(frozen=True)
class Step:
    """A line of the job's history."""

    badge: Badge
    label: str
    at: Moment
    worker: str
    took: str
    ended: str
    reason: str


def history(job: Job, now: float) -> tuple[Step, ...]:
    """What has happened to it, the first first."""
    return (*_beginning(job, now), *(_attempt(one, now) for one in job.attempts), *_present(job, now))


def _beginning(job: Job, now: float) -> list[Step]:
    first = job.attempts[0]["number"] if job.attempts else job.attempt
    started = (job.attempts[0]["started"] if job.attempts else job.started) if first == 1 else None
    waited = (
        ""
        if started is None or started < job.created + 1
        else f"waited {words.duration(started - job.created)}"
    )
    steps = [_step("queued", f"submitted by {job.owner}", job.created, now, took=waited)]
    if job.attempts and first > 1:
        steps.append(
            _step("queued", f"{words.number(first - 1)} attempts before, not kept", job.created, now)
        )
    return steps


def _present(job: Job, now: float) -> list[Step]:
    """What it does now, or how it ended if no attempt did."""
    if job.state in lifecycle.HELD and job.started is not None:
        took = words.duration(now - job.started)
        return [
            _step("running", f"attempt {job.attempt}", job.started, now, worker=job.worker or "", took=took)
        ]
    if job.state == lifecycle.WAITING and job.due is not None:
        return [_step("waiting", f"attempt {job.attempt + 1} is due {words.after(job.due - now)}", now, now)]
    if (
        not job.ended
        or job.finished is None
        or (job.attempts and job.attempts[-1]["ended"] >= job.finished - 1)
    ):
        return []
    return [_step(job.state, job.state, job.finished, now, reason=job.reason)]


def signal_name(number: int) -> str:
    """SIGKILL for 9."""
    try:
        return Signals(number).name
    except ValueError:
        return f"signal {number}"


def _attempt(one: Mapping[str, Any], now: float) -> Step:
    event = one["event"]
    label = f"attempt {one['number']}: {_LABELS.get(event, _EVENTS.get(event, event))}"
    return _step(
        _EVENTS.get(event, "failed"),
        label,
        one["started"],
        now,
        worker=one["worker"] or "",
        took=words.duration(one["ended"] - one["started"]),
        ended=_ending(one),
        reason=one["reason"],
    )


def _ending(one: Mapping[str, Any]) -> str:
    status = f"exit {one['exit']}" if one["exit"] is not None else ""
    status = signal_name(one["signal"]) if one["signal"] else status
    cause = one["cause"] if one["cause"] not in ("exit", "signal") else ""
    return ", ".join(part for part in (status, cause) if part)


def _step(
    state: str,
    label: str,
    at: float,
    now: float,
    *,
    worker: str = "",
    took: str = "",
    ended: str = "",
    reason: str = "",
) -> Step:
    return Step(
        badge=BADGES[state],
        label=visible(label),
        at=moment(at, now),
        worker=visible(worker),
        took=took,
        ended=visible(ended),
        reason=visible(words.shortened(reason, 1000)),
    )
