"""Who did what: a bounded stream of what people and keys have changed, the newest stay."""

from __future__ import annotations

from dataclasses import dataclass

from app.state.connect import Connection
from app.state.keys import Keys

KEPT = 10_000  # entries, about
KEPT_MS = 90 * 86_400_000  # how long they are kept after the last one


@dataclass(frozen=True)
class Deed:
    """`who` ("user ada", "key me") did `did` ("cancelled") to `what` (a job's id, a worker's name), at Unix seconds."""

    id: str
    at: float
    who: str
    did: str
    what: str


class Activity:
    """The record of deeds."""

    def __init__(self, redis: Connection, keys: Keys) -> None:
        self._redis = redis
        self._key = keys.activity

    async def add(self, who: str, did: str, what: str) -> None:
        """Keeps one."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.xadd(self._key, {"who": who, "did": did, "what": what}, maxlen=KEPT, approximate=True)
            pipe.pexpire(self._key, KEPT_MS)
            await pipe.execute()

    async def newest(self, count: int, before: str = "") -> list[Deed]:
        """The newest first, at most `count`, older than the entry `before`."""
        rows = await self._redis.xrevrange(self._key, f"({before}" if before else "+", "-", count=count)
        return [_deed(entry.decode(), fields) for entry, fields in rows]


def _deed(entry: str, fields: dict[bytes, bytes]) -> Deed:
    at = int(entry.partition("-")[0]) / 1000
    return Deed(entry, at, fields[b"who"].decode(), fields[b"did"].decode(), fields[b"what"].decode())
