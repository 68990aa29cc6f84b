"""The stream of what happens to jobs, as those read it who show it: nothing here is needed to run a job.

Beside it, in the same read: the users of whom somebody who shows them something has to ask again who they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from app.state.connect import BLOCK, Connection
from app.state.keys import Keys

COUNT = 500  # events read at once
START = "0-0"


@dataclass(frozen=True)
class Event:
    """One move of a job, or a report of its progress. `event` is a move of `lifecycle.MOVES`, or "progress"."""

    id: str
    job: str
    event: str
    state: str
    worker: str
    attempt: int


class Place(NamedTuple):
    """The last entry that somebody knows, of each stream."""

    event: str
    access: str


class News(NamedTuple):
    """What was read at once: moves of jobs, users whose session, role or password is another, and how far that goes."""

    events: list[Event]
    users: set[str]
    place: Place


class Events:
    """What has happened, and what happens."""

    def __init__(self, redis: Connection, blocking: Connection, keys: Keys) -> None:
        self._redis = redis
        self._blocking = blocking
        self._key = keys.events
        self._access = keys.access

    async def last(self) -> str:
        """The id of the last event; START before the first."""
        return _id(await self._redis.xrevrange(self._key, count=1))

    async def here(self) -> Place:
        """How far both streams go now."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.xrevrange(self._key, count=1)
            pipe.xrevrange(self._access, count=1)
            return Place(*map(_id, await pipe.execute()))

    async def wait(self, after: Place) -> News:
        """What has happened since, at most COUNT of each stream; nothing when nothing happens for a while."""
        places = {self._key: after.event, self._access: after.access}
        reply = await self._blocking.xread(places, count=COUNT, block=int(BLOCK * 1000))
        found = {key.decode(): rows for key, rows in reply}
        places |= {key: rows[-1][0].decode() for key, rows in found.items()}
        return News(
            [_event(entry, fields) for entry, fields in found.get(self._key, ())],
            {fields[b"user"].decode() for _, fields in found.get(self._access, ())},
            Place(places[self._key], places[self._access]),
        )

    async def since(self, after: str) -> list[Event] | None:
        """The events after that id, at most COUNT; None where they were more, or are forgotten in part."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.xrange(self._key, count=1)
            pipe.xrange(self._key, "(" + after, count=COUNT + 1)
            first, rows = await pipe.execute()
        oldest = first[0][0].decode() if first and after != START else after
        if len(rows) > COUNT or number(after) < number(oldest):
            return None
        return [_event(entry, fields) for entry, fields in rows]


def number(entry: str) -> tuple[int, int]:
    """An entry's id as numbers that can be compared. Raises ValueError."""
    ms, _, serial = entry.partition("-")
    return int(ms), int(serial)


def _id(newest: list[Any]) -> str:
    """Of the last entry of a stream, if it has one."""
    return newest[0][0].decode() if newest else START


def _event(entry: bytes, fields: dict[bytes, bytes]) -> Event:
    return Event(
        entry.decode(),
        fields[b"job"].decode(),
        fields[b"event"].decode(),
        fields[b"state"].decode(),
        fields[b"worker"].decode(),
        int(fields[b"attempt"]),
    )
