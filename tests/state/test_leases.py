"""Jobs from a worker's side: taken once, kept by beats, ended by the one whose token is right."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from app.state.job import LeaseLost
from app.state.keys import GROUP
from app.state.leases import Lease
from app.state.lifecycle import ENDINGS
from app.state.requirements import class_id, requirement
from app.wire.messages import LANES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from app.state.leases import Leases
    from tests.state.conftest import Scene

    Until = Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]

NEEDS = requirement("ffmpeg", ["Movies"], {}, [])
NEEDS_TV = requirement("ffmpeg", ["TV"], {}, [])


# Claiming


async def test_a_claimed_job_is_the_workers(scene: Scene) -> None:
    worker = await scene.worker("w1", boot="boot-a")
    job_id = await scene.submit()

    lease = await scene.claim(worker, job_id)

    job = await scene.jobs.get(job_id)
    stored = await scene.raw(job_id)
    assert (job.state, job.worker, job.attempt) == ("running", "w1", 1)
    assert job.started is not None
    assert job.created <= job.started
    assert (lease.attempt, lease.token) == (1, stored["token"])
    assert stored["boot"] == "boot-a"
    assert await scene.pending(scene.stream()) == {stored["msg"]: "w1"}


async def test_the_urgent_lane_comes_first(scene: Scene) -> None:
    worker = await scene.worker()
    made = {lane: await scene.submit(lane=lane) for lane in reversed(LANES)}

    leases = await worker.claim(worker.streams([class_id(NEEDS)]), 4)

    assert [lease.id for lease in leases] == [made[lane] for lane in LANES]


async def test_of_one_lane_the_class_that_is_named_first_comes_first(scene: Scene) -> None:
    worker = await scene.worker()
    tv, movie = await scene.submit(needs=NEEDS_TV), await scene.submit(needs=NEEDS)
    live = await scene.submit(needs=NEEDS_TV, lane="live")

    leases = await worker.claim(worker.streams([class_id(NEEDS), class_id(NEEDS_TV)]), 4)

    assert [lease.id for lease in leases] == [live, movie, tv]


async def test_of_one_stream_the_oldest_comes_first(scene: Scene) -> None:
    worker = await scene.worker()
    made = [await scene.submit() for _ in range(4)]

    assert [(await scene.claim(worker, job_id)).id for job_id in made] == made


@pytest.mark.parametrize(("count", "taken"), [(0, 0), (1, 1), (3, 3), (9, 5)])
async def test_no_more_are_taken_than_there_is_room_for(scene: Scene, count: int, taken: int) -> None:
    worker = await scene.worker()
    for lane in ("normal", "normal", "high", "low", "low"):
        await scene.submit(lane=lane)

    leases = await worker.claim(worker.streams([class_id(NEEDS)]), count)

    assert len(leases) == taken
    assert len({lease.token for lease in leases}) == taken
    assert (await scene.jobs.counts())["queued"] == 5 - taken


async def test_a_worker_that_serves_no_class_takes_nothing(scene: Scene) -> None:
    await scene.submit()

    assert await (await scene.worker()).claim([], 5) == []


async def test_a_job_of_another_class_is_not_taken(scene: Scene) -> None:
    worker = await scene.worker()
    await scene.submit(needs=NEEDS)

    assert await worker.claim(worker.streams([class_id(NEEDS_TV)]), 5) == []


async def test_each_try_has_the_next_number_and_a_token_of_its_own(scene: Scene) -> None:
    worker = await scene.worker()
    lease = await scene.running(worker)
    leases = [lease]

    for _ in range(3):
        await worker.release(leases[-1])
        leases.append(await scene.claim(worker, lease.id))

    assert [one.attempt for one in leases] == [1, 2, 3, 4]
    assert len({one.token for one in leases}) == 4


async def test_a_doubled_entry_starts_nothing_and_is_dropped(scene: Scene) -> None:
    worker = await scene.worker()
    job_id = await scene.submit()
    for _ in range(3):
        await scene.redis.xadd(scene.stream(), {"job": job_id})

    leases = await worker.claim([scene.stream()], 9)

    assert [lease.id for lease in leases] == [job_id]
    assert await scene.queue(scene.stream()) == {(await scene.raw(job_id))["msg"]: job_id}


async def test_a_doubled_entry_that_comes_first_starts_nothing_either(scene: Scene) -> None:
    """The lease is kept on the entry that the job's hash names: another one would never be reaped."""
    worker = await scene.worker()
    lease = await scene.running(worker)
    await scene.redis.xadd(scene.stream(), {"job": lease.id})
    await worker.release(lease)

    again = await scene.claim(worker, lease.id)

    assert again.attempt == 2
    await scene.assert_queue_is_true(scene.stream())


async def test_an_entry_of_a_job_that_was_cancelled_or_forgotten_is_dropped(scene: Scene) -> None:
    worker = await scene.worker()
    cancelled, queued = await scene.submit(), await scene.submit()
    await scene.jobs.cancel(cancelled)
    await scene.redis.xadd(scene.stream(), {"job": cancelled})
    await scene.redis.xadd(scene.stream(), {"job": "nothing"})

    leases = await worker.claim([scene.stream()], 9)

    assert [lease.id for lease in leases] == [queued]
    assert list((await scene.queue(scene.stream())).values()) == [queued]
    assert len(await scene.pending(scene.stream())) == 1


async def test_two_workers_never_get_one_job(scene: Scene, other: Scene) -> None:
    workers = [await one.worker(f"w{number}") for number, one in enumerate([scene, other] * 3)]
    made = set(await asyncio.gather(*(one.submit(lane=lane) for one in (scene, other) for lane in LANES[:2])))
    for _ in range(37):
        made |= set(
            await asyncio.gather(*(one.submit(lane=lane) for one in (scene, other) for lane in LANES))
        )
    taken: list[str] = []

    async def work(worker: Leases, count: int) -> None:
        while leases := await worker.claim(worker.streams([class_id(NEEDS)]), count):
            taken.extend(lease.id for lease in leases)

    await asyncio.gather(*(work(worker, count) for count, worker in enumerate(workers, 1)))

    assert len(made) == 300
    assert sorted(taken) == sorted(made)
    assert (await scene.jobs.counts())["running"] == 300


async def test_a_claim_goes_on_after_redis_was_emptied(scene: Scene) -> None:
    worker = await scene.worker()
    await scene.submit()
    await scene.redis.flushall()

    assert await worker.claim([scene.stream()], 1) == []

    job_id = await scene.submit()
    assert [lease.id for lease in await worker.claim([scene.stream()], 1)] == [job_id]


async def test_a_claim_goes_on_after_a_stream_was_deleted(scene: Scene) -> None:
    worker = await scene.worker()
    await scene.submit()
    await scene.redis.delete(scene.stream())
    job_id = await scene.submit()

    taken = [*await worker.claim([scene.stream()], 1), *await worker.claim([scene.stream()], 1)]

    assert [lease.id for lease in taken] == [job_id]


async def test_a_stream_without_its_group_hides_no_other(scene: Scene) -> None:
    worker = await scene.worker()
    high, normal = await scene.submit(lane="high"), await scene.submit(lane="normal")
    await scene.redis.xgroup_destroy(scene.stream(lane="high"), GROUP)
    streams = worker.streams([class_id(NEEDS)])

    taken = [*await worker.claim(streams, 2), *await worker.claim(streams, 2)]

    assert {lease.id for lease in taken} == {high, normal}


# Waiting


async def test_a_hint_is_waited_for_and_started(scene: Scene, until: Until) -> None:
    worker = await scene.idle_worker()
    waiting = asyncio.create_task(worker.wait(worker.streams([class_id(NEEDS)])))
    await until(lambda: is_blocked(scene))

    job_id = await scene.submit()

    delivery = await waiting
    ((stream, entry, hinted),) = delivery.hints
    assert (stream, hinted, delivery.messages) == (scene.stream(), job_id, [])
    lease = await worker.start(stream, entry, job_id)
    assert lease is not None
    assert (lease.id, lease.attempt) == (job_id, 1)
    assert lease.sealed == await scene.redis.hget(scene.keys.job(job_id), "spec")
    assert await scene.state(job_id) == "running"
    await worker.finish(lease, "succeed", {"exit": 0})


async def is_blocked(scene: Scene) -> bool:
    """Whether some client waits in a blocking read."""
    return int((await scene.redis.info("clients"))["blocked_clients"]) == 1


async def test_a_started_hint_and_a_claimed_job_are_alike(scene: Scene) -> None:
    worker = await scene.worker("w1", boot="boot-a")
    claimed, hinted = await scene.submit(), await scene.submit()
    await scene.claim(worker, claimed)
    ((entry, _),) = await scene.deliver(worker, scene.stream())
    await worker.start(scene.stream(), entry, hinted)

    first, second = await scene.raw(claimed), await scene.raw(hinted)

    differ = {"msg", "token", "created", "started"}
    assert first.keys() == second.keys()
    assert {name for name in first if first[name] != second[name]} <= differ


async def test_starting_twice_with_one_token_gives_one_lease(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker, job_id = await scene.worker(), await scene.submit()
    ((entry, _),) = await scene.deliver(worker, scene.stream())
    monkeypatch.setattr(worker, "_token", lambda: "boot:same")
    first = await worker.start(scene.stream(), entry, job_id)
    before = await scene.everything()

    second = await worker.start(scene.stream(), entry, job_id)

    assert first is not None
    assert second == first
    assert await scene.everything() == before


async def test_a_hint_whose_job_was_cancelled_starts_nothing(scene: Scene) -> None:
    worker, job_id = await scene.worker(), await scene.submit()
    ((entry, _),) = await scene.deliver(worker, scene.stream())
    await scene.jobs.cancel(job_id)

    assert await worker.start(scene.stream(), entry, job_id) is None
    assert await scene.state(job_id) == "cancelled"


async def test_a_hint_of_which_the_reaper_despaired_starts_nothing(scene: Scene) -> None:
    slow, quick = await scene.worker("slow"), await scene.worker("quick")
    job_id = await scene.submit()
    ((entry, _),) = await scene.deliver(slow, scene.stream())
    await scene.lose(job_id)

    assert await slow.start(scene.stream(), entry, job_id) is None
    await scene.assert_queue_is_true(scene.stream())
    lease = await scene.claim(quick, job_id)
    assert await slow.start(scene.stream(), entry, job_id) is None
    assert (await scene.raw(job_id))["token"] == lease.token


async def test_a_hint_too_many_is_put_back_uncharged(scene: Scene) -> None:
    worker, other = await scene.worker("w1"), await scene.worker("w2")
    job_id = await scene.submit()
    ((entry, _),) = await scene.deliver(worker, scene.stream())

    await worker.put_back(entry, job_id)

    assert (await scene.raw(job_id))["losses"] == "0"
    assert await scene.events(job_id) == ["submit"]
    assert await scene.pending(scene.stream()) == {}
    assert (await scene.claim(other, job_id)).attempt == 1


async def test_a_hint_that_is_no_longer_valid_is_not_put_back(scene: Scene) -> None:
    worker, job_id = await scene.worker(), await scene.submit()
    ((entry, _),) = await scene.deliver(worker, scene.stream())
    await worker.put_back(entry, job_id)
    before = await scene.everything()

    await worker.put_back(entry, job_id)

    assert await scene.everything() == before
    lease = await scene.claim(worker, job_id)
    await worker.put_back(entry, job_id)
    await worker.put_back((await scene.raw(job_id))["msg"], job_id)

    assert (await scene.raw(job_id))["token"] == lease.token
    assert len(await scene.queue(scene.stream())) == len(await scene.pending(scene.stream())) == 1


async def test_a_message_is_read_once(scene: Scene) -> None:
    worker = await scene.worker("w1")
    await scene.store.workers.drain("w1")

    delivery = await worker.wait([])

    assert (delivery.hints, delivery.messages) == ([], [{"do": "drain"}])
    assert await scene.inbox("w1") == []
    assert await scene.pending(scene.keys.inbox("w1")) == {}


async def test_a_nudge_ends_the_workers_own_wait(scene: Scene, until: Until) -> None:
    worker = await scene.worker()
    waiting = asyncio.create_task(worker.wait([]))
    await until(lambda: is_blocked(scene))

    await worker.nudge()

    assert (await waiting).messages == [{"do": "look"}]


async def test_a_wait_ends_by_itself(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.state.leases.BLOCK", 0.02)
    worker = await scene.worker()

    delivery = await worker.wait([])

    assert (delivery.hints, delivery.messages) == ([], [])


async def test_a_wait_for_streams_that_redis_has_lost_makes_them(scene: Scene) -> None:
    worker = await scene.worker()
    await scene.submit()
    await scene.redis.flushall()

    empty = await worker.wait([scene.stream()])
    job_id = await scene.submit()
    delivery = await worker.wait([scene.stream()])

    assert (empty.hints, empty.messages) == ([], [])
    assert [hint[2] for hint in delivery.hints] == [job_id]


async def test_a_wait_survives_that_redis_is_emptied_under_it(scene: Scene, until: Until) -> None:
    worker = await scene.idle_worker()
    waiting = asyncio.create_task(worker.wait([scene.stream()]))
    await until(lambda: is_blocked(scene))

    await scene.redis.flushall()

    delivery = await waiting
    assert (delivery.hints, delivery.messages) == ([], [])
    await worker.nudge()
    assert (await worker.wait([scene.stream()])).messages == [{"do": "look"}]


# Beating


async def test_a_beat_keeps_the_lease_and_counts_no_delivery(scene: Scene) -> None:
    worker = await scene.worker()
    lease = await scene.running(worker)
    entry = (await scene.raw(lease.id))["msg"]
    await scene.age(lease.id, 5_000)
    _, before, _ = (await scene.deliveries(scene.stream()))[entry]

    beat = await worker.beat(1, [class_id(NEEDS)], {lease.id: lease.token})

    consumer, idle, count = (await scene.deliveries(scene.stream()))[entry]
    assert (beat.standing, beat.lost, beat.cancelled, beat.order) == ("ok", [], {}, "")
    assert (consumer, count) == ("w1", 1)
    assert before >= 5_000
    assert idle < 2_000


async def test_many_beats_count_no_delivery(scene: Scene) -> None:
    worker = await scene.worker()
    leases = [await scene.running(worker) for _ in range(5)]

    for _ in range(5):
        await worker.beat(5, [], {lease.id: lease.token for lease in leases})

    assert {count for _, _, count in (await scene.deliveries(scene.stream())).values()} == {1}


async def test_a_beat_keeps_only_the_leases_that_it_names(scene: Scene) -> None:
    worker = await scene.worker()
    kept, silent = await scene.running(worker), await scene.running(worker)
    await scene.age(kept.id)
    await scene.age(silent.id)

    await worker.beat(1, [], {kept.id: kept.token})

    assert await scene.tick() == {silent.id: "queued"}


@pytest.mark.parametrize("token", ["", "another", "boot-a:0000000000000000"])
async def test_a_beat_with_a_wrong_token_is_told_that_the_lease_is_lost(scene: Scene, token: str) -> None:
    worker = await scene.worker()
    lease = await scene.running(worker)
    await scene.age(lease.id, 5_000)

    beat = await worker.beat(1, [], {lease.id: token})

    (_, idle, _), *_ = (await scene.deliveries(scene.stream())).values()
    assert beat.lost == [lease.id]
    assert idle >= 5_000


async def test_a_late_beat_does_not_steal_the_job_back(scene: Scene) -> None:
    slow, quick = await scene.worker("slow"), await scene.worker("quick")
    late = await scene.running(slow)
    await scene.lose(late.id)
    lease = await scene.claim(quick, late.id)

    beat = await slow.beat(1, [class_id(NEEDS)], {late.id: late.token})

    entry = (await scene.raw(late.id))["msg"]
    assert beat.lost == [late.id]
    assert await scene.pending(scene.stream()) == {entry: "quick"}
    assert (await quick.beat(1, [], {lease.id: lease.token})).lost == []


async def test_a_beat_for_a_job_that_waits_again_does_not_take_it(scene: Scene) -> None:
    worker = await scene.worker()
    lease = await scene.running(worker)
    await scene.lose(lease.id)

    beat = await worker.beat(1, [], {lease.id: lease.token})

    assert beat.lost == [lease.id]
    assert await scene.state(lease.id) == "queued"
    assert await scene.pending(scene.stream()) == {}


async def test_a_beat_for_jobs_that_ended_or_never_were_tells_that_they_are_lost(scene: Scene) -> None:
    worker = await scene.worker()
    lease = await scene.running(worker)
    await worker.finish(lease, "succeed", {})

    beat = await worker.beat(2, [], {lease.id: lease.token, "nothing": "token"})

    assert beat.lost == [lease.id, "nothing"]


@pytest.mark.parametrize("how", ["cancel", "kill"])
async def test_a_beat_tells_of_jobs_to_cancel_again_and_again(scene: Scene, how: str) -> None:
    worker = await scene.worker()
    lease, other = await scene.running(worker), await scene.running(worker)
    await scene.jobs.cancel(lease.id, how)
    held = {lease.id: lease.token, other.id: other.token}

    beats = [await worker.beat(2, [], held) for _ in range(2)]

    assert [beat.cancelled for beat in beats] == [{lease.id: how}] * 2
    assert [beat.lost for beat in beats] == [[], []]


async def test_a_beat_tells_that_the_worker_is_to_drain(scene: Scene) -> None:
    worker = await scene.worker("w1")
    await scene.store.workers.drain("w1")

    assert (await worker.beat(0, [], {})).order == "drain"


async def test_a_beat_says_how_busy_the_worker_is_and_what_it_serves(scene: Scene) -> None:
    worker = await scene.worker("w1")
    await scene.silence("w1", 10_000)

    await worker.beat(3, ["aaaa", "bbbb"], {})

    (seen,) = await scene.store.workers.all()
    assert (seen.busy, seen.live, seen.state) == (3, True, "busy")
    for cls in ("aaaa", "bbbb"):
        score = await scene.redis.zscore(scene.keys.capable_prefix + cls, "w1")
        assert await scene.now() - score < 2_000


async def test_a_worker_that_redis_does_not_know_is_told_so_and_keeps_nothing(scene: Scene) -> None:
    worker = await scene.worker("w1")
    lease = await scene.running(worker)
    await scene.age(lease.id)
    await scene.store.workers.retire("w1", worker.boot)

    beat = await worker.beat(1, [class_id(NEEDS)], {lease.id: lease.token})

    assert (beat.standing, beat.lost, beat.cancelled) == ("unknown", [], {})
    assert await scene.store.workers.all() == []
    assert await scene.tick() == {lease.id: "queued"}


async def test_a_worker_whose_name_another_process_took_is_told_so_and_keeps_nothing(scene: Scene) -> None:
    old = await scene.worker("w1")
    lease = await scene.running(old)
    await scene.age(lease.id)
    await scene.silence("w1", 5_000)
    await scene.worker("w1")
    await scene.silence("w1", 1_000)
    before = await scene.everything()

    beat = await old.beat(1, [class_id(NEEDS)], {lease.id: lease.token})

    assert (beat.standing, beat.order) == ("replaced", "")
    assert await scene.everything() == before
    assert await scene.tick() == {lease.id: "queued"}


async def test_a_beat_goes_on_though_a_stream_was_deleted(scene: Scene) -> None:
    worker = await scene.worker()
    lease = await scene.running(worker)
    kept = await scene.running(worker, lane="high")
    await scene.redis.delete(scene.stream())
    await scene.age(kept.id)

    beat = await worker.beat(2, [], {lease.id: lease.token, kept.id: kept.token})

    assert (beat.standing, beat.lost) == ("ok", [])
    assert await scene.tick() == {}


async def test_a_lease_outlives_the_entry_that_somebody_deleted(scene: Scene) -> None:
    worker, other = await scene.worker("w1"), await scene.worker("w2")
    lease = await scene.running(worker)
    await scene.redis.delete(scene.stream())

    for _ in range(2):
        assert (await worker.beat(1, [], {lease.id: lease.token})).lost == []
        assert await other.claim([scene.stream()], 5) == []
    await scene.assert_queue_is_true(scene.stream())
    await worker.beat(1, [], {lease.id: lease.token})
    await worker.finish(lease, "succeed", {"exit": 0})

    assert await scene.queue(scene.stream()) == await scene.pending(scene.stream()) == {}
    assert await scene.endings(lease.id) == ["done"]


async def test_a_job_whose_entry_somebody_deleted_is_still_lost_with_its_worker(scene: Scene) -> None:
    worker = await scene.worker("w1")
    lease = await scene.running(worker)
    await scene.redis.delete(scene.stream())
    await worker.beat(1, [], {lease.id: lease.token})

    assert await scene.lose(lease.id) == {lease.id: "queued"}
    assert (await scene.claim(worker, lease.id)).attempt == 2


# Telling


async def test_progress_is_kept_and_told(scene: Scene) -> None:
    worker = await scene.worker()
    lease = await scene.running(worker)

    await worker.progress(lease, {"percent": 12.5, "speed": "2x"})

    assert (await scene.jobs.get(lease.id)).progress == {"percent": 12.5, "speed": "2x"}
    assert await scene.events(lease.id) == ["submit", "start", "progress"]


async def test_a_worker_that_lost_its_lease_cannot_tell_progress(scene: Scene) -> None:
    slow, quick = await scene.worker("slow"), await scene.worker("quick")
    late = await scene.running(slow)
    await scene.lose(late.id)
    for claim in (False, True):
        if claim:
            await scene.claim(quick, late.id)
        with pytest.raises(LeaseLost):
            await slow.progress(late, {"percent": 99})

    assert (await scene.jobs.get(late.id)).progress == {}


async def test_progress_of_an_earlier_try_is_forgotten(scene: Scene) -> None:
    worker = await scene.worker()
    lease = await scene.running(worker)
    await worker.progress(lease, {"percent": 99})

    await scene.lose(lease.id)

    assert (await scene.jobs.get(lease.id)).progress == {}


# Publishing


async def test_outputs_may_get_their_names_while_the_lease_is_held(scene: Scene) -> None:
    worker = await scene.worker()
    lease = await scene.running(worker)
    with pytest.raises(LeaseLost):
        await worker.publish(replace(lease, token="another"), "{}")

    assert [await worker.publish(lease, "{}") for _ in range(2)] == ["ok", "ok"]

    assert await scene.state(lease.id) == "publishing"
    assert await scene.jobs.cancel(lease.id) == "late"
    with pytest.raises(LeaseLost):
        await worker.release(lease)
    await worker.finish(lease, "succeed", {})
    with pytest.raises(LeaseLost):
        await worker.publish(lease, "{}")


@pytest.mark.parametrize("how", ["cancel", "kill"])
async def test_outputs_of_a_job_that_was_to_end_get_no_names(scene: Scene, how: str) -> None:
    worker = await scene.worker()
    lease = await scene.running(worker)
    await scene.jobs.cancel(lease.id, how)

    assert await worker.publish(lease, "{}") == how
    assert await scene.state(lease.id) == "running"


async def test_who_takes_over_a_job_that_was_publishing_is_told_what(scene: Scene) -> None:
    worker, other = await scene.worker("w1"), await scene.worker("w2")
    lease = await scene.running(worker)
    await worker.publish(lease, '{"files": []}')
    assert (await worker.beat(1, [], {lease.id: lease.token})).lost == []

    assert await scene.lose(lease.id) == {lease.id: "queued"}
    taken = await scene.claim(other, lease.id)

    assert (taken.published, taken.attempt) == ('{"files": []}', 2)
    with pytest.raises(LeaseLost):
        await worker.finish(lease, "succeed", {})
    await other.finish(taken, "fail", {})
    assert "published" not in await scene.raw(lease.id)


async def test_each_attempt_has_a_mark_of_its_own(scene: Scene) -> None:
    worker = await scene.worker()
    lease = await scene.running(worker)
    await worker.release(lease)

    assert (await scene.claim(worker, lease.id)).mark != lease.mark


# Trying again


async def fail(scene: Scene, worker: Leases, job_id: str, again: bool = True) -> None:
    await worker.finish(await scene.claim(worker, job_id), "fail", {"exit": 1, "cause": "exit"}, again)


async def test_a_job_that_failed_waits_and_is_tried_again(scene: Scene) -> None:
    worker = await scene.worker()
    job_id = await scene.submit(retries=1, retry_delay=5.0)
    await fail(scene, worker, job_id)

    waiting = await scene.jobs.get(job_id)
    assert (waiting.state, waiting.failures, waiting.cause) == ("waiting", 1, "exit")
    assert waiting.due
    assert 4 < waiting.due - await scene.now() / 1000 <= 5
    assert await scene.queue(scene.stream()) == {}
    assert await scene.tick() == {}

    await scene.redis.zadd(scene.keys.due, {job_id: await scene.now() - 1})
    assert await scene.tick() == {job_id: "queued"}
    await fail(scene, worker, job_id)

    ended = await scene.jobs.get(job_id)
    assert (ended.state, ended.failures, ended.attempt, ended.losses) == ("failed", 2, 2, 0)
    assert [(one["event"], one["exit"], one["cause"]) for one in ended.attempts] == [
        ("defer", 1, "exit"),
        ("fail", 1, "exit"),
    ]
    assert await scene.endings(job_id) == ["failed"]


async def test_the_wait_doubles_and_ends_at_an_hour(scene: Scene) -> None:
    worker, waits = await scene.worker(), []
    job_id = await scene.submit(retries=10, retry_delay=600.0)
    for _ in range(4):
        await fail(scene, worker, job_id)
        waits.append(round((await scene.redis.zscore(scene.keys.due, job_id) - await scene.now()) / 1000))
        await scene.redis.zadd(scene.keys.due, {job_id: await scene.now() - 1})
        await scene.tick()

    assert waits == [600, 1200, 2400, 3600]


async def test_what_would_end_the_same_again_is_not_tried_again(scene: Scene) -> None:
    worker = await scene.worker()
    job_id = await scene.submit(retries=3)

    await fail(scene, worker, job_id, again=False)

    assert await scene.state(job_id) == "failed"


async def test_a_promised_cancellation_is_kept_when_the_job_fails_first(scene: Scene) -> None:
    worker = await scene.worker()
    job_id = await scene.submit(retries=3)
    lease = await scene.claim(worker, job_id)
    await scene.jobs.cancel(job_id, reason="no more")

    await worker.finish(lease, "fail", {"exit": 1}, again=True)

    assert await scene.state(job_id) == "cancelled"


async def test_a_waiting_job_can_be_cancelled(scene: Scene) -> None:
    worker = await scene.worker()
    job_id = await scene.submit(retries=3)
    await fail(scene, worker, job_id)

    assert await scene.jobs.cancel(job_id) == "cancelled"

    assert await scene.redis.zcard(scene.keys.due) == 0
    assert await scene.tick() == {}


async def test_what_an_attempt_left_in_the_hash_is_gone_when_the_next_begins(scene: Scene) -> None:
    worker = await scene.worker()
    job_id = await scene.submit(retries=1)
    await worker.finish(await scene.claim(worker, job_id), "fail", {"signal": 9, "cause": "oom"}, again=True)
    await scene.redis.zadd(scene.keys.due, {job_id: await scene.now() - 1})
    await scene.tick()

    await worker.finish(await scene.claim(worker, job_id), "succeed", {"exit": 0, "cause": ""})

    ended = await scene.jobs.get(job_id)
    assert (ended.state, ended.exit, ended.signal, ended.cause) == ("done", 0, None, "")


async def test_the_class_of_a_waiting_job_is_not_forgotten(scene: Scene) -> None:
    worker = await scene.worker()
    job_id = await scene.submit(retries=1, retry_delay=3600.0)
    await fail(scene, worker, job_id)

    await scene.store.reaper.expire(keep_idle_ms=0)

    assert class_id(NEEDS) in await scene.store.workers.classes()


async def test_a_worker_knows_whether_the_caller_of_a_job_has_come(scene: Scene) -> None:
    worker = await scene.worker()
    first, second = await scene.running(worker, attach=True), await scene.submit(attach=True)
    assert (first.called, await worker.is_called(first)) == (False, False)

    for job_id in (first.id, second):
        await scene.jobs.caller(job_id, 60_000, "c", arrives=True)

    assert await worker.is_called(first)
    assert {"do": "call", "job": first.id} in await scene.inbox("w1")
    assert (await scene.claim(worker, second)).called


# Ending


@pytest.mark.parametrize(
    ("event", "state"), [("succeed", "done"), ("fail", "failed"), ("cancel", "cancelled")]
)
async def test_a_worker_says_how_a_job_ended(scene: Scene, event: str, state: str) -> None:
    worker = await scene.worker()
    lease = await scene.running(worker)

    await worker.finish(lease, event, {"exit": 3, "signal": 9, "reason": "no space, alas", "cause": "exit"})

    job = await scene.jobs.get(lease.id)
    assert (job.state, job.ended, job.cancelling) == (state, True, False)
    assert (job.exit, job.signal, job.reason, job.cause) == (3, 9, "no space, alas", "exit")
    assert job.finished is not None
    assert job.started is not None
    assert job.started <= job.finished
    assert await scene.endings(lease.id) == [state]


@pytest.mark.parametrize("event", ENDINGS)
async def test_a_worker_with_another_token_cannot_finish(scene: Scene, event: str) -> None:
    worker = await scene.worker()
    lease = await scene.running(worker)
    before = await scene.everything()

    for token in ("", "another", lease.token + "0", lease.token[:-1]):
        with pytest.raises(LeaseLost, match=lease.id):
            await worker.finish(replace(lease, token=token), event, {"exit": 0})

    assert await scene.everything() == before


async def test_a_worker_that_lost_its_lease_cannot_finish(scene: Scene) -> None:
    slow, quick = await scene.worker("slow"), await scene.worker("quick")
    late = await scene.running(slow)
    await scene.lose(late.id)

    with pytest.raises(LeaseLost):
        await slow.finish(late, "succeed", {"exit": 0})
    lease = await scene.claim(quick, late.id)
    with pytest.raises(LeaseLost):
        await slow.finish(late, "succeed", {"exit": 0})
    await quick.finish(lease, "fail", {"exit": 1})
    with pytest.raises(LeaseLost):
        await slow.finish(late, "succeed", {"exit": 0})

    job = await scene.jobs.get(late.id)
    assert (job.state, job.exit, job.attempt) == ("failed", 1, 2)


async def test_finishing_twice_is_harmless(scene: Scene) -> None:
    worker = await scene.worker()
    lease = await scene.running(worker)
    await worker.finish(lease, "succeed", {"exit": 0})
    before = await scene.everything()

    await worker.finish(lease, "succeed", {"exit": 0})
    await worker.finish(lease, "fail", {"exit": 1})

    assert await scene.everything() == before


async def test_a_job_that_does_not_exist_cannot_be_finished(scene: Scene) -> None:
    worker = await scene.worker()
    before = await scene.everything()

    for lease in (Lease("nothing", "token", 1, b""), Lease("nothing", "", 1, b"")):
        with pytest.raises(LeaseLost):
            await worker.finish(lease, "succeed", {})

    assert await scene.everything() == before


async def test_a_job_that_was_to_be_cancelled_may_still_succeed(scene: Scene) -> None:
    worker = await scene.worker()
    lease = await scene.running(worker)
    await scene.jobs.cancel(lease.id)

    await worker.finish(lease, "succeed", {"exit": 0})

    assert await scene.state(lease.id) == "done"
    assert await scene.endings(lease.id) == ["done"]


@pytest.mark.parametrize("event", ENDINGS)
async def test_nothing_is_left_in_the_queue(scene: Scene, event: str) -> None:
    worker = await scene.worker()
    for lane in LANES:
        await scene.submit(lane=lane)

    for lease in await worker.claim(worker.streams([class_id(NEEDS)]), 4):
        await worker.finish(lease, event, {"exit": 0})

    for stream in worker.streams([class_id(NEEDS)]):
        assert await scene.redis.xlen(stream) == 0
        assert (await scene.redis.xpending(stream, GROUP))["pending"] == 0


# Handing back


async def test_a_job_that_is_handed_back_waits_uncharged(scene: Scene) -> None:
    worker, other = await scene.worker("w1"), await scene.worker("w2")
    lease = await scene.running(worker)

    await worker.release(lease)

    job = await scene.jobs.get(lease.id)
    assert (job.state, job.losses) == ("queued", 0)
    assert await scene.pending(scene.stream()) == {}
    assert len(await scene.queue(scene.stream())) == 1
    assert await scene.events(lease.id) == ["submit", "start", "release"]
    assert (await scene.claim(other, lease.id)).attempt == 2


async def test_a_job_can_be_handed_back_as_often_as_one_likes(scene: Scene) -> None:
    worker = await scene.worker()
    lease = await scene.running(worker, max_attempts=2)

    for _ in range(5):
        await worker.release(lease)
        lease = await scene.claim(worker, lease.id)

    job = await scene.jobs.get(lease.id)
    assert (job.state, job.losses, job.attempt) == ("running", 0, 6)


async def test_a_worker_that_lost_its_lease_cannot_hand_the_job_back(scene: Scene) -> None:
    slow, quick = await scene.worker("slow"), await scene.worker("quick")
    late = await scene.running(slow)
    await scene.lose(late.id)
    await scene.claim(quick, late.id)
    before = await scene.everything()

    with pytest.raises(LeaseLost):
        await slow.release(late)

    assert await scene.everything() == before


async def test_a_released_lease_is_good_for_nothing(scene: Scene) -> None:
    worker = await scene.worker()
    lease = await scene.running(worker)
    await worker.release(lease)

    with pytest.raises(LeaseLost):
        await worker.release(lease)
    with pytest.raises(LeaseLost):
        await worker.finish(lease, "succeed", {})

    assert await scene.state(lease.id) == "queued"
    assert len(await scene.queue(scene.stream())) == 1


async def test_a_job_that_was_to_be_cancelled_ends_when_it_is_handed_back(scene: Scene) -> None:
    worker = await scene.worker()
    lease = await scene.running(worker)
    await scene.jobs.cancel(lease.id, reason="no more")

    await worker.release(lease)

    job = await scene.jobs.get(lease.id)
    assert (job.state, job.reason) == ("cancelled", "no more")
    assert await scene.queue(scene.stream()) == {}
    assert await scene.endings(lease.id) == ["cancelled"]
