"""What workers do about jobs: get them, write about them, end them, hand them back."""

from __future__ import annotations

from collections.abc import Awaitable
from contextlib import suppress
from typing import Any

from redis.exceptions import ConnectionError as RedisConnectionError

from app.state.job import LeaseLost
from app.state.leases import Lease
from app.state.lifecycle import ENDINGS
from tests.model.compare import demand
from tests.model.model import Job
from tests.model.table import INDEX, TWICE, WHOSE, action
from tests.model.world import Hint, Process, World


@action(
    12,
    process=INDEX,
    count=(1, 2, 3),
    backwards=(False, False, True),
    twice=TWICE,
    lost=(False, False, False, True),
)
async def claim(world: World, process: int, count: int, backwards: bool, twice: bool, lost: bool) -> bool:
    """A worker takes what is there, in the order of the lanes.

    A reply that is `lost` never comes; the next claim asks for the same jobs again.
    """
    one = world.process(process)
    if not one or not (streams := world.streams(one)):
        return False
    streams = streams[::-1] if backwards else streams
    known = world.model.workers.get(one.name)
    # Who is not known is not remembered; a group that is missing is all that the first call makes.
    remembered = known is not None and known.boot == one.boot
    lost = lost and remembered
    twice = twice and remembered and all(world.seen.queue(name).last is not None for name in streams)
    first = 1 + world.subject.number()  # fresh tokens have the numbers that follow
    fresh = [f"{one.boot}:{first + number:08x}" for number in range(count)]
    tokens = (one.tokens + fresh)[: max(count, len(one.tokens))]
    expected = _expected(world, one, streams, tokens[:count])
    leases: list[Lease] = []
    try:
        leases = await world.call(twice, one.leases.claim(streams, count), lost)
    except RedisConnectionError:
        one.tokens = tokens
        return True
    one.tokens = []
    demand("claimed", [lease.id for lease in leases], [job.id for job in expected])
    for lease, job in zip(leases, expected, strict=True):
        world.check_lease(lease, job)
        world.keep(one, lease)
    return True


def _expected(world: World, one: Process, streams: list[str], tokens: list[str]) -> list[Job]:
    """The jobs that a claim gives: what the one before, which had no answer, has given, or what is there."""
    known = world.model.workers.get(one.name)
    if known and known.claimed and known.claimed[0][1] == tokens[0]:
        again = [world.model.may_write(*pair) for pair in known.claimed[: len(tokens)]]
        return [job for job in again if job]
    expected: list[Job] = []
    for stream in streams:
        for entry in world.seen.queue(stream).undelivered():
            if len(expected) == len(tokens):
                break
            job = world.model.live(world.seen, stream, entry)
            if not job or not (job.held or job.state == "queued"):
                world.model.gone.add((stream, entry))
            elif job.state == "queued":
                world.model.start(job, one.name, one.boot, tokens[len(expected)])
                expected.append(job)
    if expected and known and known.boot == one.boot:
        known.claimed = [(job.id, job.token or "") for job in expected]
    return expected


@action(8, process=INDEX, stream=INDEX)
async def deliver(world: World, process: int, stream: int) -> bool:
    """A worker's blocking read returns, and its reply may be lost."""
    one = world.process(process)
    if not one:
        return False
    able = [name for name in world.streams(one) if world.seen.queue(name).last is not None]
    name = world.pick([name for name in able if [*world.seen.queue(name).undelivered()]] or able, stream)
    if not name:
        return False
    expected = [*world.seen.queue(name).undelivered()][:1]
    found = await world.subject.deliver(one.name, name)
    demand("delivered", [entry for entry, _ in found], expected)
    world.hints += [Hint(one, name, entry, job_id) for entry, job_id in found]
    return True


@action(10, hint=INDEX, twice=TWICE, lost=(False, False, False, True))
async def start(world: World, hint: int, twice: bool, lost: bool) -> bool:
    """A worker starts the job of an entry that it was given, perhaps long ago. Without an answer it does so again."""
    one = world.pick([one for one in world.hints if one.process.alive], hint)
    if not one:
        return False
    process, job = one.process, world.model.jobs.get(one.job_id)
    token = process.starting.setdefault(one.entry, f"{process.boot}:{world.subject.number() + 1:08x}")
    if job and job.state == "queued" and world.seen.jobs[job.id].get("msg") == one.entry:
        world.model.start(job, process.name, process.boot, token)
    startable = world.model.may_write(one.job_id, token)
    if startable:
        startable.heard, startable.suspect = world.model.true, None
    try:
        lease = await world.call(twice, process.leases.start(one.stream, one.entry, one.job_id), lost)
    except RedisConnectionError:
        return True
    del process.starting[one.entry]
    demand("started", lease is not None, startable is not None)
    if lease and startable:
        world.check_lease(lease, startable)
        world.keep(process, lease)
        if one.entry in world.seen.queue(one.stream).entries:
            world.delivered.add(lease.id)
    return True


@action(hint=INDEX, twice=TWICE)
async def put_back(world: World, hint: int, twice: bool) -> bool:
    """A worker gives back an entry that it has no slot for."""
    one = world.pick([one for one in world.hints if one.process.alive], hint)
    if one:
        one.process.starting.pop(one.entry, None)
        await world.call(twice, one.process.leases.put_back(one.entry, one.job_id))
    return one is not None


# Workers: about jobs. Any lease that ever was may be used, whoever has the job now.


def lease_of(world: World, lease: int, whose: str) -> tuple[Process, Lease] | None:
    """A lease of a process that lives: a good one, an old one on a job that goes on, or any that ever was."""
    found = []
    for process, one in world.leases:
        job = world.model.jobs.get(one.id)
        good = world.model.may_write(one.id, one.token) is not None
        old = job is not None and not job.ended and not good
        if process.alive and (whose == "any" or (good if whose == "good" else old)):
            found.append((process, one))
    return world.pick(found, lease)


async def accepted(world: World, twice: bool, work: Awaitable[Any]) -> bool:
    """Whether the lease was good for that."""
    try:
        await world.call(twice, work)
    except LeaseLost:
        return False
    return True


@action(2, lease=INDEX, whose=WHOSE, twice=TWICE)
async def progress(world: World, lease: int, whose: str, twice: bool) -> bool:
    """A worker says how far a job is."""
    if not (pair := lease_of(world, lease, whose)):
        return False
    said = {"frame": world.subject.number()}
    for _ in range(1 + twice):
        expected = world.model.progress(pair[1].id, pair[1].token, said)
    found = await accepted(world, twice, pair[0].leases.progress(pair[1], said))
    demand("progress", found, expected)
    return True


@action(5, lease=INDEX, whose=WHOSE, twice=TWICE)
async def publish(world: World, lease: int, whose: str, twice: bool) -> bool:
    """A worker asks whether a job's outputs may get their names."""
    if not (pair := lease_of(world, lease, whose)):
        return False
    outputs = f"outputs {world.subject.number()}"
    expected = world.model.publish(pair[1].id, pair[1].token, outputs)
    found = "lost"
    with suppress(LeaseLost):
        found = await world.call(twice, pair[0].leases.publish(pair[1], outputs))
    demand("publish", found, expected)
    return True


@action(
    10,
    lease=INDEX,
    whose=WHOSE,
    event=("fail", *ENDINGS),
    again=(True, False),
    ending=({}, {"exit": 0}, {"exit": 1, "reason": "it broke", "cause": "exit"}, {"signal": 9}),
    twice=TWICE,
)
async def finish(
    world: World, lease: int, whose: str, event: str, again: bool, ending: dict[str, Any], twice: bool
) -> bool:
    """A worker ends a job."""
    if not (pair := lease_of(world, lease, whose)):
        return False
    process, one = pair
    expected = world.model.finish(one.id, one.token, event, again, ending)
    found = await accepted(world, twice, process.leases.finish(one, event, ending, again))
    demand("finish", found, expected)
    process.held.pop(one.id, None)
    return True


@action(5, lease=INDEX, whose=WHOSE, twice=TWICE)
async def release(world: World, lease: int, whose: str, twice: bool) -> bool:
    """A worker hands a job back."""
    if not (pair := lease_of(world, lease, whose)):
        return False
    process, one = pair
    for _ in range(1 + twice):
        expected = world.model.release(one.id, one.token)
    found = await accepted(world, twice, process.leases.release(one))
    demand("release", found, expected)
    process.held.pop(one.id, None)
    return True
