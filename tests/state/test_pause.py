"""A running job that is told to wait: what its worker hears, and what outlives a lost message."""

from __future__ import annotations

import pytest

from tests.state.conftest import Scene


async def test_a_running_job_is_paused_through_its_workers_inbox(scene: Scene) -> None:
    lease = await scene.running(await scene.worker())
    await scene.redis.delete(scene.keys.inbox("w1"))

    assert [await scene.jobs.pause(lease.id, how) for how in ("pause", "pause", "resume")] == ["running"] * 3

    asked = [message["do"] for message in await scene.inbox("w1") if message["job"] == lease.id]
    assert asked == ["pause", "pause", "resume"]
    assert await scene.events(lease.id) == ["submit", "start", "pause", "pause", "resume"]


async def test_it_shows_until_it_goes_on(scene: Scene) -> None:
    lease = await scene.running(await scene.worker())

    await scene.jobs.pause(lease.id, "pause")
    paused = await scene.jobs.get(lease.id)
    await scene.jobs.pause(lease.id, "resume")

    assert (paused.state, paused.paused) == ("running", True)
    assert not (await scene.jobs.get(lease.id)).paused


async def test_every_heartbeat_repeats_it_for_a_worker_that_has_missed_it(scene: Scene) -> None:
    worker = await scene.worker()
    lease, other = await scene.running(worker), await scene.running(worker)
    held = {one.id: one.token for one in (lease, other)}

    await scene.jobs.pause(lease.id, "pause")
    during = await worker.beat(2, [], held)
    await scene.jobs.pause(lease.id, "resume")

    assert during.paused == [lease.id]
    assert (await worker.beat(2, [], held)).paused == []


async def test_the_next_worker_of_a_lost_job_hears_of_it_too(scene: Scene) -> None:
    lease = await scene.running(await scene.worker())
    await scene.jobs.pause(lease.id, "pause")
    await scene.lose(lease.id)
    assert not (await scene.jobs.get(lease.id)).paused  # it waits for a worker

    worker = await scene.worker("w2")
    again = await scene.claim(worker, lease.id)

    assert (await worker.beat(1, [], {again.id: again.token})).paused == [lease.id]


@pytest.mark.parametrize("event", ["succeed", "fail", "cancel"])
async def test_a_job_that_has_ended_stays_as_it_is(scene: Scene, event: str) -> None:
    job_id = await scene.ended(await scene.worker(), event)
    before = await scene.everything()

    assert await scene.jobs.pause(job_id, "pause") == (await scene.jobs.get(job_id)).state
    assert await scene.everything() == before


async def test_a_paused_job_that_ends_is_not_paused_any_more(scene: Scene) -> None:
    worker = await scene.worker()
    lease = await scene.running(worker)
    await scene.jobs.pause(lease.id, "pause")
    await worker.finish(lease, "cancel", {})

    assert not (await scene.jobs.get(lease.id)).paused


async def test_a_job_that_waits_or_is_not_there_cannot_be_paused(scene: Scene) -> None:
    job_id = await scene.submit()
    before = await scene.everything()

    assert await scene.jobs.pause(job_id, "pause") == "queued"
    assert await scene.jobs.pause("01JABCDEFGHJKMNPQRSTVWXYZ0", "pause") == "unknown"
    assert await scene.everything() == before
