"""Every move from every state, made by the real scripts on a real server."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from app.state import lifecycle
from app.state.job import LeaseLost
from app.state.leases import Lease, Leases
from app.state.lifecycle import (
    CANCELLED,
    DEAD,
    DONE,
    ENDINGS,
    FAILED,
    FINAL,
    MOVES,
    PUBLISHING,
    QUEUED,
    RUNNING,
    STATES,
    WAITING,
)

if TYPE_CHECKING:
    from app.state.jobs import Submission
    from tests.state.conftest import Scene

WAYS_TO_END = {DONE: "succeed", FAILED: "fail", CANCELLED: "cancel", WAITING: "fail"}


@dataclass(frozen=True)
class Subject:
    """A job in some state, and a worker whose token is right: only the table can refuse a move."""

    scene: Scene
    worker: Leases
    lease: Lease
    submission: Submission

    async def renew_entry(self) -> None:
        """Gives a job that has ended a valid entry, as if one had been left behind."""
        key = self.scene.keys.job(self.lease.id)
        entry = await self.scene.redis.xadd(await self.scene.stream_of(self.lease.id), {"job": self.lease.id})
        await self.scene.redis.hset(key, "msg", entry)


async def subject_in(scene: Scene, state: str) -> Subject:
    """A job that came to this state as jobs do."""
    worker, submission = await scene.worker(), scene.submission(retries=int(state == WAITING))
    job_id = (await scene.jobs.submit(submission)).id
    lease = Lease(job_id, "right", 0, b"")
    if state != QUEUED:
        lease = await scene.claim(worker, job_id)
    if state == PUBLISHING:
        await worker.publish(lease, "{}")
    if state == DEAD:
        await scene.redis.hset(scene.keys.job(job_id), "max_attempts", 1)
        await scene.lose(job_id)
    if state in WAYS_TO_END:
        await worker.finish(lease, WAYS_TO_END[state], {}, again=state == WAITING)
        await scene.redis.hdel(scene.keys.job(job_id), "won")
    await scene.redis.hset(scene.keys.job(job_id), "token", "right")
    return Subject(scene, worker, replace(lease, token="right"), submission)


# One door for each move


async def submit(subject: Subject) -> None:
    await subject.scene.jobs.submit(subject.submission)


async def start(subject: Subject) -> None:
    scene, job_id = subject.scene, subject.lease.id
    if await scene.state(job_id) in {*FINAL, WAITING}:
        await subject.renew_entry()
    stream = await scene.stream_of(job_id)
    await scene.deliver(subject.worker, stream)
    await subject.worker.start(stream, (await scene.raw(job_id))["msg"], job_id)


async def lose(subject: Subject) -> None:
    scene, job_id = subject.scene, subject.lease.id
    if await scene.state(job_id) in {*FINAL, WAITING}:
        await subject.renew_entry()
    await scene.deliver(subject.worker, await scene.stream_of(job_id))
    await scene.lose(job_id)


async def bury(subject: Subject) -> None:
    await subject.scene.redis.hset(subject.scene.keys.job(subject.lease.id), "max_attempts", 1)
    await lose(subject)


async def release(subject: Subject) -> None:
    with suppress(LeaseLost):
        await subject.worker.release(subject.lease)


async def publish(subject: Subject) -> None:
    with suppress(LeaseLost):
        await subject.worker.publish(subject.lease, "{}")


async def defer(subject: Subject) -> None:
    await subject.scene.redis.hset(subject.scene.keys.job(subject.lease.id), "retries", 1)
    await subject.scene.redis.hset(subject.scene.keys.job(subject.lease.id), "retry_delay", 1000)
    with suppress(LeaseLost):
        await subject.worker.finish(subject.lease, "fail", {"exit": 1}, again=True)


async def due(subject: Subject) -> None:
    scene = subject.scene
    await scene.redis.zadd(scene.keys.due, {subject.lease.id: await scene.now() - 1})
    await scene.tick()


def finish(event: str) -> Callable[[Subject], Awaitable[None]]:
    async def door(subject: Subject) -> None:
        with suppress(LeaseLost):
            await subject.worker.finish(subject.lease, event, {"exit": 0})

    return door


async def cancel(subject: Subject) -> None:
    """By the worker of a running job; a queued or waiting one ends at once."""
    if await subject.scene.state(subject.lease.id) in (QUEUED, WAITING):
        await subject.scene.jobs.cancel(subject.lease.id)
    else:
        await finish("cancel")(subject)


DOORS = {
    "submit": submit,
    "start": start,
    "lose": lose,
    "bury": bury,
    "release": release,
    "publish": publish,
    "defer": defer,
    "due": due,
    "cancel": cancel,
    **{event: finish(event) for event in ENDINGS if event != "cancel"},
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("event", MOVES)
async def test_a_move_is_made_where_the_table_has_it_and_nowhere_else(
    scene: Scene, event: str, state: str
) -> None:
    sources, target = MOVES[event]
    is_legal = state in sources
    subject = await subject_in(scene, state)
    job_id = subject.lease.id
    before = await scene.events(job_id)

    await DOORS[event](subject)

    after = target if is_legal else state
    assert await scene.state(job_id) == after
    assert await scene.indexes(job_id) == [after]
    assert await scene.events(job_id) == before + [event] * is_legal
    assert await scene.endings(job_id) == ([after] if after in FINAL else [])


async def test_submitting_makes_a_queued_job(scene: Scene) -> None:
    job_id = await scene.submit()

    assert await scene.state(job_id) == MOVES["submit"][1]
    assert await scene.indexes(job_id) == [QUEUED]
    assert await scene.events(job_id) == ["submit"]


@pytest.mark.parametrize("state", sorted(FINAL))
async def test_nothing_at_all_changes_a_job_that_has_ended(scene: Scene, state: str) -> None:
    subject = await subject_in(scene, state)
    job_id, token = subject.lease.id, subject.lease.token
    before = await scene.raw(job_id)

    for door in DOORS.values():
        await door(subject)
    await scene.jobs.cancel(job_id, "kill", "too late")
    await scene.jobs.caller(job_id, -1000, "c", arrives=True)
    await scene.jobs.orphan(job_id)
    with pytest.raises(LeaseLost):
        await subject.worker.progress(subject.lease, {"percent": 1})
    beat = await subject.worker.beat(1, [], {job_id: token})
    await scene.tick()

    after = await scene.raw(job_id)
    assert beat.lost == [job_id]
    by_the_doors = dict.fromkeys(("msg", "max_attempts", "retries", "retry_delay"), "")
    assert after | by_the_doors == before | by_the_doors
    assert await scene.endings(job_id) == [state]


@pytest.mark.parametrize("state", STATES)
async def test_the_events_stream_tells_of_the_worker_and_the_attempt(scene: Scene, state: str) -> None:
    subject = await subject_in(scene, state)

    _, last = (await scene.redis.xrange(scene.keys.events))[-1]

    worker = b"" if state == QUEUED else b"w1"
    attempt = b"0" if state == QUEUED else b"1"
    assert last[b"job"] == subject.lease.id.encode()
    assert (last[b"state"], last[b"worker"], last[b"attempt"]) == (state.encode(), worker, attempt)


async def test_starting_a_job_that_runs_leaves_its_lease_alone(scene: Scene) -> None:
    subject = await subject_in(scene, RUNNING)
    stream, job = await scene.stream_of(subject.lease.id), await scene.raw(subject.lease.id)

    assert await subject.worker.start(stream, job["msg"], subject.lease.id) is None
    assert await scene.raw(subject.lease.id) == job
    assert await scene.pending(stream) == {job["msg"]: "w1"}


@pytest.mark.parametrize("event", sorted(set(MOVES) - set(ENDINGS)))
async def test_a_worker_cannot_report_what_is_no_ending(scene: Scene, event: str) -> None:
    subject = await subject_in(scene, RUNNING)

    with suppress(LeaseLost, ValueError):
        await subject.worker.finish(subject.lease, event, {})

    assert await scene.state(subject.lease.id) == RUNNING
    assert len(await scene.pending(await scene.stream_of(subject.lease.id))) == 1


class Walk:
    """Random moves, and beside them a model that knows nothing of Redis: what state each job must be in."""

    def __init__(self, scene: Scene, workers: list[Leases], chance: random.Random) -> None:
        self.scene = scene
        self.workers = workers
        self.chance = chance
        self.model: dict[str, str] = {}
        self.losses: Counter[str] = Counter()
        self.held: dict[str, tuple[Leases, Lease]] = {}

    async def step(self) -> None:
        moves = [self.submit, self.submit, self.claim, self.claim, self.cancel]
        if self.held:
            moves += [self.finish, self.release, self.lose, self.lie]
        await self.chance.choice(moves)()

    async def submit(self) -> None:
        self.model[await self.scene.submit()] = QUEUED

    async def claim(self) -> None:
        worker = self.chance.choice(self.workers)
        for lease in await worker.claim([self.scene.stream()], self.chance.randint(1, 3)):
            assert self.model[lease.id] == QUEUED
            self.model[lease.id], self.held[lease.id] = RUNNING, (worker, lease)

    async def cancel(self) -> None:
        job_id = self.chance.choice(
            [None, *(job_id for job_id, state in self.model.items() if state == QUEUED)]
        )
        if job_id:
            assert await self.scene.jobs.cancel(job_id) == CANCELLED
            self.model[job_id] = CANCELLED

    async def finish(self) -> None:
        worker, lease = self.held.pop(self.chance.choice(list(self.held)))
        event = self.chance.choice(ENDINGS)
        await worker.finish(lease, event, {"exit": 1})
        self.model[lease.id] = MOVES[event][1]

    async def release(self) -> None:
        worker, lease = self.held.pop(self.chance.choice(list(self.held)))
        await worker.release(lease)
        self.model[lease.id] = QUEUED

    async def lose(self) -> None:
        _, lease = self.held.pop(self.chance.choice(list(self.held)))
        self.losses[lease.id] += 1
        self.model[lease.id] = DEAD if self.losses[lease.id] == 3 else QUEUED
        assert await self.scene.lose(lease.id) == {lease.id: self.model[lease.id]}

    async def lie(self) -> None:
        worker, lease = self.chance.choice(list(self.held.values()))
        with pytest.raises(LeaseLost):
            await worker.finish(replace(lease, token="stale"), "succeed", {})


@pytest.mark.parametrize("seed", range(12))
async def test_whatever_happens_the_queue_stays_true(scene: Scene, seed: int) -> None:
    walk = Walk(scene, [await scene.worker(name) for name in ("w1", "w2", "w3")], random.Random(seed))

    for _ in range(60):
        await walk.step()
        counted = Counter(walk.model.values())
        assert await scene.jobs.counts() == {state: counted[state] for state in STATES}

    await scene.assert_queue_is_true(scene.stream())
    for job_id, state in walk.model.items():
        assert await scene.indexes(job_id) == [state]
        assert await scene.endings(job_id) == ([state] if state in FINAL else [])


# The table


def test_what_no_move_leaves_is_final() -> None:
    left = {source for sources, _ in MOVES.values() for source in sources}

    assert set(STATES) - left == FINAL
    assert {DONE, FAILED, CANCELLED, DEAD} == FINAL


def test_every_state_is_named_and_can_be_reached() -> None:
    reached, before = (
        {target for _, target in MOVES.values()},
        {s for sources, _ in MOVES.values() for s in sources},
    )

    assert reached == set(STATES)
    assert before <= set(STATES)


def test_what_a_worker_may_report_are_moves_to_an_end() -> None:
    assert {MOVES[event][1] for event in ENDINGS} == FINAL - {DEAD}
    assert all(RUNNING in MOVES[event][0] for event in ENDINGS)


def test_every_move_stands_in_the_picture_with_its_states() -> None:
    picture = lifecycle.__doc__ or ""

    assert [word for word in (*MOVES, *STATES) if word not in picture] == []
