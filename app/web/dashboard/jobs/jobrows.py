"""Rows of the list of jobs, and of operations on many: what their templates print, computed. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from app.state import lifecycle
from app.state.job import Job
from app.state.operations import Operation, Work
from app.web import filters, words
from app.web.dashboard import present
from app.web.dashboard.present import BADGES, Badge, Command, Moment
from app.web.words import NOTHING, number, shortened, visible

NEWS = 600.0  # seconds for which an operation that has ended is shown with those that go on


@dataclass(frozen=True)
class JobRow:
    """A job. `bar` is its bar's value, 0 to 1, "" while nobody knows it, None without a bar; `why` how it ended."""

    id: str
    badge: Badge
    why: str
    command: Command
    lane: str
    worker: str
    bar: str | None
    percent: str
    created: Moment
    took: str


@dataclass(frozen=True)
class OperationRow:
    """An operation on many jobs. `bar` as above; `is_news` while it goes on, and for a while after."""

    id: str
    badge: Badge
    what: str
    which: str
    by: str
    began: Moment
    bar: str
    count: str
    note: str
    goes_on: bool
    is_news: bool


def job(one: Job, now: float) -> JobRow:
    """A job's row at `now`, by Redis' clock."""
    runs = one.state in lifecycle.HELD
    fraction = present.reported(one, "fraction")
    return JobRow(
        id=one.id,
        badge=present.badge(one),
        why="" if runs or (one.state == lifecycle.DONE and not one.exit) else present.ending(one),
        command=present.command(one),
        lane=visible(one.lane),
        worker=visible(one.worker or NOTHING),
        bar=("" if fraction is None else f"{int(fraction * 100) / 100:.2f}") if runs else None,
        percent=words.percent(fraction) if runs else "",
        created=present.moment(one.created, now),
        took=_so_far(now - one.started) if runs and one.started else present.took(one, now),
    )


def _so_far(seconds: float) -> str:
    """Whole minutes: a row is sent to everybody who has the list open whenever it changes."""
    minutes = int(seconds / 60)
    hours = f"{minutes // 60} h " if minutes >= 60 else ""
    return f"{hours}{minutes % 60} min" if minutes > 0 else "under 1 min"


def operation(one: Operation, now: float) -> OperationRow:
    """An operation's row at `now`."""
    met, total = one.done + one.skipped + one.failed, max(one.total, 1)
    goes_on = one.state == "running"
    return OperationRow(
        id=one.id,
        badge=BADGES["running"] if goes_on else BADGES["done"] if one.state == "done" else STOPPED,
        what=told(one.work),
        which=matching(one.work),
        by=visible(one.work.by),
        began=present.moment(one.began, now),
        bar=f"{min(1.0, met / total):.3f}" if goes_on else "",
        count=_counted(one),
        note=visible(shortened(one.note, 200)),
        goes_on=goes_on,
        is_news=one.ended is None or now - one.ended < NEWS,
    )


def told(work: Work) -> str:
    """The action, as a button says it."""
    return {"cancel": "Cancel", "retry": "Run again"}.get(work.action, f"Move to lane {work.lane}")


def matching(work: Work) -> str:
    """Which jobs, in words."""
    if work.ids:
        return "1 selected job" if len(work.ids) == 1 else f"{number(len(work.ids))} selected jobs"
    asked = {
        name: value for name, value in filters.words(work.which).items() if name not in ("since", "until")
    }
    labels = [f"label {label}" for label in asked.pop("label", ())]
    named = [f"{'text' if name == 'q' else name} {value}" for name, value in asked.items()]
    return visible(
        shortened("all with " + ", ".join([*named, *labels]) if named or labels else "all jobs", 200)
    )


def _counted(one: Operation) -> str:
    total = f"{number(one.total)}{'' if one.exact else ' or more'}"
    parts = [f"{number(one.done)} of {total} done"]
    if one.skipped:
        parts.append(f"{number(one.skipped)} left alone")
    if one.failed:
        parts.append(f"{number(one.failed)} not possible")
    return ", ".join(parts)


STOPPED = Badge("stopped", NOTHING, "stop")
