"""Entries in streams: what is delivered, forgotten, doubled, deleted."""

from __future__ import annotations

from app.state.workers import HELD_MS, LEASE_MS
from app.wire.messages import LANES
from tests.model.stories.tale import BROKE, Tale, story


@story()
async def delivered_and_forgotten(do: Tale) -> None:
    await do.crew("w1", "w2")
    await do("submit")
    await do("beat")
    await do("beat", process=1)
    await do("deliver")
    await do.pass_time(LEASE_MS - 500)
    await do("tick", milliseconds=500)
    await do("start")  # too late: it is another entry now
    await do("deliver", process=1)
    await do("start", lost=True)
    await do("start")
    await do("release")
    await do("deliver", process=1)
    await do("put_back", twice=True)
    await do("put_back", hint=1)
    await do("deliver")
    await do("start", twice=True)
    await do("put_back")
    await do("release")
    await do("cancel")
    await do("deliver") if any(list(q.undelivered()) for q in do.world.seen.queues.values()) else None
    await do("start")


@story()
async def asked_again_when_it_counts_as_silent(do: Tale) -> None:
    """Who asks for what he has started is alive: his silence counts from then."""
    await do.crew()
    await do("submit", redo="never")
    await do("beat")
    await do("deliver")
    await do("start", lost=True)
    await do.pass_time(LEASE_MS + 500)
    await do("start")
    await do.pass_time(LEASE_MS + 500)


@story()
async def started_late(do: Tale) -> None:
    """The lease begins when the job is started, not when its entry was delivered."""
    await do.crew()
    await do("submit")
    await do("beat")
    await do("deliver")
    await do.pass_time(LEASE_MS - 1000)
    await do("beat")
    await do("start")
    await do.pass_time(LEASE_MS - 1000)
    assert not do.world.job(0).losses
    await do.pass_time(2000)


@story()
async def lanes_in_their_order(do: Tale) -> None:
    await do.crew("w1")
    for lane in (*LANES, *reversed(LANES)):
        for needs in (0, 1):
            await do("submit", lane=lane, needs=needs, attach=needs == 1)
    await do("caller", job=1, arrives=True)
    await do("beat")
    for backwards in (False, True):
        for count in (1, 3, 2):
            await do("claim", count=count, backwards=backwards, twice=count == 3)
    await do("claim", count=3)
    await do("submit", lane="live")
    await do("claim", count=2, twice=True)
    await do("claim", count=2, twice=True)


@story()
async def claimed_twice(do: Tale) -> None:
    """What was given to a call without an answer is given to it again, unless it was lost meanwhile."""
    await do.crew("w1")
    for _ in range(3):
        await do("submit")
    await do("beat")
    await do("claim", count=2, twice=True)
    await do("claim", count=2, twice=True)
    await do("lapse", beats=0, seconds=7)


@story()
async def claimed_and_never_heard(do: Tale) -> None:
    await do.crew()
    await do("submit")
    await do("beat")
    await do("claim", count=3, lost=True)
    await do("submit")
    await do("claim", count=3)
    await do("claim", count=3)
    await do("claim", count=2, lost=True)
    await do("submit")
    await do("claim", count=2, lost=True)
    await do("lapse", beats=0, seconds=7)
    await do("claim", count=3)
    await do("claim", count=3)
    await do("wait", milliseconds=HELD_MS)
    await do("register", name="w1", host="den")
    await do("submit")
    await do("beat")
    await do("claim", process=1)
    for _ in range(3):
        await do("submit")
    await do("claim", process=0, lost=True)
    await do("claim", process=1)
    await do("claim", process=0)


@story("done", "waiting", "running", "queued")
async def hints_at_what_needs_none(do: Tale, case: str) -> None:
    """A second hint at a job, even one that the job's hash names: nobody starts by it what does not wait for that."""
    for named in (True, False):
        for how in ("claim", "deliver", "silence"):
            await do.crew("w1", "w2")
            await do.running(retries=2, max_attempts=3)
            if case == "done":
                await do("finish", event="succeed")
            elif case == "waiting":
                await do("finish", event="fail")
            elif case == "queued":
                await do("release")
            await do("double_entry", named=named)
            await do("beat", process=1)
            if how != "claim":
                await do("deliver", process=1)
            if how == "deliver":
                await do("start")
            await do("claim", process=1) if how == "claim" else None
            await do("lapse", beats=0, seconds=14)
            for _ in range(2):
                await do("claim", process=1, count=3)
            await do.world.begin()


@story()
async def entries_that_nobody_needs(do: Tale) -> None:
    """Group and stream are made anew; what is delivered a second time harms nobody."""
    await do.crew("w1", "w2")
    for damage in ("destroy_group", "delete_stream", "delete_entry"):
        for state in ("queued", "running", "publishing", "silent"):
            await do("submit")
            await do("beat")
            await do("beat", process=1)
            if state != "queued":
                await do("claim")
            if state == "publishing":
                await do("publish")
            await do(damage)
            if state in ("running", "publishing"):
                await do("beat")
            for process in (1, 1, 0):
                await do("claim", process=process, count=2)
            await do("audit")
            await do("audit")
            await do.pass_time(LEASE_MS + 1000)
            await do("claim", process=1)
            await do("beat", process=1)
            while do.world.processes[-2].held:
                await do("finish", event="succeed")


@story("running", "publishing", "queued")
async def mended_before_anybody_reads(do: Tale, case: str) -> None:
    for damage in ("delete_stream", "delete_entry", "destroy_group"):
        await do.crew()
        await do.running()
        if case == "publishing":
            await do("publish")
        elif case == "queued":
            await do("release")
        await do(damage)
        await do("audit")
        await do("lapse", beats=0, seconds=14)
        await do.world.begin()


@story()
async def a_group_that_knows_of_no_delivery(do: Tale) -> None:
    """Made anew by a claim that reads nothing yet: the job that runs is watched by nobody."""
    await do.crew("w1", "w2")
    await do.running()
    await do("beat", process=1)
    await do("destroy_group")
    await do("claim", process=1)
    await do("audit")
    await do("lapse", beats=0, seconds=14)
    assert do.world.job(0).losses


@story()
async def an_audit_step_by_step(do: Tale) -> None:
    await do.crew("w1", "w2")
    await do("submit", retries=2)
    await do("beat")
    for event in ("fail", "fail", "fail"):
        await do("submit", retries=2, delay=10.0)
        await do("claim")
        await do("finish", event=event, ending=BROKE)
    for _ in range(2):
        await do("submit")
        await do("claim")
    await do("submit")
    await do("publish")
    for count in (1, 1, 1, 1, 1):
        await do("audit", count=count)
    for job in range(4):
        if not do.world.job(job).ended and do.world.job(job).state != "waiting":
            await do("delete_entry", job=job)
    await do("delete_due")
    for count in (2, 1, 1, 1, 2, 100, 100):
        await do("audit", count=count)
    await do("delete_due")
    await do.pass_time(LEASE_MS + 11_000)
    await do("audit")
    await do("audit")
    await do("tick")
