"""Time and housekeeping, and what nobody should do to a server: the other half of the actions."""

from __future__ import annotations

from collections import Counter

from app.state.reaper import KEEP_IDLE_MS, KEEP_MS
from app.state.workers import LEASE_MS, PROOF_MS
from tests.model import crew
from tests.model.compare import demand
from tests.model.lives import beat_of
from tests.model.seen import KEYS
from tests.model.table import INDEX, JOBS, TWICE, action
from tests.model.world import World

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000


@action(4, milliseconds=(1, 300, 500, 999))
async def breathe(world: World, milliseconds: int) -> bool:
    """A moment passes."""
    await world.pass_time(milliseconds)
    return True


@action(2, milliseconds=(1001, 1400, 2500, 3000, 3001, 5999, 6000, MINUTE, 80_000))
async def wait(world: World, milliseconds: int) -> bool:
    """Nobody does anything for so long, not even a tick."""
    await world.pass_time(milliseconds)
    return True


@action(1, milliseconds=(HOUR, 25 * HOUR, 8 * DAY))
async def wait_long(world: World, milliseconds: int) -> bool:
    """The same for hours or days."""
    await world.pass_time(milliseconds)
    return True


@action(10, milliseconds=(500, 400, 399, 1000, 0), twice=TWICE)
async def tick(world: World, milliseconds: int, twice: bool) -> bool:
    """A tick, a while after what was before."""
    await world.pass_time(milliseconds)
    expected = crew.tick(world.model, world.seen)
    found = await world.call(twice, world.subject.store.reaper.reap())
    if expected is None or twice:
        demand("tick", found, None)
    else:
        demand("tick", Counter(found or []), Counter(expected))
    return True


@action(1, milliseconds=(-1, -700, -MINUTE, -HOUR, 10 * MINUTE))
async def set_clock(world: World, milliseconds: int) -> bool:
    """Somebody sets the clock of the server's host, between two ticks."""
    await tick(world, 500, False)
    await world.look()
    await world.pass_time(milliseconds, true=0)
    return True


@action(10, beats=(0, 0, 1, 2, 3, 6), seconds=(3, 5, 6, 7, 13))
async def lapse(world: World, beats: int, seconds: int) -> bool:
    """Ticks go on for a while; of the processes, only some beat."""
    alive = [one for one in world.processes if one.alive]
    for second in range(seconds):
        for number, one in enumerate(alive):
            if beats >> number & 1:
                await beat_of(world, one, "all", False, False)
        await world.look()
        if not await tick(world, 1000 if second else 500, False):
            return False
        await world.look()
    return True


@action(1, beats=(0, 1))
async def lapse_for_good(world: World, beats: int) -> bool:
    """The same for as long as proves a silent process dead."""
    return await lapse(world, beats, (PROOF_MS + 2 * LEASE_MS) // 1000)


@action(4, count=(100, 100, 1, 2))
async def audit(world: World, count: int) -> bool:
    """Jobs that nothing points at get a hint again."""
    expected = crew.audit(world.model, world.seen, count)
    demand("audit", sorted(await world.subject.store.reaper.audit(count)), sorted(expected))
    world.delivered |= {job_id for job_id in expected if world.model.jobs[job_id].held}
    return True


@action(1, most=(100, 1, 2))
async def expire(world: World, most: int) -> bool:
    """What is old is forgotten, so many jobs at most, after a round of the other housekeeping as in the program."""
    await tick(world, 500, False)
    await world.look()
    await audit(world, 100)
    await world.look()
    limits = [KEEP_MS, KEEP_IDLE_MS, most]
    found = [job.decode() for job in await world.subject.store.scripts.run("expire", [KEYS.jobs], limits)]
    old, workers = crew.expire(world.model, world.seen, KEEP_MS, KEEP_IDLE_MS, found)
    demand("expire", (set(found) <= set(old), len(found)), (True, min(most, len(old))))
    for name in workers:
        await world.check_forgotten(name)
    return True


@action(3, process=INDEX, share=("all", "some", "none"), twice=TWICE)
async def tidy(world: World, process: int, share: str, twice: bool) -> bool:
    """A worker looks after the files that lost attempts have left."""
    if not (one := world.process(process)):
        return False
    looked_after = world.found[: {"all": None, "some": 1, "none": 0}[share]]
    able = one.classes(world.model)
    for _ in range(1 + twice):
        expected = crew.tidy(world.model, able, looked_after)
    found = await world.call(twice, one.leases.tidy(able, looked_after))
    demand("tidy", sorted(job_id for job_id, _ in found), sorted(expected))
    for job_id, sealed in found:
        demand("what is tidied", world.subject.seal.open(job_id, sealed), world.model.jobs[job_id].asked.spec)
    world.found = [job_id for job_id, _ in found]
    return True


# Damage: what somebody with redis-cli, or a server that has lost a part of its data, does to the hints


@action(1, stream=INDEX)
async def delete_stream(world: World, stream: int) -> bool:
    """A queue is deleted."""
    return await _damage(world, stream, "DEL")


@action(1, stream=INDEX)
async def destroy_group(world: World, stream: int) -> bool:
    """A queue loses its consumer group."""
    return await _damage(world, stream, "XGROUP DESTROY")


async def _damage(world: World, number: int, how: str) -> bool:
    name = world.pick([name for name, queue in world.seen.queues.items() if queue.last is not None], number)
    if not name:
        return False
    world.torn.add(name)
    redis = world.subject.store.redis
    await (redis.delete(name) if how == "DEL" else redis.xgroup_destroy(name, "w"))
    return True


@action(1, job=JOBS)
async def delete_entry(world: World, job: int | None) -> bool:
    """A job's hint is deleted."""
    one = world.job(job)
    if not one or one.ended or one.state == "waiting":
        return False
    world.torn.add(one.stream)
    await world.subject.store.redis.xdel(one.stream, world.seen.jobs[one.id]["msg"])
    return True


@action(1, job=JOBS, named=(False, True))
async def double_entry(world: World, job: int | None, named: bool) -> bool:
    """There is a second hint at a job, of whatever state; with `named` the job's hash says that it is the right one."""
    if not (one := world.job(job)):
        return False
    world.torn.add(one.stream)
    redis = world.subject.store.redis
    entry = await redis.xadd(one.stream, {"job": one.id})
    if named:
        await redis.hset(KEYS.job(one.id), "msg", entry)
    return True


@action(1)
async def delete_due(world: World) -> bool:
    """Nobody knows any more when waiting jobs are due."""
    for job in world.model.jobs.values():
        job.listed = False
    await world.subject.store.redis.delete(KEYS.due)
    return True


@action(1)
async def flush_scripts(world: World) -> bool:
    """The server forgets the scripts."""
    await world.subject.store.redis.script_flush()
    return True
