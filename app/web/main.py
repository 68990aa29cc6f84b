"""The coordinator's application: routes in one list, errors in one table, state only in Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import State
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Lifespan

from app.state.clients import Master
from app.state.connect import RedisError, stop
from app.state.job import JobError
from app.state.reach import RETRY, Unusable, demand_known, watch
from app.state.seal import Seal
from app.state.store import Store
from app.web import metrics, pages, problems
from app.web.api import attach, fallbacks, jobs, lists, openapi, operations, workforce
from app.web.auth import Verifier
from app.web.below import Below
from app.web.bulkwork import BulkWork
from app.web.census import Census
from app.web.dashboard import about, diary, live, login, people
from app.web.dashboard.door import guarded
from app.web.dashboard.fleet import queues, workers
from app.web.dashboard.hub import Hub
from app.web.dashboard.job import jobpage, logpage
from app.web.dashboard.jobs import bulkpage, exports, joblist
from app.web.dashboard.overview import overview
from app.web.dashboard.submit import submitpage
from app.web.dashboard.topics import Feed, Topic
from app.web.leaving import Leaving
from app.web.observed import Observed, Timings
from app.web.visit import Reception

API: list[BaseRoute] = [
    *jobs.ROUTES,
    *lists.ROUTES,
    *operations.ROUTES,
    *workforce.ROUTES,
    *fallbacks.ROUTES,
    *metrics.ROUTES,
    *attach.ROUTES,
]

# The dashboard: each module's ROUTES are pages and actions, its TOPICS what they keep current (a name, or "name:" for
# one of each thing; and what makes it of the application's state and the thing).
PAGES: tuple[Any, ...] = (
    about,
    bulkpage,
    overview,
    diary,
    exports,
    joblist,
    jobpage,
    live,
    login,
    logpage,
    people,
    queues,
    submitpage,
    workers,
)
TOPICS: dict[str, Callable[[State, str], Topic | Feed]] = {
    name: make for page in PAGES for name, make in getattr(page, "TOPICS", {}).items()
}

ERRORS: dict[Any, Any] = dict.fromkeys(
    (Exception, HTTPException, problems.Problem, JobError, RedisError), problems.handle
)
SETTLE = 0.4  # seconds, at the end, for what Redis has still to be told, and for its connections to be closed


def create_app(
    redis_url: str,
    master: Master,
    replicas: int = 0,
    hosts: Iterable[str] = (),
    proxies: Iterable[str] = (),
    address: str = "",
    root: str = "",
    metrics_token: str = "",
) -> Starlette:
    """One coordinator process's application. It starts without Redis too: `readyz` says when it can serve.

    `hosts`, `proxies`, `root` (path) and `metrics_token` are as in the settings. While the dashboard has no user, it
    prints the link that makes the first one, if it is told its own address.
    """
    pages.mount(root)
    around = [*([Middleware(Below, root)] if root else []), Middleware(Observed)]
    store = Store(redis_url, replicas=replicas)
    life = _lifespan(redis_url, address + root)
    app = Starlette(routes=_routes(), lifespan=life, exception_handlers=ERRORS, middleware=around)
    app.router.redirect_slashes = False
    app.state.reception = Reception(hosts, proxies)
    app.state.scraped = metrics.Scraped(store.survey, metrics_token)
    _equip(app.state, store, master)
    return app


def _equip(state: State, store: Store, master: Master) -> None:
    """Puts all that requests use where they find it."""
    state.store = store
    state.timings = Timings()
    state.jobs = store.jobs(Seal(master.seal_key()))
    state.bulkwork = BulkWork(store.operations, state.jobs, store.output)
    state.verifier = Verifier(store.clients, master)
    state.census = Census(store.workers)
    state.tasks = set()
    state.leaving = Leaving()
    state.master = master
    state.users = store.users(master)
    state.sessions = store.sessions(master, state.users)
    state.hub = Hub(store.events, lambda name: _topic(state, name), state.leaving)


def _lifespan(redis_url: str, address: str) -> Lifespan[Starlette]:
    """What a process does beside answering, from its start to its end."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        store: Store = app.state.store
        beside = (
            watch(store.redis, redis_url),
            _bring_up(app.state, redis_url),
            _invite(app, address),
            store.reaper.run(),
            app.state.bulkwork.run(),
        )
        tasks = [asyncio.create_task(one) for one in beside]
        yield
        if app.state.tasks:
            await asyncio.wait(app.state.tasks, timeout=SETTLE)
        await app.state.hub.close()
        await stop(*tasks)
        with suppress(TimeoutError):  # a Redis that has stopped holds nobody up
            async with asyncio.timeout(SETTLE):
                await store.close()

    return lifespan


def _topic(state: State, name: str) -> Topic | Feed | None:
    kind, colon, thing = name.partition(":")
    made = TOPICS.get(kind + colon)
    return made(state, thing) if made else None


def _routes() -> list[BaseRoute]:
    health = [
        Route("/livez", livez),
        Route("/readyz", readyz),
        Route("/healthz", livez),
        Route("/metrics", metrics.metrics),
    ]
    static = Mount("/static", StaticFiles(directory=pages.asset_dir("static")), middleware=[pages.SMALL])
    return [
        *API,
        *health,
        openapi.endpoint([*API, *health]),
        *guarded([route for page in PAGES for route in page.ROUTES]),
        static,
    ]


async def _bring_up(state: State, redis_url: str) -> None:
    """Brings what an older ffgrid has stored up to our schema, once Redis answers. A newer one's is left alone."""
    store: Store = state.store
    while True:
        try:
            await demand_known(store.redis, redis_url)
            await store.schema.bring_up()
        except RedisError:
            await asyncio.sleep(RETRY)
            continue
        except Unusable as error:
            state.leaving.refuse(error)
        return


async def _invite(app: Starlette, address: str) -> None:
    """Says how to get in first, once Redis answers and if nobody can yet."""
    while address:
        try:
            told = await login.invitation(app.state.users, app.state.sessions, address)
        except RedisError:
            await asyncio.sleep(RETRY)
            continue
        if told:
            print(told, flush=True)
        return


async def livez(request: Request) -> Response:
    """This process answers."""
    return PlainTextResponse("ok\n")


async def readyz(request: Request) -> Response:
    """This process can serve: it is not going away, and Redis answers."""
    leaving: Leaving = request.app.state.leaving
    leaving.asked()
    if leaving.announced:
        raise problems.Problem(503, "leaving", "this process is going away")
    await request.app.state.store.redis.ping()
    return JSONResponse({"status": "ready"})
