"""What is noted about every request: an id that goes along with it, a line in the log, and how long it took.

The id is the caller's X-Request-ID where that is sound, else a new one. It is sent back, stands in all lines that are
logged about the request, and goes along with a job that it submits.
"""

from __future__ import annotations

import logging
import re
import secrets
import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Any

from starlette.requests import Request
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app import logs
from app.state.job import is_id
from app.web import problems
from app.web.words import shortened, visible

ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:+=/@-]{0,127}")
# What is asked again and again, by machines.
QUIET = frozenset({"/livez", "/readyz", "/healthz", "/metrics", "/events", "/live"})
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds

log = logging.getLogger("ffgrid.access")

Kind = tuple[str, str, str]  # route, method, status


class Timings:
    """How long this process took to answer: until an answer began."""

    def __init__(self) -> None:
        self._buckets: dict[Kind, list[int]] = {}
        self._sums: dict[Kind, float] = {}

    def add(self, kind: Kind, seconds: float) -> None:
        """One request."""
        buckets = self._buckets.setdefault(kind, [0] * (len(BOUNDS) + 1))
        buckets[bisect_left(BOUNDS, seconds)] += 1
        self._sums[kind] = self._sums.get(kind, 0.0) + seconds

    def all(self) -> Iterator[tuple[Kind, list[tuple[float, int]], float]]:
        """Each kind's buckets (upper bound, how many in it) and sum."""
        bounds = (*BOUNDS, float("inf"))
        for kind, buckets in sorted(self._buckets.items()):
            yield kind, list(zip(bounds, buckets, strict=True)), self._sums[kind]


class Observed:
    """Around the whole application: also what goes wrong there is answered here."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._routes: dict[Any, str] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        began, answered = time.perf_counter(), False
        request_id = _request_id(scope["headers"])
        logs.about(request_id=request_id)

        async def told(message: Message) -> None:
            nonlocal answered
            status = None if answered else _status(message)
            if status is not None:
                answered = True
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
            await send(message)
            if status is not None:
                self._note(scope, status, time.perf_counter() - began)

        try:
            await self._app(scope, receive, told)
        except Exception as error:
            if answered or scope["type"] != "http":
                raise
            response = await problems.handle(Request(scope, receive), error)
            await response(scope, receive, told)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        method = scope.get("method", "GET")
        kind = (self._route(scope), method if method in METHODS else "other", str(status))
        scope["app"].state.timings.add(kind, seconds)
        if kind[0] in QUIET or not log.isEnabledFor(logging.INFO):
            return
        path = shortened(visible(scope.get("raw_path", b"").decode("latin-1")), 200)
        job_id = scope.get("path_params", {}).get("job_id", "")
        noted = {"method": method, "path": path, "status": status, "ms": round(seconds * 1000, 1)}
        if is_id(job_id):
            noted["job_id"] = job_id
        log.info("%s %s %d in %.1f ms", method, path, status, seconds * 1000, extra=noted)

    def _route(self, scope: Scope) -> str:
        """The path as the list of routes has it: there are few of these, whatever is asked for."""
        if not self._routes:
            routes = [one for one in scope["app"].routes if isinstance(one, Route | Mount)]
            self._routes = {
                getattr(one, "endpoint", None) or getattr(one, "app", None): one.path for one in routes
            }
        return self._routes.get(scope.get("endpoint"), "other")


def _request_id(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The caller's id for a request, or a new one."""
    for name, value in headers:
        if name == b"x-request-id" and ID.fullmatch(value):
            return value.decode()
    return secrets.token_hex(8)


def _status(message: Message) -> int | None:
    """The status of an answer that begins here."""
    match message["type"]:
        case "http.response.start" | "websocket.http.response.start":
            status: int = message["status"]
            return status
        case "websocket.accept":
            return 101
        case "websocket.close":
            return 403
    return None
