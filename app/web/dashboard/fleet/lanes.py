"""Queues as their page shows them, computed. Pure; no HTML, no clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from app.state.queues import Glance, Lane, Queue
from app.state.workers import Worker
from app.web import coverage, words
from app.web.dashboard import present
from app.web.dashboard.present import Moment
from app.web.words import shortened, visible

OLD = 86_400.0  # seconds without a submission after which an empty queue is not shown
OWN = "worker"  # the label of which each worker has its own value
ROWS = 100  # queues that are shown, those with the most waiting jobs first


@dataclass(frozen=True)
class Cell:
    """A lane of a queue: what waits in it and what runs."""

    lane: str
    queued: str
    held: str


@dataclass(frozen=True)
class Server:
    """A worker that can serve a queue."""

    id: str
    path: str
    state: str


@dataclass(frozen=True)
class Row:
    """A queue. `why` says why nobody serves it, or is ""; `stuck` whether jobs wait for that."""

    cls: str
    needs: str
    cells: tuple[Cell, ...]
    queued: str
    held: str
    oldest: Moment | None
    servers: tuple[Server, ...]
    why: str
    stuck: bool


@dataclass(frozen=True)
class Again:
    """A job that waits for another try. `at` never changes while it waits."""

    id: str
    stamp: str
    clock: str


@dataclass(frozen=True)
class Shown:
    """All of it. `hidden` counts queues that are not shown, `more` jobs that wait for another try and are not."""

    rows: tuple[Row, ...]
    hidden: str
    retries: tuple[Again, ...]
    retrying: str
    more: str
    dead: str


def shown(seen: Glance, workers: Sequence[Worker]) -> Shown:
    """The page at `seen.now`."""
    rows = [queue for queue in seen.queues if queue.queued or queue.held or _is_known(queue)]
    hidden = len(seen.queues) - len(rows[:ROWS])
    more = max(0, seen.retrying - len(seen.retries))
    return Shown(
        tuple(_row(queue, workers, seen.now) for queue in rows[:ROWS]),
        words.number(hidden) if hidden else "",
        tuple(_again(job, seen.now + wait) for job, wait in seen.retries),
        words.number(seen.retrying),
        words.number(more) if more else "",
        words.number(seen.dead) if seen.dead else "",
    )


def _is_known(queue: Queue) -> bool:
    """Whether it is shown while it is empty: not what `ffgrid doctor` asked one worker, nor what was long ago."""
    return queue.used < OLD and OWN not in queue.needs["labels"]


def _row(queue: Queue, workers: Sequence[Worker], now: float) -> Row:
    able = coverage.able(queue.needs, workers)
    why = coverage.why(queue.needs, workers)
    return Row(
        cls=queue.cls,
        needs=visible(coverage.words(queue.needs)),
        cells=tuple(map(_cell, queue.lanes)),
        queued=words.number(queue.queued),
        held=words.number(queue.held),
        oldest=None if queue.oldest is None else present.moment(now - queue.oldest, now),
        servers=tuple(
            Server(visible(one.id), f"/workers/{quote(one.id, safe='')}", "" if one.takes else one.state)
            for one in able
        ),
        why=visible(shortened(why, 300)),
        stuck=bool(why and queue.queued),
    )


def _cell(lane: Lane) -> Cell:
    return Cell(lane.name, words.number(lane.queued), words.number(lane.held) if lane.held else "")


def _again(job: str, at: float) -> Again:
    moment = present.moment(at, at)
    return Again(job, moment.stamp, moment.exact.partition(" ")[2])
