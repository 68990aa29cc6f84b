"""A real worker loop whose jobs do nothing but end: what the queue alone can do.

Only `worker.run.Run` is replaced. Claiming, blocking, starting, beating and finishing are the real ones.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import Any

import worker.loop
from app.guard import Guard
from app.state.leases import Lease, Leases
from app.state.requirements import requirement
from app.state.seal import Seal
from app.state.store import Store
from tests.bench.harness import say
from worker.machine import Machine
from worker.place import Places

SEAL = bytes(32)


def needs(label: str) -> dict[str, Any]:
    """What only the worker with this label can run."""
    return requirement("ffmpeg", [], {"bench": label}, [])


def work(url: str, label: str, slots: int, count: int) -> None:
    """Runs that many jobs; says [[job id, started, finished] ...] in monotonic ns."""
    asyncio.run(_work(url, label, slots, count))


async def _work(url: str, label: str, slots: int, count: int) -> None:
    store, guard = Store(url), Guard()
    machine = Machine({"ffmpeg": "/bin/true"}, {"ffmpeg": "0"}, [], {}, slots, {"bench": label})
    leases = store.leases(label, secrets.token_hex(6))
    loop = worker.loop.Loop(
        leases, store.workers, store.output, Seal(SEAL), machine, Places(machine, "rewrite"), guard, "bench"
    )
    seen = Seen(count)
    worker.loop.Run = _noop(seen)  # type: ignore[attr-defined]  # the one part that is replaced
    tasks = [asyncio.create_task(loop.run()), asyncio.create_task(store.reaper.run())]
    await seen.all.wait()
    say(seen.jobs)
    await asyncio.wait(tasks)  # for the end of the stage


class Seen:
    """The jobs that have been run, and whether these are all."""

    def __init__(self, count: int) -> None:
        self.jobs: list[tuple[str, int, int]] = []
        self.all = asyncio.Event()
        self._count = count

    def add(self, job_id: str, started: int) -> None:
        """One has finished now."""
        self.jobs.append((job_id, started, time.monotonic_ns()))
        if len(self.jobs) == self._count:
            self.all.set()


def _noop(seen: Seen) -> Any:
    class Noop:
        """Made the moment the start script has returned."""

        stuck = None  # it has no process

        def __init__(self, lease: Lease, leases: Leases, *_: object) -> None:
            self.started = time.monotonic_ns()
            self.lease = lease
            self._leases = leases

        def stop(self, how: str) -> None:
            """There is nothing to stop."""

        async def run(self) -> None:
            """Only finishes."""
            await self._leases.finish(self.lease, "succeed", {"exit": 0})
            seen.add(self.lease.id, self.started)

    return Noop
