"""Which troubles pass and which do not, as real servers tell of them: alone, in a batch, in a pipeline, in a script."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import (
    AuthenticationError,
    ConnectionError,
    NoPermissionError,
    RedisError,
    ResponseError,
    TimeoutError,
)

from app.state.connect import FULL, UNREACHABLE
from app.state.store import Store
from app.state.trouble import NoSuchMaster, NotNow, classified, hopeless
from tests.conftest import SERVERS
from tests.ports import free_port
from tests.replication import Replication, Server, wait_for
from tests.state.conftest import Scene

SPIN = """
local function at() local t = redis.call("TIME") return t[1] * 1000 + t[2] / 1000 end
local till = at() + 600
repeat until at() > till
"""


@pytest.fixture(scope="module", params=SERVERS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replication]:
    """A master and its replica, for the tests that leave them as they were."""
    with Replication(tmp_path_factory.mktemp("pair"), request.param) as started:
        yield started


@pytest.fixture
async def scene(pair: Replication) -> AsyncIterator[Scene]:
    """An empty scene on the master."""
    pair.master.ask("FLUSHALL")
    store = Store(pair.master.url)
    yield Scene(store)
    await store.close()


@pytest.fixture
async def elsewhere(pair: Replication) -> AsyncIterator[Scene]:
    """The same, for somebody whose address is the replica's."""
    store = Store(pair.replicas[0].url)
    yield Scene(store)
    await store.close()


async def every_way(scene: Scene) -> dict[str, type[Exception] | None]:
    """What becomes of a write, whichever way it goes."""

    async def pipeline() -> None:
        async with scene.redis.pipeline(transaction=False) as pipe:
            await pipe.set("x", 1).set("y", 2).execute()

    async def batch() -> None:
        await asyncio.gather(*(scene.redis.set("x", number) for number in range(3)))

    ways: dict[str, Callable[[], Awaitable[Any]]] = {
        "command": lambda: scene.redis.set("x", 1),
        "batch": batch,
        "pipeline": pipeline,
        "blocking": lambda: scene.store.blocking.xgroup_create("s", "g", mkstream=True),
        "script": scene.submit,
        "reaper": scene.store.reaper.reap,
        "legacy script": lambda: scene.redis.eval("return redis.call('SET', KEYS[1], 1)", 1, "x"),
    }
    found: dict[str, type[Exception] | None] = {}
    for name, way in ways.items():
        try:
            await way()
            found[name] = None
        except Exception as error:
            found[name] = type(error)
    return found


def all_pass(found: dict[str, type[Exception] | None]) -> bool:
    """Whether every way told of a trouble that passes."""
    return all(kind is not None and issubclass(kind, UNREACHABLE) for kind in found.values())


# What servers say


async def test_a_replica_that_may_not_be_written_to(elsewhere: Scene) -> None:
    assert all_pass(found := await every_way(elsewhere)), found


async def test_a_replica_that_has_lost_its_master(tmp_path: Path) -> None:
    for kind in SERVERS:
        options = ("--replicaof", "127.0.0.1", "9", "--replica-serve-stale-data", "no")
        server = Server(kind, tmp_path / kind, free_port(), options)
        store = Store(server.url)
        try:
            assert all_pass(found := await every_way(Scene(store))), found
            with pytest.raises(UNREACHABLE):
                await store.redis.get("x")
        finally:
            await store.close()
            server.kill()


async def test_a_master_that_becomes_a_replica_and_a_master_again(pair: Replication, scene: Scene) -> None:
    worker = await scene.worker()
    lease = await scene.running(worker)
    waiting = asyncio.create_task(worker.wait([scene.stream()]))
    pair.master.ask("REPLICAOF", "127.0.0.1", "9")
    try:
        assert all_pass(found := await every_way(scene)), found
        with pytest.raises(UNREACHABLE):
            await worker.beat(1, [], {lease.id: lease.token})
    finally:
        pair.master.ask("REPLICAOF", "NO", "ONE")
    with suppress(*UNREACHABLE):
        await waiting

    assert (await worker.beat(1, [], {lease.id: lease.token})).lost == []


async def test_too_few_replicas(pair: Replication, scene: Scene) -> None:
    pair.master.ask("CONFIG", "SET", "min-replicas-to-write", 2)
    try:
        assert all_pass(found := await every_way(scene)), found
    finally:
        pair.master.ask("CONFIG", "SET", "min-replicas-to-write", 0)


async def test_a_script_of_somebody_else_that_runs_for_long(pair: Replication, scene: Scene) -> None:
    pair.master.ask("CONFIG", "SET", "busy-reply-threshold", 20)
    spinning = asyncio.create_task(asyncio.to_thread(pair.master.ask, "EVAL", SPIN, 0))
    try:
        seen: list[Exception] = []
        while not seen and not spinning.done():
            try:
                await scene.redis.set("x", 1)
            except Exception as error:
                seen.append(error)
        assert [type(error) for error in seen] == [NotNow]
        assert "BUSY" in str(seen[0])
    finally:
        await spinning
        pair.master.ask("CONFIG", "SET", "busy-reply-threshold", 5000)


async def test_a_blocked_read_that_is_ended_from_outside(
    scene: Scene, until: Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]
) -> None:
    async def blocked() -> list[dict[str, str]]:
        return [row for row in await scene.redis.client_list() if row["flags"] == "b"]

    async def is_blocked() -> bool:
        return bool(await blocked())

    waiting = asyncio.create_task(scene.store.output.read_log("JOB", "0-0", wait=2.0))
    await until(is_blocked)
    await scene.redis.execute_command("CLIENT", "UNBLOCK", (await blocked())[0]["id"], "ERROR")

    with pytest.raises(NotNow, match="UNBLOCKED"):
        await waiting


async def test_a_server_that_cannot_write_its_file(tmp_path: Path) -> None:
    for kind in SERVERS:
        server = Server(kind, tmp_path / kind / "s", free_port())
        store = Store(server.url)
        try:
            server.ask("CONFIG", "SET", "save", "3600 1")
            shutil.rmtree(server.folder)
            server.ask("BGSAVE")
            failed = partial(server.differs, "persistence", "rdb_last_bgsave_status", "ok")
            await asyncio.to_thread(wait_for, failed)
            assert all_pass(found := await every_way(Scene(store))), found
        finally:
            await store.close()
            server.kill()


async def test_a_server_that_loads_its_data(tmp_path: Path) -> None:
    for kind in SERVERS:
        server = Server(kind, tmp_path / kind, free_port(), ("--rdbcompression", "no"))
        server.ask("DEBUG", "POPULATE", 1000, "key", 2000)
        server.ask("SAVE")
        server.kill()
        server.start("--key-load-delay", "10000", "--loading-process-events-interval-bytes", "1024")
        store = Store(server.url)
        try:
            error = await failure_of(Scene(store).submit())
            assert server.says("persistence", "loading") == 1
            assert isinstance(error, UNREACHABLE)
            assert not hopeless(error)
        finally:
            await store.close()
            server.kill()


async def test_a_server_with_too_many_clients(tmp_path: Path) -> None:
    server = Server("redis", tmp_path, free_port())
    server.ask("CONFIG", "SET", "maxclients", 1)
    full, other = Store(server.url), Store(server.url)
    try:
        await full.redis.ping()
        assert isinstance(error := await failure_of(other.redis.ping()), UNREACHABLE)
        assert not hopeless(error)
    finally:
        await full.close()
        await other.close()
        server.kill()


async def test_a_server_that_says_nothing_costs_one_timeout(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(scene.redis.connection_pool.connection_kwargs, "socket_timeout", 0.3)
    await scene.redis.execute_command("CLIENT", "PAUSE", 2000, "ALL")
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        await scene.redis.ping()

    assert time.monotonic() - began < 1.5  # another try would wait until the end


async def failure_of(work: Awaitable[Any]) -> Exception:
    """The error that it ends with."""
    try:
        await work
    except Exception as error:
        return error
    raise AssertionError("there was no error")


# By the first word


@pytest.mark.parametrize(
    "code",
    [
        "return redis.error_reply('-READONLY of a script')",
        "return redis.error_reply('READONLY of a script')",
        "return redis.error_reply('BUSY of a script')",
        "error({ err = '-NOREPLICAS of a script' })",
        "error({ err = 'MISCONF of a script' })",
        "return redis.error_reply('-UNBLOCKED of a script')",
    ],
)
async def test_the_error_reply_of_a_script_that_passes(scene: Scene, code: str) -> None:
    assert isinstance(await failure_of(scene.redis.eval(code, 0)), UNREACHABLE)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("OOM command not allowed", FULL),
        ("-OOM command not allowed", FULL),
        ("NOREPLICAS Not enough good replicas to write.", NotNow),
        ("MISCONF Errors writing to the AOF file: No space left on device", NotNow),
        ("BUSYGROUP Consumer Group name already exists", ResponseError),
        ("NOGROUP No such key", ResponseError),
        ("ERR it is READONLY", ResponseError),
        ("", ResponseError),
    ],
)
def test_the_first_word_decides(text: str, kind: type[Exception]) -> None:
    found = classified(ResponseError(text))

    assert type(found) is kind
    assert str(found) == text


def test_a_class_of_redis_py_is_left_as_it_is() -> None:
    error = NoPermissionError("BUSY is not yours to say")

    assert classified(error) is error


@pytest.mark.parametrize("error", [ConnectionError("x"), TimeoutError("x"), NotNow("x"), FULL("x")])
def test_what_passes_is_not_hopeless(error: RedisError) -> None:
    assert hopeless(error) == ""


@pytest.mark.parametrize(
    "error", [AuthenticationError("x"), NoPermissionError("x"), ResponseError("x"), NoSuchMaster("x")]
)
def test_what_never_passes_is_hopeless_however_it_is_wrapped(error: RedisError) -> None:
    wrapped = ConnectionError("while connecting")
    wrapped.__cause__ = error

    assert hopeless(error) == hopeless(wrapped) == "x"
