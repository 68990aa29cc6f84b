"""The workers' pages: who works, what each can and runs, and what an operator tells them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from starlette.datastructures import State
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app.state.events import Event
from app.state.job import Job
from app.state.jobs import Jobs
from app.state.lifecycle import FINAL
from app.state.workers import NoSuchWorker, Worker, Workers
from app.web import pages
from app.web.dashboard import door, live, present
from app.web.dashboard.acting import acted, record
from app.web.dashboard.fleet import crew, joining
from app.web.dashboard.topics import Topic
from app.web.parts import store, worker_id
from app.web.words import visible
from app.wire.signing import ID_LENGTHS, is_word

RUNNING = 200  # running jobs that are told apart by worker
ENDED = (
    ("done", 60),
    ("failed", 40),
    ("dead", 20),
    ("cancelled", 20),
)  # the newest, among which a worker's are looked for
SHOWN = 12  # of them that are shown
DONE = {
    "pause": "paused worker",
    "drain": "drained worker",
    "resume": "resumed worker",
    "remove": "removed worker",
}
SAID = {
    "pause": "{} takes nothing new. What it runs goes on.",
    "drain": "{} takes nothing new, and ends when its jobs have ended.",
    "resume": "{} takes jobs again.",
    "remove": "{} is off the list.",
}


class Crew(Topic):
    """All workers."""

    period = 1.0

    def __init__(self, jobs: Jobs, workers: Workers) -> None:
        self._jobs = jobs
        self._workers = workers

    def touched(self, event: Event) -> bool:
        """Never: a busy farm moves many jobs a second, and a look reads all that run."""
        return False

    async def look(self) -> Sequence[crew.Row]:
        """Raises a RedisError."""
        known, (running, _) = await asyncio.gather(
            self._workers.all(), self._jobs.page(RUNNING, state="running")
        )
        days = await self._workers.days([worker.id for worker in known])
        return [crew.row(worker, day, running) for worker, day in zip(known, days, strict=True)]

    def render(self, seen: Sequence[crew.Row], acts: bool) -> Mapping[str, str]:
        """One region."""
        return {"crew": pages.render("_crew.html", workers=seen, acts=acts)}


@dataclass(frozen=True)
class Seen:
    """One worker; `row` is None where it has gone."""

    id: str
    row: crew.Row | None
    started: present.Moment | None
    facts: Sequence[crew.Fact]
    encoders: Sequence[str]
    ended: Sequence[crew.Ended]


class One(Topic):
    """One worker. The jobs that ended last are read again when one of its own has ended."""

    period = 1.0

    def __init__(self, jobs: Jobs, workers: Workers, worker_id: str) -> None:
        self._jobs = jobs
        self._workers = workers
        self._id = worker_id
        self._ended: list[Job] = []
        self._read_to = -1  # how many endings had been heard of when they were read
        self._heard = 0

    def touched(self, event: Event) -> bool:
        """Whether a job of its own has ended."""
        is_news = event.worker == self._id and event.state in FINAL
        self._heard += is_news
        return is_news

    async def look(self) -> Seen:
        """Raises a RedisError."""
        heard = self._heard
        if self._read_to != heard:
            self._ended, self._read_to = await self._newest(), heard
        (_, now), known, (day,), (running, _) = await asyncio.gather(
            self._jobs.revision(),
            self._workers.all(),
            self._workers.days([self._id]),
            self._jobs.page(RUNNING, state="running"),
        )
        found: Worker | None = next((one for one in known if one.id == self._id), None)
        return Seen(
            visible(self._id),
            crew.row(found, day, running) if found else None,
            crew.started(found, now) if found else None,
            crew.facts(found) if found else (),
            sorted(map(visible, map(str, found.about.get("encoders", ())))) if found else (),
            crew.ended(self._ended, now)[:SHOWN],
        )

    def render(self, seen: Seen, acts: bool) -> Mapping[str, str]:
        """Its head, what it can, and its jobs."""
        parts = ("head", "can", "ended")
        return {
            f"worker-{part}": pages.render(f"_worker_{part}.html", seen=seen, acts=acts) for part in parts
        }

    async def _newest(self) -> list[Job]:
        """Those of the jobs that have ended last which it had: no index is kept for this."""
        found = await asyncio.gather(*(self._jobs.page(count, state=state) for state, count in ENDED))
        return [job for jobs, _ in found for job in jobs if job.worker == self._id and job.state in FINAL]


@door.reachable
async def workers(request: Request) -> Response:
    """All workers, and how to add one."""
    shown = await live.show(request, "workers")
    known = await store(request).workers.all()
    join = joining.lines(store(request).address, request.state.visit.name, known)
    return pages.page("workers.html", user=door.user(request), live=shown, join=join)


@door.reachable
async def worker(request: Request) -> Response:
    """One worker. Raises NoSuchWorker."""
    name = worker_id(request)
    if not is_word(name, ID_LENGTHS) or name not in {one.id for one in await store(request).workers.all()}:
        raise NoSuchWorker(f"there is no worker {name!r}: it has left, or was never here")
    shown = await live.show(request, f"worker:{name}")
    return pages.page("worker.html", user=door.user(request), live=shown, name=name)


def order(what: str) -> door.Handler:
    """The handler of one button. It raises NoSuchWorker, StillAlive."""

    @door.reachable
    async def told(request: Request) -> Response:
        name = worker_id(request)
        await getattr(store(request).workers, what)(name)
        await record(request, DONE[what], name)
        return acted(request, SAID[what].format(visible(name)), "/workers")

    return told


TOPICS: dict[str, Callable[[State, str], Topic]] = {
    "workers": lambda state, _: Crew(state.jobs, state.store.workers),
    "worker:": lambda state, name: One(state.jobs, state.store.workers, name),
}
ROUTES: list[BaseRoute] = [
    Route("/workers", workers),
    Route("/workers/{worker_id}", worker),
    *(Route(f"/workers/{{worker_id}}/{what}", order(what), methods=["POST"], name=what) for what in DONE),
]
