"""What waits, and for whom: one look at all queues, in a few round trips however many there are."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redis.exceptions import ResponseError

from app.state.connect import Connection
from app.state.keys import GROUP, Keys
from app.state.requirements import Requirement
from app.wire.messages import LANES

HOUR_MS = 3_600_000
ENDINGS = ("done", "failed", "dead")
Place = tuple[str, str]  # class, lane
Group = tuple[int, str]  # how many entries somebody has, and the last one that was given out
NONE: Group = (0, "0-0")
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

    def __init__(self, redis: Connection, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    async def look(self) -> Glance:
        """What there is now. A stream that somebody has deleted counts as empty."""
        (seconds, microseconds), classes, used, retrying, retries, dead = await self._heads()
        now = seconds * 1000 + microseconds / 1000
        needs = {cls.decode(): json.loads(text) for cls, text in classes.items()}
        lanes = await self._lanes(list(needs), now)
        last = {cls.decode(): (now - at) / 1000 for cls, at in used}
        queues = [Queue(cls, needs[cls], lanes[cls], max(0.0, last.get(cls, 0.0))) for cls in needs]
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
            pipe.hgetall(self._keys.classes)
            pipe.zrange(self._keys.classes_used, 0, -1, withscores=True)
            pipe.zcard(self._keys.due)
            pipe.zrange(self._keys.due, 0, RETRIES - 1, withscores=True)
            pipe.zcard(self._keys.state("dead"))
            found: list[Any] = await pipe.execute()
        return found

    async def _hour(self, now: float) -> dict[str, int]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for state in ENDINGS:
                pipe.zcount(self._keys.state(state), now - HOUR_MS, "+inf")
            return dict(zip(ENDINGS, await pipe.execute(), strict=True))

    async def _lanes(self, classes: Sequence[str], now: float) -> dict[str, tuple[Lane, ...]]:
        places: list[Place] = [(cls, lane) for cls in classes for lane in LANES]
        async with self._redis.pipeline(transaction=False) as pipe:
            for place in places:
                pipe.xlen(self._keys.queue(*place))
            sizes = dict(zip(places, await pipe.execute(), strict=True))
        groups = await self._groups([place for place in places if sizes[place]])
        oldest = await self._oldest(
            {place: last for place, (held, last) in groups.items() if sizes[place] > held}
        )
        return {
            cls: tuple(
                _lane(lane, sizes[cls, lane], groups.get((cls, lane), NONE)[0], oldest.get((cls, lane)), now)
                for lane in LANES
            )
            for cls in classes
        }

    async def _groups(self, places: Sequence[Place]) -> dict[Place, Group]:
        async with self._redis.pipeline(transaction=False) as pipe:
            for place in places:
                pipe.xinfo_groups(self._keys.queue(*place))
            answers = await pipe.execute(raise_on_error=False)
        return {place: _group(answer) for place, answer in zip(places, answers, strict=True)}

    async def _oldest(self, delivered: Mapping[Place, str]) -> dict[Place, int]:
        """The ms at which the first entry came that nobody has been given."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for place, last in delivered.items():
                pipe.xrange(self._keys.queue(*place), min=f"({last}", count=1)
            answers = await pipe.execute()
        found = zip(delivered, answers, strict=True)
        return {place: int(rows[0][0].partition(b"-")[0]) for place, rows in found if rows}


def _group(answer: Any) -> Group:
    """A stream without our group, or that is gone meanwhile, has given nothing to anybody."""
    if isinstance(answer, ResponseError):
        return NONE
    if isinstance(answer, Exception):
        raise answer
    ours = [one for one in answer if one["name"] == GROUP.encode()]
    return (int(ours[0]["pending"]), ours[0]["last-delivered-id"].decode()) if ours else NONE


def _lane(name: str, entries: int, held: int, since: int | None, now: float) -> Lane:
    oldest = None if since is None else max(0.0, (now - since) / 1000)
    return Lane(name, max(0, entries - held), held, oldest)
