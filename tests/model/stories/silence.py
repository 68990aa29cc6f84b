"""Silence, outages, clocks that are set: what is taken from a worker, and when."""

from __future__ import annotations

from app.state.reaper import HICCUP_GRACE_MS, HICCUP_MS, OUTAGE_MS
from app.state.workers import HELD_MS, LEASE_MS, PROOF_MS
from tests.model.stories.tale import Tale, story
from tests.model.upkeep import HOUR, MINUTE


@story()
async def just_silent_enough(do: Tale) -> None:
    for early in (1, 0):
        await do.crew()
        await do.running()
        await do("tick", milliseconds=0)
        await do("tick", milliseconds=0)
        await do.until(do.world.model.now + LEASE_MS - 500 - early)
        await do("tick", milliseconds=500)
        await do("tick", milliseconds=500)


@story("fenced", "never")
async def proven_dead_by_silence(do: Tale, case: str) -> None:
    await do.crew()
    await do.running(redo=case)
    for _ in range(2):  # it is heard again after a while
        await do.pass_time(LEASE_MS + 3000)
        await do("beat")
    await do.pass_time(PROOF_MS - 3000)
    await do.pass_time(LEASE_MS + 4000)
    assert do.world.job(0).losses
    await do("claim")


@story()
async def the_last_moment_of_a_proof(do: Tale) -> None:
    """Looks come a lease apart; the one that is exactly late enough is late enough."""
    await do.crew()
    await do.running(redo="fenced")
    await do.pass_time(LEASE_MS)
    for _ in range((PROOF_MS - LEASE_MS - LEASE_MS) // 6300):
        for _ in range(7):
            await do("tick", milliseconds=900)
    suspect = do.world.job(0).suspect
    assert suspect is not None
    left = suspect + PROOF_MS - LEASE_MS - do.world.model.now
    while left > 900:
        step = 900 if left > 1300 else 500
        await do("tick", milliseconds=step)
        left -= step
    assert not do.world.job(0).losses
    await do("tick", milliseconds=left)
    assert do.world.job(0).losses


@story(("wait", 80_000), ("set_clock", 10 * MINUTE), ("set_clock", -HOUR))
async def an_outage_proves_nothing(do: Tale, case: tuple[str, int]) -> None:
    await do.crew()
    await do.running(redo="fenced")
    await do.pass_time(LEASE_MS + 1000)
    await do(case[0], milliseconds=case[1])
    await do.pass_time(2 * LEASE_MS + 1000)
    assert not do.world.job(0).losses
    await do.pass_time(PROOF_MS + LEASE_MS)
    assert do.world.job(0).losses


@story()
async def proven_dead_by_who_comes_after(do: Tale) -> None:
    await do.crew("w1", "w2")
    await do.running(redo="fenced")
    await do("submit", redo="never")
    await do("claim", count=2)
    await do("submit")
    await do("deliver")
    await do("die")
    await do("register", name="w1", host="den", proof=True)
    await do("start") if any(one.process.alive for one in do.world.hints) else None
    await do.pass_time(2 * LEASE_MS)


@story()
async def proof_that_comes_late(do: Tale) -> None:
    """The reaper has the entry already when another process of the host comes."""
    await do.crew("w1")
    await do.running(redo="fenced")
    await do.pass_time(LEASE_MS + 1000)
    await do("die")
    await do("register", name="w1", host="den", proof=True)
    await do.pass_time(LEASE_MS)


@story(True, False)
async def proof_while_an_entry_is_missing(do: Tale, case: bool) -> None:
    """What could not be given back at once is given back as soon as somebody has mended the queue."""
    await do.crew()
    await do.running(redo="fenced")
    await do("submit")
    await do("deliver")
    for job in (0, 1):
        await do("delete_entry", job=job)
    await do("die")
    await do("register", name="w1", host="den", proof=True)
    await do("audit")
    if case:  # a third process, which knows nothing of the first
        await do.pass_time(HELD_MS)
        await do("register", name="w1", host="attic")
    await do.pass_time(2 * LEASE_MS + 1000)
    assert do.world.job(1).losses


@story()
async def proof_without_a_holder(do: Tale) -> None:
    """Its holder was forgotten meanwhile: what was only delivered is not lost by that."""
    await do.crew()
    await do("submit")
    await do("beat")
    await do("deliver")
    await do("retire")
    await do("register", name="w1", proof=True, twice=True)


@story()
async def a_chain_of_processes(do: Tale) -> None:
    """That the one before is dead says nothing of the one before that, which may live on another host."""
    await do.crew("w1")
    await do.running(redo="fenced")
    await do("wait", milliseconds=HELD_MS)
    await do("register", name="w1", host="attic")
    await do("die", process=0)
    await do("register", name="w1", host="attic", proof=True)
    await do.pass_time(3 * LEASE_MS)
    assert not do.world.job(0).losses


@story(
    *[
        (gap, rest)
        for gap in (399, 400, HICCUP_MS, HICCUP_MS + 1, OUTAGE_MS, OUTAGE_MS + 1, MINUTE)
        for rest in (LEASE_MS, HICCUP_GRACE_MS)
    ]
)
async def hiccups_and_outages(do: Tale, case: tuple[int, int]) -> None:
    gap, rest = case
    await do.crew()
    await do.running()
    await do.pass_time(LEASE_MS - 1000)
    await do("wait", milliseconds=gap)
    await do("tick", milliseconds=0)
    await do("breathe", milliseconds=300)
    await do.until(do.world.model.now + rest - 301 - 500)
    for milliseconds in (500, 1, 400):
        await do("tick", milliseconds=milliseconds)
    await do.pass_time(LEASE_MS)


@story()
async def two_hiccups(do: Tale) -> None:
    """The second does not shorten the grace of an outage."""
    await do.crew()
    await do.running()
    await do("wait", milliseconds=MINUTE)
    await do("tick", milliseconds=0)
    await do("tick", milliseconds=1001)
    await do.pass_time(2 * LEASE_MS)


@story(-1, -700, -MINUTE, -HOUR)
async def the_clock_is_set_back(do: Tale, case: int) -> None:
    await do.crew("w1", "w2")
    await do.running()
    await do("submit")
    await do("beat", process=1)
    await do("deliver", process=1)
    await do("set_clock", milliseconds=case)
    await do("register", name="w1", host="attic", twice=True)
    await do.pass_time(2 * LEASE_MS + 1000)
    assert do.world.job(1).losses
    await do("claim", process=1, count=2)
