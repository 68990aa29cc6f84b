"""One look at what waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.state.queues import Glance, Queue
from app.state.requirements import requirement

if TYPE_CHECKING:
    from tests.state.conftest import Scene

TV = requirement("ffmpeg", ["TV"], {}, [])


def lanes(queue: Queue) -> dict[str, tuple[int, int]]:
    """What waits and what is held, by lane, where there is anything."""
    return {lane.name: (lane.queued, lane.held) for lane in queue.lanes if lane.queued or lane.held}


async def look(scene: Scene) -> Glance:
    return await scene.store.queues.look()


async def test_there_is_nothing_before_the_first_job(scene: Scene) -> None:
    seen = await look(scene)

    assert (seen.queues, seen.retrying, seen.retries, seen.dead) == ((), 0, (), 0)
    assert abs(seen.now - await scene.now() / 1000) < 5


async def test_what_waits_and_what_is_held_is_counted_by_lane(scene: Scene) -> None:
    worker = await scene.worker()
    await scene.running(worker)
    for lane in ("normal", "normal", "live"):
        await scene.submit(lane=lane)
    await scene.submit(needs=TV, lane="low")

    first, second = (await look(scene)).queues

    assert lanes(first) == {"live": (1, 0), "normal": (2, 1)}
    assert [lane.name for lane in first.lanes] == ["live", "high", "normal", "low"]
    assert (first.queued, first.held) == (3, 1)
    assert (lanes(second), second.needs) == ({"low": (1, 0)}, TV)


async def test_the_oldest_is_the_one_that_nobody_has_been_given(scene: Scene) -> None:
    worker = await scene.worker()
    stream = scene.stream()
    held = await scene.running(worker)
    now = await scene.now()
    await scene.redis.delete(stream)  # the same two again, long ago
    await scene.redis.xgroup_create(stream, "w", id="0", mkstream=True)
    await scene.redis.xadd(stream, {"job": held.id}, id=f"{now - 90_000}-0")
    await scene.redis.xadd(stream, {"job": "later"}, id=f"{now - 30_000}-0")
    await scene.redis.xreadgroup("w", worker.worker, {stream: ">"}, count=1)

    (queue,) = (await look(scene)).queues

    assert (queue.queued, queue.held) == (1, 1)
    assert queue.oldest is not None
    assert 30 <= queue.oldest < 60


async def test_a_class_without_waiting_jobs_has_no_oldest(scene: Scene) -> None:
    await scene.running(await scene.worker())

    (queue,) = (await look(scene)).queues

    assert (queue.queued, queue.held, queue.oldest) == (0, 1, None)
    assert queue.used < 60


async def test_streams_and_groups_that_somebody_has_deleted_count_as_empty_or_as_given_to_nobody(
    scene: Scene,
) -> None:
    await scene.submit()
    await scene.submit(lane="high")
    await scene.redis.delete(scene.stream())
    await scene.redis.xgroup_destroy(scene.stream(lane="high"), "w")

    (queue,) = (await look(scene)).queues

    assert lanes(queue) == {"high": (1, 0)}


async def test_jobs_that_wait_for_another_try_and_dead_ones_are_told(scene: Scene) -> None:
    worker = await scene.worker()
    lease = await scene.running(worker, retries=2, retry_delay=600.0)
    await worker.finish(lease, "fail", {"exit": 1}, again=True)
    await scene.ended(worker, "fail")
    await scene.ended(worker)
    dying = await scene.running(worker, redo="never")
    await scene.worker("w1", boot="another", take_over=True)

    seen = await look(scene)

    ((job, wait),) = seen.retries
    assert (seen.retrying, job) == (1, lease.id)
    assert 500 < wait <= 600
    assert (seen.dead, seen.hour) == (1, {"done": 1, "failed": 1, "dead": 1})
    assert (await scene.jobs.get(dying.id)).state == "dead"


async def test_what_ended_longer_ago_than_an_hour_is_not_counted(scene: Scene) -> None:
    job = await scene.ended(await scene.worker())
    await scene.redis.zadd(scene.keys.state("done"), {job: await scene.now() - 3_700_000})

    assert (await look(scene)).hour["done"] == 0


async def test_the_fullest_queue_comes_first(scene: Scene) -> None:
    await scene.submit()
    for _ in range(2):
        await scene.submit(needs=TV)
    fullest, _ = (await look(scene)).queues

    assert fullest.needs == TV
