"""How jobs end, and how they are asked to."""

from __future__ import annotations

from app.state.lifecycle import ENDINGS
from app.state.workers import LEASE_MS
from app.wire.messages import REDO
from tests.model.stories.tale import BROKE, Tale, story
from tests.model.upkeep import HOUR


@story()
async def every_ending(do: Tale) -> None:
    await do.crew()
    for event in ENDINGS:
        for before in ("nothing", "publish", "cancel"):
            await do.running(retries=0)
            await do("progress")
            if before != "nothing":
                await do(before, twice=True)
            if before == "publish":
                await do("cancel")
            for whose in ("good", "any"):
                if (
                    whose == "good" or event != "cancel" or before != "publish"
                ):  # the table knows no such cancel
                    await do("finish", whose=whose, event=event, again=False, ending=BROKE)
            if event == "cancel" and before == "publish":
                await do("finish", event="succeed")


@story(*[(delay, then) for delay in (10.0, 2000.0) for then in ("", "cancel", "interrupt")])
async def failing_again_and_again(do: Tale, case: tuple[float, str]) -> None:
    delay, then = case
    await do.crew()
    await do.running(retries=2, delay=delay, attach=True)
    await do("caller", milliseconds=10 * HOUR)
    for _ in range(2):
        await do("progress")
        await do("publish")
        await do("finish", event="fail", again=True, ending={**BROKE, "signal": 9})
        await do("finish", whose="any", event="fail", again=True, ending=BROKE)
        await do("pause")
        await do("audit")
        await do("wait", milliseconds=(do.world.job(0).due or 0) - do.world.model.now - 1)
        await do("tick", milliseconds=0)
        await do("wait", milliseconds=400)
        if then == "cancel":
            await do("cancel")
            return
        await do("tick", milliseconds=0)
        if then:
            await do(then)
            return
        await do("claim")
    await do("finish", event="fail", again=True, ending=BROKE)
    assert do.world.job(0).ended


@story()
async def a_failure_that_nothing_can_mend(do: Tale) -> None:
    await do.crew()
    for retries, again in ((2, False), (0, True)):
        await do.running(retries=retries)
        await do("finish", event="fail", again=again, ending={"signal": 9})


@story()
async def asked_to_end(do: Tale) -> None:
    """What was promised is kept, whatever the worker does then."""
    await do.crew()
    for how in ("cancel", "kill"):
        for what in ("release", "publish", "finish", "silence"):
            for redo in REDO:
                await do.running(redo=redo, retries=2)
                await do("cancel", how=how)
                await do("beat")
                await do("pause")
                if what == "silence":
                    await do.pass_time(LEASE_MS + 1000)
                else:
                    await do(what)
                if what == "publish":
                    await do("finish", event="succeed")
                await do("cancel", how=how)


@story()
async def cancelled_early(do: Tale) -> None:
    await do.crew()
    for name in ("cancel", "interrupt"):
        await do("submit", attach=True)
        await do("caller")
        await do(name, twice=True)
        await do("claim")
        await do("caller")
        await do("pause")
    await do("cancel", job=0)
    await do("orphan", job=0)


@story()
async def released_again_and_again(do: Tale) -> None:
    """Of the attempts of a job, the last twenty are remembered."""
    await do.crew()
    await do.running()
    for _ in range(22):
        await do("progress")
        await do("release", twice=True)
        await do("claim")
    await do("publish")
    await do("release")  # its outputs get their names: too late for that
    await do("finish", event="succeed")


@story()
async def paused(do: Tale) -> None:
    await do.crew("w1", "w2")
    await do.running()
    for how in ("pause", "pause", "resume", "pause"):
        await do("pause", how=how)
        await do("beat")
    await do("lapse", beats=0, seconds=7)
    await do("pause", how="resume")
    await do("claim", process=1)
    await do("beat", process=1)
    await do("pause", how="resume", twice=True)
    await do("beat", process=1)
    await do("publish")
    await do("pause")
    await do("beat", process=1)


@story()
async def a_job_that_there_never_was(do: Tale) -> None:
    for name in ("cancel", "interrupt", "pause", "caller", "orphan"):
        await do(name, job=None, twice=True)


@story()
async def a_job_that_takes_its_workers_with_it(do: Tale) -> None:
    for redo in REDO:
        for attempts in (1, 2, 3):
            await do("register", name="w1", host="den", proof=True)
            await do.running(redo=redo, max_attempts=attempts)
            for _ in range(attempts):
                if do.world.job(0).ended:
                    break
                await do("publish")
                await do("die")
                await do("register", name="w1", host="den", proof=True, twice=True)
                if not do.world.job(0).ended:
                    await do("claim")
            await do("die")
            await do("retire") if any(one.alive for one in do.world.processes) else None
