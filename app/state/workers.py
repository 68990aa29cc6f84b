"""The registry of workers: who is alive, and what each can do.

What a worker says of itself (`about`): host, slots, roots (names of those that answer), silent_roots (of those that do
not), binaries (name -> version), builds (name -> what changes when the program's answers may), encoders, labels,
version, started.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.state.connect import Connection
from app.state.job import JobError
from app.state.keys import Keys
from app.state.scripting import Scripts

BEAT = 1.5  # seconds between a worker's heartbeats
LEASE_MS = 6_000  # silence after which a worker's jobs are suspected
PROOF_MS = 75_000  # silence that proves a worker dead: longer than it would let ffmpeg live unheard
LIVE_MS = LEASE_MS  # silence after which it does not count as live
HELD_MS = 3_000  # silence after which another process may take its name


class NoSuchWorker(JobError):
    """There is no worker with this name."""


class StillAlive(JobError):
    """A worker that is to be forgotten has been heard of just now."""


class NameTaken(Exception):
    """Another live worker holds the name."""


@dataclass(frozen=True)
class Worker:
    """One worker. `heard` is its last beat, Unix seconds, and `silent` how long ago that was, by Redis' clock."""

    id: str
    boot: str
    about: dict[str, Any]
    busy: int
    silent: float
    draining: bool
    paused: bool = False
    heard: float = 0.0

    @property
    def live(self) -> bool:
        """Whether it has been heard of within a lease."""
        return self.silent * 1000 < LIVE_MS

    @property
    def takes(self) -> bool:
        """Whether it takes new jobs."""
        return self.live and not self.draining and not self.paused

    @property
    def state(self) -> str:
        """online, busy, paused, draining or offline."""
        if not self.live:
            return "offline"
        if self.draining:
            return "draining"
        if self.paused:
            return "paused"
        return "busy" if self.busy else "online"


@dataclass(frozen=True)
class Day:
    """How many jobs have ended on a worker within this hour and the 23 before: done, and failed or dead."""

    done: int = 0
    failed: int = 0


class Workers:
    """Everything about workers that is kept in Redis."""

    def __init__(self, redis: Connection, keys: Keys, scripts: Scripts) -> None:
        self._redis = redis
        self._keys = keys
        self._scripts = scripts

    async def register(
        self, worker_id: str, boot: str, about: dict[str, Any], take_over: bool = False
    ) -> None:
        """Makes this process the worker of that name. Raises NameTaken while another one beats.

        With `take_over` the holder is known to be dead: its jobs are given back at once.
        """
        arguments = [worker_id, boot, json.dumps(about), HELD_MS, int(take_over)]
        answer = await self._scripts.run("register", [self._keys.worker(worker_id)], arguments)
        if answer != b"ok":
            raise NameTaken(
                f"a worker named {worker_id!r} is alive (heard of {int(answer) / 1000:.1f} s ago)"
            )

    async def retire(self, worker_id: str, boot: str) -> None:
        """Takes a worker that stops out of the lists."""
        await self._scripts.run("retire", [self._keys.worker(worker_id)], [worker_id, boot])

    async def drain(self, worker_id: str) -> None:
        """Tells a worker to finish what it has and end. Raises NoSuchWorker."""
        await self._order(worker_id, "drain")

    async def pause(self, worker_id: str) -> None:
        """Tells a worker to take nothing new, and to stay. A later process of its name knows nothing of it.

        Raises NoSuchWorker.
        """
        await self._order(worker_id, "pause")

    async def resume(self, worker_id: str) -> None:
        """Takes back a pause, or a drain that has not ended yet. Raises NoSuchWorker."""
        await self._order(worker_id, "resume")

    async def remove(self, worker_id: str) -> None:
        """Forgets a worker that has gone without a word. Raises NoSuchWorker, StillAlive.

        One that beats again after that is known again. The jobs that it had are found by the reaper as ever.
        """
        known = {worker.id: worker for worker in await self.all()}
        if worker_id not in known:
            raise NoSuchWorker(f"there is no worker {worker_id!r}")
        if known[worker_id].live:
            raise StillAlive(f"the worker {worker_id} is alive: drain it, then it leaves by itself")
        await self.retire(worker_id, known[worker_id].boot)

    async def _order(self, worker_id: str, what: str) -> None:
        if await self._scripts.run("order", [self._keys.worker(worker_id)], [worker_id, what]) != b"ok":
            raise NoSuchWorker(f"there is no worker {worker_id!r}")

    async def classes(self) -> dict[str, dict[str, Any]]:
        """All classes: id -> requirement."""
        stored = await self._redis.hgetall(self._keys.classes)
        return {cls.decode(): json.loads(needs) for cls, needs in stored.items()}

    async def all(self) -> list[Worker]:
        """All workers that are remembered, by name."""
        beats = await self._redis.zrange(self._keys.workers, 0, -1, withscores=True)
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.time()
            for name, _ in beats:
                pipe.hgetall(self._keys.worker(name.decode()))
            (seconds, microseconds), *hashes = await pipe.execute()
        at = seconds + microseconds / 1e6
        known = (
            (name.decode(), stored, at, beat / 1000)
            for (name, beat), stored in zip(beats, hashes, strict=True)
        )
        return sorted((_worker(*row) for row in known if row[1]), key=lambda one: one.id)

    async def days(self, worker_ids: Sequence[str]) -> list[Day]:
        """What each of these has ended, those that have left too."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.time()
            for worker_id in worker_ids:
                pipe.hgetall(self._keys.ended(worker_id))
            (seconds, _), *counted = await pipe.execute()
        return [_day(stored, seconds // 3600) for stored in counted]

    async def live(self) -> list[Worker]:
        """The workers heard of within a lease that take new jobs."""
        return [worker for worker in await self.all() if worker.takes]


def _day(stored: Mapping[bytes, bytes], now: int) -> Day:
    """Of the hash; `now` is the hour that it is."""
    day = {b"done": 0, b"failed": 0}
    for field, count in stored.items():
        hour, _, outcome = field.partition(b":")
        if int(hour) > now - 24:
            day[outcome] += int(count)
    return Day(day[b"done"], day[b"failed"])


def _worker(name: str, stored: dict[bytes, bytes], at: float, heard: float) -> Worker:
    return Worker(
        id=name,
        boot=stored[b"boot"].decode(),
        about=json.loads(stored[b"about"]),
        busy=int(stored.get(b"busy", b"0")),
        silent=max(0.0, at - heard),
        draining=stored.get(b"order") == b"drain",
        paused=stored.get(b"order") == b"pause",
        heard=heard,
    )
