"""The tick: what is lost is found once its silence is long enough, and not before; what is old is forgotten."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from app.state.connect import stop
from app.state.job import LeaseLost
from app.state.keys import GROUP, REAPER
from app.state.lifecycle import STATES
from app.state.reaper import CALLER_GRACE_MS, HICCUP_GRACE_MS, HICCUP_MS, KEEP_MS, OUTAGE_MS, PROOF_MS, Reaper
from app.state.requirements import class_id, requirement
from app.state.workers import BEAT, LEASE_MS
from app.wire.messages import LANES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.state.conftest import Scene

    Until = Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]

NEEDS = requirement("ffmpeg", ["Movies"], {}, [])
NEEDS_TV = requirement("ffmpeg", ["TV"], {}, [])


# A worker that is silent


async def test_a_job_whose_worker_went_silent_is_queued_again(scene: Scene) -> None:
    lease = await scene.running(await scene.worker())
    old = (await scene.raw(lease.id))["msg"]
    await scene.age(lease.id, LEASE_MS + 50)

    assert await scene.tick() == {lease.id: "queued"}

    job, stored = await scene.jobs.get(lease.id), await scene.raw(lease.id)
    assert (job.state, job.losses, job.attempt) == ("queued", 1, 1)
    assert stored.keys().isdisjoint({"token", "boot", "suspect"})
    assert await scene.queue(scene.stream()) == {stored["msg"]: lease.id}
    assert stored["msg"] != old
    assert await scene.pending(scene.stream()) == {}
    assert await scene.events(lease.id) == ["submit", "start", "lose"]


async def test_a_job_that_was_lost_runs_again_elsewhere(scene: Scene) -> None:
    late = await scene.running(await scene.worker("w1"))
    await scene.lose(late.id)

    lease = await scene.claim(await scene.worker("w2"), late.id)

    assert lease.attempt == 2
    assert lease.token != late.token
    assert (await scene.jobs.get(late.id)).worker == "w2"


async def test_a_silence_shorter_than_a_lease_is_nothing(scene: Scene) -> None:
    lease = await scene.running(await scene.worker())
    await scene.age(lease.id, LEASE_MS - 1_000)

    assert await scene.tick() == {}
    assert await scene.pending(scene.stream()) == {(await scene.raw(lease.id))["msg"]: "w1"}


async def test_every_lane_of_every_class_is_looked_at(scene: Scene) -> None:
    worker = await scene.worker()
    leases = [
        await scene.running(worker, needs=needs, lane=lane) for needs in (NEEDS, NEEDS_TV) for lane in LANES
    ]
    for lease in leases:
        await scene.age(lease.id)

    assert await scene.tick() == {lease.id: "queued" for lease in leases}


@pytest.mark.parametrize("most", [1, 2, 3])
async def test_a_job_that_lost_too_many_workers_is_dead(scene: Scene, most: int) -> None:
    worker = await scene.worker()
    job_id = await scene.submit(max_attempts=most)
    for loss in range(1, most + 1):
        await scene.claim(worker, job_id)
        assert await scene.lose(job_id) == {job_id: "dead" if loss == most else "queued"}

    job = await scene.jobs.get(job_id)
    assert (job.state, job.cause, job.losses, job.attempt) == ("dead", "lost", most, most)
    assert job.reason == (
        f"its worker was lost {most} times, w1 the last" if most > 1 else "its worker w1 was lost"
    )
    assert job.finished is not None
    assert await scene.queue(scene.stream()) == await scene.pending(scene.stream()) == {}
    assert await scene.endings(job_id) == ["dead"]
    assert [one["event"] for one in job.attempts] == ["lose"] * (most - 1) + ["bury"]


async def test_a_job_that_was_to_be_cancelled_ends_when_its_worker_is_lost(scene: Scene) -> None:
    lease = await scene.running(await scene.worker())
    await scene.jobs.cancel(lease.id, reason="no more")

    assert await scene.lose(lease.id) == {lease.id: "cancelled"}

    job = await scene.jobs.get(lease.id)
    assert (job.state, job.reason, job.cancelling) == ("cancelled", "no more", False)
    assert await scene.queue(scene.stream()) == {}
    assert await scene.endings(lease.id) == ["cancelled"]


async def test_a_job_that_failed_by_loss_stays_failed_though_its_worker_comes_back(scene: Scene) -> None:
    worker = await scene.worker()
    lease = await scene.running(worker, max_attempts=1)
    await scene.lose(lease.id)

    with pytest.raises(LeaseLost):
        await worker.finish(lease, "succeed", {"exit": 0})

    assert (await worker.beat(1, [], {lease.id: lease.token})).lost == [lease.id]
    assert (await scene.jobs.get(lease.id)).cause == "lost"


async def test_a_job_that_was_delivered_and_never_started_is_offered_again_uncharged(scene: Scene) -> None:
    job_id, worker = await scene.submit(), await scene.worker("w1")
    ((old, _),) = await scene.deliver(worker, scene.stream())

    assert await scene.lose(job_id) == {job_id: "requeued"}

    stored = await scene.raw(job_id)
    assert (stored["state"], stored["losses"], stored["attempt"]) == ("queued", "0", "0")
    assert await scene.queue(scene.stream()) == {stored["msg"]: job_id}
    assert stored["msg"] != old
    assert (await scene.claim(worker, job_id)).attempt == 1


async def test_a_delivered_entry_that_means_nothing_any_more_is_dropped(scene: Scene) -> None:
    worker = await scene.worker()
    lease = await scene.running(worker)
    entries = [await scene.redis.xadd(scene.stream(), {"job": job}) for job in (lease.id, "nothing")]
    await scene.deliver(worker, scene.stream())
    await scene.redis.xclaim(scene.stream(), GROUP, "w1", 0, entries, idle=60_000, justid=True)

    assert await scene.tick() == {}

    entry = (await scene.raw(lease.id))["msg"]
    assert await scene.queue(scene.stream()) == {entry: lease.id}
    assert await scene.pending(scene.stream()) == {entry: "w1"}


async def test_an_entry_that_somebody_deleted_leaves_nothing_behind(scene: Scene) -> None:
    worker = await scene.worker()
    entry = await scene.redis.xadd(scene.stream(), {"job": "nothing"})
    await scene.submit()
    await scene.deliver(worker, scene.stream())
    await scene.redis.xclaim(scene.stream(), GROUP, "w1", 0, [entry], idle=60_000, justid=True)
    await scene.redis.xdel(scene.stream(), entry)

    await scene.tick()

    assert entry.decode() not in await scene.pending(scene.stream())


async def test_a_class_whose_stream_was_deleted_hides_no_other(scene: Scene) -> None:
    worker = await scene.worker()
    await scene.submit()
    lease = await scene.running(worker, needs=NEEDS_TV)
    for lane in LANES:
        await scene.redis.delete(scene.stream(lane=lane))

    assert await scene.lose(lease.id) == {lease.id: "queued"}


async def test_orphans_behind_many_live_jobs_are_found(scene: Scene) -> None:
    """XAUTOCLAIM looks at ten times its COUNT a call: without the cursor the orphans would be hidden for ever."""
    worker, alive = await scene.worker(), 1_050
    for _ in range(alive // 50):
        await asyncio.gather(*(scene.submit() for _ in range(50)))
    leases = await worker.claim([scene.stream()], alive)
    orphans = [(await scene.running(worker)).id for _ in range(5)]
    for job_id in orphans:
        await scene.age(job_id)
    await worker.beat(alive, [], {lease.id: lease.token for lease in leases})

    first, second, third = [await scene.tick() for _ in range(3)]

    assert len(leases) == alive
    assert {**first, **second} == dict.fromkeys(orphans, "queued")
    assert third == {}
    assert (await scene.jobs.counts())["running"] == alive


async def test_more_than_a_hundred_orphans_are_found_in_some_ticks(scene: Scene) -> None:
    worker = await scene.worker()
    for _ in range(5):
        await asyncio.gather(*(scene.submit() for _ in range(50)))
    leases = await worker.claim([scene.stream()], 250)
    entries = list(await scene.queue(scene.stream()))
    await scene.redis.xclaim(scene.stream(), GROUP, "w1", 0, entries, idle=60_000, justid=True)

    found = [await scene.tick() for _ in range(3)]

    assert [len(one) for one in found] == [100, 100, 50]
    assert {job_id for one in found for job_id in one} == {lease.id for lease in leases}


# A job whose output is read while it grows


async def test_a_job_that_writes_in_place_is_not_redone_on_suspicion(scene: Scene) -> None:
    worker = await scene.worker()
    lease = await scene.running(worker, redo="fenced")

    assert await scene.lose(lease.id) == {}

    stored = await scene.raw(lease.id)
    assert (stored["state"], stored["losses"], stored["token"]) == ("running", "0", lease.token)
    assert abs(await scene.now() - int(stored["suspect"])) < 5_000
    assert await scene.pending(scene.stream()) == {stored["msg"]: REAPER}


async def test_the_first_suspicion_is_the_one_that_counts(scene: Scene) -> None:
    lease = await scene.running(await scene.worker(), redo="fenced")
    await scene.lose(lease.id)
    since = str(await scene.now() - 20_000)
    await scene.redis.hset(scene.keys.job(lease.id), "suspect", since)

    assert await scene.lose(lease.id) == {}
    assert (await scene.raw(lease.id))["suspect"] == since


@pytest.mark.parametrize(("silent", "state"), [(PROOF_MS - 5_000, "running"), (PROOF_MS + 50, "queued")])
async def test_a_job_that_writes_in_place_is_redone_after_a_proof(
    scene: Scene, silent: int, state: str
) -> None:
    lease = await scene.running(await scene.worker(), redo="fenced")
    await scene.lose(lease.id)
    suspected = await scene.now() - (silent - LEASE_MS)
    await scene.redis.hset(scene.keys.job(lease.id), "suspect", suspected)

    await scene.lose(lease.id)

    assert await scene.state(lease.id) == state


async def test_a_job_that_writes_in_place_is_redone_at_once_when_its_worker_started_anew(
    scene: Scene,
) -> None:
    lease = await scene.running(await scene.worker("w1", boot="boot-a"), redo="fenced")
    await scene.age(lease.id)
    await scene.worker("w1", boot="boot-b", take_over=True)

    assert await scene.state(lease.id) == "queued"
    assert (await scene.raw(lease.id))["losses"] == "1"


async def test_a_name_alone_proves_nothing_on_another_host(scene: Scene) -> None:
    lease = await scene.running(await scene.worker("w1", boot="boot-a"), redo="fenced")
    await scene.silence("w1", 5_000)
    await scene.worker("w1", boot="boot-b")

    assert await scene.lose(lease.id) == {}


async def test_a_job_that_must_not_be_redone_is_dead_once_its_worker_is(scene: Scene) -> None:
    lease = await scene.running(await scene.worker("w1"), redo="never")
    assert await scene.lose(lease.id) == {}

    await scene.worker("w1", take_over=True)

    job = await scene.jobs.get(lease.id)
    assert (job.state, job.losses, job.cause) == ("dead", 1, "lost")


async def test_another_worker_that_started_anew_proves_nothing(scene: Scene) -> None:
    lease = await scene.running(await scene.worker("w1"), redo="fenced")
    await scene.worker("w2")
    await scene.worker("w2", take_over=True)

    assert await scene.lose(lease.id) == {}


async def test_a_worker_that_nobody_remembers_proves_nothing_yet(scene: Scene) -> None:
    worker = await scene.worker("w1")
    lease = await scene.running(worker, redo="fenced")
    await scene.store.workers.retire("w1", worker.boot)

    assert await scene.lose(lease.id) == {}


async def test_a_late_beat_clears_the_suspicion(scene: Scene) -> None:
    worker = await scene.worker("w1")
    lease = await scene.running(worker, redo="fenced")
    await scene.lose(lease.id)
    await scene.redis.hset(scene.keys.job(lease.id), "suspect", await scene.now() - PROOF_MS)

    beat = await worker.beat(1, [], {lease.id: lease.token})

    stored = await scene.raw(lease.id)
    assert beat.lost == []
    assert "suspect" not in stored
    assert await scene.pending(scene.stream()) == {stored["msg"]: "w1"}
    assert await scene.lose(lease.id) == {}
    await worker.finish(lease, "succeed", {"exit": 0})
    assert await scene.queue(scene.stream()) == {}


async def test_a_suspected_job_can_still_be_finished(scene: Scene) -> None:
    worker = await scene.worker()
    lease = await scene.running(worker, redo="fenced")
    await scene.lose(lease.id)

    await worker.finish(lease, "succeed", {"exit": 0})

    assert await scene.state(lease.id) == "done"
    assert await scene.pending(scene.stream()) == {}


async def test_a_proof_is_longer_than_what_a_worker_may_live_unheard() -> None:
    assert BEAT * 1000 * 3 < LEASE_MS < PROOF_MS


# Outages


async def test_after_an_outage_nothing_is_reaped_for_one_lease(scene: Scene) -> None:
    lease = await scene.running(await scene.worker())
    await scene.tick()
    await scene.redis.hset(scene.keys.reaper, "last", await scene.now() - OUTAGE_MS - 500)

    assert await scene.lose(lease.id) == {}
    assert await scene.lose(lease.id) == {}

    left = int(await scene.redis.hget(scene.keys.reaper, "grace")) - await scene.now()
    assert LEASE_MS - 1_000 < left <= LEASE_MS
    assert await scene.pending(scene.stream()) == {(await scene.raw(lease.id))["msg"]: "w1"}


async def test_after_the_grace_what_is_still_silent_is_reaped(scene: Scene) -> None:
    lease = await scene.running(await scene.worker())
    await scene.tick()
    await scene.redis.hset(scene.keys.reaper, "last", await scene.now() - 3_600_000)
    await scene.lose(lease.id)
    await scene.redis.hset(scene.keys.reaper, "grace", await scene.now() - 1)

    assert await scene.lose(lease.id) == {lease.id: "queued"}


async def test_a_clock_that_was_set_back_counts_as_an_outage(scene: Scene) -> None:
    lease = await scene.running(await scene.worker())
    await scene.redis.hset(scene.keys.reaper, "last", await scene.now() + 3_600_000)

    assert await scene.lose(lease.id) == {}
    assert int(await scene.redis.hget(scene.keys.reaper, "grace")) > await scene.now()
    assert int(await scene.redis.hget(scene.keys.reaper, "last")) <= await scene.now()


async def test_a_pause_as_short_as_a_busy_process_makes_is_no_outage(scene: Scene) -> None:
    lease = await scene.running(await scene.worker())
    await scene.redis.hset(scene.keys.reaper, "last", await scene.now() - HICCUP_MS + 100)

    assert await scene.lose(lease.id) == {lease.id: "queued"}


async def test_after_a_hiccup_workers_get_the_time_of_a_beat(scene: Scene) -> None:
    lease = await scene.running(await scene.worker())
    await scene.tick()
    await scene.redis.hset(scene.keys.reaper, "last", await scene.now() - HICCUP_MS - 200)

    assert await scene.lose(lease.id) == {}

    left = int(await scene.redis.hget(scene.keys.reaper, "grace")) - await scene.now()
    assert BEAT * 1000 < left <= HICCUP_GRACE_MS
    await scene.redis.hset(scene.keys.reaper, "grace", await scene.now() - 1)
    assert await scene.lose(lease.id) == {lease.id: "queued"}


async def test_one_tick_is_enough_for_all_processes(scene: Scene, other: Scene) -> None:
    took = 1000
    while took > 300:  # ms, of the 400 for which one is enough: they are over soon where a machine is busy
        await scene.redis.flushall()
        lease = await scene.running(await scene.worker())
        began = await scene.now()
        await scene.tick()
        await scene.age(lease.id)
        done = await asyncio.gather(*(one.store.reaper.reap() for one in (scene, other) for _ in range(5)))
        took = await scene.now() - began

    assert done == [None] * 10
    assert await scene.tick() == {lease.id: "queued"}


async def test_many_ticks_at_once_lose_a_job_once(scene: Scene, other: Scene) -> None:
    lease = await scene.running(await scene.worker())
    await scene.age(lease.id)
    await scene.allow_tick()

    done = await asyncio.gather(*(one.store.reaper.reap() for one in (scene, other) for _ in range(5)))

    assert [one for one in done if one is not None] == [[(lease.id, "queued")]]
    assert (await scene.raw(lease.id))["losses"] == "1"


# Callers


async def test_the_job_of_a_caller_that_is_gone_is_cancelled(scene: Scene) -> None:
    queued, kept = await scene.submit(attach=True), await scene.submit(attach=True)
    await scene.jobs.caller(queued, -1, "c", arrives=True)
    await scene.jobs.caller(kept, 60_000, "c", arrives=True)

    assert await scene.tick() == {queued: "cancelled"}

    assert (await scene.jobs.get(queued)).reason == "its caller is gone"
    assert await scene.state(kept) == "queued"
    assert await scene.redis.zrange(scene.keys.callers, 0, -1) == [kept.encode()]


async def test_the_running_job_of_a_caller_that_is_gone_is_killed_once(scene: Scene) -> None:
    worker = await scene.worker("w1")
    lease = await scene.running(worker, attach=True)
    await scene.redis.delete(scene.keys.inbox("w1"))
    await scene.jobs.caller(lease.id, -1, "c", arrives=True)

    assert await scene.tick() == {lease.id: "cancelling"}
    assert await scene.tick() == {}

    assert await scene.inbox("w1") == [{"do": "call", "job": lease.id}, {"do": "kill", "job": lease.id}]
    assert (await worker.beat(1, [], {lease.id: lease.token})).cancelled == {lease.id: "kill"}


async def test_callers_get_a_longer_grace_after_an_outage(scene: Scene) -> None:
    job_id = await scene.submit(attach=True)
    await scene.tick()
    await scene.jobs.caller(job_id, -1, "c", arrives=True)
    await scene.redis.hset(scene.keys.reaper, "last", await scene.now() - OUTAGE_MS - 500)

    assert await scene.tick() == {}
    left = int(await scene.redis.hget(scene.keys.reaper, "grace_callers")) - await scene.now()
    await scene.redis.hset(scene.keys.reaper, "grace", 0)
    assert await scene.tick() == {}
    await scene.redis.hset(scene.keys.reaper, "grace_callers", await scene.now() - 1)

    assert CALLER_GRACE_MS - 1_000 < left <= CALLER_GRACE_MS
    assert await scene.tick() == {job_id: "cancelled"}


async def test_more_than_a_hundred_callers_that_are_gone_are_found_in_two_ticks(scene: Scene) -> None:
    for _ in range(3):
        await asyncio.gather(*(scene.submit(attach=True) for _ in range(50)))
    members = await scene.redis.zrange(scene.keys.callers, 0, -1)
    await scene.redis.zadd(scene.keys.callers, dict.fromkeys(members, 1))

    assert [len(await scene.tick()) for _ in range(3)] == [100, 50, 0]


# Running for ever


async def test_the_reaper_goes_on_while_redis_cannot_be_reached(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.state.reaper.TICK", 0.001)
    reached = asyncio.Event()

    class Unlucky(Reaper):
        tries = 0

        async def reap(self) -> list[tuple[str, str]]:
            self.tries += 1
            if self.tries < 3:
                raise RedisConnectionError("gone")
            return []

        async def expire(self, keep_ms: int = 0, keep_idle_ms: int = 0) -> list[str]:
            reached.set()
            return []

    running = asyncio.create_task(Unlucky(scene.keys, scene.store.scripts, scene.store.history).run())
    async with asyncio.timeout(5):
        await reached.wait()
    running.cancel()

    with pytest.raises(asyncio.CancelledError):
        await running


@pytest.mark.parametrize("steps", range(1, 9))
async def test_the_reaper_can_be_stopped_in_the_midst_of_a_command(scene: Scene, steps: int) -> None:
    await scene.tick()
    running = asyncio.create_task(scene.store.reaper.run())
    for _ in range(steps):
        await asyncio.sleep(0)

    async with asyncio.timeout(5):
        await stop(running)

    assert running.cancelled()


async def test_the_reaper_reaps_and_forgets_by_itself(
    scene: Scene, until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.state.reaper.TICK", 0.01)
    lease, old = await scene.running(await scene.worker()), await scene.submit()
    await scene.jobs.cancel(old)
    await scene.redis.zadd(scene.keys.states + "cancelled", {old: await scene.now() - KEEP_MS - 1_000})
    await scene.age(lease.id)

    async def is_done() -> bool:
        return await scene.mentions(old) == [] and await scene.state(lease.id) == "queued"

    running = asyncio.create_task(scene.store.reaper.run())
    await until(is_done)

    await stop(running)
    assert running.cancelled()


# Forgetting


async def test_an_ended_job_is_forgotten_after_its_time(scene: Scene) -> None:
    worker = await scene.worker()
    ended = [await scene.ended(worker, event, attach=True) for event in ("succeed", "fail", "cancel")]
    await scene.submit()
    (running,) = await worker.claim([scene.stream()], 1)
    queued = await scene.submit()

    assert await scene.store.reaper.expire() == []
    assert sorted(await scene.store.reaper.expire(keep_ms=0)) == sorted(ended)

    assert [await scene.mentions(job_id) for job_id in ended] == [[], [], []]
    assert await scene.jobs.counts() == {**dict.fromkeys(STATES, 0), "queued": 1, "running": 1}
    assert {job.id for job in (await scene.jobs.page(10, owner="jellyfin"))[0]} == {running.id, queued}


async def test_what_an_ended_job_leaves_in_other_keys_is_gone_before_it_is_forgotten(scene: Scene) -> None:
    submission = scene.submission()
    await scene.jobs.submit(submission)

    left = await scene.redis.pttl(f"{scene.keys.idem_prefix}{submission.owner}:{submission.key}")

    assert 0 < left < KEEP_MS


async def test_it_is_the_end_that_counts_and_not_the_beginning(scene: Scene) -> None:
    job_id = await scene.ended(await scene.worker())
    await scene.redis.zadd(scene.keys.jobs, {job_id: 1})

    assert await scene.store.reaper.expire() == []

    await scene.redis.zadd(scene.keys.states + "done", {job_id: await scene.now() - KEEP_MS - 1_000})
    assert await scene.store.reaper.expire() == [job_id]


async def test_a_handful_is_forgotten_at_a_time(scene: Scene) -> None:
    for _ in range(3):
        made = await asyncio.gather(*(scene.submit() for _ in range(50)))
        await asyncio.gather(*(scene.jobs.cancel(job_id) for job_id in made))
    worker = await scene.worker()
    for event in ("succeed", "fail"):
        await scene.ended(worker, event)

    forgotten = [len(await scene.store.reaper.expire(keep_ms=0)) for _ in range(3)]

    assert forgotten == [100, 52, 0]
    assert await scene.redis.zcard(scene.keys.jobs) == 0


async def test_a_worker_that_is_long_dead_is_forgotten(scene: Scene) -> None:
    dead, alive = await scene.worker("dead"), await scene.worker("alive")
    await scene.submit()
    for worker in (dead, alive):
        await worker.beat(0, [class_id(NEEDS)], {})
    await scene.silence("dead", 86_400_000 + 1_000)

    await scene.store.reaper.expire()

    assert [worker.id for worker in await scene.store.workers.all()] == ["alive"]
    assert await scene.redis.exists(scene.keys.worker("dead"), scene.keys.inbox("dead")) == 0


async def test_a_worker_that_is_forgotten_is_in_no_list_any_more(scene: Scene) -> None:
    """Workers in containers have a new name each time."""
    await scene.submit()
    dead = await scene.worker("dead")
    await dead.beat(0, [class_id(NEEDS)], {})
    await scene.silence("dead", 86_400_000 + 1_000)

    await scene.store.reaper.expire()

    assert await scene.mentions("dead") == []


@pytest.mark.parametrize("how", ["expire", "retire"])
async def test_a_worker_that_is_forgotten_is_no_consumer_any_more(scene: Scene, how: str) -> None:
    """Workers in containers have a new name each time."""
    dead = await scene.worker("dead")
    await scene.ended(dead)
    if how == "retire":
        await scene.store.workers.retire("dead", dead.boot)
    await scene.silence("dead", 86_400_000 + 1_000)

    await scene.store.reaper.expire()

    consumers = await scene.redis.xinfo_consumers(scene.stream(), GROUP)
    assert b"dead" not in [consumer["name"] for consumer in consumers]


async def test_a_class_that_nobody_used_for_a_day_is_forgotten(scene: Scene) -> None:
    await scene.ended(await scene.worker(), needs=NEEDS_TV)
    await scene.submit(needs=NEEDS)
    await scene.redis.zadd(scene.keys.classes_used, {class_id(NEEDS_TV): 1})

    await scene.store.reaper.expire()

    assert await scene.store.workers.classes() == {class_id(NEEDS): NEEDS}
    assert await scene.mentions(class_id(NEEDS_TV)) == []
    assert [key for lane in LANES if await scene.redis.exists(key := scene.stream(NEEDS_TV, lane))] == []


@pytest.mark.parametrize("runs", [False, True])
async def test_a_class_with_a_job_in_it_is_not_forgotten(scene: Scene, runs: bool) -> None:
    worker, job_id = await scene.worker(), await scene.submit(lane="low")
    if runs:
        await scene.claim(worker, job_id)
    await scene.redis.zadd(scene.keys.classes_used, {class_id(NEEDS): 1})

    await scene.store.reaper.expire()

    assert await scene.store.workers.classes() == {class_id(NEEDS): NEEDS}
    assert await scene.queue(scene.stream(lane="low")) == {(await scene.raw(job_id))["msg"]: job_id}


async def test_a_forgotten_class_comes_back_with_its_next_job(scene: Scene) -> None:
    worker = await scene.worker()
    await scene.ended(worker)
    await scene.store.reaper.expire(keep_idle_ms=0)
    assert await scene.store.workers.classes() == {}
    worker = await scene.worker("w2")

    job_id = await scene.submit()

    assert await scene.inbox("w2") == [{"do": "class"}]
    assert (await scene.claim(worker, job_id)).id == job_id


async def test_a_class_that_was_only_ever_refused_is_forgotten_too(scene: Scene) -> None:
    await scene.worker()
    with pytest.raises(Exception, match="Tape"):
        await scene.submit(needs=requirement("ffmpeg", ["Tape"], {}, []), require_worker=True)

    await scene.store.reaper.expire(keep_idle_ms=-1)

    assert await scene.store.workers.classes() == {}
