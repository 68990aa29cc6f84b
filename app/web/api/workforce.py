"""`/v1/workers`: who works, and what they are told. What a worker runs goes on in any case."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.state.clients import Client
from app.web import views
from app.web.api.answering import ANYBODY, noted
from app.web.auth import signed
from app.web.parts import store, worker_id
from app.web.views import answer
from app.wire.messages import QUEUES, WORKERS


@signed(*ANYBODY)
async def workers(request: Request, client: Client, body: bytes) -> Response:
    """All workers that are remembered."""
    known = await store(request).workers.all()
    days = await store(request).workers.days([one.id for one in known])
    return answer({"workers": [views.worker(*one) for one in zip(known, days, strict=True)]})


@signed(*ANYBODY)
async def queues(request: Request, client: Client, body: bytes) -> Response:
    """What waits and what workers have, by class of jobs and lane; who serves each class, or `why` nobody does.

    Those with the most waiting jobs come first. `oldest` is for how many seconds the first of them has waited.
    """
    seen, known = await asyncio.gather(store(request).queues.look(), store(request).workers.all())
    rows = [views.queue(one, known) for one in seen.queues]
    return answer({"queues": rows, "retrying": seen.retrying, "dead": seen.dead})


@signed("admin")
async def drain(request: Request, client: Client, body: bytes) -> Response:
    """Tells a worker to take nothing new and to end when its jobs have ended."""
    await store(request).workers.drain(worker_id(request))
    await noted(request, client, "drained worker", worker_id(request))
    return answer({"id": worker_id(request), "state": "draining"}, 202)


@signed("admin")
async def pause_worker(request: Request, client: Client, body: bytes) -> Response:
    """Tells a worker to take nothing new and to stay, until it is resumed or started anew."""
    await store(request).workers.pause(worker_id(request))
    await noted(request, client, "paused worker", worker_id(request))
    return answer({"id": worker_id(request), "state": "paused"}, 202)


@signed("admin")
async def resume_worker(request: Request, client: Client, body: bytes) -> Response:
    """Lets a paused worker take jobs again; takes a drain back that has not ended yet."""
    await store(request).workers.resume(worker_id(request))
    await noted(request, client, "resumed worker", worker_id(request))
    return answer({"id": worker_id(request), "state": "online"}, 202)


ROUTES = [
    Route(QUEUES, queues, methods=["GET"]),
    Route(WORKERS, workers, methods=["GET"]),
    Route(WORKERS + "/{worker_id}/drain", drain, methods=["POST"]),
    Route(WORKERS + "/{worker_id}/pause", pause_worker, methods=["POST"]),
    Route(WORKERS + "/{worker_id}/resume", resume_worker, methods=["POST"]),
]
