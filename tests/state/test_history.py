"""One sample a minute, whoever takes it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from app.state.connect import stop
from app.state.history import KEPT
from app.state.totals import Totals

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.state.conftest import Scene

    Until = Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]


async def test_a_sample_tells_how_it_was(scene: Scene) -> None:
    worker = await scene.worker("w1", slots=3)
    await scene.worker("w2", slots=4)
    await scene.store.workers.drain("w2")
    await scene.worker("dead", slots=9)
    await scene.silence("dead", 60_000)
    await scene.ended(worker)
    await scene.running(worker)
    late = await scene.running(worker, retries=1)
    await worker.finish(late, "fail", {"exit": 1}, again=True)
    for _ in range(3):
        await scene.submit()

    await scene.store.history.record()

    (sample,) = await scene.store.history.samples()
    assert (sample.queued, sample.waiting, sample.running) == (3, 1, 1)
    assert (sample.workers, sample.slots) == (2, 3)
    assert sample.totals == await scene.store.history.totals()
    assert sample.totals.submitted == {"normal": 6}
    assert sample.at % 60 == 0
    assert 0 <= await scene.now() / 1000 - sample.at < 121


async def test_a_minute_has_one_sample_however_many_take_it(scene: Scene, other: Scene) -> None:
    await other.submit()
    waits = await asyncio.gather(*(one.store.history.record() for one in (scene, other, scene, other)))
    await other.submit()
    await scene.store.history.record()

    rows = await scene.redis.xrange(scene.keys.history)
    minutes = {entry.partition(b"-")[0] for entry, _ in rows}
    assert len(rows) == len(minutes) <= 2  # a minute may have ended in between
    assert all(0 < wait <= 60 for wait in waits)


async def test_the_tick_takes_it(scene: Scene, until: Until) -> None:
    async def taken() -> bool:
        return bool(await scene.store.history.samples())

    running = asyncio.create_task(scene.store.reaper.run())
    await until(taken)
    await stop(running)

    assert (await scene.store.history.samples())[0].queued == 0


async def test_a_minute_without_a_sample_is_a_gap(scene: Scene) -> None:
    await lay(scene, 60, 120, 300)

    assert [sample.at for sample in await scene.store.history.samples()] == [60, 120, 300]
    assert [sample.at for sample in await scene.store.history.samples(since=120)] == [120, 300]


async def test_what_was_read_is_read_once_and_what_comes_is_added(scene: Scene) -> None:
    await lay(scene, 60, 120)
    first = await scene.store.history.samples()
    await scene.redis.xdel(scene.keys.history, "60000-0")
    await lay(scene, 180)

    later = await asyncio.gather(*(scene.store.history.samples() for _ in range(3)))

    assert [[sample.at for sample in samples] for samples in (first, *later)] == [
        [60, 120],
        *[[60, 120, 180]] * 3,
    ]


async def test_a_clock_that_was_set_back_is_waited_for(scene: Scene) -> None:
    ahead = (await scene.now()) // 1000 + 86_400
    await lay(scene, ahead)

    assert 0 < await scene.store.history.record() <= 60

    assert [sample.at for sample in await scene.store.history.samples()] == [ahead]


async def test_a_day_is_kept_and_not_much_more(scene: Scene) -> None:
    await lay(scene, *range(60, 60 * (KEPT + 300), 60))

    await scene.store.history.record()

    assert 24 * 60 < await scene.redis.xlen(scene.keys.history) < KEPT + 200


async def lay(scene: Scene, *minutes: int) -> None:
    """Samples of these minutes, in Unix seconds."""
    fields = {"queued": 1, "waiting": 0, "running": 0, "workers": 1, "slots": 2, "submitted:low": 7}
    async with scene.redis.pipeline(transaction=False) as pipe:
        for minute in minutes:
            pipe.xadd(scene.keys.history, fields, id=f"{minute * 1000}-0")
        await pipe.execute()


async def test_a_sample_reads_as_it_was_laid(scene: Scene) -> None:
    await lay(scene, 60)

    (sample,) = await scene.store.history.samples()

    assert (sample.at, sample.queued, sample.slots, sample.totals) == (
        60.0,
        1,
        2,
        Totals({"submitted:low": 7}),
    )
