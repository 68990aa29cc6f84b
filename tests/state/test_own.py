"""Jobs that ffgrid has made for itself: they are looked after, and neither listed nor counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.state.job import OWN
from app.state.keys import Keys
from app.state.lifecycle import STATES
from app.state.listing import Filter
from tests.state.test_schema import places

if TYPE_CHECKING:
    from tests.state.conftest import Scene

LOOK = OWN + "look"


async def lives(scene: Scene) -> list[str]:
    """Jobs of ffgrid's own: one that is queued, one that runs, and two that have ended."""
    worker = await scene.worker()
    ended = [await scene.ended(worker, event, owner=LOOK) for event in ("succeed", "fail")]
    return [*ended, (await scene.running(worker, owner=LOOK)).id, await scene.submit(owner=LOOK)]


async def test_no_list_has_them(scene: Scene) -> None:
    await lives(scene)
    other = await scene.submit()

    listed = [job.id for job in (await scene.store.listing.page(Filter(), 10)).jobs]
    by_state = {state: (await scene.jobs.page(10, state=state))[0] for state in STATES}

    assert listed == [other]
    assert [job.id for jobs in by_state.values() for job in jobs] == [other]
    assert {state: len(found) for state, found in (await places(scene)).items() if found} == {"queued": 1}


async def test_who_names_their_owner_finds_them(scene: Scene) -> None:
    jobs = await lives(scene)
    page = scene.store.listing.page

    assert {job.id for job in (await page(Filter(owner=LOOK), 10)).jobs} == set(jobs)
    assert [job.id for job in (await page(Filter(owner=LOOK, state="failed"), 10)).jobs] == [jobs[1]]
    assert (await scene.store.listing.count(Filter(owner=LOOK, state="failed"))).number == 1


async def test_they_are_not_counted(scene: Scene) -> None:
    await lives(scene)
    await scene.store.history.record()

    farm, (sample,) = await scene.store.survey.look(), await scene.store.history.samples()

    assert (farm.totals.counted, sample.totals.counted) == ({}, {})
    assert (set(farm.states.values()), farm.failed_day, sum(farm.glance.hour.values())) == ({0}, 0, 0)
    assert (sample.queued, sample.running) == (0, 0)
    assert set((await scene.jobs.counts()).values()) == {0}


async def test_they_are_looked_after_as_others_are(scene: Scene) -> None:
    *ended, running, queued = await lives(scene)
    await scene.redis.delete(await scene.stream_of(queued))

    assert sorted(await scene.store.reaper.audit()) == sorted([running, queued])
    assert await scene.lose(running) == {running: "queued"}
    assert sorted(await scene.store.reaper.expire(keep_ms=0)) == sorted(ended)
    assert [await scene.mentions(job_id) for job_id in ended] == [[], []]


async def test_those_of_an_older_ffgrid_leave_the_lists(scene: Scene) -> None:
    jobs = await lives(scene)
    keys = Keys()
    for job_id in jobs:
        job = await scene.raw(job_id)
        await scene.redis.zrem(keys.own + job["state"], job_id)
        for index in (keys.jobs, keys.state(job["state"]), keys.made_in("queued")):
            await scene.redis.zadd(index, {job_id: job["created"]})
    await scene.redis.delete(keys.schema)

    await scene.store.schema.bring_up()

    assert await scene.redis.exists(keys.jobs, *map(keys.state, STATES), *map(keys.made_in, STATES)) == 0
    own = {state: await scene.redis.zrange(keys.own + state, 0, -1) for state in STATES}
    assert {state: len(found) for state, found in own.items() if found} == dict.fromkeys(
        ("queued", "running", "done", "failed"), 1
    )
