"""Who may write: old holders, liars, callers that come and go."""

from __future__ import annotations

from app.state.lifecycle import ENDINGS
from app.state.reaper import CALLER_GRACE_MS
from tests.model.stories.tale import BROKE, Tale, story
from tests.model.upkeep import MINUTE


@story()
async def an_old_holder(do: Tale) -> None:
    """A worker that was taken for dead comes back while another one has its job."""
    await do.crew("w1", "w2")
    for new in ("queued", "running", "publishing", "done"):
        await do.running(process=0)
        await do("pause")
        await do("progress")
        await do("lapse", beats=0, seconds=7)
        if new != "queued":
            await do("claim", process=1)
        if new in ("publishing", "done"):
            await do("publish")
        if new == "done":
            await do("finish", event="succeed")
        for whose in ("any", "old"):
            index = 0 if whose == "old" or new == "queued" else 1
            for name in ("progress", "publish", "release") if new != "done" or whose == "any" else ():
                await do(name, whose=whose, lease=index)
            for event in ENDINGS if new != "done" or whose == "any" else ():
                do.world.processes[-1].held.setdefault(do.world.job(0).id, "stale")
                await do("finish", whose=whose, lease=index, event=event, ending=BROKE)
        await do("beat", process=0)
        if new != "done":
            await do("cancel")
            await do("finish", event="succeed") if new == "publishing" else None
        await do("lapse", beats=0, seconds=7)


@story()
async def beats_with_stale_words(do: Tale) -> None:
    await do.crew("w1", "w2")
    await do.running(process=0)
    held = dict(do.world.processes[-1].held)
    await do("finish", event="succeed")
    await do.running(process=1)
    mine = do.world.processes[-2].held
    do.world.processes[-1].held = {**held, **dict.fromkeys(mine, "stolen"), "J": "nothing"}
    await do("lapse", beats=2, seconds=7)  # only the liar beats
    for share in ("all", "some", "none"):
        await do("beat", process=0, share=share)


@story()
async def callers_come_and_go(do: Tale) -> None:
    await do.crew()
    await do.running(attach=True)
    for word in ("second goes", "first comes", "second comes", "first goes", "second goes"):
        connection, arrives = word.split()[0], word.endswith("comes")
        await do("caller", connection=connection, arrives=arrives, milliseconds=3000, twice=True)
    await do("orphan")
    await do("wait", milliseconds=2999)
    await do("orphan")
    await do("wait", milliseconds=1)
    await do("orphan")
    await do("orphan")
    await do("finish", event="cancel")
    await do("caller")


@story()
async def nobody_comes(do: Tale) -> None:
    await do.crew()
    await do.pass_time(CALLER_GRACE_MS)
    for state in ("queued", "running", "publishing"):
        await do("submit", attach=True)
        await do("beat")
        if state != "queued":
            await do("claim")
        if state == "publishing":
            await do("publish")
        await do("caller", milliseconds=700)
        for milliseconds in (699, 1, 400):
            await do("tick", milliseconds=milliseconds)
        if state != "queued":
            await do("finish", event="succeed")


@story(True, False)
async def callers_are_waited_for_after_an_outage(do: Tale, case: bool) -> None:
    await do.crew()
    await do("submit", attach=True)
    await do("wait", milliseconds=MINUTE)
    await do("tick")
    last = do.world.model.now + CALLER_GRACE_MS
    await do.until(last - 500)
    await do("tick", milliseconds=499 if case else 500)
    assert do.world.job(0).ended is not case
    await do("tick", milliseconds=401)
    assert do.world.job(0).ended
