"""Submissions, workers, and what is forgotten in the end."""

from __future__ import annotations

from app.state.leases import TIDY_MS
from app.state.lifecycle import ENDINGS
from app.state.workers import HELD_MS, LEASE_MS, PROOF_MS
from tests.model.stories.tale import Tale, story
from tests.model.upkeep import DAY, HOUR


@story()
async def keys_of_clients(do: Tale) -> None:
    for require in (True, False):
        await do("submit", require_worker=require, twice=True)
        await do("submit", reuse=0, require_worker=require) if do.world.model.jobs else None
        await do("submit", reuse=0, body=1) if do.world.model.jobs else None
    await do.crew("w1", "w2")
    await do("submit", needs=1, require_worker=True)
    await do("submit", reuse=0, needs=0)
    await do("submit", needs=0, require_worker=True)
    await do("submit", reuse=0, needs=1)
    await do("beat", idle=False)
    await do("wait", milliseconds=LEASE_MS)
    await do("submit", require_worker=True)
    await do("wait", milliseconds=1)
    await do("submit", require_worker=True)
    await do("submit", require_worker=True, twice=True)
    await do("beat", process=0)
    await do("order", name="w1")
    await do("beat", process=0)
    await do("submit", require_worker=True)
    await do("wait_long", milliseconds=25 * HOUR)
    await do("submit", reuse=0)
    await do("submit", reuse=0)


@story()
async def asked_again_with_other_needs(do: Tale) -> None:
    """The answer is about the job that there is."""
    await do("register", name="w1", host="den")
    await do("register", name="w2", host="attic")
    for needs in (0, 1):
        await do("submit", needs=needs)
    for process in (0, 1):
        await do("beat", process=process)
    await do("submit", reuse=0, needs=0)
    await do("submit", reuse=1, needs=1)


@story()
async def a_new_class(do: Tale) -> None:
    """Only workers that live are told of it."""
    await do("register", name="w1")
    await do("wait", milliseconds=3001)
    await do("register", name="w2")
    await do("wait", milliseconds=2999)
    await do("submit", needs=0)
    await do("wait", milliseconds=1)
    await do("submit", needs=1)


@story()
async def names_are_held(do: Tale) -> None:
    await do("order", name="w1")
    await do("register", name="w1", host="den")
    await do("order", name="w1", twice=True)
    await do("beat")
    for milliseconds in (0, HELD_MS - 1, 1):
        await do("breathe", milliseconds=milliseconds)
        await do("register", name="w1", host="attic", twice=True)
    await do("beat", process=0)
    await do("beat", process=1)
    await do("register_again", process=1)
    await do("register_again", process=0)
    await do("order", name="w1")
    await do("register_again", process=0)
    await do("retire", process=1)
    await do("retire", process=0)


@story("pause", "drain")
async def told_to_rest_and_to_go_on(do: Tale, case: str) -> None:
    """Nobody counts on a worker that rests; from its first heartbeat after that on one may again."""
    await do("order", name="w1", what="resume")
    await do.crew("w1")
    await do("submit")
    await do("beat")
    await do("order", name="w1", what=case)
    await do("beat")
    await do("submit", require_worker=True)
    await do("submit", needs=1, require_worker=True)
    await do("register_again")
    await do("beat")
    await do("order", name="w1", what="resume")
    await do("submit", require_worker=True, needs=1)
    await do("beat")
    await do("submit", require_worker=True)
    await do("claim", count=3)


@story()
async def leaving(do: Tale) -> None:
    """Who leaves is forgotten; who leaves with a job is forgotten too, and his job is not."""
    await do.crew("w1", "w2")
    await do.running(process=0)
    await do("submit")
    await do("beat", process=1)
    await do("deliver", process=1)
    await do("retire", process=0)
    await do("retire", process=0)
    await do("lapse", beats=0, seconds=7)
    await do("register", name="w2")
    await do("submit")
    await do("beat")
    await do("claim", count=3)
    await do("finish", event="succeed")
    await do("finish", event="succeed")
    await do("finish", event="succeed")
    await do("retire")


@story("w1", "w2")
async def forgotten_while_a_queue_is_broken(do: Tale, case: str) -> None:
    await do.crew("w1", "w2")
    await do.running()
    await do("destroy_group")
    await do("retire", process=int(case == "w2"))
    await do.pass_time(LEASE_MS)


@story()
async def known_for_a_day(do: Tale) -> None:
    await do("register", name="w1")
    await do("register", name="w2")
    await do("submit", needs=0)
    await do("beat")
    await do("cancel")
    for _ in range(3):
        await do("wait_long", milliseconds=20 * HOUR)
        await do("beat")
    await do("expire")
    await do("submit", needs=1, require_worker=True)
    await do("wait_long", milliseconds=20 * HOUR)
    await do("register_again")
    await do("wait_long", milliseconds=20 * HOUR)
    await do("submit", needs=0)
    await do("wait_long", milliseconds=5 * HOUR)
    await do("register_again")


@story()
async def forgotten_by_time(do: Tale) -> None:
    await do.crew("w1", "w2")
    for needs in (0, 1):
        for owner in range(2):
            await do.running(needs=needs)
            await do("finish", event=ENDINGS[owner], again=False)
    await do.running(redo="suspected", max_attempts=1)
    await do("lapse", beats=0, seconds=7)
    await do.running(retries=2, delay=2000.0)
    await do("finish", event="fail", again=True)
    await do("submit", lane="low")
    await do("wait_long", milliseconds=25 * HOUR)
    await do("beat", process=1)
    await do("expire")
    await do("beat", process=0)
    await do("register_again", process=0)
    await do("beat", process=0)
    await do("claim", count=3)
    await do("finish", event="succeed")
    await do("wait_long", milliseconds=8 * DAY)
    await do("expire")
    await do("submit", reuse=0)
    await do("wait_long", milliseconds=25 * HOUR)
    await do("cancel", job=0)
    await do("expire")


@story()
async def what_is_in_use_is_kept(do: Tale) -> None:
    await do.crew()
    await do.running()
    await do("finish", event="succeed")
    await do("expire")
    await do("beat")
    await do("submit")
    await do("expire")


@story(100, 1, 2)
async def many_old_jobs(do: Tale, case: int) -> None:
    await do.crew()
    for event in ENDINGS * 2:
        await do.running()
        await do("finish", event=event, again=False)
    await do("wait_long", milliseconds=8 * DAY)
    for _ in range(2):
        await do("expire", most=case)


@story()
async def files_that_were_left(do: Tale) -> None:
    await do.crew("w1", "w2")
    await do.running(max_attempts=1)
    await do("submit")
    await do("claim")
    await do("lapse", beats=0, seconds=7)
    for share in ("none", "none", "all"):
        await do("beat", process=1)
        await do("tidy", process=1, share=share)
    await do("claim", process=1)
    await do("tidy", process=1)
    await do("finish", event="succeed")
    for milliseconds in (29_999, 1, PROOF_MS - 30_000 - 1, 1, 30_000):
        await do("wait", milliseconds=milliseconds)
        await do("beat", process=1)
        await do("tidy", process=1, share="some")
        await do("tidy", process=1, share="all")
    await do("wait_long", milliseconds=8 * DAY)
    await do("expire")
    await do("tidy", process=0)


@story()
async def files_that_another_worker_can_reach(do: Tale) -> None:
    """A worker that cannot serve a job's class leaves its files to another."""
    await do("register", name="w1", host="den")
    await do("register", name="w2", host="attic")
    await do.pass_time(LEASE_MS + 500)
    await do.running(process=1, max_attempts=1)
    await do("lapse", beats=2, seconds=8)
    await do("beat", process=0)
    await do("tidy", process=0)
    await do("tidy", process=1)
    await do("wait", milliseconds=30_000)
    await do("tidy", process=1)
    await do("wait_long", milliseconds=8 * DAY)
    await do("tidy", process=1, share="all")


@story(-1, 0)
async def files_that_nobody_comes_for(do: Tale, case: int) -> None:
    """What those who can serve its class have not asked for in time goes behind the others."""
    await do("register", name="w1", host="den")
    await do("register", name="w2", host="attic")
    await do.pass_time(LEASE_MS + 500)
    await do.running(process=1, max_attempts=1)
    await do("lapse", beats=2, seconds=8)
    (since,) = do.world.model.litter.values()
    await do("wait", milliseconds=since + TIDY_MS + case - do.world.model.now)
    await do("tidy", process=0)


@story()
async def files_of_what_goes_on(do: Tale) -> None:
    """The next attempt looks after them."""
    await do.crew("w1", "w2")
    for _ in range(3):
        await do("submit", retries=2)
    await do("beat")
    await do("claim", count=3)
    await do("lapse", beats=1, seconds=8)
    await do("beat", process=1)
    await do("claim", process=1, count=3)
    await do("publish")
    await do("finish", lease=1, event="fail")
    await do("release", lease=1)
    for milliseconds in (0, PROOF_MS, 1):
        await do("breathe", milliseconds=milliseconds)
        await do("tidy")
        await do("beat")


@story()
async def calls_that_ran_elsewhere(do: Tale) -> None:
    for number in (2, 0, 2, 1):
        await do("note_fallbacks", number=number, twice=True)
    await do("wait_long", milliseconds=31 * DAY)
    await do("note_fallbacks", number=1)


@story()
async def a_server_that_forgets_the_scripts(do: Tale) -> None:
    await do.crew()
    await do.running()
    await do("flush_scripts")
    await do("beat")
    await do("finish", event="succeed")
