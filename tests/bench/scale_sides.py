"""The processes beside `scale`: who fills the queue, who idles, who drains it."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Iterable
from dataclasses import replace
from functools import cache

from app.state.jobs import Submission
from app.state.leases import Lease, Leases
from app.state.requirements import class_id
from app.state.seal import Seal
from app.state.store import Store
from app.state.workers import BEAT
from app.web import schema
from app.web.preparing import prepare
from tests.bench import noop
from tests.bench.harness import MOVIES, say

FLIGHT = 64  # submissions in the air
BATCH = 32  # jobs that one claim takes
FULL, IDLE = "full", "idle"  # labels: the class that fills up, and the one that idle workers block on


@cache
def _model(label: str) -> Submission:
    root = {"root": MOVIES}
    args = [
        "-y",
        "-v",
        "error",
        "-i",
        [root, "/in.mkv"],
        "-c:v",
        "libx264",
        "-c:a",
        "aac",
        [root, "/out.mkv"],
    ]
    body = {"key": "any-key-will-do", "binary": "ffmpeg", "args": args, "labels": {"bench": label}}
    return prepare(schema.decode(json.dumps(body).encode(), schema.Submission), "bench")


def submission(label: str, key: str) -> Submission:
    """A small transcode, as a coordinator would store it."""
    return replace(_model(label), key=key)


def streams(leases: Leases, label: str) -> list[str]:
    """What workers with that label read."""
    return leases.streams([class_id(_model(label).needs)])


async def register(store: Store, worker: str, label: str) -> Leases:
    """A worker that can run what has the label."""
    leases = store.leases(worker, secrets.token_hex(6))
    about = {
        "slots": 1,
        "roots": [MOVIES],
        "binaries": {"ffmpeg": "0"},
        "encoders": ["libx264"],
        "labels": {"bench": label},
    }
    await store.workers.register(worker, leases.boot, about)
    return leases


def fill(url: str, name: str, count: int) -> None:
    """Queues that many jobs; says when it began and ended, in monotonic seconds."""

    async def work() -> None:
        store = Store(url)
        jobs = store.jobs(Seal(noop.SEAL))
        numbers = iter(range(count))

        async def some() -> None:
            for number in numbers:
                await jobs.submit(submission(FULL, f"{name}-{number}"))

        began = time.monotonic()
        await asyncio.gather(*(some() for _ in range(FLIGHT)))
        say([began, time.monotonic()])
        await store.close()

    asyncio.run(work())


def idle(url: str, name: str, count: int) -> None:
    """That many workers without jobs, until the end of the stage; says when all have registered."""

    async def work() -> None:
        store = Store(url)
        ready: list[asyncio.Future[None]] = []
        tasks = []
        for number in range(count):
            ready.append(asyncio.get_running_loop().create_future())
            tasks.append(asyncio.create_task(_idle(store, f"{name}-{number}", ready[-1])))
            await asyncio.sleep(BEAT / count)  # beats at any phase, as those of real ones
        ended = asyncio.gather(*tasks)
        await asyncio.wait([ended, asyncio.gather(*ready)], return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            say("ready")
        await ended

    asyncio.run(work())


async def _idle(store: Store, name: str, ready: asyncio.Future[None]) -> None:
    """Beats, ticks and waits as a real worker does; what it is given it finishes at once."""
    leases = await register(store, name, IDLE)
    own = streams(leases, IDLE)
    beating = asyncio.create_task(_beat(leases, IDLE))
    ticking = asyncio.create_task(store.reaper.run())
    await leases.wait(own)
    ready.set_result(None)
    while not beating.done() and not ticking.done():
        for stream, entry, job_id in (await leases.wait(own)).hints:
            lease = await leases.start(stream, entry, job_id)
            if lease:
                await finish(leases, [lease])
    await asyncio.gather(beating, ticking)


async def _beat(leases: Leases, label: str) -> None:
    cls = class_id(_model(label).needs)
    while True:
        began = time.monotonic()
        await leases.beat(0, [cls], {})
        await asyncio.sleep(max(0.0, BEAT - (time.monotonic() - began)))


async def finish(leases: Leases, held: Iterable[Lease]) -> None:
    """All of them have done their work."""
    await asyncio.gather(*(leases.finish(lease, "succeed", {"exit": 0}) for lease in held))


def drain(url: str, name: str) -> None:
    """A worker that takes all there is, a claim at a time, as real ones do.

    Says [began, ended, jobs started, finished, those at their first attempt], in monotonic seconds.
    """

    async def work() -> None:
        store = Store(url)
        leases = await register(store, name, FULL)
        own = streams(leases, FULL)
        beating = asyncio.create_task(_beat(leases, FULL))
        started = finished = first = 0
        began = time.monotonic()
        while held := await leases.claim(own, BATCH):
            started += len(held)
            first += sum(lease.attempt == 1 for lease in held)
            await finish(leases, held)
            finished += len(held)
        say([began, time.monotonic(), started, finished, first])
        await beating

    asyncio.run(work())
