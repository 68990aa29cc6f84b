"""The whole farm at one moment, as machines ask for it: /metrics, /v1/summary, /v1/scaling."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from app.state import lifecycle
from app.state.connect import Connection
from app.state.history import History
from app.state.keys import Keys
from app.state.queues import Glance, Queues
from app.state.totals import Totals
from app.state.workers import Worker, Workers

DAY_MS = 86_400_000
SPEEDS = 500  # running jobs of whose speeds the mean is taken, at most


@dataclass(frozen=True)
class Farm:
    """What there is. `speed` is the mean of running jobs, in seconds of media a second; None if none has said."""

    glance: Glance
    states: Mapping[str, int]
    failed_day: int  # jobs that have failed or died within a day
    workers: Sequence[Worker]
    totals: Totals
    speed: float | None

    @property
    def running(self) -> int:
        """How many jobs a worker has."""
        return sum(self.states[state] for state in lifecycle.HELD)

    @property
    def online(self) -> list[Worker]:
        """The workers that are heard of."""
        return [worker for worker in self.workers if worker.live]

    @property
    def free(self) -> int:
        """How many jobs would start at once."""
        return sum(max(0, slots(worker) - worker.busy) for worker in self.workers if worker.takes)


class Survey:
    """Looks at everything, in a few round trips."""

    def __init__(
        self, redis: Connection, keys: Keys, queues: Queues, workers: Workers, history: History
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._queues = queues
        self._workers = workers
        self._history = history

    async def look(self) -> Farm:
        """What there is now."""
        glance = await self._queues.look()
        since = glance.now * 1000 - DAY_MS
        async with self._redis.pipeline(transaction=False) as pipe:
            for state in lifecycle.STATES:
                pipe.zcard(self._keys.state(state))
            for state in (lifecycle.FAILED, lifecycle.DEAD):
                pipe.zcount(self._keys.state(state), since, "+inf")
            *counts, failed, dead = await pipe.execute()
        states = dict(zip(lifecycle.STATES, counts, strict=True))
        workers, totals = await self._workers.all(), await self._history.totals()
        return Farm(glance, states, failed + dead, workers, totals, await self._speed())

    async def _speed(self) -> float | None:
        ids = await self._redis.zrange(self._keys.state(lifecycle.RUNNING), 0, SPEEDS - 1, desc=True)
        async with self._redis.pipeline(transaction=False) as pipe:
            for job_id in ids:
                pipe.hget(self._keys.job(job_id.decode()), "progress")
            told = await pipe.execute()
        speeds = [json.loads(progress).get("speed") for progress in told if progress]
        known = [speed for speed in speeds if isinstance(speed, int | float)]
        return sum(known) / len(known) if known else None


def slots(worker: Worker) -> int:
    """How many jobs it runs at a time."""
    return int(worker.about.get("slots", 0))
