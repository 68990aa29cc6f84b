"""Jobs a second through the queue alone, with one worker process.

All jobs are queued first, then the worker starts: its real loop, whose jobs do nothing but finish. From the
first start to the last finish. With 32 jobs in the air, as other queues' workers have, and with two, as a
worker has that runs ffmpeg. Beside it: entries that one bare client takes with XREADGROUP and XACK, one at a
time. By turns; the median of the rounds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

from app.state.connect import open_commands
from app.state.keys import GROUP
from app.state.seal import Seal
from app.state.store import Store
from tests.bench import noop
from tests.bench.figure import Aim, Figure, ratio
from tests.bench.harness import Options, Side, Stage, say
from tests.bench.pickup import submission
from tests.bench.stats import median

MANY, FEW = 32, 2  # slots
JOBS = {MANY: 5000, FEW: 1000}
CYCLES = 3000
ROUNDS, LONG_ROUNDS = 3, 15
AT_A_TIME = 16  # submissions in flight
RATE = Aim(2500, at_least=True)
STREAM = "bench"
BESIDE = "bare XREADGROUP + XACK"


def run(options: Options) -> Iterator[Figure]:
    """The figures."""
    rates: dict[str, list[float]] = {"bare": [], "submit": [], str(MANY): [], str(FEW): []}
    with Stage(options) as stage:
        for number in range(LONG_ROUNDS if options.long else ROUNDS):
            rates["bare"].append(_said(stage, stage.side(cycle, count=CYCLES)))
            for slots, count in JOBS.items():
                label = f"loop-{slots}-{number}"
                submitted = asyncio.run(_submit(stage.url, label, count))
                if slots == MANY:
                    rates["submit"].append(submitted)
                side = stage.side(noop.work, label=label, slots=slots, count=count)
                rates[str(slots)].append(_rate(_said(stage, side)))
    bare, submit, many, few = map(median, rates.values())
    yield ratio("queue.jobs", many, "/s", bare, BESIDE, RATE)
    yield ratio("queue.two-slots", few, "/s", bare, BESIDE)
    yield ratio("queue.submissions", submit, "/s", bare, BESIDE)


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


def _said(stage: Stage, side: Side) -> Any:
    """The one thing that it says; then it ends."""
    said = side.hear()
    stage.stop(side.process)
    return said


async def _submit(url: str, label: str, count: int) -> float:
    """Queues the jobs; how many a second."""
    store = Store(url)
    jobs = store.jobs(Seal(noop.SEAL))
    numbers = iter(range(count))

    async def some() -> None:
        for number in numbers:
            await jobs.submit(submission(label, number))

    began = time.perf_counter()
    await asyncio.gather(*(some() for _ in range(AT_A_TIME)))
    took = time.perf_counter() - began
    await store.close()
    return count / took


def _rate(seen: list[tuple[str, int, int]]) -> float:
    """Jobs a second from the first start to the last finish."""
    first = min(started for _, started, _ in seen)
    last = max(finished for _, _, finished in seen)
    return len(seen) / (last - first) * 1e9
