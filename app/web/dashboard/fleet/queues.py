"""The page of the queues: what waits, for how long, and who can serve it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from starlette.datastructures import State
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app.state.events import Event
from app.state.queues import Queues
from app.state.workers import Workers
from app.web import pages
from app.web.dashboard import door, live
from app.web.dashboard.fleet import lanes
from app.web.dashboard.topics import Topic


class Lines(Topic):
    """All queues."""

    period = 1.0

    def __init__(self, queues: Queues, workers: Workers) -> None:
        self._queues = queues
        self._workers = workers

    def touched(self, event: Event) -> bool:
        """Never: a busy farm moves many jobs a second."""
        return False

    async def look(self) -> lanes.Shown:
        """Raises a RedisError."""
        seen, workers = await asyncio.gather(self._queues.look(), self._workers.all())
        return lanes.shown(seen, workers)

    def render(self, seen: lanes.Shown, acts: bool) -> Mapping[str, str]:
        """The queues, and what is in none."""
        return {name: pages.render(f"_{name}.html", seen=seen) for name in ("queues", "apart")}


@door.reachable
async def queues(request: Request) -> Response:
    """All queues."""
    shown = await live.show(request, "queues")
    return pages.page("queues.html", user=door.user(request), live=shown)


TOPICS: dict[str, Callable[[State, str], Topic]] = {
    "queues": lambda state, _: Lines(state.store.queues, state.store.workers)
}
ROUTES: list[BaseRoute] = [Route("/queues", queues)]
