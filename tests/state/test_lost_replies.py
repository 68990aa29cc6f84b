"""What the model in tests/model has found: replies that are lost, proofs that are none, leases that begin too early."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from app.state.reaper import OUTAGE_MS
from app.state.workers import LEASE_MS, PROOF_MS, NameTaken

if TYPE_CHECKING:
    from tests.state.conftest import Scene


class Cut:
    """Scripts whose next reply is lost."""

    def __init__(self, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
        self._run = scene.store.scripts.run
        self.cut = False
        monkeypatch.setattr(scene.store.scripts, "run", self)

    async def __call__(self, *words: Any) -> Any:
        answer = await self._run(*words)
        if self.cut:
            self.cut = False
            raise RedisConnectionError("the reply is lost")
        return answer


# Replies that are lost


async def test_what_a_claim_without_an_answer_has_taken_is_given_to_the_next(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, ids = await scene.worker(), [await scene.submit(redo="never") for _ in range(2)]
    cut = Cut(scene, monkeypatch)
    cut.cut = True
    with pytest.raises(RedisConnectionError):
        await worker.claim([scene.stream()], 3)
    later = await scene.submit()

    again = await worker.claim([scene.stream()], 3)

    assert [lease.id for lease in again] == ids
    assert [lease.attempt for lease in again] == [1, 1]
    assert (await worker.beat(2, [], {lease.id: lease.token for lease in again})).lost == []
    assert [lease.id for lease in await worker.claim([scene.stream()], 3)] == [later]


async def test_what_was_lost_meanwhile_is_not_given_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, job_id = await scene.worker(), await scene.submit()
    cut = Cut(scene, monkeypatch)
    cut.cut = True
    with pytest.raises(RedisConnectionError):
        await worker.claim([scene.stream()], 1)
    await scene.lose(job_id)

    assert await worker.claim([scene.stream()], 1) == []
    assert [lease.attempt for lease in await worker.claim([scene.stream()], 1)] == [2]


async def test_a_start_without_an_answer_is_made_again(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    worker, job_id = await scene.worker(), await scene.submit()
    ((entry, _),) = await scene.deliver(worker, scene.stream())
    cut = Cut(scene, monkeypatch)
    cut.cut = True
    with pytest.raises(RedisConnectionError):
        await worker.start(scene.stream(), entry, job_id)

    lease = await worker.start(scene.stream(), entry, job_id)

    assert lease is not None
    assert lease.token == (await scene.raw(job_id))["token"]


# Leases and proofs


async def test_a_lease_begins_when_its_job_is_started(scene: Scene) -> None:
    worker, job_id = await scene.worker(), await scene.submit()
    await scene.tick()
    ((entry, _),) = await scene.deliver(worker, scene.stream())
    await scene.age(job_id, LEASE_MS - 100)

    await worker.start(scene.stream(), entry, job_id)

    _, idle, _ = (await scene.deliveries(scene.stream()))[entry]
    assert idle < LEASE_MS - 1000


@pytest.mark.parametrize("redo", ["fenced", "never"])
async def test_a_silent_job_that_is_to_be_cancelled_needs_no_proof(scene: Scene, redo: str) -> None:
    lease = await scene.running(await scene.worker(), redo=redo)
    await scene.jobs.cancel(lease.id)

    assert await scene.lose(lease.id) == {lease.id: "cancelled"}


async def test_that_a_process_is_dead_says_nothing_of_the_one_before_it(scene: Scene) -> None:
    """The first is cut off on another host, and writes."""
    lease = await scene.running(await scene.worker("w1", boot="first"), redo="fenced")
    await scene.silence("w1", LEASE_MS)
    await scene.worker("w1", boot="second", host="attic")

    await scene.worker("w1", boot="third", take_over=True, host="attic")

    assert await scene.state(lease.id) == "running"
    assert await scene.lose(lease.id) == {}


async def test_what_the_reaper_has_taken_is_given_back_too(scene: Scene) -> None:
    lease = await scene.running(await scene.worker("w1"), redo="fenced")
    assert await scene.lose(lease.id) == {}

    await scene.worker("w1", take_over=True)

    assert await scene.state(lease.id) == "queued"


async def test_silence_before_an_outage_proves_nothing(scene: Scene) -> None:
    """A clock that was set forward looks like one."""
    lease = await scene.running(await scene.worker(), redo="fenced")
    await scene.lose(lease.id)
    now = await scene.now()
    await scene.redis.hset(scene.keys.job(lease.id), "suspect", now - PROOF_MS)
    await scene.redis.hset(scene.keys.reaper, "last", now - OUTAGE_MS - 500)
    await scene.store.reaper.reap()
    await scene.redis.hset(scene.keys.reaper, "grace", 0)  # as if that had been over

    assert await scene.lose(lease.id) == {}
    assert int((await scene.raw(lease.id))["suspect"]) >= now


# Clocks and lists


async def test_a_beat_at_a_time_to_come_holds_a_name_for_no_longer_than_another(scene: Scene) -> None:
    await scene.worker("w1", boot="before")
    await scene.redis.hset(scene.keys.worker("w1"), "beat", await scene.now() + 3_600_000)

    with pytest.raises(NameTaken, match=r"0\.0 s ago"):
        await scene.worker("w1", boot="after")

    assert int(await scene.redis.hget(scene.keys.worker("w1"), "beat")) <= await scene.now()


async def test_a_waiting_job_that_was_not_listed_waits_as_long_as_it_was_told(scene: Scene) -> None:
    worker = await scene.worker()
    lease = await scene.running(worker, retries=1, retry_delay=600.0)
    await worker.finish(lease, "fail", {"exit": 1}, again=True)
    due = await scene.redis.zscore(scene.keys.due, lease.id)
    await scene.redis.delete(scene.keys.due)

    assert await scene.store.reaper.audit() == [lease.id]
    assert await scene.redis.zscore(scene.keys.due, lease.id) == due
