"""Data that is gone: all of it, or the last that was written. The queue goes on with what there is."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from app.state.connect import UNREACHABLE
from app.state.job import LeaseLost
from app.state.jobs import Submission
from app.state.leases import Leases
from app.state.lifecycle import STATES
from app.state.store import Store
from tests.conftest import SERVERS
from tests.ports import free_port
from tests.replication import Server
from tests.state.conftest import Scene

ALWAYS = ("--appendonly", "yes", "--appendfsync", "always")


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """A server that keeps what it has answered."""
    server = Server(request.param, tmp_path / "server", free_port(), ALWAYS)
    yield server
    server.kill()


@pytest.fixture
async def scene(server: Server) -> AsyncIterator[Scene]:
    """An empty scene on it."""
    store = Store(server.url)
    yield Scene(store)
    await store.close()


# All of it


async def test_a_worker_whose_registration_is_gone_registers_and_works(scene: Scene) -> None:
    worker = await scene.worker()
    lease = await scene.running(worker)
    await scene.redis.flushall()

    beat = await worker.beat(1, [], {lease.id: lease.token})
    await scene.store.workers.register(worker.worker, worker.boot, {"host": "den"})
    again = await worker.beat(1, [], {lease.id: lease.token})
    with pytest.raises(LeaseLost):
        await worker.finish(lease, "succeed", {"exit": 0})
    new = await scene.running(worker)
    await worker.finish(new, "succeed", {"exit": 0})

    assert (beat.standing, again.standing, again.lost) == ("unknown", "ok", [lease.id])
    assert await scene.endings(new.id) == ["done"]


async def test_a_blocked_worker_makes_its_groups_again_and_gets_the_next_job(scene: Scene) -> None:
    worker = await scene.idle_worker()
    waiting = asyncio.create_task(worker.wait([scene.stream()]))
    await asyncio.sleep(0.05)
    await scene.redis.flushall()
    await waiting
    job_id = await scene.submit()

    delivery = await worker.wait([scene.stream()])

    assert [hint[2] for hint in delivery.hints] == [job_id]


async def test_a_lost_job_is_made_again_by_its_key(scene: Scene) -> None:
    submission = scene.submission()
    first = await scene.jobs.submit(submission)
    await scene.redis.flushall()

    second = await scene.jobs.submit(submission)

    assert second.new
    assert second.id != first.id
    assert await scene.state(second.id) == "queued"


async def test_the_reaper_of_an_empty_server_does_nothing(scene: Scene) -> None:
    await scene.submit()
    await scene.redis.flushall()

    assert await scene.tick() == {}
    assert await scene.store.reaper.expire() == []


# The server dies


async def test_nothing_that_was_answered_is_lost_with_the_server(scene: Scene, server: Server) -> None:
    told: set[str] = set()

    async def submit_for_ever() -> None:
        with suppress(*UNREACHABLE):
            while True:
                told.add(await scene.submit())

    submitting = [asyncio.create_task(submit_for_ever()) for _ in range(8)]
    while len(told) < 100:
        await asyncio.wait(submitting, timeout=0.01)
    server.kill()
    await asyncio.wait(submitting)
    server.start()

    jobs, _ = await scene.jobs.page(len(told) + 100)
    assert told <= {job.id for job in jobs}
    assert (await scene.jobs.counts())["queued"] == len(jobs)


async def test_a_lease_outlives_the_server(scene: Scene, server: Server) -> None:
    worker = await scene.worker()
    lease = await scene.running(worker)
    server.kill()
    with pytest.raises(UNREACHABLE):
        await worker.beat(1, [], {lease.id: lease.token})
    server.start()

    assert await scene.tick() == {}
    assert (await worker.beat(1, [], {lease.id: lease.token})).lost == []


# The end of its file is gone


async def play(scene: Scene) -> list[Submission]:
    """Jobs in many states; what was submitted."""
    submissions = [scene.submission() for _ in range(12)]
    first, second = await scene.worker("w1"), await scene.worker("w2")
    for number, submission in enumerate(submissions):
        await scene.jobs.submit(submission)
        if number % 3 == 0:
            await finish_one(scene, first)
        elif number % 3 == 1:
            (lease,) = await second.claim([scene.stream()], 1)
            await second.progress(lease, {"percent": number})
    return submissions


async def finish_one(scene: Scene, worker: Leases) -> bool:
    """Whether there was a job; it is done then."""
    leases = await worker.claim([scene.stream()], 1)
    for lease in leases:
        await worker.finish(lease, "succeed", {"exit": 0})
    return bool(leases)


async def assert_is_true(scene: Scene) -> None:
    """Each job is in one state, in one index, and has an entry if and only if it has not ended."""
    queue = set((await scene.queue(scene.stream())).values())
    indexed = [
        member.decode()
        for state in STATES
        for member in await scene.redis.zrange(scene.keys.state(state), 0, -1)
    ]
    assert len(indexed) == len(set(indexed)) == await scene.redis.zcard(scene.keys.jobs)
    for job_id in indexed:
        state = await scene.state(job_id)
        assert await scene.indexes(job_id) == [state]
        assert (job_id in queue) == (state != "done")
        assert await scene.endings(job_id) == (["done"] if state == "done" else [])


@pytest.mark.parametrize("kind", SERVERS)
async def test_a_file_without_its_end_is_an_earlier_moment(kind: str, tmp_path: Path) -> None:
    """However much is gone: what is left is true, all that was asked for can be asked for again, and ends once."""
    whole = Server(kind, tmp_path / "whole", free_port(), ALWAYS)
    store = Store(whole.url)
    submissions = await play(Scene(store))
    await store.close()
    whole.kill()
    (file,) = (tmp_path / "whole").rglob("*.incr.aof")
    size = file.stat().st_size
    cuts = [*range(1, 200, 23), *range(200, size, size // 12)]
    ages = set()
    for cut in cuts:
        folder = tmp_path / f"cut-{cut}"
        shutil.copytree(tmp_path / "whole", folder)
        (shorter,) = folder.rglob("*.incr.aof")
        with shorter.open("r+b") as opened:
            opened.truncate(size - cut)
        server = Server(kind, folder, free_port(), ALWAYS)
        store = Store(server.url)
        try:
            ages.add(await go_on(Scene(store), submissions))
        finally:
            await store.close()
            server.kill()

    assert len(ages) > 3  # the cuts were deep enough to tell


async def go_on(scene: Scene, submissions: list[Submission]) -> int:
    """How many of the jobs were known after the cut. All of them end, once."""
    await assert_is_true(scene)
    known = int(await scene.redis.zcard(scene.keys.jobs))
    made = [await scene.jobs.submit(submission) for submission in submissions]
    assert sum(not one.new for one in made) == known
    for job_id in [one.id for one in made if await scene.state(one.id) == "running"]:
        await scene.age(job_id)
    await scene.tick()
    worker = await scene.worker("w3")
    while await finish_one(scene, worker):
        continue
    await assert_is_true(scene)
    assert [await scene.endings(one.id) for one in made] == [["done"]] * len(made)
    return known
