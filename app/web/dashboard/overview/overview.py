"""The first page: what runs, what waits, what has failed; and the summary that is on every page."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from starlette.datastructures import State
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app.state.events import Event
from app.state.history import History
from app.state.job import Job
from app.state.jobs import Jobs
from app.state.store import Store
from app.state.verdicts import Verdict
from app.state.workers import Workers
from app.web import pages
from app.web.dashboard import door, live, present
from app.web.dashboard.overview import charts
from app.web.dashboard.overview.alerts import Alert, alerts
from app.web.dashboard.topics import Topic

RUNNING = 50  # rows of running jobs
RECENT = 10  # rows of the newest jobs
FAILURES = 5  # rows of those that failed last
VERDICTS = 60.0  # seconds for which the server's settings are believed
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


class Running(Topic):
    """What runs now: looked at with every report of progress, and now and then."""

    period = 5.0

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    async def look(self) -> present.Active:
        """Raises a RedisError."""
        counts, (active, _), (_, at) = await asyncio.gather(
            self._jobs.counts(), self._jobs.page(RUNNING, state="running"), self._jobs.revision()
        )
        return present.active(active, counts["running"], at)

    def render(self, seen: present.Active, acts: bool) -> Mapping[str, str]:
        """One region."""
        return {"running": pages.render("_running.html", view=seen, acts=acts)}


class Overview(Topic):
    """What has failed, who works, and what is new."""

    period = 5.0

    def __init__(self, jobs: Jobs, workers: Workers) -> None:
        self._jobs = jobs
        self._workers = workers

    def touched(self, event: Event) -> bool:
        """Whether a job has moved."""
        return event.event != "progress"

    async def look(self) -> present.Overview:
        """Raises a RedisError."""
        (_, at), (newest, _), failed, known = await asyncio.gather(
            self._jobs.revision(), self._jobs.page(RECENT), self._failed(), self._workers.all()
        )
        return present.overview(newest, failed, known, at)

    def render(self, seen: present.Overview, acts: bool) -> Mapping[str, str]:
        """A region for each part of the page."""
        parts = ("failures", "workers", "jobs")
        return {part: pages.render(f"_{part}.html", view=seen, acts=acts) for part in parts}

    async def _failed(self) -> list[Job]:
        found = await asyncio.gather(
            *(self._jobs.page(FAILURES, state=state) for state in ("failed", "dead"))
        )
        jobs = [job for some, _ in found for job in some]
        return sorted(jobs, key=lambda job: -(job.finished or 0.0))[:FAILURES]


class Care(Topic):
    """What somebody should look at."""

    period = 5.0

    def __init__(self, store: Store) -> None:
        self._store = store
        self._verdicts: list[Verdict] = []
        self._until = 0.0

    def touched(self, event: Event) -> bool:
        """Whether a job has moved."""
        return event.event != "progress"

    async def look(self) -> Sequence[Alert]:
        """Raises a RedisError."""
        if time.monotonic() >= self._until:
            self._verdicts = await self._store.server.verdicts()
            self._until = time.monotonic() + VERDICTS
        workers, glance = await asyncio.gather(self._store.workers.all(), self._store.queues.look())
        here = await self._store.fallbacks.newest(FALLBACKS, glance.now - HOUR)
        return alerts(workers, glance, here, self._verdicts)

    def render(self, seen: Sequence[Alert], acts: bool) -> Mapping[str, str]:
        """One region; an empty one is good news."""
        return {"alerts": pages.render("_alerts.html", alerts=seen)}


class Charts(Topic):
    """A day of the farm in small pictures."""

    period = 10.0

    def __init__(self, jobs: Jobs, history: History) -> None:
        self._jobs = jobs
        self._history = history

    def touched(self, event: Event) -> bool:
        """Never: they change once a minute."""
        return False

    async def look(self) -> Sequence[charts.Chart]:
        """Raises a RedisError."""
        (_, at), samples = await asyncio.gather(self._jobs.revision(), self._history.samples())
        return charts.charts(samples, at)

    def render(self, seen: Sequence[charts.Chart], acts: bool) -> Mapping[str, str]:
        """One region."""
        sizes = {"width": charts.WIDTH, "height": charts.HEIGHT}
        return {"charts": pages.render("_charts.html", charts=seen, **sizes)}


@door.reachable
async def overview(request: Request) -> Response:
    """The first page."""
    shown = await live.show(request, "alerts", "running", "overview", "charts")
    return pages.page("overview.html", user=door.user(request), live=shown)


TOPICS: dict[str, Callable[[State, str], Topic]] = {
    "summary": lambda state, _: Summary(state.jobs, state.store.workers),
    "alerts": lambda state, _: Care(state.store),
    "running": lambda state, _: Running(state.jobs),
    "overview": lambda state, _: Overview(state.jobs, state.store.workers),
    "charts": lambda state, _: Charts(state.jobs, state.store.history),
}
ROUTES: list[BaseRoute] = [Route("/", overview)]
