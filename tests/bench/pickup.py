"""How long a job waits for an idle worker.

From the moment before the submit script is sent to the moment the worker's start script has returned, in two
processes that read one monotonic clock. Three ways by turns, 5 to 10 ms apart, all idle in between:

    bare     XADD -> a blocked XREADGROUP in the other process returns, with the clients that ffgrid uses
    leases   Jobs.submit -> Leases.wait and Leases.start
    loop     Jobs.submit -> the whole worker loop, whose jobs do nothing
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from app.state.connect import Connection, open_blocking
from app.state.jobs import Submission
from app.state.keys import GROUP
from app.state.requirements import class_id
from app.state.seal import Seal
from app.state.store import Store
from tests.bench import noop
from tests.bench.figure import Aim, Figure
from tests.bench.harness import Options, Stage, say
from tests.bench.stats import percentile
from tests.bench.timing import wait_until

SAMPLES, LONG_SAMPLES = 400, 2000
WARMING = 20  # the first ones, which are not counted
APART = (0.005, 0.010)  # seconds
STREAM = "bench"
P50 = Aim(1.5)


def run(options: Options) -> Iterator[Figure]:
    """The figures."""
    count = WARMING + (LONG_SAMPLES if options.long else SAMPLES)
    with Stage(options) as stage:
        sides = {
            "bare": stage.side(read_bare, count=count),
            "leases": stage.side(take_leases, count=count),
            "loop": stage.side(noop.work, label="loop", slots=4, count=count),
        }
        wait_until(lambda: {"leases", "loop"} <= set(stage.live_workers()), "the workers do not register")
        sent = asyncio.run(_send(stage.url, count))
        took = {way: _latencies(sent[way], side.hear()) for way, side in sides.items()}
    for percent in (50, 99):
        bare = percentile(took["bare"], percent)
        for way in ("leases", "loop"):
            value = percentile(took[way], percent)
            aim = P50 if percent == 50 else None
            name = f"pickup.{way}.p{percent}"
            yield Figure(name, value, "ms", bare, "bare XADD -> XREADGROUP", value - bare, aim=aim)


def submission(label: str, number: int) -> Submission:
    """A job that differs from every other; only the worker with the label can run it."""
    return Submission(
        key=f"{label}-{number}",
        digest=f"{number}",
        owner="bench",
        spec={"binary": "ffmpeg", "args": ["-version"]},
        needs=noop.needs(label),
        lane="normal",
        redo="suspected",
    )


def read_bare(url: str, count: int) -> None:
    """A blocked read and nothing else; says [[number, ns] ...]."""

    async def read() -> None:
        async with _client(open_blocking(url)) as redis:
            await redis.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
            seen: list[tuple[str, int]] = []
            while len(seen) < count:
                reply = await redis.xreadgroup(GROUP, "reader", {STREAM: ">"}, count=1, block=2000)
                seen += [(fields[b"n"].decode(), time.monotonic_ns()) for _, fields in reply[0][1]]
            say(seen)

    asyncio.run(read())


def take_leases(url: str, count: int) -> None:
    """A worker without a loop; says [[job id, ns] ...]."""
    asyncio.run(_take_leases(url, count))


async def _take_leases(url: str, count: int) -> None:
    store = Store(url)
    leases = store.leases("leases", secrets.token_hex(6))
    await store.workers.register(
        "leases", leases.boot, {"binaries": {"ffmpeg": "0"}, "labels": {"bench": "leases"}}
    )
    streams = leases.streams([class_id(noop.needs("leases"))])
    seen: list[tuple[str, int]] = []
    while len(seen) < count:
        for stream, entry, job_id in (await leases.wait(streams)).hints:
            lease = await leases.start(stream, entry, job_id)
            if lease:
                seen.append((lease.id, time.monotonic_ns()))
                await leases.finish(lease, "succeed", {"exit": 0})
    say(seen)
    await store.close()


async def _send(url: str, count: int) -> dict[str, dict[str, int]]:
    """For each way what was sent when, in monotonic ns."""
    sent: dict[str, dict[str, int]] = {"bare": {}, "leases": {}, "loop": {}}
    store = Store(url)
    jobs = store.jobs(Seal(noop.SEAL))
    for number in range(count):
        await asyncio.sleep(random.uniform(*APART))
        began = time.monotonic_ns()
        await store.redis.xadd(STREAM, {"n": number})
        sent["bare"][str(number)] = began
        for label in ("leases", "loop"):
            await asyncio.sleep(random.uniform(*APART))
            began = time.monotonic_ns()
            sent[label][(await jobs.submit(submission(label, number))).id] = began
    await store.close()
    return sent


def _latencies(sent: dict[str, int], seen: list[list[str | int]]) -> list[float]:
    """In ms, without the first ones."""
    arrived = {str(row[0]): int(row[1]) for row in seen}
    return [(arrived[name] - began) / 1e6 for name, began in list(sent.items())[WARMING:]]


@asynccontextmanager
async def _client(redis: Connection) -> AsyncIterator[Connection]:
    try:
        yield redis
    finally:
        await redis.aclose()
