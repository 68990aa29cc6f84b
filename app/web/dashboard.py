"""The dashboard: one function a page or fragment. `door` stands before them.

/       the whole page, from templates/overview.html
/live   the same partials as a batch of <hx-partial>, asked for every second by the page:
        304 while nothing has changed, 503 while Redis is away (the page keeps what it has)
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app.state.connect import UNREACHABLE
from app.state.fallbacks import Fallbacks
from app.state.jobs import Jobs
from app.state.workers import Workers
from app.web import door, pages, present

RUNNING = 50  # rows of running jobs
RECENT = 25  # rows of the newest jobs
FALLBACKS = 500  # the newest reports of calls that ran on their own hosts, of which those of an hour count
HOUR = 3600.0
SHARE = 0.25  # seconds for which all tabs share one look at Redis
TICK = 2.0  # seconds after which ages are told anew though no job has moved
PATIENCE = 3.0  # seconds after which a Redis that does not answer counts as away
AWAY = (*UNREACHABLE, TimeoutError)


@dataclass(frozen=True)
class Shown:
    """What there is to show, and the partials made of it. `tag` changes when they may."""

    tag: str
    view: present.Overview
    partials: str


class Board:
    """What every tab of this process shows: read once and rendered once, however many ask."""

    def __init__(self, jobs: Jobs, workers: Workers, fallbacks: Fallbacks) -> None:
        self._jobs = jobs
        self._fallbacks = fallbacks
        self._workers = workers
        self._reading: asyncio.Task[Shown] | None = None
        self._until = 0.0
        self.last: Shown | None = None

    async def now(self) -> Shown:
        """What is to be shown now. Raises one of AWAY; `last` stays what it was."""
        if self._reading is None or (self._reading.done() and time.monotonic() >= self._until):
            self._until = time.monotonic() + SHARE
            self._reading = asyncio.create_task(self._read())
        return await asyncio.wait_for(asyncio.shield(self._reading), PATIENCE)

    async def _read(self) -> Shown:
        event, at = await self._jobs.revision()
        tag = f"{event}.{at // TICK:.0f}"
        if self.last is None or self.last.tag != tag:
            view = await self._view(at)
            self.last = Shown(tag, view, pages.render("_live.html", view=view))
        return self.last

    async def _view(self, at: float) -> present.Overview:
        counts, (active, _), (newest, _), known, here = await asyncio.gather(
            self._jobs.counts(),
            self._jobs.page(RUNNING, state="running"),
            self._jobs.page(RECENT),
            self._workers.all(),
            self._fallbacks.newest(FALLBACKS, at - HOUR),
        )
        return present.overview(counts, active, newest, known, at, here)


async def overview(request: Request) -> Response:
    """The first page. While Redis is away: the last that this process has seen, if any, and a banner."""
    shown: Shown | None
    try:
        shown, status = await board(request).now(), 200
    except AWAY:
        shown, status = board(request).last, 503
    context = {"shown": shown, "view": shown and shown.view, "stale": status == 503}
    return pages.page("overview.html", status, user=door.user(request), **context)


async def live(request: Request) -> Response:
    """What has changed since the page saw `HX-PTag`."""
    try:
        shown = await board(request).now()
    except AWAY:
        return pages.empty(503)
    if request.headers.get("hx-ptag") == shown.tag:
        return pages.empty(304)
    return pages.fragment(shown.partials, shown.tag)


def board(request: Request) -> Board:
    """This application's board, made when it is first asked for."""
    state = request.app.state
    if not hasattr(state, "board"):
        state.board = Board(state.jobs, state.store.workers, state.store.fallbacks)
    found: Board = state.board
    return found


ROUTES: list[BaseRoute] = [Route("/", overview), Route("/live", live)]
