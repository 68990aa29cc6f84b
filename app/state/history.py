"""A sample a minute of the whole farm, for a bit more than a day: what charts are drawn from.

Any process takes it, each minute's only once. A minute in which nobody ran has none.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from dataclasses import dataclass

from redis.exceptions import ResponseError

from app.state import lifecycle
from app.state.connect import Connection
from app.state.keys import Keys
from app.state.totals import Totals
from app.state.workers import Workers

MINUTE = 60  # seconds
KEPT = 1_500  # samples
_GAUGES = ("queued", "waiting", "running", "workers", "slots")


@dataclass(frozen=True)
class Sample:
    """How it was in the minute that began `at` (Unix seconds by Redis' clock).

    `running` jobs are those that a worker holds, `workers` those that are live, `slots` those of live workers that
    take new jobs.
    """

    at: float
    queued: int
    waiting: int
    running: int
    workers: int
    slots: int
    totals: Totals


class History:
    """The samples. What was read once is not read again."""

    def __init__(self, redis: Connection, keys: Keys, workers: Workers) -> None:
        self._redis = redis
        self._keys = keys
        self._workers = workers
        self._read: deque[Sample] = deque(maxlen=KEPT)

    async def totals(self) -> Totals:
        """What is counted by now."""
        return Totals.parse(await self._redis.hgetall(self._keys.totals))

    async def samples(self, since: float = 0.0) -> list[Sample]:
        """Those of the minutes that began at `since` (Unix seconds) or later, the oldest first."""
        after = f"({self._read[-1].at * 1000:.0f}-0" if self._read else "-"
        for entry, fields in await self._redis.xrange(self._keys.history, after, "+"):
            self._add(_sample(entry, fields))
        return [sample for sample in self._read if sample.at >= since]

    def _add(self, sample: Sample) -> None:
        """Unless another reader was faster."""
        if not self._read or sample.at > self._read[-1].at:
            self._read.append(sample)

    async def record(self) -> float:
        """Takes this minute's sample, unless somebody has. Returns the seconds until the next minute."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.time()
            pipe.xrevrange(self._keys.history, count=1)
            (seconds, _), newest = await pipe.execute()
        minute = seconds - seconds % MINUTE
        if not newest or _minute(newest[0][0]) < minute:
            await self._store(minute)
        return float(minute + MINUTE - seconds)

    async def _store(self, minute: int) -> None:
        fields = await self._look()
        # Somebody may have this minute's, or a later one from before the clock was set back.
        with suppress(ResponseError):
            await self._redis.xadd(
                self._keys.history, fields, id=f"{minute * 1000}-0", maxlen=KEPT, approximate=True
            )

    async def _look(self) -> dict[str, int]:
        live = [worker for worker in await self._workers.all() if worker.live]
        async with self._redis.pipeline(transaction=True) as pipe:
            for state in (lifecycle.QUEUED, lifecycle.WAITING, *lifecycle.HELD):
                pipe.zcard(self._keys.state(state))
            pipe.hgetall(self._keys.totals)
            queued, waiting, *held, stored = await pipe.execute()
        slots = sum(int(worker.about.get("slots", 0)) for worker in live if worker.takes)
        gauges = dict(zip(_GAUGES, (queued, waiting, sum(held), len(live), slots), strict=True))
        return {**gauges, **dict(sorted(Totals.parse(stored).counted.items()))}


def _minute(entry: bytes) -> float:
    return int(entry.partition(b"-")[0]) / 1000


def _sample(entry: bytes, fields: dict[bytes, bytes]) -> Sample:
    counted = dict(Totals.parse(fields).counted)
    gauges = {name: counted.pop(name) for name in _GAUGES}
    return Sample(_minute(entry), **gauges, totals=Totals(counted))
