"""Where a queued job stands."""

from __future__ import annotations

import pytest

from app.state import position as positions
from app.state.jobs import Jobs, Submission
from app.state.position import Position
from app.state.requirements import requirement
from app.state.seal import Seal
from app.state.store import Store

NEEDS = requirement("ffmpeg", ["Movies"], {}, [])
ABOUT = {"slots": 9, "roots": ["Movies"], "binaries": {"ffmpeg": "7"}, "encoders": [], "labels": {}}


async def submit(jobs: Jobs, number: int, lane: str = "normal") -> str:
    spec = {"binary": "ffmpeg", "args": [], "attach": False}
    return (await jobs.submit(Submission(f"key-{number:06}", "d", "me", spec, NEEDS, lane, "none"))).id


async def test_urgent_lanes_come_first_and_what_is_taken_does_not_count(store: Store):
    jobs = store.jobs(Seal(bytes(32)))
    await store.workers.register("den", "boot", ABOUT)
    first, second, third = [await submit(jobs, number) for number in range(3)]
    low = await submit(jobs, 3, "low")
    high = await submit(jobs, 4, "high")
    places = [await jobs.position(await jobs.get(one)) for one in (first, third, low, high)]
    assert places == [Position(2, 5), Position(4, 5), Position(5, 5), Position(1, 5)]

    job = await jobs.get(first)
    leases = store.leases("den", "boot")
    assert [one.id for one in await leases.claim([store.keys.queue(job.cls, "normal")], 1)] == [first]
    await jobs.cancel(second)

    assert await jobs.position(await jobs.get(first)) is None
    assert await jobs.position(await jobs.get(third)) == Position(2, 3)


async def test_far_behind_it_is_said_how_many_are_before_it_at_least(
    store: Store, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(positions, "MOST", 2)
    jobs = store.jobs(Seal(bytes(32)))
    *_, last = [await submit(jobs, number) for number in range(5)]

    assert await jobs.position(await jobs.get(last)) == Position(3, 5, exact=False)


async def test_a_job_that_is_gone_has_none(store: Store):
    jobs = store.jobs(Seal(bytes(32)))
    job = await jobs.get(await submit(jobs, 1))
    await store.redis.flushall()

    assert await jobs.position(job) is None


async def test_which_job_ran_it_again_is_known(store: Store):
    jobs = store.jobs(Seal(bytes(32)))
    old = await submit(jobs, 1)

    assert await jobs.again(old) == ""
    await jobs.note_again(old, "NEW")

    assert await jobs.again(old) == "NEW"
