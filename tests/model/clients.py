"""What clients do."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from app.state.fallbacks import KEPT_MS, Fallback
from app.state.job import NoSuchJob
from app.state.jobs import KeyReused, NobodyQualifies, Submission
from app.wire.messages import LANES, REDO
from tests.model import crew
from tests.model.compare import demand
from tests.model.table import JOBS, TWICE, action
from tests.model.world import NEEDS, World


@action(
    6,
    reuse=(None, None, None, 0, 1),
    body=(0, 0, 0, 1),
    lane=("normal", *LANES),
    needs=(0, 0, 1),
    redo=REDO,
    max_attempts=(3, 2, 1),
    retries=(2, 1, 0),
    delay=(1.0, 10.0, 2000.0),
    attach=(False, True),
    require_worker=(False, True),
    twice=TWICE,
)
async def submit(
    world: World, reuse: int | None, body: int, needs: int, delay: float, twice: bool, **asked: Any
) -> bool:
    """A client submits, under a new key or one that it has used."""
    used = [job.asked for job in world.model.jobs.values()]
    number = world.subject.number()
    old = None if reuse is None else world.pick(used, reuse)
    submission = Submission(
        key=old.key if old else f"key-{number}",
        digest=f"digest-{body}" if old is None else f"{old.digest}{'!' * body}",
        owner=("jellyfin", "studio", "ffgrid:look")[number % 3] if old is None else old.owner,
        spec={"number": number},
        needs=NEEDS[needs],
        retry_delay=delay,
        request=f"request-{number}",
        **asked,
    )
    job_id = f"J{number + 1:05}"
    verdict, known = crew.submit(world.model, job_id, submission)
    if twice and verdict == "new":
        verdict = "same"
    try:
        answer = await world.call(twice, world.subject.submit(submission))
        found = ("new" if answer.new else "same", answer.id, answer.qualified)
        job = world.model.jobs.get(known)
        demand("submitted", found, (verdict, known, crew.qualified(world.model, job.cls if job else "")))
    except KeyReused:
        demand("a key for two submissions", verdict, "conflict")
    except NobodyQualifies:
        demand("nobody qualifies", verdict, "refused")
    return True


@action(2, job=JOBS, how=("cancel", "kill"), twice=TWICE)
async def cancel(world: World, job: int | None, how: str, twice: bool) -> bool:
    """A client cancels a job, or one that there never was."""
    one = world.job(job)
    for _ in range(1 + twice):
        expected = world.model.cancel(one, how, "cancelled")
    found = "unknown"
    with suppress(NoSuchJob):
        found = await world.call(twice, world.subject.jobs.cancel(one.id if one else "J", how))
    demand("cancel", found, expected)
    return True


@action(2, job=JOBS, twice=TWICE)
async def interrupt(world: World, job: int | None, twice: bool) -> bool:
    """A caller that waits gives up."""
    one = world.job(job)
    for _ in range(1 + twice):
        expected = world.model.interrupt(one, "interrupted before it started")
    demand(
        "interrupt", await world.call(twice, world.subject.jobs.interrupt(one.id if one else "J")), expected
    )
    return True


@action(job=JOBS, how=("pause", "resume"), twice=TWICE)
async def pause(world: World, job: int | None, how: str, twice: bool) -> bool:
    """A job is stopped where it is, or goes on."""
    one = world.job(job)
    for _ in range(1 + twice):
        expected = world.model.pause(one, how)
    demand(how, await world.call(twice, world.subject.jobs.pause(one.id if one else "J", how)), expected)
    return True


@action(
    job=JOBS,
    connection=("first", "second"),
    milliseconds=(45_000, 700, 3_000),
    arrives=(True, False),
    twice=TWICE,
)
async def caller(
    world: World, job: int | None, connection: str, milliseconds: int, arrives: bool, twice: bool
) -> bool:
    """A job's caller comes, goes on or goes."""
    one = world.job(job)
    for _ in range(1 + twice):
        expected = world.model.call(one, milliseconds, connection, arrives)
    said = world.subject.jobs.caller(one.id if one else "J", milliseconds, connection, arrives=arrives)
    demand("caller", await world.call(twice, said), expected)
    return True


@action(2, job=JOBS, twice=TWICE)
async def orphan(world: World, job: int | None, twice: bool) -> bool:
    """A web process looks whether a caller is gone for good."""
    one = world.job(job)
    world.model.orphan(one)
    await world.call(twice, world.subject.jobs.orphan(one.id if one else "J"))
    return True


@action(1, number=(0, 1, 2), twice=TWICE)
async def note_fallbacks(world: World, number: int, twice: bool) -> bool:
    """A client reports calls that ran on its own host."""
    model = world.model
    numbers = range(10 * number, 10 * number + number + 1)
    calls = [Fallback(float(at), "ffmpeg", at, f"reason {at}", "shim") for at in numbers]
    await world.call(twice, world.subject.store.fallbacks.note("shim", calls))
    told = [("shim", repr(one.at), "ffmpeg", str(one.count), one.reason) for one in calls]
    if not any(model.fallbacks[at : at + len(told)] == told for at in range(len(model.fallbacks))):
        model.fallbacks += told
    model.fallbacks_until = model.now + KEPT_MS
    return True
