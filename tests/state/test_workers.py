"""The registry of workers: one live process for each name, and what each can do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.state.job import LeaseLost
from app.state.keys import GROUP
from app.state.requirements import class_id, requirement
from app.state.workers import HELD_MS, LIVE_MS, NameTaken, NoSuchWorker, Worker

if TYPE_CHECKING:
    from tests.state.conftest import Scene

NEEDS = requirement("ffmpeg", ["Movies"], {}, [])


# Registering


async def test_a_registered_worker_is_seen_with_what_it_said(scene: Scene) -> None:
    about = {"host": "den", "slots": 4, "roots": ["Movies"], "labels": {"gpu": "yes"}}

    await scene.store.workers.register("w1", "boot-a", about)

    (worker,) = await scene.store.workers.all()
    assert (worker.id, worker.boot, worker.about) == ("w1", "boot-a", about)
    assert (worker.busy, worker.draining, worker.live, worker.state) == (0, False, True, "online")
    assert 0 <= worker.silent < 2


async def test_a_name_that_a_live_process_holds_is_refused(scene: Scene) -> None:
    await scene.worker("w1", boot="boot-a")
    before = await scene.everything()

    with pytest.raises(NameTaken, match=r"'w1' is alive \(heard of 0\.\d s ago\)"):
        await scene.worker("w1", boot="boot-b", host="other")

    assert await scene.everything() == before


async def test_a_name_is_held_until_its_holder_is_silent(scene: Scene) -> None:
    await scene.worker("w1", boot="boot-a")
    await scene.silence("w1", HELD_MS - 500)

    with pytest.raises(NameTaken):
        await scene.worker("w1", boot="boot-b")

    await scene.silence("w1", HELD_MS + 50)
    await scene.worker("w1", boot="boot-b")
    assert [worker.boot for worker in await scene.store.workers.all()] == ["boot-b"]


async def test_a_beat_holds_the_name(scene: Scene) -> None:
    worker = await scene.worker("w1", boot="boot-a")
    await scene.silence("w1", HELD_MS + 50)
    await worker.beat(0, [], {})

    with pytest.raises(NameTaken):
        await scene.worker("w1", boot="boot-b")


async def test_a_name_can_be_taken_over_on_purpose(scene: Scene) -> None:
    old = await scene.worker("w1", boot="boot-a")

    await scene.worker("w1", boot="boot-b", take_over=True)

    assert (await old.beat(0, [], {})).standing == "replaced"


async def test_a_process_may_register_again(scene: Scene) -> None:
    await scene.worker("w1", boot="boot-a")
    await scene.store.workers.drain("w1")

    await scene.worker("w1", boot="boot-a", slots=9)

    (worker,) = await scene.store.workers.all()
    assert worker.about["slots"] == 9
    assert worker.draining
    assert await scene.inbox("w1") == [{"do": "drain"}]


async def test_what_an_earlier_process_was_told_is_not_for_this_one(scene: Scene) -> None:
    await scene.worker("w1", boot="boot-a")
    await scene.store.workers.drain("w1")
    await scene.silence("w1", HELD_MS + 50)

    worker = await scene.worker("w1", boot="boot-b")

    assert await scene.inbox("w1") == []
    assert (await worker.beat(0, [], {})).order == ""


async def test_a_registered_worker_has_an_inbox_that_can_be_waited_on(scene: Scene) -> None:
    await scene.worker("w1")

    groups = await scene.redis.xinfo_groups(scene.keys.inbox("w1"))
    assert [group["name"] for group in groups] == [GROUP.encode()]


async def test_a_worker_that_redis_forgot_registers_again(scene: Scene) -> None:
    worker = await scene.worker("w1", boot="boot-a")
    await scene.redis.flushall()
    assert (await worker.beat(0, [], {})).standing == "unknown"

    await scene.worker("w1", boot="boot-a")

    assert (await worker.beat(0, [], {})).standing == "ok"


async def test_a_worker_that_is_never_heard_of_again_is_not_kept_for_ever(scene: Scene) -> None:
    worker = await scene.worker("w1")
    at_first = await scene.redis.pttl(scene.keys.worker("w1"))
    await scene.redis.pexpire(scene.keys.worker("w1"), 1_000)
    await worker.beat(0, [], {})

    assert 86_000_000 < at_first <= 86_400_000
    assert 86_000_000 < await scene.redis.pttl(scene.keys.worker("w1")) <= 86_400_000


# Going


async def test_a_retired_worker_is_in_no_list(scene: Scene) -> None:
    await scene.submit()
    worker = await scene.worker("w1")
    await worker.beat(0, [class_id(NEEDS)], {})
    await scene.store.workers.drain("w1")

    await scene.store.workers.retire("w1", worker.boot)

    assert await scene.mentions("w1") == []
    assert await scene.store.workers.all() == []


async def test_a_worker_that_was_replaced_does_not_retire_the_other(scene: Scene) -> None:
    old = await scene.worker("w1", boot="boot-a")
    await scene.worker("w1", boot="boot-b", take_over=True)
    before = await scene.everything()

    await scene.store.workers.retire("w1", old.boot)

    assert await scene.everything() == before


async def test_a_worker_that_retires_with_a_job_leaves_it_to_the_reaper(scene: Scene) -> None:
    """A consumer that is deleted takes its pending entries along."""
    worker = await scene.worker("w1")
    lease = await scene.running(worker)

    await scene.store.workers.retire("w1", worker.boot)

    assert await scene.lose(lease.id) == {lease.id: "queued"}


async def test_a_name_is_free_once_its_worker_has_retired(scene: Scene) -> None:
    worker = await scene.worker("w1", boot="boot-a")
    await scene.store.workers.retire("w1", worker.boot)

    await scene.worker("w1", boot="boot-b")

    assert [one.boot for one in await scene.store.workers.all()] == ["boot-b"]


async def test_a_draining_worker_is_told_and_is_seen_so(scene: Scene) -> None:
    worker = await scene.worker("w1")

    await scene.store.workers.drain("w1")

    assert await scene.inbox("w1") == [{"do": "drain"}]
    assert (await worker.beat(0, [], {})).order == "drain"
    (seen,) = await scene.store.workers.all()
    assert (seen.state, seen.live) == ("draining", True)
    assert await scene.store.workers.live() == []


async def test_a_paused_worker_is_told_and_is_seen_so(scene: Scene) -> None:
    worker = await scene.worker("w1")

    await scene.store.workers.pause("w1")

    assert await scene.inbox("w1") == [{"do": "pause"}]
    assert (await worker.beat(0, [], {})).order == "pause"
    (seen,) = await scene.store.workers.all()
    assert (seen.state, seen.live, seen.takes) == ("paused", True, False)
    assert await scene.store.workers.live() == []


@pytest.mark.parametrize("order", ["pause", "drain"])
async def test_a_resumed_worker_counts_again_from_its_next_heartbeat(scene: Scene, order: str) -> None:
    worker = await scene.worker("w1")
    await scene.submit()
    await worker.beat(0, [class_id(NEEDS)], {})
    await getattr(scene.store.workers, order)("w1")
    await worker.beat(0, [class_id(NEEDS)], {})
    resting = (await scene.jobs.submit(scene.submission())).qualified

    await scene.store.workers.resume("w1")
    beat = await worker.beat(0, [class_id(NEEDS)], {})

    assert (resting, beat.order) == (0, "")
    assert [one.id for one in await scene.store.workers.live()] == ["w1"]
    assert (await scene.jobs.submit(scene.submission())).qualified == 1


@pytest.mark.parametrize("order", ["pause", "drain", "resume"])
async def test_a_worker_that_does_not_exist_cannot_be_told_anything(scene: Scene, order: str) -> None:
    with pytest.raises(NoSuchWorker, match="'w1'"):
        await getattr(scene.store.workers, order)("w1")

    assert await scene.everything() == {}


# Looking


async def test_workers_are_listed_by_name(scene: Scene) -> None:
    for name in ("b", "c", "a"):
        await scene.worker(name)

    assert [worker.id for worker in await scene.store.workers.all()] == ["a", "b", "c"]


async def test_only_those_heard_of_within_a_lease_are_live(scene: Scene) -> None:
    for name in ("here", "gone"):
        await scene.worker(name)
    await scene.silence("gone", LIVE_MS + 50)

    seen = {worker.id: worker.state for worker in await scene.store.workers.all()}

    assert seen == {"here": "online", "gone": "offline"}
    assert [worker.id for worker in await scene.store.workers.live()] == ["here"]


async def test_a_worker_whose_hash_has_expired_is_left_out(scene: Scene) -> None:
    await scene.worker("w1")
    await scene.worker("w2")
    await scene.redis.delete(scene.keys.worker("w1"))

    assert [worker.id for worker in await scene.store.workers.all()] == ["w2"]


async def test_no_classes_are_known_before_the_first_job(scene: Scene) -> None:
    assert await scene.store.workers.classes() == {}

    await scene.submit()

    assert await scene.store.workers.classes() == {class_id(NEEDS): NEEDS}


@pytest.mark.parametrize(
    ("busy", "silent", "draining", "paused", "state"),
    [
        (0, 0.0, False, False, "online"),
        (2, 0.0, False, False, "busy"),
        (2, 0.0, False, True, "paused"),
        (2, 0.0, True, False, "draining"),
        (0, 5.9, False, False, "online"),
        (2, 6.0, True, False, "offline"),
        (2, 6.0, False, True, "offline"),
    ],
)
def test_a_worker_is_in_the_state_that_matters_most(
    busy: int, silent: float, draining: bool, paused: bool, state: str
) -> None:
    assert Worker("w1", "boot", {}, busy, silent, draining, paused).state == state


# A worker that comes back


async def test_the_successor_of_a_dead_worker_gives_its_jobs_back_at_once(scene: Scene) -> None:
    dead = await scene.worker("w1")
    lease, stream_kind = await scene.running(dead), await scene.running(dead, redo="fenced")

    await scene.worker("w1", take_over=True)

    for one in (lease, stream_kind):
        job = await scene.jobs.get(one.id)
        assert (job.state, job.losses) == ("queued", 1)
    with pytest.raises(LeaseLost):
        await dead.finish(lease, "succeed", {"exit": 0})


async def test_another_boot_without_proof_of_death_gives_nothing_back(scene: Scene) -> None:
    silent = await scene.worker("w1")
    lease = await scene.running(silent)
    await scene.silence("w1", 5_000)

    await scene.worker("w1")

    assert await scene.state(lease.id) == "running"


async def test_registering_again_gives_back_nothing_of_ones_own(scene: Scene) -> None:
    worker = await scene.worker("w1", boot="a")
    lease = await scene.running(worker)

    await scene.worker("w1", boot="a", take_over=True)

    assert await scene.state(lease.id) == "running"
