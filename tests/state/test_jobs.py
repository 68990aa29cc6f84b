"""Jobs from the coordinator's side: submitted once, refused whole, listed, cancelled."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from redis.exceptions import ResponseError

from app.state.job import NoSuchJob
from app.state.jobs import ATTACH_MS, KeyReused, NobodyQualifies, command_line
from app.state.keys import GROUP
from app.state.lifecycle import STATES
from app.state.requirements import class_id, requirement
from app.wire.messages import LANES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.state.conftest import Scene

NEEDS = requirement("ffmpeg", ["Movies"], {}, [])
NEEDS_TAPE = requirement("ffmpeg", ["Tape"], {}, [])


# Submitting


async def test_a_new_job_is_queued_and_can_be_read(scene: Scene) -> None:
    before = await scene.now()
    submission = scene.submission(lane="high", attach=False)

    submitted = await scene.jobs.submit(submission)

    job = await scene.jobs.get(submitted.id)
    assert submitted.new
    assert (job.id, job.state, job.lane, job.owner) == (submitted.id, "queued", "high", "jellyfin")
    assert job.spec == submission.spec
    assert job.cls == class_id(submission.needs)
    assert before / 1000 <= job.created <= await scene.now() / 1000
    assert (job.attempt, job.losses, job.worker, job.ended) == (0, 0, None, False)
    assert list((await scene.queue(scene.stream(lane="high"))).values()) == [submitted.id]


async def test_the_same_submission_twice_makes_one_job(scene: Scene) -> None:
    submission = scene.submission()
    first = await scene.jobs.submit(submission)
    before = await scene.everything()

    second = await scene.jobs.submit(submission)

    assert (second.id, second.new) == (first.id, False)
    assert await scene.everything() == before


async def test_a_key_for_two_different_submissions_is_refused(scene: Scene) -> None:
    submission = scene.submission()
    await scene.jobs.submit(submission)
    before = await scene.everything()

    with pytest.raises(KeyReused, match=submission.key):
        await scene.jobs.submit(replace(submission, digest="another"))

    assert await scene.everything() == before


async def test_two_clients_may_use_the_same_key(scene: Scene) -> None:
    submission = scene.submission()

    first = await scene.jobs.submit(submission)
    second = await scene.jobs.submit(replace(submission, owner="plex", digest="another"))

    assert second.new
    assert first.id != second.id


async def test_a_client_whose_name_ends_like_anothers_key_is_not_the_other(scene: Scene) -> None:
    first = await scene.jobs.submit(scene.submission(owner="a", key="b.c"))
    second = await scene.jobs.submit(scene.submission(owner="a.b", key="c"))

    assert first.id != second.id


async def test_identical_submissions_at_once_make_one_job(scene: Scene, other: Scene) -> None:
    submission = scene.submission(needs=NEEDS_TAPE)
    submits = [one.jobs.submit(submission) for one in (scene, other) for _ in range(15)]

    answers = await asyncio.gather(*submits)

    assert len({answer.id for answer in answers}) == 1
    assert [answer.new for answer in answers].count(True) == 1
    assert await scene.redis.zcard(scene.keys.jobs) == 1
    assert len(await scene.queue(scene.stream(NEEDS_TAPE))) == 1


async def test_submitting_again_after_the_end_gives_the_ended_job(scene: Scene) -> None:
    submission = scene.submission()
    first = await scene.jobs.submit(submission)
    worker = await scene.worker()
    await worker.finish(await scene.claim(worker, first.id), "succeed", {"exit": 0})

    second = await scene.jobs.submit(submission)

    assert (second.id, second.new) == (first.id, False)
    assert await scene.state(first.id) == "done"
    assert await scene.queue(scene.stream()) == {}


async def test_a_client_cannot_use_a_key_again_for_a_day(scene: Scene) -> None:
    submission = scene.submission()
    await scene.jobs.submit(submission)

    left = await scene.redis.pttl(f"{scene.keys.idem_prefix}{submission.owner}:{submission.key}")

    assert 86_300_000 < left <= 86_400_000


# Who qualifies


async def test_a_new_class_counts_the_live_workers_that_qualify(scene: Scene) -> None:
    await scene.worker("w1")
    await scene.worker("w2")
    await scene.worker("w3", roots=["TV"])

    assert (await scene.jobs.submit(scene.submission())).qualified == 2


async def test_a_known_class_counts_the_workers_that_beat_for_it(scene: Scene) -> None:
    await scene.submit()
    worker = await scene.worker("w1")
    assert (await scene.jobs.submit(scene.submission())).qualified == 0

    await worker.beat(0, [class_id(NEEDS)], {})

    assert (await scene.jobs.submit(scene.submission())).qualified == 1


async def test_a_dead_worker_does_not_count_for_a_new_class(scene: Scene) -> None:
    await scene.worker("w1")
    await scene.worker("w2")
    await scene.silence("w2", 6_500)

    assert (await scene.jobs.submit(scene.submission())).qualified == 1


async def test_a_dead_worker_does_not_count_for_a_known_class(scene: Scene) -> None:
    await scene.worker("w1")
    await scene.worker("w2")
    await scene.submit()
    await scene.silence("w2", 6_500)

    assert (await scene.jobs.submit(scene.submission())).qualified == 1


async def test_a_retired_worker_does_not_count(scene: Scene) -> None:
    worker = await scene.worker("w1")
    await scene.submit()
    await scene.store.workers.retire("w1", worker.boot)

    assert (await scene.jobs.submit(scene.submission())).qualified == 0


async def test_a_draining_worker_does_not_count_for_a_new_class(scene: Scene) -> None:
    await scene.worker("w1")
    await scene.store.workers.drain("w1")

    assert (await scene.jobs.submit(scene.submission())).qualified == 0


@pytest.mark.parametrize("beats", [0, 1])
async def test_a_draining_worker_does_not_count_for_a_known_class(scene: Scene, beats: int) -> None:
    worker = await scene.worker("w1")
    await scene.submit()
    await scene.store.workers.drain("w1")
    for _ in range(beats):
        await worker.beat(0, [class_id(NEEDS)], {})

    assert (await scene.jobs.submit(scene.submission())).qualified == 0


async def test_submitting_the_same_again_counts_anew(scene: Scene) -> None:
    submission = scene.submission()
    await scene.jobs.submit(submission)
    worker = await scene.worker("w1")
    await worker.beat(0, [class_id(NEEDS)], {})

    assert (await scene.jobs.submit(submission)).qualified == 1


async def test_a_job_that_nobody_can_run_is_refused_on_request_and_says_what_is_missing(scene: Scene) -> None:
    await scene.worker("w1")
    await scene.worker("w2")
    needs = requirement("ffmpeg", ["Movies", "Tape"], {}, ["h264_nvenc"])

    with pytest.raises(NobodyQualifies) as refusal:
        await scene.jobs.submit(scene.submission(needs=needs, require_worker=True))

    assert str(refusal.value) == "no live worker has the encoder h264_nvenc and the root Tape"
    assert await scene.redis.zcard(scene.keys.jobs) == 0
    assert await scene.queue(scene.stream(needs)) == {}


async def test_without_any_worker_the_refusal_says_so(scene: Scene) -> None:
    with pytest.raises(NobodyQualifies, match="no worker is alive"):
        await scene.jobs.submit(scene.submission(require_worker=True))


async def test_a_refused_submission_can_be_made_again(scene: Scene) -> None:
    submission = scene.submission(require_worker=True)
    with pytest.raises(NobodyQualifies):
        await scene.jobs.submit(submission)
    worker = await scene.worker("w1")
    await worker.beat(0, [class_id(NEEDS)], {})

    assert (await scene.jobs.submit(submission)).new


async def test_a_job_that_somebody_can_run_is_not_refused(scene: Scene) -> None:
    await scene.worker("w1")

    assert (await scene.jobs.submit(scene.submission(require_worker=True))).qualified == 1


async def test_a_worker_that_has_just_come_is_not_refused_without_a_reason(scene: Scene) -> None:
    """Its class is known, it has registered, its first beat is yet to come."""
    await scene.submit()
    await scene.worker("w1")

    said = "nothing"
    try:
        await scene.jobs.submit(scene.submission(require_worker=True))
    except NobodyQualifies as refusal:
        said = str(refusal)

    assert said != ""


async def test_why_nobody_can_run_it_is_empty_when_somebody_can(scene: Scene) -> None:
    await scene.worker("w1")

    assert await scene.jobs.why_nobody(NEEDS) == ""


async def test_a_new_class_is_announced_to_the_live_workers(scene: Scene) -> None:
    await scene.worker("w1")
    await scene.worker("w2")
    await scene.worker("dead")
    await scene.silence("dead", 6_500)

    await scene.submit()
    await scene.submit()

    assert await scene.inbox("w1") == await scene.inbox("w2") == [{"do": "class"}]
    assert await scene.inbox("dead") == []
    assert await scene.store.workers.classes() == {class_id(NEEDS): NEEDS}


async def test_a_new_class_has_a_stream_with_a_group_for_each_lane(scene: Scene) -> None:
    await scene.submit()

    for lane in LANES:
        groups = await scene.redis.xinfo_groups(scene.stream(lane=lane))
        assert [group["name"] for group in groups] == [GROUP.encode()]


async def test_the_sealed_specification_is_what_a_worker_gets(scene: Scene) -> None:
    submission = scene.submission()
    job_id = (await scene.jobs.submit(submission)).id
    worker = await scene.worker()

    lease = await scene.claim(worker, job_id)

    assert scene.seal.open(job_id, lease.sealed) == submission.spec


# A full server


@pytest.fixture
async def full(scene: Scene) -> AsyncIterator[Scene]:
    """A scene whose `fill` makes the server refuse to take anything more."""
    yield scene
    await scene.redis.config_set("maxmemory", "0")


async def fill(scene: Scene) -> None:
    await scene.redis.config_set("maxmemory", "1")


async def test_a_full_server_refuses_a_submission_whole(full: Scene) -> None:
    await full.worker()
    await full.submit()
    before = await full.everything()
    await fill(full)

    with pytest.raises(ResponseError):
        await full.submit()
    with pytest.raises(ResponseError):
        await full.submit(needs=NEEDS_TAPE)

    assert await full.everything() == before


async def test_a_full_server_lets_what_runs_go_on_and_end(full: Scene) -> None:
    worker = await full.worker()
    ends, asked, back, queued, gone = [await full.running(worker) for _ in range(5)]
    waiting = await full.submit()
    await fill(full)

    beat = await worker.beat(5, [], {ends.id: ends.token})
    await worker.progress(ends, {"percent": 50})
    await worker.finish(ends, "succeed", {"exit": 0})
    assert await full.jobs.cancel(asked.id) == "cancelling"
    await worker.finish(asked, "cancel", {})
    await worker.release(back)
    assert await full.jobs.cancel(waiting) == "cancelled"
    assert await full.lose(gone.id) == {gone.id: "queued"}
    await full.store.workers.register("w2", "boot", {})
    await full.store.workers.drain("w2")
    assert len(await worker.claim([full.stream()], 2)) == 2

    assert beat.lost == []
    counted = {"running": 3, "done": 1, "cancelled": 2}
    assert await full.jobs.counts() == dict.fromkeys(STATES, 0) | counted
    assert await full.state(queued.id) == "running"


# Looking


async def test_a_job_that_does_not_exist_cannot_be_read(scene: Scene) -> None:
    with pytest.raises(NoSuchJob):
        await scene.jobs.get("01JABCDEFGHJKMNPQRSTVWXYZ0")


async def test_the_newest_jobs_come_first_page_by_page(scene: Scene) -> None:
    made = [await scene.submit() for _ in range(25)]
    pages, cursor = [], "+"

    while cursor:
        jobs, cursor = await scene.jobs.page(10, cursor.strip("+"))
        pages.append(jobs)

    listed = [job for page in pages for job in page]
    assert [len(page) for page in pages] == [10, 10, 5]
    assert {job.id for job in listed} == set(made)
    assert [job.created for job in listed] == sorted((job.created for job in listed), reverse=True)


async def test_a_last_page_that_is_full_is_followed_by_an_empty_one(scene: Scene) -> None:
    await asyncio.gather(*(scene.submit() for _ in range(4)))
    _, cursor = await scene.jobs.page(4)

    assert await scene.jobs.page(4, cursor) == ([], "")


async def test_pages_hold_each_job_once_though_many_were_made_in_one_millisecond(scene: Scene) -> None:
    made = await asyncio.gather(*(scene.submit() for _ in range(60)))
    await scene.redis.zadd(scene.keys.jobs, dict.fromkeys(made, 1_760_000_000_000))
    listed, cursor = [], "+"

    while cursor:
        jobs, cursor = await scene.jobs.page(7, cursor.strip("+"))
        listed += [job.id for job in jobs]

    assert listed == sorted(made, reverse=True)


async def test_jobs_that_come_while_one_turns_the_pages_do_not_shift_them(scene: Scene) -> None:
    made = [await scene.submit() for _ in range(6)]
    first, cursor = await scene.jobs.page(3)
    await scene.submit()

    second, _ = await scene.jobs.page(3, cursor)

    assert {job.id for job in (*first, *second)} == set(made)


async def test_the_list_can_be_narrowed_to_a_state_and_an_owner(scene: Scene) -> None:
    worker = await scene.worker()
    done = await scene.ended(worker)
    theirs = await scene.ended(worker, owner="plex")
    queued = await scene.submit()

    async def listed(**narrowed: str) -> set[str]:
        return {job.id for job in (await scene.jobs.page(10, **narrowed))[0]}

    assert await listed() == {done, theirs, queued}
    assert await listed(state="done") == {done, theirs}
    assert await listed(owner="jellyfin") == {done, queued}
    assert await listed(state="done", owner="plex") == {theirs}
    assert await listed(state="failed") == await listed(owner="nobody") == set()


async def test_jobs_are_counted_by_state(scene: Scene) -> None:
    worker = await scene.worker()
    for event in ("succeed", "fail", "fail", "cancel"):
        await scene.ended(worker, event)
    await scene.running(worker)
    await scene.submit()

    assert await scene.jobs.counts() == dict.fromkeys(STATES, 0) | {
        "queued": 1,
        "running": 1,
        "done": 1,
        "failed": 2,
        "cancelled": 1,
    }


async def test_the_revision_changes_with_every_move_and_only_then(scene: Scene) -> None:
    assert (await scene.jobs.revision())[0] == ""
    job_id = await scene.submit()
    submitted, clock = await scene.jobs.revision()
    await scene.worker()
    same, _ = await scene.jobs.revision()
    await scene.jobs.cancel(job_id)
    cancelled, _ = await scene.jobs.revision()

    assert submitted == same != cancelled
    assert abs(clock - await scene.now() / 1000) < 5


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["-i", [{"root": "Movies"}, "/a.mkv"]], "ffmpeg -i '{Movies}/a.mkv'"),
        (["-vf", "scale=1:2"], "ffmpeg -vf scale=1:2"),
        ([["file:", {"root": "TV"}, "/a b"]], "ffmpeg 'file:{TV}/a b'"),
        (["a b", ""], "ffmpeg 'a b' ''"),
    ],
)
def test_a_command_is_shown_as_a_shell_would_take_it(args: list[object], line: str) -> None:
    assert command_line({"binary": "ffmpeg", "args": args}) == line


# Cancelling


async def test_a_queued_job_is_cancelled_at_once(scene: Scene) -> None:
    job_id = await scene.submit()

    assert await scene.jobs.cancel(job_id, reason="no more") == "cancelled"

    job = await scene.jobs.get(job_id)
    assert (job.state, job.reason, job.cancelling) == ("cancelled", "no more", False)
    assert job.finished is not None
    assert await scene.queue(scene.stream()) == {}
    assert await scene.endings(job_id) == ["cancelled"]


async def test_a_queued_job_that_is_delivered_already_is_cancelled_at_once(scene: Scene) -> None:
    job_id, worker = await scene.submit(), await scene.worker()
    ((entry, _),) = await scene.deliver(worker, scene.stream())

    assert await scene.jobs.cancel(job_id) == "cancelled"

    assert await scene.pending(scene.stream()) == {}
    assert await worker.start(scene.stream(), entry, job_id) is None


@pytest.mark.parametrize("how", ["cancel", "kill"])
async def test_the_worker_of_a_running_job_is_asked(scene: Scene, how: str) -> None:
    worker = await scene.worker()
    lease = await scene.running(worker)
    await scene.redis.delete(scene.keys.inbox("w1"))

    assert await scene.jobs.cancel(lease.id, how, "no more") == "cancelling"

    job = await scene.jobs.get(lease.id)
    assert (job.state, job.cancelling, job.reason) == ("running", True, "no more")
    assert await scene.inbox("w1") == [{"do": how, "job": lease.id}]


@pytest.mark.parametrize("event", ["succeed", "fail", "cancel"])
async def test_a_job_that_has_ended_stays_as_it_is(scene: Scene, event: str) -> None:
    job_id = await scene.ended(await scene.worker(), event)
    before = await scene.everything()

    assert await scene.jobs.cancel(job_id) == "ended"
    assert await scene.everything() == before


async def test_a_job_that_does_not_exist_cannot_be_cancelled(scene: Scene) -> None:
    with pytest.raises(NoSuchJob):
        await scene.jobs.cancel("01JABCDEFGHJKMNPQRSTVWXYZ0")

    assert await scene.everything() == {}


async def test_a_job_that_succeeded_before_the_wish_reached_its_worker_gives_no_reason(scene: Scene) -> None:
    worker = await scene.worker()
    lease = await scene.running(worker)
    await scene.jobs.cancel(lease.id, reason="no more")

    await worker.finish(lease, "succeed", {"exit": 0, "reason": ""})

    job = await scene.jobs.get(lease.id)
    assert (job.state, job.reason, job.cancelling) == ("done", "", False)


# Interrupting


async def test_an_interrupted_caller_takes_its_waiting_job_along(scene: Scene) -> None:
    job_id = await scene.submit(attach=True)

    await scene.jobs.interrupt(job_id)

    job = await scene.jobs.get(job_id)
    assert (job.state, job.reason) == ("cancelled", "interrupted before it started")
    assert await scene.queue(scene.stream()) == {}


async def test_an_interrupt_leaves_a_running_job_to_its_signals(scene: Scene) -> None:
    worker = await scene.worker()
    lease = await scene.running(worker, attach=True)
    before = await scene.everything()

    await scene.jobs.interrupt(lease.id)
    await scene.jobs.interrupt("01JABCDEFGHJKMNPQRSTVWXYZ0")

    assert await scene.everything() == before


# Callers


async def test_an_attached_job_has_a_while_for_its_caller_to_come(scene: Scene) -> None:
    job_id = await scene.submit(attach=True)

    deadline = await scene.redis.zscore(scene.keys.callers, job_id)

    assert 0 < deadline - await scene.now() <= ATTACH_MS
    assert (await scene.raw(job_id))["attach"] == "1"


async def test_a_job_without_a_caller_waits_for_none(scene: Scene) -> None:
    job_id = await scene.submit()

    assert await scene.redis.zcard(scene.keys.callers) == 0
    assert "attach" not in await scene.raw(job_id)


async def test_a_caller_that_is_there_says_so_and_hears_the_state(scene: Scene) -> None:
    job_id = await scene.submit(attach=True)

    assert await scene.jobs.caller(job_id, 60_000, "c", arrives=True) == "queued"

    deadline = await scene.redis.zscore(scene.keys.callers, job_id)
    assert 59_000 < deadline - await scene.now() <= 60_000


async def test_the_caller_of_an_ended_job_is_not_waited_for(scene: Scene) -> None:
    job_id = await scene.ended(await scene.worker(), attach=True)

    assert await scene.jobs.caller(job_id, 60_000, "c", arrives=True) == "done"
    assert await scene.redis.zcard(scene.keys.callers) == 0


async def test_a_caller_of_no_job_hears_of_none(scene: Scene) -> None:
    assert await scene.jobs.caller("01JABCDEFGHJKMNPQRSTVWXYZ0", 60_000, "c", arrives=True) is None
    assert await scene.redis.zcard(scene.keys.callers) == 0


async def test_a_job_whose_callers_time_is_over_is_cancelled(scene: Scene) -> None:
    job_id = await scene.submit(attach=True)
    await scene.jobs.caller(job_id, -1, "c", arrives=True)

    await scene.jobs.orphan(job_id)

    assert await scene.state(job_id) == "cancelled"
    assert (await scene.jobs.get(job_id)).reason == "its caller is gone"
    assert await scene.redis.zcard(scene.keys.callers) == 0


async def test_a_job_whose_caller_came_back_goes_on(scene: Scene) -> None:
    job_id, plain = await scene.submit(attach=True), await scene.submit()
    await scene.jobs.caller(job_id, 60_000, "c", arrives=True)

    await scene.jobs.orphan(job_id)
    await scene.jobs.orphan(plain)

    assert await scene.state(job_id) == await scene.state(plain) == "queued"


async def test_the_worker_of_a_running_orphan_is_told_to_kill_it(scene: Scene) -> None:
    worker = await scene.worker()
    lease = await scene.running(worker, attach=True)
    await scene.jobs.caller(lease.id, -1, "c", arrives=True)

    await scene.jobs.orphan(lease.id)

    assert (await worker.beat(1, [], {lease.id: lease.token})).cancelled == {lease.id: "kill"}
