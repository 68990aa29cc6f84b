"""What the queue's own record of events says."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from app.state import lifecycle
from app.state.store import Store


class Event(NamedTuple):
    """One move of a job; `at` is Redis' clock in Unix seconds."""

    id: str
    at: float
    job: str
    name: str
    state: str
    worker: str
    attempt: int

    @property
    def ends(self) -> bool:
        """Whether the job has ended with it."""
        return self.state in lifecycle.FINAL


async def events(store: Store) -> list[Event]:
    """All of them, the oldest first."""
    return [parse(entry, fields) for entry, fields in await store.redis.xrange(store.keys.events)]


def parse(entry: bytes, fields: dict[bytes, bytes]) -> Event:
    """An entry of the stream."""
    text = {name.decode(): value.decode() for name, value in fields.items()}
    moment = int(entry.partition(b"-")[0]) / 1000
    return Event(
        entry.decode(),
        moment,
        text["job"],
        text["event"],
        text["state"],
        text["worker"],
        int(text["attempt"]),
    )


def restarts(seen: Iterable[Event]) -> dict[str, float]:
    """When each job was started for the second time."""
    return {event.job: event.at for event in seen if event.name == "start" and event.attempt == 2}


def losses(seen: Iterable[Event]) -> int:
    """How often a job was taken away from a worker because that was believed to be dead."""
    return sum(event.name == "lose" or (event.ends and "lost" in event.name) for event in seen)


def worst(times: Iterable[float]) -> float:
    """The longest; for ever if there is none."""
    return max(times, default=math.inf)
