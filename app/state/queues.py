"""What waits, and for whom: one look at all queues, in three round trips however many there are."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.state.connect import Connection
from app.state.keys import Keys
from app.state.requirements import Requirement
from app.state.scripting import Scripts
from app.wire.messages import LANES

HOUR_MS = 3_600_000
ENDINGS = ("done", "failed", "dead")
RETRIES = 20  # jobs that wait for another try, of which one is told


@dataclass(frozen=True)
class Lane:
    """What is in one lane of a class: jobs that wait, and jobs that a worker has. `oldest` is seconds, or None."""

    name: str
    queued: int
    held: int
    oldest: float | None


@dataclass(frozen=True)
class Queue:
    """A class of jobs and its lanes, the most urgent first. `used` is the seconds since its last submission."""

    cls: str
    needs: Requirement
    lanes: tuple[Lane, ...]
    used: float

    @property
    def queued(self) -> int:
        """How many of its jobs wait for a worker."""
        return sum(lane.queued for lane in self.lanes)

    @property
    def held(self) -> int:
        """How many of its jobs a worker has."""
        return sum(lane.held for lane in self.lanes)

    @property
    def oldest(self) -> float | None:
        """For how many seconds the job has waited that waits longest; None if none does."""
        return max((lane.oldest for lane in self.lanes if lane.oldest is not None), default=None)


@dataclass(frozen=True)
class Glance:
    """All queues, those with the most waiting jobs first; and what is in no queue.

    `retries` are the jobs that wait for another try, the next first, as (id, seconds until then); `retrying` says how
    many there are. `hour` is how many jobs have ended within an hour, by state. `now` is Redis' clock, Unix seconds.
    """

    now: float
    queues: tuple[Queue, ...]
    retrying: int
    retries: tuple[tuple[str, float], ...]
    dead: int
    hour: Mapping[str, int]


class Queues:
    """The queues of one namespace."""

    def __init__(self, redis: Connection, keys: Keys, scripts: Scripts) -> None:
        self._redis = redis
        self._keys = keys
        self._scripts = scripts
        self._needs: dict[bytes, Requirement] = {}  # those that are known: what a class needs never changes

    async def look(self) -> Glance:
        """What there is now. A stream that somebody has deleted counts as empty."""
        streams = await self._scripts.run("depths", [self._keys.classes])
        (seconds, microseconds), names, used, retrying, retries, dead = await self._heads()
        now = seconds * 1000 + microseconds / 1000
        filled = {(cls.decode(), lane.decode()): rest for cls, lane, *rest in streams}
        last = {cls.decode(): max(0.0, (now - at) / 1000) for cls, at in used}
        queues = [
            Queue(
                cls,
                needs,
                tuple(_lane(lane, filled.get((cls, lane)), now) for lane in LANES),
                last.get(cls, 0.0),
            )
            for cls, needs in (await self._classes(names)).items()
        ]
        return Glance(
            now / 1000,
            tuple(sorted(queues, key=lambda one: (-one.queued, -one.held, one.used, one.cls))),
            retrying,
            tuple((job.decode(), max(0.0, (due - now) / 1000)) for job, due in retries),
            dead,
            await self._hour(now),
        )

    async def _heads(self) -> list[Any]:
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.time()
            pipe.hkeys(self._keys.classes)
            pipe.zrange(self._keys.classes_used, 0, -1, withscores=True)
            pipe.zcard(self._keys.due)
            pipe.zrange(self._keys.due, 0, RETRIES - 1, withscores=True)
            pipe.zcard(self._keys.state("dead"))
            found: list[Any] = await pipe.execute()
        return found

    async def _classes(self, names: Sequence[bytes]) -> dict[str, Requirement]:
        fresh = [cls for cls in names if cls not in self._needs]
        texts = await self._redis.hmget(self._keys.classes, fresh) if fresh else []
        found = {cls: json.loads(text) for cls, text in zip(fresh, texts, strict=True) if text}
        self._needs = {cls: needs for cls in names if (needs := self._needs.get(cls) or found.get(cls))}
        return {cls.decode(): needs for cls, needs in self._needs.items()}

    async def _hour(self, now: float) -> dict[str, int]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for state in ENDINGS:
                pipe.zcount(self._keys.state(state), now - HOUR_MS, "+inf")
            return dict(zip(ENDINGS, await pipe.execute(), strict=True))


def _lane(name: str, found: Sequence[Any] | None, now: float) -> Lane:
    if found is None:
        return Lane(name, 0, 0, None)
    entries, held, first = found
    oldest = max(0.0, (now - int(first.partition(b"-")[0])) / 1000) if first else None
    return Lane(name, max(0, entries - held), held, oldest)
