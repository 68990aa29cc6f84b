"""What a worker has ended within a day: counted where jobs end, by the hour."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.state.job import OWN
from app.state.workers import Day

if TYPE_CHECKING:
    from tests.state.conftest import Scene

HOUR_MS = 3_600_000


async def days(scene: Scene, *names: str) -> list[Day]:
    return await scene.store.workers.days(names)


async def hours(scene: Scene, name: str) -> dict[int, int]:
    """The hours ago that are counted, and how many jobs were done in each."""
    now = await scene.now() // HOUR_MS
    stored = await scene.redis.hgetall(scene.keys.ended(name))
    return {now - int(field.partition(b":")[0]): int(count) for field, count in stored.items()}


async def add(scene: Scene, name: str, ago: int, count: int) -> None:
    """As if so many jobs had been done so many hours ago."""
    hour = await scene.now() // HOUR_MS - ago
    await scene.redis.hset(scene.keys.ended(name), f"{hour}:done", count)


async def test_each_worker_has_what_ended_on_it(scene: Scene) -> None:
    den, attic = await scene.worker("den"), await scene.worker("attic")
    for event in ("succeed", "succeed", "fail", "cancel"):
        await scene.ended(den, event)
    await scene.ended(attic, "fail")

    assert await days(scene, "den", "attic", "idle") == [Day(2, 1), Day(0, 1), Day(0, 0)]


async def test_a_job_that_it_was_the_last_to_lose_is_a_failed_one(scene: Scene) -> None:
    await scene.lose((await scene.running(await scene.worker("den"), max_attempts=1)).id)
    await scene.lose((await scene.running(await scene.worker("attic"), max_attempts=2)).id)

    assert await days(scene, "den", "attic") == [Day(0, 1), Day(0, 0)]


async def test_what_did_not_end_there_is_not_counted(scene: Scene) -> None:
    worker = await scene.worker("den")
    lease = await scene.running(worker, retries=1, retry_delay=3600.0)
    await worker.finish(lease, "fail", {"exit": 1}, again=True)
    await scene.jobs.cancel(lease.id)
    await scene.ended(worker, owner=OWN + "look")

    assert await days(scene, "den") == [Day(0, 0)]


async def test_a_day_is_this_hour_and_the_23_before(scene: Scene) -> None:
    await add(scene, "den", 0, 1)
    await add(scene, "den", 23, 20)
    await add(scene, "den", 25, 300)

    assert await days(scene, "den") == [Day(21, 0)]


async def test_what_is_older_goes_with_the_first_job_of_an_hour(scene: Scene) -> None:
    worker = await scene.worker("den")
    for ago in (2, 23, 25, 26):
        await add(scene, "den", ago, 1)

    await scene.ended(worker)
    await scene.ended(worker)

    assert await hours(scene, "den") == {0: 2, 2: 1, 23: 1}


async def test_a_worker_that_ends_nothing_more_is_not_kept(scene: Scene) -> None:
    await scene.ended(await scene.worker("den"))

    assert 24 * HOUR_MS < await scene.redis.pttl(scene.keys.ended("den")) <= 25 * HOUR_MS
