"""Jobs a second through the queue alone, with one worker process.

All jobs are queued first, then the worker starts: its real loop, whose jobs do nothing but finish. From the
first start to the last finish. Beside it: entries that one bare client takes with XREADGROUP and XACK, one at
a time, before and after.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

from app.state.connect import open_commands
from app.state.keys import GROUP
from app.state.seal import Seal
from app.state.store import Store
from tests.bench import noop
from tests.bench.figure import Aim, Figure, ratio
from tests.bench.harness import Options, Side, Stage, say
from tests.bench.pickup import submission
from tests.bench.stats import median

JOBS, LONG_JOBS = 5000, 20_000
CYCLES = 4000
SLOTS = 32  # how many of the worker's jobs may be in the air
AT_A_TIME = 16  # submissions in flight
RATE = Aim(2500, at_least=True)
STREAM = "bench"


def run(options: Options) -> Iterator[Figure]:
    """The figures."""
    count = LONG_JOBS if options.long else JOBS
    with Stage(options) as stage:
        bare = [_bare(stage)]
        submitted = asyncio.run(_submit(stage.url, count))
        rate = _rate(stage.side(noop.work, label="loop", slots=SLOTS, count=count))
        bare.append(_bare(stage))
    reference = median(bare)
    yield ratio("queue.jobs", rate, "/s", reference, "bare XREADGROUP + XACK", RATE)
    yield ratio("queue.submissions", submitted, "/s", reference, "bare XREADGROUP + XACK")


def cycle(url: str, count: int) -> None:
    """One client that takes and acknowledges entries one at a time; says how many a second."""

    async def work() -> None:
        redis = open_commands(url)
        pipe = redis.pipeline(transaction=False)
        for number in range(count):
            pipe.xadd(STREAM, {"n": number})
        await pipe.execute()
        await redis.xgroup_create(STREAM, GROUP, id="0")
        began = time.perf_counter()
        for _ in range(count):
            ((_, ((entry, _),)),) = await redis.xreadgroup(GROUP, "reader", {STREAM: ">"}, count=1)
            await redis.xack(STREAM, GROUP, entry)
        took = time.perf_counter() - began
        await redis.delete(STREAM)
        await redis.aclose()
        say(count / took)

    asyncio.run(work())


def _bare(stage: Stage) -> float:
    side = stage.side(cycle, count=CYCLES)
    rate = float(side.hear())
    stage.stop(side.process)
    return rate


async def _submit(url: str, count: int) -> float:
    """Queues the jobs; how many a second."""
    store = Store(url)
    jobs = store.jobs(Seal(noop.SEAL))
    numbers = iter(range(count))

    async def some() -> None:
        for number in numbers:
            await jobs.submit(submission("loop", number))

    began = time.perf_counter()
    await asyncio.gather(*(some() for _ in range(AT_A_TIME)))
    took = time.perf_counter() - began
    await store.close()
    return count / took


def _rate(side: Side) -> float:
    """From the first start to the last finish."""
    seen: list[tuple[str, int, int]] = side.hear()
    first = min(started for _, started, _ in seen)
    last = max(finished for _, _, finished in seen)
    return len(seen) / (last - first) * 1e9
