"""What a process does before it goes away, so that nobody loses anything by it.

SIGTERM   /readyz says 503, and all is served as before while a balancer that asks it has time to hear of that
then      streams and handshakes end here, and go on at another process (begin)
then      attached callers are sent away, connections are closed, requests that are open finish (serve.py)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import wraps
from time import monotonic
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app.web.problems import Problem

NOTICE = 0.9  # seconds that a balancer has to see that this process is not ready any more
WATCHED = 5.0  # seconds since somebody asked /readyz within which there counts as being a balancer

Endpoint = Callable[[Request], Awaitable[Response]]


class Leaving:
    """Whether this process is going away, and who waits for something that must not hold it up."""

    def __init__(self) -> None:
        self.announced = False
        self.begun = False
        self.refused: Exception | None = None  # why it must not serve at all
        self._asked = float("-inf")
        self._notice_ends = 0.0
        self._waits: set[asyncio.Timeout] = set()

    def asked(self) -> None:
        """Somebody asks whether this process is ready."""
        self._asked = monotonic()

    def announce(self) -> None:
        """It will go away. May be called by a signal's handler."""
        now = monotonic()
        if not self.announced and now - self._asked < WATCHED:
            self._notice_ends = now + NOTICE
        self.announced = True

    def refuse(self, why: Exception) -> None:
        """It must not serve: it goes away by itself, and says why."""
        self.refused = why
        self.announce()

    def proceed(self) -> bool:
        """Called again and again after that: begins when the time has come; True from the next call on."""
        if self.begun:
            return True
        if monotonic() >= self._notice_ends:
            self.begin()
        return False

    def begin(self) -> None:
        """Ends whatever is awaited within `cuts`."""
        self.begun = True
        for wait in self._waits:
            wait.reschedule(0.0)

    @asynccontextmanager
    async def cuts(self) -> AsyncIterator[None]:
        """What is awaited within is given up when this process begins to leave. Raises Problem 503 then."""
        try:
            async with asyncio.timeout(None) as wait:
                if self.begun:
                    raise _elsewhere()
                self._waits.add(wait)
                try:
                    yield
                finally:
                    self._waits.discard(wait)
        except TimeoutError:
            if wait.expired():
                raise _elsewhere() from None
            raise


def until_leaving(endpoint: Endpoint) -> Endpoint:
    """The endpoint; what it streams ends, without its last word, when the process begins to leave."""

    @wraps(endpoint)
    async def cut(request: Request) -> Response:
        leaving: Leaving = request.app.state.leaving
        async with leaving.cuts():
            response = await endpoint(request)
        if isinstance(response, StreamingResponse):
            response.body_iterator = _parts(leaving, aiter(response.body_iterator))
        return response

    return cut


async def _parts(leaving: Leaving, parts: AsyncIterator[Any]) -> AsyncIterator[Any]:
    while True:
        try:
            async with leaving.cuts():
                part = await anext(parts, None)
        except Problem:
            return
        if part is None:
            return
        yield part


def _elsewhere() -> Problem:
    """Nothing was done, not even a nonce was burnt, unless an endpoint was cut short."""
    return Problem(503, "leaving", "this process is going away: ask again", {"Retry-After": "1"})
