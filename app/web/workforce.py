"""`/v1/workers`: who works, and what they are told. What a worker runs goes on in any case."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response

from app.state.clients import Client
from app.state.workers import Workers
from app.web import views
from app.web.acting import noted
from app.web.api import ANYBODY, answer
from app.web.auth import signed


@signed(*ANYBODY)
async def workers(request: Request, client: Client, body: bytes) -> Response:
    """All workers that are remembered."""
    return answer({"workers": [views.worker(one) for one in await workers_of(request).all()]})


@signed(*ANYBODY)
async def queues(request: Request, client: Client, body: bytes) -> Response:
    """What waits and what workers have, by class of jobs and lane; who serves each class, or `why` nobody does.

    Those with the most waiting jobs come first. `oldest` is for how many seconds the first of them has waited.
    """
    seen, known = await asyncio.gather(request.app.state.store.queues.look(), workers_of(request).all())
    rows = [views.queue(one, known) for one in seen.queues]
    return answer({"queues": rows, "retrying": seen.retrying, "dead": seen.dead})


@signed("admin")
async def drain(request: Request, client: Client, body: bytes) -> Response:
    """Tells a worker to take nothing new and to end when its jobs have ended."""
    await workers_of(request).drain(named(request))
    await noted(request, client, "drained worker", named(request))
    return answer({"id": named(request), "state": "draining"}, 202)


@signed("admin")
async def pause_worker(request: Request, client: Client, body: bytes) -> Response:
    """Tells a worker to take nothing new and to stay, until it is resumed or started anew."""
    await workers_of(request).pause(named(request))
    await noted(request, client, "paused worker", named(request))
    return answer({"id": named(request), "state": "paused"}, 202)


@signed("admin")
async def resume_worker(request: Request, client: Client, body: bytes) -> Response:
    """Lets a paused worker take jobs again; takes a drain back that has not ended yet."""
    await workers_of(request).resume(named(request))
    await noted(request, client, "resumed worker", named(request))
    return answer({"id": named(request), "state": "online"}, 202)


def workers_of(request: Request) -> Workers:
    """The workers of this application."""
    found: Workers = request.app.state.store.workers
    return found


def named(request: Request) -> str:
    """The worker that the path names."""
    name: str = request.path_params["worker_id"]
    return name
