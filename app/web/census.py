"""Which fleet a client's calls go to: the live workers, read at most every two seconds in each process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from app.state.connect import UNREACHABLE
from app.state.fleet import fleet
from app.state.workers import Workers
from app.wire.messages import FLEET_HEADER

SECONDS = 2.0  # how old the copy may be
EARLY = 1.0  # from this age on it is read anew beside whoever uses it
ASKED_LIMIT = 1_000  # different labels that are remembered with one copy


class Census:
    """A copy of what the live workers say of themselves. While requests come, nobody waits for a new one."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers
        self._abouts: list[dict[str, Any]] = []
        self._known: dict[tuple[tuple[str, str], ...], tuple[str, int]] = {}
        self._at = -SECONDS
        self._reading: asyncio.Task[None] | None = None

    def look(self) -> None:
        """Has the copy renewed in the background when it is no longer young."""
        if self._age > EARLY and (self._reading is None or self._reading.done()):
            self._reading = asyncio.create_task(self._read())
            self._reading.add_done_callback(_heed)

    async def fleet(self, labels: Mapping[str, str]) -> tuple[str, int]:
        """The fleet's id and its size. Raises a RedisError when the copy is too old and Redis is away."""
        self.look()
        if self._reading and self._age > SECONDS:
            await asyncio.shield(self._reading)
        asked = tuple(sorted(labels.items()))
        if asked not in self._known:
            if len(self._known) >= ASKED_LIMIT:
                self._known.clear()
            self._known[asked] = fleet(self._abouts, labels)
        return self._known[asked]

    async def header(self, labels: Mapping[str, str]) -> dict[str, str]:
        """The header of an answer that tells the fleet; none while Redis is away."""
        try:
            return {FLEET_HEADER: (await self.fleet(labels))[0]}
        except UNREACHABLE:
            return {}

    @property
    def _age(self) -> float:
        return time.monotonic() - self._at

    async def _read(self) -> None:
        at = time.monotonic()
        self._abouts = [worker.about for worker in await self._workers.live()]
        self._known = {}
        self._at = at


def _heed(task: asyncio.Task[None]) -> None:
    """Whoever waits for the task hears of its failure; if nobody does, the next request tries again."""
    if not task.cancelled():
        task.exception()
