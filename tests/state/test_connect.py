"""Connections: which URLs, how long, how many; and what happens when the network eats an answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from app.state.connect import BLOCK, UNREACHABLE, BadURL, check, open_blocking, open_commands, stop
from app.state.job import LeaseLost, new_id
from app.state.scripting import names, source
from app.state.seal import Seal
from app.state.store import Store
from app.wire.attach import STDERR, STDIN, STDOUT

if TYPE_CHECKING:
    from tests.state.conftest import Scene

CONNECTIONS = 64  # what `open_commands` opens at most


# URLs and limits


@pytest.mark.parametrize(
    "url",
    ["redis://localhost", "redis://:secret@h:1/2", "rediss://h", "unix:///run/redis.sock", "unix://a?db=1"],
)
def test_a_url_that_can_be_used_is_used(url: str) -> None:
    assert check(url) == url


@pytest.mark.parametrize(
    "url", ["", "localhost:6379", "http://h", "REDIS://h", "/run/redis.sock", "redis:/h"]
)
def test_a_url_that_cannot_be_used_says_which_can(url: str) -> None:
    with pytest.raises(BadURL, match="redis://, rediss://, unix://"):
        check(url)
    with pytest.raises(BadURL):
        open_commands(url)
    with pytest.raises(BadURL):
        open_blocking(url)


def test_a_blocking_read_may_take_longer_than_it_blocks() -> None:
    options = open_blocking("redis://localhost").connection_pool.connection_kwargs

    assert options["socket_timeout"] > BLOCK + 1


async def test_a_server_that_is_not_there_is_unreachable(tmp_path: Path) -> None:
    store = Store(f"unix://{tmp_path}/nothing")

    for client in (store.redis, store.blocking):
        with pytest.raises(UNREACHABLE):
            await client.ping()

    await store.close()


async def test_a_server_that_goes_and_comes_back_is_found_again(scene: Scene) -> None:
    await scene.submit()
    await scene.redis.client_kill_filter(_type="normal", skipme=False)

    assert (await scene.jobs.counts())["queued"] == 1


@pytest.mark.parametrize("together", [CONNECTIONS, CONNECTIONS * 4])
async def test_whoever_finds_all_connections_busy_waits_for_one(scene: Scene, together: int) -> None:
    job_id = await scene.submit()

    states = await asyncio.gather(*(scene.jobs.get(job_id) for _ in range(together)))

    assert [job.id for job in states] == [job_id] * together


async def ping_and_sleep(scene: Scene, steps: int) -> asyncio.Task[None]:
    """A task that is so many steps into a command, and sleeps for long after it."""

    async def work() -> None:
        await scene.redis.ping()
        await asyncio.sleep(60)

    working = asyncio.create_task(work())
    for _ in range(steps):
        await asyncio.sleep(0)
    return working


@pytest.mark.parametrize("steps", range(8))
async def test_a_cancellation_reaches_a_task_in_the_midst_of_a_command(scene: Scene, steps: int) -> None:
    """Python 3.11's `wait_for`, through which redis-py sends what has a timeout, swallows a cancellation."""
    await scene.redis.ping()
    working = await ping_and_sleep(scene, steps)

    working.cancel()
    done, _ = await asyncio.wait([working], timeout=0.5)
    await stop(working)

    assert done == {working}


@pytest.mark.parametrize("steps", range(8))
async def test_a_task_that_is_stopped_ends_in_the_midst_of_a_command(scene: Scene, steps: int) -> None:
    await scene.redis.ping()
    working = await ping_and_sleep(scene, steps)

    async with asyncio.timeout(5):
        await stop(working)

    assert working.cancelled()


async def test_tasks_that_have_ended_can_be_stopped_and_their_errors_stay_theirs() -> None:
    async def fail() -> None:
        raise ValueError

    failing = asyncio.create_task(fail())
    waiting = asyncio.create_task(asyncio.sleep(60))
    await asyncio.wait([failing])

    await stop(failing, waiting)

    assert isinstance(failing.exception(), ValueError)
    assert waiting.cancelled()
    await stop()


async def test_a_store_closes_all_its_connections(redis_url: str, scene: Scene) -> None:
    before = len(await scene.redis.client_list())
    store = Store(redis_url)
    await asyncio.gather(*(store.redis.ping() for _ in range(5)))
    await store.blocking.ping()

    await store.close()

    assert len(await scene.redis.client_list()) == before


# Answers that get lost


class Eater:
    """A network before the server that can eat the next answer: the command is done, its client sees a cut."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._tasks: list[asyncio.Task[None]] = []
        self._server: asyncio.Server | None = None
        self.hungry = False
        self.eaten = 0

    async def listen(self, path: Path) -> None:
        self._server = await asyncio.start_unix_server(self._relay, path)

    async def close(self) -> None:
        assert self._server
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_unix_connection(self._path)
        forth = asyncio.create_task(self._forth(reader, server_writer))
        self._tasks.append(forth)
        while data := await server_reader.read(1 << 16):
            if self.hungry:
                self.hungry, self.eaten = False, self.eaten + 1
                break
            writer.write(data)
        for one in (writer, server_writer):
            one.close()
        await forth

    async def _forth(self, reader: asyncio.StreamReader, server_writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                server_writer.write(data)
        server_writer.close()


@pytest.fixture
async def eater(scene: Scene, redis_url: str, tmp_path: Path) -> AsyncIterator[Eater]:
    """The network in front of the scene's server."""
    eater = Eater(redis_url.removeprefix("unix://"))
    await eater.listen(tmp_path / "s")
    yield eater
    await eater.close()


@pytest.fixture
async def far(eater: Eater, tmp_path: Path) -> AsyncIterator[Store]:
    """A store on the other side of that network, with an open connection to a server that knows the scripts."""
    store = Store(f"unix://{tmp_path}/s")
    for name in names():
        await store.redis.script_load(source(name, store.keys).decode())
    yield store
    await store.close()
    assert eater.eaten == 1


async def test_a_submission_whose_answer_was_lost_makes_one_job(
    scene: Scene, eater: Eater, far: Store
) -> None:
    await scene.submit()
    eater.hungry = True

    submitted = await far.jobs(Seal(bytes(32))).submit(scene.submission())

    assert await scene.state(submitted.id) == "queued"
    assert await scene.redis.zcard(scene.keys.jobs) == 2
    assert len(await scene.queue(scene.stream())) == 2


async def test_a_claim_whose_answer_was_lost_loses_no_job(scene: Scene, eater: Eater, far: Store) -> None:
    jobs = {await scene.submit() for _ in range(4)}
    leases = far.leases("w1", (await scene.worker("w1")).boot)
    eater.hungry = True

    known = {lease.id: lease.token for lease in await leases.claim([scene.stream()], 2)}

    for job_id in jobs - known.keys():
        if await scene.state(job_id) == "running":
            await scene.age(job_id)
    await leases.beat(len(known), [], known)
    await scene.tick()
    states = {job_id: await scene.state(job_id) for job_id in jobs}
    assert states == {job_id: "running" if job_id in known else "queued" for job_id in jobs}


async def test_a_start_whose_answer_was_lost_loses_no_job(scene: Scene, eater: Eater, far: Store) -> None:
    job_id, worker = await scene.submit(), await scene.worker("w1")
    ((entry, _),) = await scene.deliver(worker, scene.stream())
    eater.hungry = True

    lease = await far.leases("w1", worker.boot).start(scene.stream(), entry, job_id)

    stored = await scene.raw(job_id)
    assert await scene.pending(scene.stream()) == {stored["msg"]: "w1"}
    assert await scene.lose(job_id) == {job_id: "queued"}
    assert lease is None or lease.token == stored["token"]


async def test_an_ending_whose_answer_was_lost_is_an_ending(scene: Scene, eater: Eater, far: Store) -> None:
    worker = await scene.worker("w1")
    lease = await scene.running(worker)
    eater.hungry = True

    await far.leases("w1", worker.boot).finish(lease, "succeed", {"exit": 0})

    assert await scene.endings(lease.id) == ["done"]


async def test_a_release_whose_answer_was_lost_hands_back_once(
    scene: Scene, eater: Eater, far: Store
) -> None:
    worker = await scene.worker("w1")
    lease = await scene.running(worker)
    eater.hungry = True

    with suppress(LeaseLost):
        await far.leases("w1", worker.boot).release(lease)

    assert await scene.state(lease.id) == "queued"
    assert len(await scene.queue(scene.stream())) == 1


async def test_a_beat_whose_answer_was_lost_keeps_the_lease(scene: Scene, eater: Eater, far: Store) -> None:
    worker = await scene.worker("w1")
    lease = await scene.running(worker)
    eater.hungry = True

    beat = await far.leases("w1", worker.boot).beat(1, [], {lease.id: lease.token})

    assert (beat.standing, beat.lost) == ("ok", [])


async def test_output_whose_answer_was_lost_reaches_the_caller_once(
    scene: Scene, eater: Eater, far: Store
) -> None:
    job_id = new_id()
    eater.hungry = True

    await far.output.send(job_id, 1, STDOUT, b"x")

    assert [entry.data for entry in await scene.store.output.receive(job_id, "0-0", wait=1)] == [b"x"]


async def test_log_lines_whose_answer_was_lost_can_be_told_apart(
    scene: Scene, eater: Eater, far: Store
) -> None:
    job_id = new_id()
    eater.hungry = True

    await far.output.log(job_id, 1, 1, [(STDERR, b"one"), (STDERR, b"two")])

    entries = await scene.store.output.read_log(job_id, "0-0")
    assert {(entry.attempt, entry.serial, entry.data) for entry in entries} == {
        (1, 1, b"one"),
        (1, 2, b"two"),
    }


async def test_input_whose_answer_was_lost_reaches_the_job_once(
    scene: Scene, eater: Eater, far: Store
) -> None:
    job_id = new_id()
    eater.hungry = True

    await far.output.send_in(job_id, 1, STDIN, b"x")

    entries = await scene.store.output.receive_in(job_id, "0-0", wait=1)
    assert [(entry.number, entry.data) for entry in entries] == [(1, b"x")]


async def test_a_nonce_whose_answer_was_lost_is_burnt_by_its_own_request(
    scene: Scene, eater: Eater, far: Store
) -> None:
    eater.hungry = True

    assert await far.clients.burn("jellyfin", "0123456789abcdef")
    assert not await scene.store.clients.burn("jellyfin", "0123456789abcdef")
