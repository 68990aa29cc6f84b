"""The end of a run: nothing bad happens any more, and whatever was before, every job ends."""

from __future__ import annotations

from app.state.workers import LEASE_MS, PROOF_MS
from tests.model import lives, upkeep, work
from tests.model.compare import Violation
from tests.model.model import Job
from tests.model.world import Process, World

ONCE = {"twice": False}


async def settle(world: World, proof: bool) -> None:
    """A new worker takes and ends what there is; all others are dead. Raises Violation where a job does not end.

    With `proof` their supervisors start them again. Else only silence tells.
    """
    for process in world.processes:
        process.alive = False
    for name, known in list(world.model.workers.items()) if proof else ():
        await world.step(lives.register, name=name, host=known.about["host"], proof=True, **ONCE)
        world.processes[-1].alive = False
    await world.step(lives.register, name="w3", host="den", proof=False, **ONCE)
    worker = world.processes[-1]
    await _live(world, worker, 15)
    if any(job.held for job in world.model.jobs.values()):
        for _ in range((PROOF_MS + LEASE_MS) // 1000):
            await world.step(upkeep.tick, milliseconds=1000, **ONCE)
        await _live(world, worker, 2)
    waiting = [job.due or 0 for job in world.model.jobs.values() if job.state == "waiting"]
    await world.pass_time(max([world.model.now, *waiting]) - world.model.now)
    await _live(world, worker, 2)
    for job in world.model.jobs.values():
        if not job.ended:
            raise Violation(f"{job.id} never ends: {vars(job)} {world.seen.queue(job.stream)}")


async def _live(world: World, worker: Process, seconds: int) -> None:
    """A worker as it should be, ticks as they should be."""
    for _ in range(2):  # the first goes on where an earlier one has stopped
        await world.step(upkeep.audit, count=100)
    await world.step(lives.beat, process=0, share="all", idle=False, **ONCE)
    for _ in range(seconds):
        await world.step(upkeep.tick, milliseconds=1000, **ONCE)
        known = None
        while known != (known := _known(world)) and any(
            _may_be_claimed(world, job) for job in world.model.jobs.values()
        ):
            await world.step(work.claim, process=0, count=3, backwards=False, lost=False, **ONCE)
            while worker.held:
                await world.step(
                    work.finish, lease=0, whose="good", event="succeed", again=False, ending={}, **ONCE
                )


def _known(world: World) -> tuple[int, list[str]]:
    """What a claim changes: how many leases there are, which queues can be read."""
    return len(world.leases), [name for name, queue in world.seen.queues.items() if queue.last is not None]


def _may_be_claimed(world: World, job: Job) -> bool:
    """Whether a read would bring it, or would make the group that is missing."""
    queue = world.seen.queue(job.stream)
    return not job.ended and (queue.last is None or world.seen.jobs[job.id].get("msg") in queue.undelivered())
