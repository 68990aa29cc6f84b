"""A store of an older ffgrid gets what this one keeps of each job, whatever happens to the jobs and to us meanwhile."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

from app.state import schema as module
from app.state.connect import stop
from app.state.keys import SCHEMA
from app.state.lifecycle import STATES
from app.state.listing import Filter
from app.state.schema import Schema
from app.state.scripting import Scripts
from app.state.trouble import NotNow

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.state.conftest import Scene


@pytest.fixture(autouse=True)
def small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several steps for a few jobs."""
    monkeypatch.setattr(module, "BATCH", 3)
    monkeypatch.setattr(module, "REST", 0.0)


class Between(Scripts):
    """The scripts; before each step that brings jobs up something happens to what it is about to do."""

    happens: Callable[[], Awaitable[None]]

    async def run(self, name: str, *arguments: Any) -> Any:
        if name == "renew":
            await self.happens()
        return await super().run(name, *arguments)


def between(scene: Scene, happens: Callable[[], Awaitable[None]]) -> Schema:
    """What brings up, and what happens before each of its steps."""
    scripts = Between(scene.redis, scene.keys)
    scripts.happens = happens
    return Schema(scene.redis, scene.keys, scripts, scene.store.listing)


async def filled(scene: Scene) -> list[str]:
    """Jobs of several states, one of them with labels, as an older ffgrid has left them."""
    worker = await scene.worker()
    jobs = [await scene.ended(worker, event) for event in ("succeed", "fail", "cancel", "succeed")]
    jobs.append((await scene.running(worker)).id)
    labelled = {**scene.submission().spec, "labels": {"show": "x", "größe": "4 k"}}
    jobs += [await scene.submit(), await scene.submit(spec=labelled), await scene.submit()]
    await make_old(scene, jobs)
    return jobs


async def make_old(scene: Scene, jobs: list[str]) -> None:
    """Takes away what schema 1 has brought."""
    await scene.redis.delete(scene.keys.schema, *map(scene.keys.made_in, STATES))
    for job_id in jobs:
        names = [name for name in await scene.raw(job_id) if name.startswith("label:")]
        if names:
            await scene.redis.hdel(scene.keys.job(job_id), *names)


async def places(scene: Scene) -> dict[str, set[tuple[str, int]]]:
    """What each index by state holds: ids and their creation."""
    found = {}
    for state in STATES:
        rows = await scene.redis.zrange(scene.keys.made_in(state), 0, -1, withscores=True)
        found[state] = {(name.decode(), int(at)) for name, at in rows}
    return found


async def due_places(scene: Scene) -> dict[str, set[tuple[str, int]]]:
    """What each should hold."""
    due: dict[str, set[tuple[str, int]]] = {state: set() for state in STATES}
    for job_id in [name.decode() for name in await scene.redis.zrange(scene.keys.jobs, 0, -1)]:
        job = await scene.raw(job_id)
        due[job["state"]].add((job_id, int(job["created"])))
    return due


async def stored(scene: Scene) -> int:
    return int(await scene.redis.get(scene.keys.schema) or 0)


async def found(scene: Scene, **which: Any) -> list[str]:
    return [job.id for job in (await scene.store.listing.page(Filter(**which), 100)).jobs]


async def test_lists_are_whole_again(scene: Scene) -> None:
    jobs = await filled(scene)
    assert await found(scene, state="done") == []

    await scene.store.schema.bring_up()

    assert await stored(scene) == SCHEMA
    assert await places(scene) == await due_places(scene)
    assert set(await found(scene, state="done")) == {jobs[0], jobs[3]}
    assert await found(scene, labels=(("show", "x"), ("größe", "4 k"))) == [jobs[6]]


async def test_jobs_that_move_meanwhile_are_where_they_belong(scene: Scene) -> None:
    busy, free = await scene.worker("busy"), await scene.worker("free")
    lease = await scene.running(busy)
    jobs = [lease.id, *await filled(scene)]
    await make_old(scene, jobs)

    async def lives() -> AsyncIterator[None]:
        await scene.jobs.cancel(jobs[-1])
        yield
        await free.claim([scene.stream()], 1)
        yield
        await busy.finish(lease, "succeed", {"exit": 0})

    life = lives()

    async def move() -> None:
        await anext(life, None)
        jobs.append(await scene.submit())

    await between(scene, move).bring_up()

    assert await places(scene) == await due_places(scene)
    assert await scene.state(lease.id) == "done"
    assert sum(map(len, (await places(scene)).values())) == len(jobs)


async def test_a_job_that_is_forgotten_meanwhile_does_not_come_back(scene: Scene) -> None:
    jobs = await filled(scene)

    forgotten = list[str]()

    async def forget() -> None:
        if any((await places(scene)).values()):  # those of the next step are chosen already
            forgotten.extend(await scene.store.reaper.expire(keep_ms=-1))

    await between(scene, forget).bring_up()

    assert sorted(forgotten) == sorted(jobs[:4])
    assert await scene.redis.exists(*map(scene.keys.job, forgotten)) == 0
    assert await places(scene) == await due_places(scene)


async def test_a_job_that_the_older_one_has_moved_has_one_place(scene: Scene) -> None:
    jobs = await filled(scene)
    await scene.redis.zadd(scene.keys.made_in("queued"), {jobs[0]: 1, jobs[4]: 2})

    await scene.store.schema.bring_up()

    assert await places(scene) == await due_places(scene)


async def test_who_is_ended_in_the_middle_leaves_the_rest_to_the_next(scene: Scene) -> None:
    await filled(scene)
    steps = 0
    reached = asyncio.Event()

    async def hang() -> None:
        nonlocal steps
        steps += 1
        if steps == 2:
            reached.set()
            await asyncio.Event().wait()

    first = asyncio.create_task(between(scene, hang).bring_up())
    await reached.wait()
    await stop(first)
    assert (
        0
        < sum(map(len, (await places(scene)).values()))
        < len(await scene.redis.zrange(scene.keys.jobs, 0, -1))
    )
    assert await stored(scene) == 0

    await scene.store.schema.bring_up()

    assert await stored(scene) == SCHEMA
    assert await places(scene) == await due_places(scene)


async def test_two_do_it_at_once(scene: Scene) -> None:
    await filled(scene)

    await asyncio.gather(scene.store.schema.bring_up(), scene.store.schema.bring_up())

    assert await stored(scene) == SCHEMA
    assert await places(scene) == await due_places(scene)


async def test_a_job_that_cannot_be_read_does_not_hold_up_the_others(scene: Scene) -> None:
    jobs = await filled(scene)
    await scene.redis.hset(scene.keys.job(jobs[2]), "spec", "spoilt")

    await scene.store.schema.bring_up()

    assert await places(scene) == await due_places(scene)


async def test_what_is_of_this_schema_is_left_alone(scene: Scene) -> None:
    await filled(scene)
    await scene.redis.set(scene.keys.schema, SCHEMA)

    await scene.store.schema.bring_up()

    assert not any((await places(scene)).values())


async def test_a_number_that_a_newer_one_has_written_meanwhile_stays(scene: Scene) -> None:
    await filled(scene)

    async def upgrade() -> None:
        await scene.redis.set(scene.keys.schema, SCHEMA + 1)

    await between(scene, upgrade).bring_up()

    assert await stored(scene) == SCHEMA + 1


async def test_the_log_says_when_it_begins_and_when_it_is_over(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    jobs = await filled(scene)

    await scene.store.schema.bring_up()

    first, last = [record.getMessage() for record in caplog.records if record.name == "ffgrid.schema"]
    assert f"an older ffgrid has stored {len(jobs)} jobs" in first
    assert f"all {len(jobs)} jobs have their places" in last


async def test_it_says_once_that_it_begins_however_often_that_is(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    await filled(scene)
    fails = iter([True, True])

    async def fail() -> None:
        if next(fails, False):
            raise NotNow("no replica has it")

    bringing = between(scene, fail)
    for _ in range(2):
        with pytest.raises(NotNow):
            await bringing.bring_up()
    await bringing.bring_up()

    assert caplog.text.count("an older ffgrid has stored") == 1
    assert await stored(scene) == SCHEMA


async def test_an_empty_store_gets_its_number_without_a_word(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)

    await scene.store.schema.bring_up()

    assert await stored(scene) == SCHEMA
    assert caplog.text == ""
