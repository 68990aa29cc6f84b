"""The stream of what happens to jobs, as those read it who show it: nothing here is needed to run a job."""

from __future__ import annotations

from dataclasses import dataclass

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


class Events:
    """What has happened, and what happens."""

    def __init__(self, redis: Connection, blocking: Connection, keys: Keys) -> None:
        self._redis = redis
        self._blocking = blocking
        self._key = keys.events

    async def last(self) -> str:
        """The id of the last event; START before the first."""
        newest = await self._redis.xrevrange(self._key, count=1)
        return newest[0][0].decode() if newest else START

    async def wait(self, after: str) -> list[Event]:
        """The next events after that id, at most COUNT; none when nothing happens for a while."""
        reply = await self._blocking.xread({self._key: after}, count=COUNT, block=int(BLOCK * 1000))
        return [_event(entry, fields) for entry, fields in reply[0][1]] if reply else []

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


def _event(entry: bytes, fields: dict[bytes, bytes]) -> Event:
    return Event(
        entry.decode(),
        fields[b"job"].decode(),
        fields[b"event"].decode(),
        fields[b"state"].decode(),
        fields[b"worker"].decode(),
        int(fields[b"attempt"]),
    )
