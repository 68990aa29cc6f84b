"""`/v1/fallbacks`: clients report the calls that they ran themselves, an admin reads them."""

from __future__ import annotations

from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.state.clients import Client
from app.state.fallbacks import Fallback
from app.web import schema
from app.web.api.answering import ANYBODY
from app.web.auth import signed
from app.web.parts import store
from app.web.problems import Problem
from app.web.views import answer
from app.wire.messages import FALLBACKS


@signed(*ANYBODY)
async def report(request: Request, client: Client, body: bytes) -> Response:
    """Notes calls that ran on the client's own host. Reporting the same twice is harmless."""
    told = schema.decode(body, schema.Fallbacks).fallbacks
    calls = [Fallback(one.at, one.binary, one.count, one.reason, client.id) for one in told]
    await store(request).fallbacks.note(client.id, calls)
    return answer({"noted": len(calls)}, 202)


@signed("admin")
async def fallbacks(request: Request, client: Client, body: bytes) -> Response:
    """The calls that ran on their own hosts, the last reported first: `limit` (1 to 1000, default 100)."""
    limit = request.query_params.get("limit", "100")
    if not (limit.isascii() and limit.isdigit() and len(limit) < 5) or not 1 <= int(limit) <= 1000:
        raise Problem(422, "invalid", f"limit: expected 1 to 1000, got {limit!r}")
    return answer({"fallbacks": [asdict(one) for one in await store(request).fallbacks.newest(int(limit))]})


ROUTES = [
    Route(FALLBACKS, report, methods=["POST"]),
    Route(FALLBACKS, fallbacks, methods=["GET"]),
]
