"""A server at its maxmemory: what runs goes on and ends, byte for byte; what is new is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from app.state.connect import FULL
from app.state.job import new_id
from app.state.output import BULK_MS, FULL_ENTRIES, LOG_DAYS_MS
from app.state.store import Store
from app.wire.attach import STDERR, STDIN, STDOUT
from tests.conftest import SERVERS, start_server
from tests.state.conftest import Scene


@pytest.fixture(scope="module", params=SERVERS)
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of these tests' own."""
    folder: Path = tmp_path_factory.mktemp("full")
    server, url = start_server(request.param, folder)
    yield url
    server.terminate()
    server.wait()


@pytest.fixture
async def scene(url: str) -> AsyncIterator[Scene]:
    """An empty scene, on a server that is not full yet."""
    store = Store(url)
    await store.redis.config_set("maxmemory", 0)
    await store.redis.flushall()
    await store.redis.config_set("maxmemory-policy", "noeviction")
    yield Scene(store)
    await store.redis.config_set("maxmemory", 0)
    await store.close()


async def fill(scene: Scene) -> None:
    """From now on the server is full."""
    await scene.redis.config_set("maxmemory", 1)
    with pytest.raises(FULL):
        await scene.redis.set("x", "y")


async def test_a_submission_is_refused_whole(scene: Scene) -> None:
    await scene.submit()
    before = await scene.everything()
    await fill(scene)

    with pytest.raises(FULL):
        await scene.submit()

    assert await scene.everything() == before


async def test_what_was_submitted_before_is_known(scene: Scene) -> None:
    submission = scene.submission()
    made = await scene.jobs.submit(submission)
    await fill(scene)

    with pytest.raises(FULL):  # the script may not even look
        await scene.jobs.submit(submission)
    await scene.redis.config_set("maxmemory", 0)

    assert (await scene.jobs.submit(submission)).id == made.id


async def test_keys_are_not_made_and_stay_good(scene: Scene) -> None:
    await scene.store.clients.add("jellyfin", "client")
    await fill(scene)

    with pytest.raises(FULL):
        await scene.store.clients.add("plex", "client")

    assert [client.id for client in await scene.store.clients.list()] == ["jellyfin"]


async def test_a_job_goes_its_whole_way(scene: Scene) -> None:
    job_id = await scene.submit()
    await fill(scene)

    worker = await scene.worker()
    lease = await scene.claim(worker, job_id)
    await worker.progress(lease, {"percent": 50})
    beat = await worker.beat(1, [], {job_id: lease.token})
    await scene.tick()
    await worker.release(lease)
    again = await scene.claim(worker, job_id)
    await worker.finish(again, "succeed", {"exit": 0})

    assert beat.lost == []
    assert await scene.endings(job_id) == ["done"]


async def test_a_dead_workers_job_is_given_back(scene: Scene) -> None:
    lease = await scene.running(await scene.worker())
    await fill(scene)

    assert await scene.lose(lease.id) == {lease.id: "queued"}


@pytest.mark.parametrize("running", [False, True], ids=["queued", "running"])
async def test_a_job_can_be_cancelled(scene: Scene, running: bool) -> None:
    job_id = await scene.submit()
    if running:
        await scene.claim(await scene.worker(), job_id)
    await fill(scene)

    assert await scene.jobs.cancel(job_id) == ("cancelling" if running else "cancelled")


async def test_a_caller_comes_and_goes(scene: Scene) -> None:
    lease = await scene.running(await scene.worker(), attach=True)
    await fill(scene)

    assert await scene.jobs.caller(lease.id, 1000, "c1", arrives=True) == "running"
    assert await scene.jobs.pause(lease.id, "pause") == "running"


async def test_a_nonce_is_burnt_once(scene: Scene) -> None:
    await fill(scene)

    assert await scene.store.clients.burn("jellyfin", "0123456789abcdef")
    assert not await scene.store.clients.burn("jellyfin", "0123456789abcdef")
    assert await scene.redis.pttl(scene.keys.nonce("jellyfin", "0123456789abcdef")) > 60_000


async def test_a_nonce_that_was_burnt_before_stays_so(scene: Scene) -> None:
    await scene.store.clients.burn("jellyfin", "0123456789abcdef")
    await fill(scene)

    assert not await scene.store.clients.burn("jellyfin", "0123456789abcdef")


async def test_not_a_byte_to_or_from_a_caller_is_lost(scene: Scene) -> None:
    job_id, output = new_id(), scene.store.output
    frames = [bytes([number]) * 1000 for number in range(64)]
    for number, data in enumerate(frames, 1):
        if number == 5:
            await fill(scene)
        for _ in range(2):  # what had no answer is sent again
            await output.send(job_id, number, STDOUT, data)
            await output.send_in(job_id, number, STDIN, data)

    assert [entry.data for entry in await output.receive(job_id, "0-0", 0, count=100)] == frames
    assert [entry.data for entry in await output.receive_in(job_id, "0-0", 0)] == frames


async def test_streams_that_begin_on_a_full_server_end_some_day(scene: Scene) -> None:
    job_id, output = new_id(), scene.store.output
    await fill(scene)

    await output.send(job_id, 1, STDOUT, b"x")
    await output.log(job_id, 1, 1, [(STDERR, b"x")])
    await output.end(job_id, attached=True)
    await output.wake(job_id)
    await output.wake_in(job_id)

    assert 0 < await scene.redis.pttl(scene.keys.output(job_id)) <= BULK_MS
    assert 0 < await scene.redis.pttl(scene.keys.log(job_id)) <= LOG_DAYS_MS


async def test_a_log_keeps_its_end_and_says_what_is_missing(scene: Scene) -> None:
    job_id, output = new_id(), scene.store.output
    for serial in range(1, 1001, 10):
        await output.log(job_id, 1, serial, [(STDERR, b"x" * 100)] * 10)
    before = await scene.redis.memory_usage(scene.keys.log(job_id))
    await fill(scene)
    await output.log(job_id, 1, 1001, [(STDERR, b"first"), (STDERR, b"last")])

    entries = await output.read_log(job_id, "0-0")
    assert [(entry.serial, entry.data) for entry in entries[-2:]] == [(1001, b"first"), (1002, b"last")]
    assert FULL_ENTRIES <= len(entries) < 3 * FULL_ENTRIES
    assert await scene.redis.memory_usage(scene.keys.log(job_id)) < before
