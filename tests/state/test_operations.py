"""Operations on many jobs: begun once, walked in steps, counted once, stopped, forgotten."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from app.state import operations
from app.state.listing import Filter
from app.state.operations import (
    ACTIONS,
    NoSuchOperation,
    OperationKeyReused,
    Outcome,
    TooManyOperations,
    Work,
)

if TYPE_CHECKING:
    from app.state.operations import Operation, Operations
    from tests.state.conftest import Scene

KEY = "key-of-a-run"
CANCEL = Work("cancel", "key me", Filter(), ACTIONS["cancel"])


def of(scene: Scene) -> Operations:
    return scene.store.operations


async def begun(scene: Scene, work: Work = CANCEL) -> Operation:
    return await of(scene).undertake(KEY, work)


async def met(scene: Scene, operation: Operation) -> list[str]:
    """The ids of all jobs that its steps come to."""
    found: list[str] = []
    place = operation.place
    while True:
        jobs, _, place = await of(scene).step(replace(operation, place=place))
        found += [job.id for job in jobs]
        if not place:
            return found


async def test_it_is_begun_once_for_each_key(scene: Scene) -> None:
    await scene.submit()

    first = await begun(scene)
    await scene.submit()
    again = await begun(scene)

    assert first == again
    assert (first.state, first.total, first.exact, first.work.by) == ("running", 1, True, "key me")
    assert await of(scene).going_on() == [first.id]
    with pytest.raises(OperationKeyReused):
        await begun(scene, replace(CANCEL, which=Filter(lane="low")))
    other = await of(scene).undertake(KEY, replace(CANCEL, by="key you"))
    assert [one.id for one in await of(scene).all()] == [other.id, first.id]


async def test_as_long_ago_is_the_same_a_moment_later(scene: Scene) -> None:
    first = await begun(scene, replace(CANCEL, which=Filter(since=1000)))

    assert await begun(scene, replace(CANCEL, which=Filter(since=1001))) == first


async def test_it_meets_the_jobs_of_its_states_that_were_there_and_each_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "CHUNK", 2)
    worker = await scene.worker()
    await scene.ended(worker)
    running = (await scene.running(worker)).id
    queued = [await scene.submit() for _ in range(5)]
    operation = await begun(scene)
    await scene.submit()

    found = await met(scene, operation)

    assert sorted(found) == sorted([running, *queued])
    assert operation.total == 6


async def test_it_meets_those_that_are_named_and_are_somebodys_own(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "CHUNK", 2)
    mine = [await scene.submit(owner="me") for _ in range(3)]
    theirs, ended = await scene.submit(owner="you"), await scene.submit(owner="me")
    await scene.jobs.cancel(ended)
    named = (*mine, theirs, ended, "01JABCDEFGHJKMNPQRSTVWXYZ0")
    operation = await begun(scene, replace(CANCEL, ids=named, which=Filter(owner="me")))

    assert await met(scene, operation) == mine
    assert (await of(scene).step(replace(operation, place="4 ")))[1:] == (2, "")


async def test_one_process_at_a_time_does_a_step_and_it_is_counted_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    operation = await begun(scene)

    held = await of(scene).proceed(operation.id, "a")
    assert held == operation
    assert await of(scene).proceed(operation.id, "b") is None

    monkeypatch.setattr(operations, "HELD_MS", 0)
    assert await of(scene).proceed(operation.id, "a") == operation
    assert await of(scene).proceed(operation.id, "b") == operation  # the first has died, or so it seems
    assert await of(scene).account(operation.id, "a", Outcome("0 x", done=5), is_over=False) == ""
    told = Outcome("0 5-x", done=3, skipped=2, failed=1, note="a word")
    assert await of(scene).account(operation.id, "b", told, is_over=False) == "running"
    assert await of(scene).account(operation.id, "b", told, is_over=False) == ""

    after = await of(scene).get(operation.id)
    assert (after.done, after.skipped, after.failed, after.note, after.place) == (3, 2, 1, "a word", "0 5-x")


async def test_its_end_is_kept_for_a_day(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    operation = await begun(scene)
    await of(scene).proceed(operation.id, "a")

    assert await of(scene).account(operation.id, "a", Outcome("", done=1), is_over=True) == "done"

    ended = await of(scene).get(operation.id)
    assert (ended.state, ended.done) == ("done", 1)
    assert ended.ended is not None
    assert ended.ended >= ended.began
    assert await of(scene).going_on() == []
    assert await of(scene).proceed(operation.id, "a") is None
    assert 86_000_000 < await scene.redis.pttl(scene.keys.operation(operation.id)) <= 86_400_000
    assert [one.id for one in await of(scene).all()] == [operation.id]
    await scene.redis.delete(scene.keys.operation(operation.id))  # as its time does
    await scene.redis.zadd(scene.keys.operations, {operation.id: 1})
    assert await of(scene).all() == []
    other = await of(scene).undertake("another key", CANCEL)
    assert await scene.redis.zrange(scene.keys.operations, 0, -1) == [other.id.encode()]


async def test_it_is_stopped_and_the_step_that_was_begun_still_counts(scene: Scene) -> None:
    operation = await begun(scene)
    await of(scene).proceed(operation.id, "a")

    assert await of(scene).stop(operation.id) == "stopped"
    assert await of(scene).account(operation.id, "a", Outcome("0 x", done=4), is_over=True) == "stopped"
    assert await of(scene).stop(operation.id) == "stopped"

    assert (await of(scene).get(operation.id)).done == 4
    assert await of(scene).going_on() == []


async def test_what_is_not_there_is_said(scene: Scene) -> None:
    with pytest.raises(NoSuchOperation):
        await of(scene).get("x")
    with pytest.raises(NoSuchOperation):
        await of(scene).stop("x")
    assert await scene.everything() == {}


async def test_only_so_many_go_on(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "AT_ONCE", 2)
    await of(scene).undertake("key-1", CANCEL)
    second = await of(scene).undertake("key-2", CANCEL)

    with pytest.raises(TooManyOperations):
        await of(scene).undertake("key-3", CANCEL)
    assert await of(scene).undertake("key-2", CANCEL) == second
    await of(scene).stop(second.id)
    await of(scene).undertake("key-3", CANCEL)
