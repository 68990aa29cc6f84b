"""Errors as RFC 9457 problem details: one table says what status each error has."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match

from app.state.connect import FULL, UNREACHABLE, RedisError
from app.state.job import JobError, NoSuchJob
from app.state.jobs import KeyReused, NobodyQualifies
from app.state.operations import NoSuchOperation, OperationKeyReused, TooManyOperations
from app.state.seal import BadSeal
from app.state.workers import NoSuchWorker, StillAlive
from app.web import pages
from app.web.words import visible

log = logging.getLogger("ffgrid.web")


class Problem(Exception):
    """An answer that is an error: a status, a short name for programs and a sentence for people."""

    def __init__(
        self, status: int, name: str, detail: str, headers: Mapping[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.name = name
        self.detail = detail
        self.headers = dict(headers or {})
        self.more = more

    def response(self) -> Response:
        """The problem as `application/problem+json`."""
        body = {
            "type": f"urn:ffgrid:{self.name}",
            "title": self.name.replace("-", " ").capitalize(),
            "status": self.status,
            "detail": self.detail,
            **self.more,
        }
        return JSONResponse(body, self.status, headers=self.headers, media_type="application/problem+json")


class Unauthorized(Problem):
    """The one answer to every failure of authentication: it tells nothing about the reason."""

    def __init__(self) -> None:
        detail = "the request is not signed by a valid key, or its signature is older than a minute"
        super().__init__(401, "unauthorized", detail, {"WWW-Authenticate": 'Signature realm="ffgrid"'})


JOB_ERRORS: dict[type[JobError], tuple[int, str]] = {
    NoSuchJob: (404, "no-such-job"),
    NoSuchWorker: (404, "no-such-worker"),
    StillAlive: (409, "still-alive"),
    KeyReused: (409, "key-reused"),
    NobodyQualifies: (503, "no-worker"),
    NoSuchOperation: (404, "no-such-operation"),
    OperationKeyReused: (409, "key-reused"),
    TooManyOperations: (503, "too-many"),
}


def from_error(error: Exception) -> Problem:
    """The problem that an error is to a client."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, JobError):
        status, name = JOB_ERRORS[type(error)]
        return Problem(status, name, str(error), headers={"Retry-After": "5"} if status == 503 else None)
    if isinstance(error, BadSeal):
        return Problem(409, "not-sealed", str(error))
    if isinstance(error, UNREACHABLE):
        detail = "the queue (Redis) cannot be reached: try again, doing it twice is harmless"
        return Problem(503, "queue-unreachable", detail, headers={"Retry-After": "2"})
    if isinstance(error, FULL) or (isinstance(error, RedisError) and "OOM" in str(error)):
        detail = "the queue (Redis) is full; nothing was stored, try again later"
        return Problem(503, "queue-full", detail, headers={"Retry-After": "30"})
    if isinstance(error, HTTPException):
        name = {404: "not-found", 405: "method-not-allowed"}.get(error.status_code, "http-error")
        return Problem(error.status_code, name, str(error.detail), headers=error.headers)
    log.error("an error that nobody foresaw", exc_info=error)
    return Problem(500, "internal-error", "the coordinator failed at this; its log says why")


async def handle(request: Request, error: Exception) -> Response:
    """Starlette's exception handler for everything."""
    problem = from_error(error)
    if problem.status == 405:
        problem.headers["Allow"] = ", ".join(_allowed(request))
    return _shown(request, problem) if _is_for_people(request) else problem.response()


def _is_for_people(request: Request) -> bool:
    """Whether it has come through the dashboard's door, or is a browser that has lost its way."""
    if request is None or request.scope["type"] != "http":
        return False
    return hasattr(request.state, "user") or "text/html" in request.headers.get("accept", "")


def _shown(request: Request, problem: Problem) -> Response:
    """The problem for who has come through the door: a sentence in his page, or a page."""
    said = visible(problem.detail[:1].upper() + problem.detail[1:])
    if pages.is_htmx(request):
        return pages.said(said, "bad", problem.status)
    title = problem.name.replace("-", " ").capitalize()
    return pages.page(
        "problem.html", problem.status, user=getattr(request.state, "user", None), title=title, said=said
    )


def _allowed(request: Request) -> list[str]:
    """The methods of all routes that have this path."""
    methods: set[str] = set()
    for route in request.app.routes:
        if route.matches(request.scope)[0] != Match.NONE:
            methods |= getattr(route, "methods", None) or set()
    return sorted(methods)
