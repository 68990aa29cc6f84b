"""One job as its page shows it, computed. Pure; no HTML, no clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.state import lifecycle
from app.state.job import Job
from app.state.position import Position
from app.web import words
from app.web.dashboard import shell
from app.web.dashboard.job.attempts import signal_name
from app.web.dashboard.present import Badge, Moment, badge, moment, reported
from app.web.words import NOTHING, visible
from app.wire.messages import CAUSES

NAMED = 5  # workers that are named, at most

# What a button does to a job in each state; see `actions`.
CANCEL, PAUSE, RESUME, RETRY = "cancel", "pause", "resume", "retry"


@dataclass(frozen=True)
class Fact:
    """A name and what there is to say."""

    name: str
    value: str


@dataclass(frozen=True)
class Head:
    """The job's head. `why` says what keeps a queued job, or why one has ended like this; `can` what may be done."""

    id: str
    badge: Badge
    title: str
    why: str
    tone: str
    retry_of: str
    again: str
    facts: tuple[Fact, ...]
    can: tuple[str, ...]


@dataclass(frozen=True)
class Progress:
    """How far it is. `bar` is the bar's value, 0 to 1, or "" while nobody knows; `told` when that was said."""

    bar: str
    percent: str
    moving: bool
    facts: tuple[Fact, ...]
    told: Moment | None


@dataclass(frozen=True)
class Lines:
    """The command for people: as its caller wrote it, folded, and to be submitted once more."""

    caller: str
    folded: str
    submit: str
    view: tuple[Fact, ...]


def head(job: Job, again: str, place: Position | None, able: Sequence[str] = (), nobody: str = "") -> Head:
    """`again` is the job that has run this one's command again; `able` who can take it, or `nobody` why none can."""
    shown = badge(job)
    return Head(
        id=job.id,
        badge=shown,
        title=outputs(job),
        why=visible(why(job, place, nobody)),
        tone="bad" if (nobody and job.state == "queued") or job.state in ("failed", "dead") else "wait",
        retry_of=str(job.spec.get("retry_of") or ""),
        again=again,
        facts=_facts(job, able),
        can=actions(job),
    )


def outputs(job: Job) -> str:
    """What the job is called: the name of the last file in its command."""
    named = [one for one in job.spec["args"] if not isinstance(one, str)]
    last = named[-1] if named else ""
    texts = [piece for piece in last if isinstance(piece, str)] if not isinstance(last, str) else []
    name = texts[-1].rstrip("/").rpartition("/")[2] if texts else ""
    return visible(words.shortened(name, 120)) or str(job.spec["binary"])


def why(job: Job, place: Position | None, nobody: str) -> str:
    """What keeps it, or how it has ended."""
    if job.state == lifecycle.QUEUED:
        return ". ".join(
            part for part in (_losses(job), standing(place), nobody and f"It waits: {nobody}") if part
        )
    if job.state == lifecycle.WAITING:
        return (
            f"{job.reason}. It is tried again after a while"
            if job.reason
            else "It is tried again after a while"
        )
    if job.cancelling:
        return f"Its worker was told to end it: {job.reason}"
    if not job.ended or job.state == lifecycle.DONE:
        return ""
    meaning = CAUSES.get(job.cause, "")
    return job.reason if not meaning or meaning in job.reason else f"{job.reason or 'it ended'} ({meaning})"


def standing(place: Position | None) -> str:
    """Where it stands among those that wait for the same."""
    if place is None:
        return ""
    behind = "" if place.exact else " at least"
    others = "the only job that waits for this" if place.waiting == 1 else ""
    return f"Position{behind} {words.number(place.place)} of {words.number(place.waiting)}" + (
        f": {others}" if others else " that need the same"
    )


def actions(job: Job) -> tuple[str, ...]:
    """What can be done to it now."""
    if job.ended:
        return (RETRY,)
    if job.state == lifecycle.PUBLISHING or job.cancelling:
        return ()
    if job.state == lifecycle.RUNNING:
        return (RESUME if job.paused else PAUSE, CANCEL)
    return (CANCEL,)


def progress(job: Job, told: float | None, now: float) -> Progress | None:
    """How far it is, or was at its end; None where it has never said. `told` is when it last did."""
    if not job.progress or job.state in (lifecycle.QUEUED, lifecycle.WAITING):
        return None
    moving = job.state in lifecycle.HELD
    done = reported(job, "fraction") if job.state != lifecycle.DONE else 1.0
    return Progress(
        bar="" if done is None else f"{done:.4f}",
        percent=words.percent(done),
        moving=moving,
        facts=tuple(fact for fact in _progress(job, moving) if fact.value not in ("", NOTHING)),
        told=moment(told, now) if told is not None and moving else None,
    )


def lines(spec: Mapping[str, Any], folded: str) -> Lines:
    """The job's command; `folded` is it with the names of roots."""
    return Lines(
        caller=shell.caller_line(spec),
        folded=visible(folded),
        submit=shell.submit_line(spec),
        view=tuple(Fact(name, visible(path)) for name, path in shell.view_of(spec).items()),
    )


def _facts(job: Job, able: Sequence[str]) -> tuple[Fact, ...]:
    held = job.state not in (lifecycle.QUEUED, lifecycle.WAITING)
    labels = ", ".join(f"{name}={value}" for name, value in job.spec.get("labels", {}).items())
    known = (
        ("lane", job.lane),
        ("worker", (job.worker or "") if held else ""),
        ("can be run by", _some(able)),
        ("labels", labels),
        ("owner", job.owner),
        ("exit", "" if job.exit is None else str(job.exit)),
        ("signal", "" if job.signal is None else signal_name(job.signal)),
    )
    return tuple(Fact(name, visible(value)) for name, value in known if value)


def _some(names: Sequence[str]) -> str:
    more = f" and {words.number(len(names) - NAMED)} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def _losses(job: Job) -> str:
    return f"It lost its worker {words.times(job.losses)}" if job.losses else ""


def _progress(job: Job, moving: bool) -> tuple[Fact, ...]:
    frames = {name: reported(job, name) for name in ("frame", "drop", "dup")}
    return (
        Fact("frames a second", words.fps(reported(job, "fps"))),
        Fact("speed", words.speed(reported(job, "speed"))),
        Fact("left", words.left(reported(job, "left")) if moving else ""),
        Fact("frame", _count(frames["frame"])),
        Fact("media time", _of(reported(job, "out_time"), reported(job, "expected"))),
        Fact("written", words.size(reported(job, "total_size"))),
        Fact("bit rate", words.bitrate(reported(job, "bitrate"))),
        Fact("frames dropped", _count(frames["drop"] or None)),
        Fact("frames doubled", _count(frames["dup"] or None)),
    )


def _count(number: float | None) -> str:
    return "" if number is None else words.number(int(number))


def _of(done: float | None, whole: float | None) -> str:
    if done is None:
        return ""
    return f"{words.clock(done)} of {words.clock(whole)}" if whole else words.clock(done)
