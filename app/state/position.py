"""Where a queued job stands among those that need the same as it: what workers take before it.

A stream holds what nobody has taken yet behind what is being run, so both can be counted without reading either:
only the entries before the job, in its own lane, are read, and of these a bounded number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from redis.exceptions import ResponseError

from app.state.connect import UNREACHABLE, Connection
from app.state.keys import GROUP, Keys
from app.wire.messages import LANES

MOST = 1000  # entries of its own lane that are read to find a job


@dataclass(frozen=True)
class Position:
    """`place` counts from 1 among `waiting`; `exact` is False when there are at least so many before it."""

    place: int
    waiting: int
    exact: bool = True


async def position(redis: Connection, keys: Keys, job_id: str, cls: str, lane: str) -> Position | None:
    """A queued job's place; None when it waits in no queue any more."""
    async with redis.pipeline(transaction=False) as pipe:
        pipe.hget(keys.job(job_id), "msg")
        for one in LANES:
            pipe.xlen(keys.queue(cls, one))
            pipe.xinfo_groups(keys.queue(cls, one))
        entry, *found = await pipe.execute(raise_on_error=False)
    for error in (entry, *found):
        if isinstance(error, Exception) and not _is_no_stream(error):
            raise error
    lanes = {one: _waiting(*found[2 * at : 2 * at + 2]) for at, one in enumerate(LANES)}
    before = await redis.xrange(keys.queue(cls, lane), f"({lanes[lane][1]}", entry or "-", count=MOST)
    is_there = bool(before) and before[-1][0] == entry
    if not is_there and len(before) < MOST:
        return None
    ahead = sum(lanes[one][0] for one in LANES[: LANES.index(lane)])
    waiting = sum(count for count, _ in lanes.values())
    return Position(ahead + len(before) + (not is_there), waiting, is_there)


def _is_no_stream(error: Exception) -> bool:
    return isinstance(error, ResponseError) and not isinstance(error, UNREACHABLE)


def _waiting(length: Any, groups: Any) -> tuple[int, str]:
    """How many entries of a stream nobody has taken, and the last one that somebody has."""
    for group in groups if isinstance(groups, list) else ():
        if group["name"] == GROUP.encode():
            return max(0, length - group["pending"]), group["last-delivered-id"].decode()
    return 0, "0-0"
