"""The first page: what runs, what waits, what has failed; and the summary that is on every page."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from starlette.datastructures import State
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app.state.events import Event
from app.state.fallbacks import Fallbacks
from app.state.jobs import Jobs
from app.state.workers import Workers
from app.web import door, live, pages, present
from app.web.topics import Topic

RUNNING = 50  # rows of running jobs
RECENT = 25  # rows of the newest jobs
FALLBACKS = 500  # the newest reports of calls that ran on their own hosts, of which those of an hour count
HOUR = 3600.0


@dataclass(frozen=True)
class Seen:
    """What the summary shows: counters, and the last job that failed while somebody looked."""

    counters: tuple[present.Counter, ...]
    failed: str


class Summary(Topic):
    """How many jobs are in each state, how many workers are there, and what has just failed."""

    def __init__(self, jobs: Jobs, workers: Workers) -> None:
        self._jobs = jobs
        self._workers = workers
        self._failed = ""

    def touched(self, event: Event) -> bool:
        """Whether a job has moved."""
        if event.state in ("failed", "dead"):
            self._failed = event.job
        return event.event != "progress"

    async def look(self) -> Seen:
        """Raises a RedisError."""
        counts, known = await asyncio.gather(self._jobs.counts(), self._workers.all())
        return Seen(present.counters(counts, known), self._failed)

    def render(self, seen: Seen, acts: bool) -> Mapping[str, str]:
        """The counters, and a line for those who cannot see them change."""
        return {
            "summary": pages.render("_summary.html", counters=seen.counters),
            "news": pages.render("_news.html", failed=seen.failed),
        }


class Overview(Topic):
    """What the first page shows."""

    def __init__(self, jobs: Jobs, workers: Workers, fallbacks: Fallbacks) -> None:
        self._jobs = jobs
        self._workers = workers
        self._fallbacks = fallbacks

    async def look(self) -> present.Overview:
        """Raises a RedisError."""
        _, at = await self._jobs.revision()
        counts, (active, _), (newest, _), known, here = await asyncio.gather(
            self._jobs.counts(),
            self._jobs.page(RUNNING, state="running"),
            self._jobs.page(RECENT),
            self._workers.all(),
            self._fallbacks.newest(FALLBACKS, at - HOUR),
        )
        return present.overview(counts, active, newest, known, at, here)

    def render(self, seen: present.Overview, acts: bool) -> Mapping[str, str]:
        """A region for each part of the page."""
        parts = ("running", "workers", "jobs")
        return {part: pages.render(f"_{part}.html", view=seen, acts=acts) for part in parts}


@door.reachable
async def overview(request: Request) -> Response:
    """The first page."""
    shown = await live.show(request, "overview")
    return pages.page("overview.html", user=door.user(request), live=shown)


TOPICS: dict[str, Callable[[State, str], Topic]] = {
    "summary": lambda state, _: Summary(state.jobs, state.store.workers),
    "overview": lambda state, _: Overview(state.jobs, state.store.workers, state.store.fallbacks),
}
ROUTES: list[BaseRoute] = [Route("/", overview)]
