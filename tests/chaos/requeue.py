"""R1 to R4: how long until the job of a worker that is killed, frozen or cut off runs again.

One job on each of a dozen small workers; then one more worker comes that has room for all. The fault hits each of
the dozen at another moment of its heartbeat. The clock starts at the fault and stops at the next `start` in the
queue's own record, on the same host's clock.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from random import Random
from typing import Any

from app.state.workers import BEAT
from tests.bench.stats import percentile
from tests.bench.timing import Broken
from tests.chaos import facts
from tests.chaos.row import Row, Settings, seconds
from tests.chaos.scene import Member, Scene, film

TRIALS, SHORT_TRIALS = 12, 3
ENDLESS = 120.0  # seconds: longer than any trial
LIMIT = 20.0  # seconds after which a job counts as never started again


def run(settings: Settings, wanted: Collection[str]) -> Iterator[Row]:
    """The rows. The kills come last: they leave nobody."""
    lot, count = settings.random("requeue"), SHORT_TRIALS if settings.short else TRIALS
    with Scene() as scene:
        crew = [_hired(scene, f"a{number}") for number in range(count)]
        scene.until_live(member.name for member in crew)
        if "R3" in wanted:
            took = _moved(scene, crew, lot, Member.cut, Member.join)
            yield seconds("R3", f"cut off -> next start, p99 of {count}", took, 10)
        if "R2" in wanted:
            took = _moved(scene, crew, lot, Member.freeze, Member.thaw)
            yield seconds("R2", f"frozen -> next start, p99 of {count}", took, 10)
        if "R4" in wanted:
            took = max(_again(scene, crew, number, lot) for number in range(count))
            yield seconds("R4", f"killed, started again -> next start, longest of {count}", took, 3)
        if "R1" in wanted:
            took = _moved(scene, crew, lot, lambda member: scene.stop(member.process), lambda member: None)
            yield seconds("R1", f"killed -> next start, p99 of {count}", took, 10)


def _hired(scene: Scene, name: str) -> Member:
    return scene.launch(name, gated=True, env={"FFGRID_LABELS": f"name={name}"})


def _moved(
    scene: Scene,
    crew: Sequence[Member],
    lot: Random,
    harm: Callable[[Member], object],
    heal: Callable[[Member], object],
) -> float:
    """Seconds from the harm to the next start, elsewhere: the worst but for one in a hundred."""
    jobs = _one_each(scene, crew)
    heir = scene.hire(f"heir-{lot.randrange(10**6)}", slots=len(crew))
    harmed = {}
    for member, phase in zip(crew, sorted(lot.uniform(0, BEAT) for _ in crew), strict=True):
        harmed[member.name] = phase
    began = time.monotonic()
    for member in crew:
        time.sleep(max(0.0, began + harmed[member.name] - time.monotonic()))
        harmed[member.name] = time.time()
        harm(member)
    again = _started_again(scene, jobs)
    for member in crew:
        heal(member)
    _clear(scene, jobs, heir)
    return percentile((again[job] - harmed[name] for name, job in jobs.items()), 99)


def _again(scene: Scene, crew: list[Member], number: int, lot: Random) -> float:
    """Seconds from the kill to the next start, on the same worker, which is started again at once."""
    jobs = _one_each(scene, crew[number : number + 1], labels={"name": crew[number].name})
    time.sleep(lot.uniform(0, BEAT))
    killed = time.time()
    scene.stop(crew[number].process)
    crew[number] = scene.restart(crew[number].name)
    again = _started_again(scene, jobs)
    _clear(scene, jobs)
    return max(again.values()) - killed


def _one_each(scene: Scene, crew: Sequence[Member], **fields: Any) -> dict[str, str]:
    """A job for each of these workers, all of them running: worker -> job."""
    ids = scene.submit_all([film(f"{member.name}.mkv", ENDLESS) for member in crew], **fields)
    scene.until_working(ids)
    held = {scene.job(job_id).worker or "": job_id for job_id in ids}
    if set(held) != {member.name for member in crew}:
        raise Broken(f"the jobs were taken by {sorted(held)}")
    return held


def _started_again(scene: Scene, jobs: dict[str, str]) -> dict[str, float]:
    """When each job was started for the second time; never is infinity."""
    deadline = time.monotonic() + LIMIT
    while True:
        again = facts.restarts(scene.ask(facts.events))
        if set(jobs.values()) <= again.keys() or time.monotonic() > deadline:
            return {job: again.get(job, float("inf")) for job in jobs.values()}
        time.sleep(0.1)


def _clear(scene: Scene, jobs: dict[str, str], heir: Member | None = None) -> None:
    """Ends the jobs, and sees that the workers that live are free again."""
    scene.cancel(jobs.values())
    scene.until_states(jobs.values(), ["cancelled"])
    if heir:
        scene.stop(heir.process, signal.SIGTERM)
    scene.until_free()
