"""The tick of operations on many jobs, without a process around it: trouble, and two of them at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from redis.exceptions import OutOfMemoryError

from app.state.connect import stop
from app.state.listing import Filter
from app.state.operations import ACTIONS, Work
from app.web.bulkwork import BulkWork
from tests.web.test_joblist import visitor

if TYPE_CHECKING:
    from tests.web.visitor import Visitor

__all__ = ["visitor"]

CANCEL = Work("cancel", "key me", Filter(), ACTIONS["cancel"])


def work_of(visitor: Visitor) -> BulkWork:
    return BulkWork(visitor.store.operations, visitor.jobs, visitor.store.output)


async def to_its_end(work: BulkWork, operation_id: str) -> None:
    while await work.step(operation_id):
        pass


async def test_a_job_that_is_broken_stops_nothing(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    made = [await visitor.submit() for _ in range(3)]
    begun = await visitor.store.operations.undertake("key-of-a-run", CANCEL)
    cancel = visitor.jobs.cancel

    async def broken(job_id: str, **more: Any) -> str:
        if job_id == made[1]:
            raise KeyError("state")
        return await cancel(job_id, **more)

    monkeypatch.setattr(visitor.jobs, "cancel", broken)
    await to_its_end(work_of(visitor), begun.id)

    over = await visitor.store.operations.get(begun.id)
    assert (over.state, over.done, over.failed) == ("done", 2, 1)
    assert over.note.startswith(made[1])


async def test_a_step_that_redis_refuses_says_so_and_is_done_again(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    await visitor.submit()
    begun = await visitor.store.operations.undertake("key-of-a-run", CANCEL)
    work = work_of(visitor)

    async def full(*args: Any, **more: Any) -> str:
        raise OutOfMemoryError("OOM command not allowed")

    with monkeypatch.context() as patch:
        patch.setattr(visitor.jobs, "cancel", full)
        with pytest.raises(OutOfMemoryError):
            await to_its_end(work, begun.id)
    waits = await visitor.store.operations.get(begun.id)
    assert (waits.state, waits.done) == ("running", 0)
    assert waits.note.startswith("it waits: the queue (Redis) is full")

    await to_its_end(work, begun.id)
    over = await visitor.store.operations.get(begun.id)
    assert (over.state, over.done, over.failed, over.note) == ("done", 1, 0, "")


async def test_what_is_begun_here_is_not_waited_for(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.web.bulkwork.TICK", 1e6)
    work = work_of(visitor)
    running = asyncio.create_task(work.run())
    for number in range(3):
        await visitor.submit()
        begun = await work.begin(f"key-of-run-{number}", CANCEL, 1.0)
        async with asyncio.timeout(5):
            while (over := await visitor.store.operations.get(begun.id)).state == "running":  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert over.done == 1
    await stop(running)


async def test_two_processes_share_the_work_and_count_it_once(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.state.operations.CHUNK", 3)
    for _ in range(20):
        await visitor.submit()
    begun = await visitor.store.operations.undertake("key-of-a-run", CANCEL)
    running = [asyncio.create_task(work_of(visitor).run()) for _ in range(2)]
    async with asyncio.timeout(20):
        while (await visitor.store.operations.get(begun.id)).state == "running":  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    for one in running:
        one.cancel()

    over = await visitor.store.operations.get(begun.id)
    assert (over.done, over.skipped, over.failed) == (20, 0, 0)
    assert (await visitor.jobs.counts())["cancelled"] == 20
