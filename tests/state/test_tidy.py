"""What lost attempts may have left is looked for: at once, and when none of them can live any longer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.state.leases import TIDY_MS, Leases
from app.state.reaper import KEEP_MS
from app.state.requirements import class_id, requirement
from app.state.workers import PROOF_MS

if TYPE_CHECKING:
    from tests.state.conftest import Scene

MOVIES = requirement("ffmpeg", ["Movies"], {}, [])
TV = requirement("ffmpeg", ["TV"], {}, [])
OURS = [class_id(MOVIES)]
ALL = [class_id(MOVIES), class_id(TV)]


async def lost(scene: Scene, worker: Leases, ended: bool = True, **changes: object) -> str:
    """The id of a job whose attempt was lost; it is dead, or queued again."""
    lease = await scene.running(worker, max_attempts=1 if ended else 3, **changes)
    await scene.lose(lease.id)
    return lease.id


async def due(scene: Scene) -> dict[str, int]:
    """In how many ms each job's files are to be looked for."""
    now = await scene.now()
    rows = await scene.redis.zrange(scene.keys.litter, 0, -1, withscores=True)
    return {job_id.decode(): int(score) - now for job_id, score in rows}


async def pass_time(scene: Scene, milliseconds: int) -> None:
    """As if so much time had gone by for the litter, and since all jobs have ended."""
    for job_id, score in await scene.redis.zrange(scene.keys.litter, 0, -1, withscores=True):
        await scene.redis.zadd(scene.keys.litter, {job_id: score - milliseconds})
        ended = await scene.redis.hget(scene.keys.job(job_id.decode()), "finished")
        if ended:
            await scene.redis.hset(scene.keys.job(job_id.decode()), "finished", int(ended) - milliseconds)


def named(found: list[tuple[str, bytes]]) -> list[str]:
    return [job_id for job_id, _ in found]


async def test_nothing_is_looked_for_where_nothing_was_lost(scene: Scene) -> None:
    worker = await scene.worker()
    await scene.ended(worker)

    assert await worker.tidy(ALL, []) == []
    assert not (await worker.beat(0, ALL, {})).litter


@pytest.mark.parametrize("ending", ["dead", "done", "failed", "cancelled", "cancelled in the queue"])
async def test_a_job_that_lost_an_attempt_is_looked_after_once_it_has_ended(
    scene: Scene, ending: str
) -> None:
    worker = await scene.worker()
    job_id = await lost(scene, worker, ended=ending == "dead")
    if ending == "cancelled in the queue":
        await scene.jobs.cancel(job_id)
    elif ending != "dead":
        lease = await scene.claim(worker, job_id)
        event = {"done": "succeed", "failed": "fail", "cancelled": "cancel"}[ending]
        await worker.finish(lease, event, {})
    assert (await worker.beat(0, ALL, {})).litter

    ((found, sealed),) = await worker.tidy(ALL, [])

    assert found == job_id
    assert scene.seal.open(job_id, sealed)["binary"] == "ffmpeg"


async def test_it_is_looked_for_at_once_and_when_no_lost_attempt_can_live(scene: Scene) -> None:
    worker = await scene.worker()
    job_id = await lost(scene, worker)

    assert named(await worker.tidy(ALL, [])) == [job_id]
    assert await worker.tidy(ALL, [job_id]) == []
    assert PROOF_MS - 5_000 < (await due(scene))[job_id] <= PROOF_MS
    assert not (await worker.beat(0, ALL, {})).litter

    await pass_time(scene, PROOF_MS)
    assert (await worker.beat(0, ALL, {})).litter
    assert named(await worker.tidy(ALL, [])) == [job_id]
    assert await worker.tidy(ALL, [job_id]) == []
    assert await due(scene) == {}


async def test_what_a_worker_does_not_come_back_with_another_one_gets(scene: Scene) -> None:
    first, second = await scene.worker("w1"), await scene.worker("w2")
    job_id = await lost(scene, first)
    assert named(await first.tidy(ALL, [])) == [job_id]

    assert await second.tidy(ALL, []) == []
    assert TIDY_MS - 5_000 < (await due(scene))[job_id] <= TIDY_MS
    await pass_time(scene, TIDY_MS)

    assert named(await second.tidy(ALL, [])) == [job_id]


async def test_what_a_worker_could_not_look_after_comes_again(scene: Scene) -> None:
    worker = await scene.worker()
    kept, cleaned = [await lost(scene, worker) for _ in range(2)]
    assert sorted(named(await worker.tidy(ALL, []))) == sorted([kept, cleaned])
    assert await worker.tidy(ALL, [cleaned]) == []

    await pass_time(scene, TIDY_MS)

    assert named(await worker.tidy(ALL, [])) == [kept]


async def test_a_job_that_still_lives_is_left_to_its_next_attempt(scene: Scene) -> None:
    worker = await scene.worker()
    job_id = await lost(scene, worker, ended=False)

    assert await worker.tidy(ALL, []) == []
    assert PROOF_MS - 5_000 < (await due(scene))[job_id] <= PROOF_MS

    await scene.jobs.cancel(job_id)
    await pass_time(scene, PROOF_MS)
    assert named(await worker.tidy(ALL, [])) == [job_id]


async def test_a_job_of_another_class_is_left_to_those_who_serve_it(scene: Scene) -> None:
    """However often others ask first."""
    worker = await scene.worker()
    job_id = await lost(scene, worker, needs=TV)
    for _ in range(20):
        assert await worker.tidy(OURS, []) == []

    assert (await worker.beat(0, ALL, {})).litter
    assert named(await worker.tidy(ALL, [])) == [job_id]


async def test_jobs_that_nobody_serves_do_not_hide_others(scene: Scene) -> None:
    worker = await scene.worker()
    others = [await lost(scene, worker, needs=TV) for _ in range(60)]
    await pass_time(scene, TIDY_MS)
    job_id = await lost(scene, worker)

    found = [named(await worker.tidy(OURS, [])) for _ in range(3)]

    assert found == [[], [job_id], []]
    assert (await scene.redis.zcard(scene.keys.litter)) == 61
    await pass_time(scene, 10 * TIDY_MS)
    assert set(named(await worker.tidy([class_id(TV)], []))) < set(others)


async def test_a_bounded_handful_is_given_at_a_time(scene: Scene) -> None:
    worker = await scene.worker()
    jobs = {await lost(scene, worker) for _ in range(60)}

    first = named(await worker.tidy(ALL, []))
    second = named(await worker.tidy(ALL, first))

    assert (len(first), len(second)) == (50, 10)
    assert {*first, *second} == jobs


@pytest.mark.parametrize("looked_after", [False, True])
async def test_a_job_that_nobody_knows_any_more_is_forgotten(scene: Scene, looked_after: bool) -> None:
    worker = await scene.worker()
    job_id = await lost(scene, worker)
    await scene.redis.delete(scene.keys.job(job_id))

    assert await worker.tidy(ALL, [job_id] if looked_after else []) == []
    assert await due(scene) == {}


async def test_a_job_that_is_forgotten_leaves_no_litter(scene: Scene) -> None:
    await lost(scene, await scene.worker())

    await scene.store.reaper.expire(keep_ms=-1)

    assert await due(scene) == {}
    assert KEEP_MS > 10 * TIDY_MS + PROOF_MS


async def test_an_attempt_that_was_not_lost_may_say_that_it_leaves_files(scene: Scene) -> None:
    worker = await scene.worker()
    lease = await scene.running(worker)
    await worker.litter(lease.id)
    await worker.finish(lease, "fail", {})

    assert (await worker.beat(0, ALL, {})).litter
    assert named(await worker.tidy(ALL, [])) == [lease.id]


async def test_it_may_say_so_while_redis_is_full(scene: Scene) -> None:
    worker = await scene.worker()
    lease = await scene.running(worker)
    await scene.redis.config_set("maxmemory", "1mb")
    try:
        await worker.litter(lease.id)
        await worker.finish(lease, "fail", {})
    finally:
        await scene.redis.config_set("maxmemory", "0")

    assert await scene.state(lease.id) == "failed"


async def test_what_a_job_that_still_runs_has_left_is_looked_for_as_soon_as_it_has_failed(
    scene: Scene,
) -> None:
    worker = await scene.worker()
    lost = await scene.running(worker)
    await scene.lose(lost.id)
    lease = await scene.claim(worker, lost.id)
    assert await worker.tidy(OURS, []) == []  # its next attempt may do it

    await worker.finish(lease, "fail", {"exit": 1})

    assert [job_id for job_id, _ in await worker.tidy(OURS, [])] == [lost.id]
