"""A job that nothing points at any more is found and pointed at again, whatever was deleted by hand."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from app.state.connect import stop
from app.state.keys import GROUP
from app.state.lifecycle import HELD
from app.state.requirements import requirement
from app.wire.messages import LANES

if TYPE_CHECKING:
    from tests.state.conftest import Scene

TV = requirement("ffmpeg", ["TV"], {}, [])
WITH_ENTRY = ["queued", *sorted(HELD)]


async def job_in(scene: Scene, state: str, name: str = "w1", **changes: object) -> str:
    """The id of a job in that state, whose worker (if it has one) is `name`."""
    worker = await scene.worker(name)
    if state == "queued":
        return await scene.submit(**changes)
    lease = await scene.running(worker, retries=1, retry_delay=3600.0, **changes)
    if state == "publishing":
        assert await worker.publish(lease, "{}") == "ok"
    elif state == "waiting":
        await worker.finish(lease, "fail", {}, again=True)
    assert await scene.state(lease.id) == state
    return lease.id


async def audit(scene: Scene, rounds: int = 1, count: int = 100) -> list[str]:
    """What so many calls find."""
    return [job_id for _ in range(rounds) for job_id in await scene.store.reaper.audit(count)]


async def delete(scene: Scene, job_id: str, what: str) -> None:
    """Takes away what points at a job."""
    stream, entry = await scene.stream_of(job_id), (await scene.raw(job_id))["msg"]
    match what:
        case "entry":
            await scene.redis.xdel(stream, entry)
        case "delivery":
            await scene.redis.xack(stream, GROUP, entry)
        case "entry and delivery":
            await scene.redis.xack(stream, GROUP, entry)
            await scene.redis.xdel(stream, entry)
        case "group":
            await scene.redis.xgroup_destroy(stream, GROUP)
        case "new group":
            await scene.redis.xgroup_destroy(stream, GROUP)
            await scene.redis.xgroup_create(stream, GROUP, "$")
        case "stream":
            await scene.redis.delete(stream)
        case "all streams":
            await scene.redis.delete(
                *[scene.keys.queue((await scene.raw(job_id))["cls"], lane) for lane in LANES]
            )


@pytest.mark.parametrize("state", [*WITH_ENTRY, "waiting"])
async def test_what_is_as_it_should_be_is_left_alone(scene: Scene, state: str) -> None:
    await job_in(scene, state)
    await audit(scene)
    before = await scene.everything()

    assert await audit(scene, 3) == []

    assert await scene.everything() == before


@pytest.mark.parametrize("state", ["done", "failed", "cancelled"])
async def test_what_has_ended_needs_nothing(scene: Scene, state: str) -> None:
    event = {"done": "succeed", "failed": "fail", "cancelled": "cancel"}[state]
    job_id = await scene.ended(await scene.worker(), event)

    assert await audit(scene, 3) == []

    assert await scene.state(job_id) == state
    assert await scene.queue(scene.stream()) == {}


@pytest.mark.parametrize("what", ["entry", "entry and delivery", "stream", "all streams"])
async def test_a_queued_job_is_queued_again(scene: Scene, what: str) -> None:
    job_id = await job_in(scene, "queued")
    await delete(scene, job_id, what)

    assert await audit(scene, 2) == [job_id]

    await scene.assert_queue_is_true(scene.stream())
    lease = await scene.claim(await scene.worker("w2"), job_id)
    assert lease.attempt == 1


@pytest.mark.parametrize("what", ["entry", "entry and delivery", "stream", "all streams"])
@pytest.mark.parametrize("state", sorted(HELD))
async def test_a_held_job_whose_worker_lives_goes_on(scene: Scene, state: str, what: str) -> None:
    worker = await scene.worker()
    lease = await scene.running(worker)
    if state == "publishing":
        await worker.publish(lease, "{}")
    await delete(scene, lease.id, what)

    assert await audit(scene, 2) == [lease.id]

    entry = (await scene.raw(lease.id))["msg"]
    assert await scene.queue(scene.stream()) == {entry: lease.id}
    assert (await scene.pending(scene.stream()))[entry] == "w1"
    assert (await worker.beat(1, [], {lease.id: lease.token})).lost == []
    assert (await scene.raw(lease.id))["msg"] == entry
    await worker.finish(lease, "succeed", {"exit": 0})
    assert await scene.endings(lease.id) == ["done"]
    assert await scene.queue(scene.stream()) == {}


@pytest.mark.parametrize(
    "what", ["entry", "delivery", "entry and delivery", "group", "new group", "stream", "all streams"]
)
@pytest.mark.parametrize("state", sorted(HELD))
async def test_a_held_job_whose_worker_died_is_lost_and_runs_again(
    scene: Scene, state: str, what: str
) -> None:
    job_id = await job_in(scene, state)
    await delete(scene, job_id, what)
    assert await audit(scene, 2) == [job_id]

    assert await scene.lose(job_id) == {job_id: "queued"}

    lease = await scene.claim(await scene.worker("w2"), job_id)
    assert (lease.attempt, (await scene.raw(job_id))["losses"]) == (2, "1")


async def test_a_waiting_job_that_was_forgotten_gets_its_time_again(scene: Scene) -> None:
    job_id = await job_in(scene, "waiting")
    at = await scene.redis.zscore(scene.keys.due, job_id)
    await scene.redis.delete(scene.keys.due)

    assert await audit(scene, 2) == [job_id]

    assert await scene.redis.zscore(scene.keys.due, job_id) == at


async def test_a_waiting_job_without_a_time_is_tried_now(scene: Scene) -> None:
    job_id = await job_in(scene, "waiting")
    await scene.redis.delete(scene.keys.due)
    await scene.redis.hdel(scene.keys.job(job_id), "due")
    assert await scene.tick() == {}

    assert await audit(scene, 2) == [job_id]

    assert await scene.tick() == {job_id: "queued"}


async def test_a_waiting_job_keeps_its_time(scene: Scene) -> None:
    job_id = await job_in(scene, "waiting")
    at = await scene.redis.zscore(scene.keys.due, job_id)

    assert await audit(scene) == []

    assert await scene.redis.zscore(scene.keys.due, job_id) == at


@pytest.mark.parametrize("state", WITH_ENTRY)
async def test_another_jobs_entry_is_not_taken_for_its_own(scene: Scene, state: str) -> None:
    job_id = await job_in(scene, state)
    other = await scene.submit()
    await delete(scene, job_id, "entry and delivery")
    await scene.redis.hset(scene.keys.job(job_id), "msg", (await scene.raw(other))["msg"])

    assert await audit(scene) == [job_id]

    ours, theirs = (await scene.raw(job_id))["msg"], (await scene.raw(other))["msg"]
    assert await scene.queue(scene.stream()) == {ours: job_id, theirs: other}


async def test_an_entry_in_another_stream_is_not_its_own(scene: Scene) -> None:
    job_id = await scene.submit()
    entry = (await scene.raw(job_id))["msg"]
    await scene.submit(needs=TV)
    await scene.redis.xadd(scene.stream(TV), {"job": job_id}, id="*")
    await scene.redis.xdel(scene.stream(), entry)

    assert await audit(scene) == [job_id]


async def test_a_job_without_an_entry_id_is_queued_again(scene: Scene) -> None:
    job_id = await scene.submit()
    await delete(scene, job_id, "entry")
    await scene.redis.hdel(scene.keys.job(job_id), "msg")

    assert await audit(scene) == [job_id]
    await scene.assert_queue_is_true(scene.stream())


async def test_an_index_that_names_what_is_not_so_is_not_believed(scene: Scene) -> None:
    worker = await scene.worker()
    ended = await scene.ended(worker)
    for state in (*WITH_ENTRY, "waiting"):
        await scene.redis.zadd(scene.keys.state(state), {ended: 1, "01M7ZSCJGFM87A34V23JR094QD": 2})

    assert await audit(scene, 3) == []

    assert await scene.queue(scene.stream()) == {}
    assert await scene.redis.exists(scene.keys.due) == 0


@pytest.mark.parametrize("state", [*WITH_ENTRY, "waiting"])
async def test_a_call_looks_at_a_bounded_handful_and_goes_on_where_it_stopped(
    scene: Scene, state: str
) -> None:
    jobs = [await job_in(scene, state, f"w{number}") for number in range(7)]
    await scene.redis.delete(scene.stream(), scene.keys.due)

    found = [await audit(scene, count=3) for _ in range(4)]

    assert [len(one) for one in found] == [3, 3, 1, 0]
    assert sorted(job_id for one in found for job_id in one) == sorted(jobs)


async def test_what_was_passed_is_looked_at_again(scene: Scene) -> None:
    """After the last job it begins with the first."""
    jobs = [await scene.submit() for _ in range(4)]
    assert await audit(scene, rounds=3, count=2) == []
    await delete(scene, jobs[0], "entry")

    assert await audit(scene, rounds=3, count=2) == [jobs[0]]


async def test_the_tick_audits(scene: Scene) -> None:
    job_id = await scene.submit()
    await delete(scene, job_id, "entry")
    ticking = asyncio.create_task(scene.store.reaper.run())
    async with asyncio.timeout(10):
        while not await scene.queue(scene.stream()):  # noqa: ASYNC110 - nobody is told
            await asyncio.sleep(0.01)
    await stop(ticking)
