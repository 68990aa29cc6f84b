"""A job is moved to another lane: behind those that wait there, and still once in its queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.wire.messages import LANES

if TYPE_CHECKING:
    from tests.state.conftest import Scene


async def test_a_queued_job_waits_in_the_other_lane_alone(scene: Scene) -> None:
    worker = await scene.worker()
    first, moved = await scene.submit(lane="high"), await scene.submit(lane="low")

    assert await scene.jobs.relane(moved, "high") == "moved"
    assert await scene.jobs.relane(moved, "high") == "same"

    assert (await scene.jobs.get(moved)).lane == "high"
    assert await scene.queue(scene.stream(lane="low")) == {}
    await scene.assert_queue_is_true(scene.stream(lane="high"))
    streams = [scene.stream(lane=lane) for lane in LANES]
    assert [lease.id for lease in await worker.claim(streams, 5)] == [first, moved]
    assert await scene.events(moved) == ["submit", "lane", "start"]


async def test_a_waiting_job_comes_back_into_the_other_lane(scene: Scene) -> None:
    worker = await scene.worker()
    lease = await scene.running(worker, lane="low", retries=1)
    await worker.finish(lease, "fail", {"exit": 1}, again=True)
    assert await scene.state(lease.id) == "waiting"

    assert await scene.jobs.relane(lease.id, "live") == "moved"
    await scene.redis.zadd(scene.keys.due, {lease.id: 1})
    await scene.tick()

    assert list((await scene.queue(scene.stream(lane="live"))).values()) == [lease.id]
    await scene.assert_queue_is_true(scene.stream(lane="live"))


@pytest.mark.parametrize("state", ["running", "done", "unknown"])
async def test_another_job_is_left_where_it_is(scene: Scene, state: str) -> None:
    worker = await scene.worker()
    lease = await scene.running(worker, lane="low")
    if state == "done":
        await worker.finish(lease, "succeed", {"exit": 0})
    before = await scene.everything()

    job_id = "01JABCDEFGHJKMNPQRSTVWXYZ0" if state == "unknown" else lease.id
    assert await scene.jobs.relane(job_id, "high") == state

    assert await scene.everything() == before


async def test_a_lane_that_is_gone_with_redis_data_is_made_anew(scene: Scene) -> None:
    worker, moved = await scene.worker(), await scene.submit(lane="low")
    await scene.redis.delete(scene.stream(lane="high"))

    await scene.jobs.relane(moved, "high")

    assert [lease.id for lease in await worker.claim([scene.stream(lane="high")], 1)] == [moved]
