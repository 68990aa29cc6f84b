"""What somebody was told is on a replica, and is there after a failover; what is not, is not told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from redis import Redis

from app.state import batching, schema
from app.state.connect import UNREACHABLE, stop
from app.state.job import new_id
from app.state.keys import Keys
from app.state.store import Store
from app.state.trouble import NotNow
from app.wire.attach import STDOUT
from tests.conftest import SERVERS
from tests.replication import Replication, Server
from tests.state.conftest import Scene


class Freezer:
    """Freezes the replica and thaws it. While it is frozen, replicas get little time, so that tests take little."""

    def __init__(self, replica: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.replica = replica

    def freeze(self) -> None:
        self._monkeypatch.setattr(batching, "WAIT_MS", 200)
        self.replica.freeze()

    def thaw(self) -> None:
        self._monkeypatch.setattr(batching, "WAIT_MS", 4000)
        self.replica.thaw()


@pytest.fixture(scope="module", params=SERVERS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replication]:
    """A master and its replica."""
    with Replication(tmp_path_factory.mktemp("pair"), request.param) as started:
        yield started


@pytest.fixture
async def scene(pair: Replication) -> AsyncIterator[Scene]:
    """A scene on the master, where one replica must have what is acknowledged."""
    pair.master.ask("FLUSHALL")
    store = Store(pair.master.url, replicas=1)
    yield Scene(store)
    await store.close()


@pytest.fixture
def frozen(pair: Replication, monkeypatch: pytest.MonkeyPatch) -> Iterator[Freezer]:
    """The replica says nothing until it is thawed."""
    freezer = Freezer(pair.replicas[0], monkeypatch)
    freezer.freeze()
    yield freezer
    freezer.thaw()


def jobs_of(server: Server) -> set[str]:
    """The ids of the jobs that this server knows."""
    with Redis(port=server.port) as client:
        return {member.decode() for member in client.zrange(Keys().jobs, 0, -1)}


def states_of(server: Server, *ids: str) -> list[str]:
    """The states of the jobs as this server has them."""
    with Redis(port=server.port) as client:
        return [(client.hget(Keys().job(job_id), "state") or b"").decode() for job_id in ids]


# Waiting for replicas


async def test_an_acknowledged_job_is_on_the_replica(pair: Replication, scene: Scene) -> None:
    ids = [await scene.submit() for _ in range(20)]

    assert set(ids) <= jobs_of(pair.replicas[0])


async def test_an_acknowledged_ending_is_on_the_replica(pair: Replication, scene: Scene) -> None:
    lease = await scene.running(worker := await scene.worker())
    await worker.finish(lease, "succeed", {"exit": 0})

    assert states_of(pair.replicas[0], lease.id) == ["done"]


async def test_many_at_once_are_on_the_replica_as_well(pair: Replication, scene: Scene) -> None:
    ids = await asyncio.gather(*(scene.submit() for _ in range(100)))

    assert set(ids) <= jobs_of(pair.replicas[0])


async def test_nothing_is_acknowledged_that_no_replica_has(scene: Scene, frozen: Freezer) -> None:
    with pytest.raises(NotNow, match="only 0 of 1 replicas"):
        await scene.submit()


async def test_the_same_submission_again_is_not_acknowledged_either(
    pair: Replication, scene: Scene, frozen: Freezer
) -> None:
    """It writes nothing, and comes on a connection that has written nothing."""
    frozen.thaw()
    await scene.submit()  # its class is known from now on
    frozen.freeze()
    submission = scene.submission()
    with pytest.raises(NotNow):
        await scene.jobs.submit(submission)
    other = Store(pair.master.url, replicas=1)
    try:
        with pytest.raises(NotNow):
            await other.jobs(scene.seal).submit(submission)
        frozen.thaw()
        assert not (await other.jobs(scene.seal).submit(submission)).new
    finally:
        await other.close()

    assert len(jobs_of(frozen.replica)) == 2


async def test_an_ending_that_no_replica_has_is_said_again(scene: Scene, frozen: Freezer) -> None:
    frozen.thaw()
    worker = await scene.worker()
    lease = await scene.running(worker)
    frozen.freeze()
    with pytest.raises(UNREACHABLE):
        await worker.finish(lease, "succeed", {"exit": 0})
    with pytest.raises(UNREACHABLE):
        await worker.finish(lease, "succeed", {"exit": 0})
    frozen.thaw()
    await worker.finish(lease, "succeed", {"exit": 0})

    assert states_of(frozen.replica, lease.id) == ["done"]
    assert await scene.endings(lease.id) == ["done"]


async def test_a_key_that_no_replica_has_is_not_there_for_its_maker(scene: Scene, frozen: Freezer) -> None:
    with pytest.raises(NotNow):
        await scene.store.clients.add("jellyfin", "client")
    with pytest.raises(NotNow):
        await scene.store.clients.revoke("jellyfin")


async def test_a_store_is_not_of_this_schema_before_a_replica_has_all_of_it(
    scene: Scene, frozen: Freezer, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen.thaw()
    monkeypatch.setattr(schema, "BATCH", 1)
    jobs = {await scene.submit() for _ in range(2)}
    await scene.redis.delete(scene.keys.made_in("queued"))
    frozen.freeze()
    with pytest.raises(NotNow):
        await scene.store.schema.bring_up()
    assert await scene.redis.get(scene.keys.schema) is None
    frozen.thaw()
    await scene.store.schema.bring_up()

    with Redis(port=frozen.replica.port) as client:
        assert {one.decode() for one in client.zrange(scene.keys.made_in("queued"), 0, -1)} == jobs
        assert client.get(scene.keys.schema)


@pytest.mark.parametrize("way", ["out", "in"])
async def test_a_frame_that_is_there_is_sent_again_until_a_replica_has_it(
    scene: Scene, frozen: Freezer, way: str
) -> None:
    """A frame that followed one which was lost with its server would leave a hole."""
    job_id, output = new_id(), scene.store.output
    send = output.send if way == "out" else output.send_in
    for _ in range(2):
        with pytest.raises(NotNow):
            await send(job_id, 1, STDOUT, b"x")
    frozen.thaw()
    await send(job_id, 1, STDOUT, b"x")

    with Redis(port=frozen.replica.port) as client:
        assert client.xlen(scene.keys.output(job_id) if way == "out" else scene.keys.input(job_id)) == 1


async def test_nobody_else_waits_for_a_replica(scene: Scene, frozen: Freezer) -> None:
    """A heartbeat that came late because of a replica would cost a job its lease."""
    worker = await scene.worker()
    waiting = asyncio.create_task(scene.submit())
    await asyncio.sleep(0)
    for _ in range(3):
        await worker.beat(0, [], {})
    assert not waiting.done()
    with suppress(NotNow):
        await waiting


async def test_a_server_without_replicas_acknowledges_nothing_then(redis_url: str) -> None:
    store = Store(redis_url, replicas=1)
    try:
        with pytest.raises(NotNow, match="only 0 of 1"):
            await Scene(store).submit()
    finally:
        await store.close()


async def test_errors_of_scripts_are_told_as_they_are(scene: Scene) -> None:
    await scene.redis.set(scene.keys.jobs, "no zset")

    with pytest.raises(Exception, match="WRONGTYPE"):
        await scene.submit()


async def test_a_server_that_forgets_its_scripts_is_told_them_again(pair: Replication, scene: Scene) -> None:
    await scene.redis.script_flush()

    assert await scene.submit() in jobs_of(pair.replicas[0])


# Failover


@pytest.fixture(params=SERVERS)
def watched(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Replication]:
    """A master, a replica and a Sentinel."""
    with Replication(tmp_path, request.param, watched=True) as started:
        yield started


async def submit_for_ever(scene: Scene, told: set[str], enough: asyncio.Event) -> None:
    """Submits jobs and adds the ids of those that were acknowledged; a hundred are `enough` to begin with."""
    while True:
        with suppress(*UNREACHABLE):
            told.add(await scene.submit())
        if len(told) >= 100:
            enough.set()
        await asyncio.sleep(0)


def cut_off(replica: Server, master: Server) -> None:
    """The replica is frozen and its connection gone: what is written now reaches the master alone."""
    replica.freeze()
    master.ask("CLIENT", "KILL", "TYPE", "replica")


async def test_a_failover_is_followed_by_commands_and_blocking_reads(watched: Replication) -> None:
    store = Store(watched.url)
    scene = Scene(store)
    try:
        worker = await scene.worker()
        lease = await scene.running(worker)
        waiting = asyncio.create_task(worker.wait([scene.stream()]))
        await asyncio.to_thread(wait_in_step, watched)
        new = await asyncio.to_thread(watched.fail_over)
        with suppress(*UNREACHABLE):
            await waiting

        beat = await worker.beat(1, [], {lease.id: lease.token})
        second = await scene.submit()
        delivery = await worker.wait([scene.stream()])
        await worker.finish(lease, "succeed", {"exit": 0})

        assert (beat.standing, beat.lost) == ("ok", [])
        assert [job_id for _, _, job_id in delivery.hints] == [second]
        assert states_of(new, lease.id, second) == ["done", "queued"]
    finally:
        await store.close()


async def test_a_frozen_master_is_left_for_the_new_one(watched: Replication) -> None:
    store = Store(watched.url)
    scene = Scene(store)
    store.redis.connection_pool.connection_kwargs["socket_timeout"] = 0.5
    try:
        first = await scene.submit()
        await asyncio.to_thread(wait_in_step, watched)
        watched.master.freeze()
        await asyncio.to_thread(watched.successor)
        with suppress(*UNREACHABLE):
            await scene.submit()
        second = await scene.submit()
        watched.master.thaw()
        third = await scene.submit()

        assert {first, second, third} <= jobs_of(watched.replicas[0])
    finally:
        await store.close()


async def test_a_command_that_meets_a_former_master_goes_to_the_new_one(
    watched: Replication, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an error: its next try asks where the master is now."""
    places = {"now": watched.master}

    async def discover(name: str) -> tuple[str, int]:
        return "127.0.0.1", places["now"].port

    store = Store(watched.url)
    monkeypatch.setattr(store.redis.connection_pool.sentinel_manager, "discover_master", discover)
    try:
        assert await store.redis.set("x", 1)
        watched.sentinel.kill()
        places["now"] = watched.replicas[0]
        watched.replicas[0].ask("REPLICAOF", "NO", "ONE")
        watched.master.ask("REPLICAOF", "127.0.0.1", watched.replicas[0].port)

        assert await store.redis.set("x", 2)
        assert watched.replicas[0].ask("GET", "x") == b"2"
    finally:
        await store.close()


async def test_no_acknowledged_job_is_lost_with_its_master(watched: Replication) -> None:
    scene, told, enough = Scene(Store(watched.url, replicas=1)), set[str](), asyncio.Event()
    submitting = [asyncio.create_task(submit_for_ever(scene, told, enough)) for _ in range(8)]
    try:
        async with asyncio.timeout(20):
            await enough.wait()
        cut_off(watched.replicas[0], watched.master)
        await asyncio.sleep(0.2)
        watched.master.kill()
        watched.replicas[0].thaw()
        new = await asyncio.to_thread(watched.successor)
        await stop(*submitting)

        assert told - jobs_of(new) == set()
    finally:
        await stop(*submitting)
        await scene.store.close()


async def test_without_waiting_acknowledged_jobs_are_lost_so(watched: Replication) -> None:
    """What the test above would see if nobody waited."""
    scene = Scene(Store(watched.url))
    try:
        told = {await scene.submit() for _ in range(20)}
        await asyncio.to_thread(wait_in_step, watched)
        cut_off(watched.replicas[0], watched.master)
        lost = {await scene.submit() for _ in range(20)}
        watched.master.kill()
        watched.replicas[0].thaw()
        new = await asyncio.to_thread(watched.successor)

        assert jobs_of(new) == told
        assert not lost & jobs_of(new)
    finally:
        await scene.store.close()


def wait_in_step(watched: Replication) -> None:
    """Returns once the replica has everything."""
    assert watched.master.ask("EVAL", "redis.call('SET', 'step', 1) return 1", 0) == 1
    with Redis(port=watched.master.port) as client:
        client.publish("step", "")
        assert client.execute_command("WAIT", 1, 5000) == 1
