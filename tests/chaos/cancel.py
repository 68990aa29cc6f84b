"""R18: how long a cancel takes, from the call until the process is gone; and where the worker is dead or frozen,
until the job has ended.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Collection, Iterator

from app.state.store import Store
from tests.bench.proc import look
from tests.bench.stats import percentile
from tests.bench.timing import Broken, wait_until
from tests.chaos import facts
from tests.chaos.row import Row, Settings, none, seconds
from tests.chaos.scene import Scene, film

JOBS, SHORT_JOBS = 20, 6
ENDLESS = 120.0
LIMIT = 30.0


def run(settings: Settings, wanted: Collection[str]) -> Iterator[Row]:
    """The row."""
    count = SHORT_JOBS if settings.short else JOBS
    with Scene() as scene:
        scene.web()  # somebody has to notice that both workers are silent
        crew = scene.hire_all(["a", "b"], count // 2)
        jobs = scene.submit_all(film(f"{number}.mkv", ENDLESS) for number in range(count))
        scene.until_working(jobs)
        pids = {job: pid for member in crew for job, pid in processes(member.ffmpegs()).items()}
        if pids.keys() != set(jobs):
            raise Broken(f"{len(pids)} of {count} jobs have a process")
        took = scene.ask(lambda store: _cancel(scene, store, pids))
        yield seconds("R18", f"cancelled -> process gone, p99 of {count}", percentile(took, 99), 2)
        jobs = scene.submit_all(film(f"late-{number}.mkv", ENDLESS) for number in range(count))
        scene.until_working(jobs)
        scene.stop(crew[0].process)
        crew[1].freeze()
        began = time.monotonic()
        scene.cancel(jobs)
        scene.until_states(jobs, ["cancelled"])
        ended = time.monotonic() - began
        yield seconds("R18", f"cancelled -> all {count} ended, their workers killed or frozen", ended, 10)
        moves = [event for event in scene.ask(facts.events) if event.job in jobs and event.attempt > 1]
        yield none("R18", "... of them started again instead", len(moves))


def processes(pids: list[int]) -> dict[str, int]:
    """Job -> process: the job's id is in the name of what it writes."""
    found = {}
    for pid in pids:
        with open(f"/proc/{pid}/cmdline") as file:
            name = file.read().rstrip("\0").rpartition("/")[2]
        found[name.split("-")[1]] = pid
    return found


def _gone(pid: int) -> float:
    """The moment at which the process was seen to be gone, or infinity."""
    try:
        return wait_until(lambda: look(pid) is None, "it lives", LIMIT)
    except Broken:
        return math.inf


async def _cancel(scene: Scene, store: Store, pids: dict[str, int]) -> list[float]:
    """Cancels one job after the other, a moment apart; how long each process lived on."""
    took = []

    async def one(job: str, pid: int) -> None:
        began = time.monotonic()
        await scene.jobs(store).cancel(job)
        took.append(await asyncio.to_thread(_gone, pid) - began)

    waiting = []
    for job, pid in pids.items():
        waiting.append(asyncio.create_task(one(job, pid)))
        await asyncio.sleep(0.1)
    await asyncio.gather(*waiting)
    return took
