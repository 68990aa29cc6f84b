"""A hundred thousand queued jobs and a thousand idle workers on one server: what gets slower, and is any lost.

Latencies are measured by turns with a second server beside it, which has no idle workers and an all but empty
queue: the 50 jobs that make a page as long as the other's. So both meet the noise of one machine. Each turn
submits a job, claims one, finishes it, and lists the newest 50. `crowd` is a submission to the class that all
idle workers block on. These are simulated, in three processes: each beats, ticks and blocks on a connection of
its own as real ones do.

Where the whole would take too long, a fifth of it is measured, and the names of the figures say so; `--long`
measures all of it, whatever it takes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from app.state.connect import BLOCK
from app.state.leases import Leases
from app.state.reaper import TICK
from app.state.seal import Seal
from app.state.store import Store
from app.state.workers import BEAT
from tests.bench import noop, scale_sides
from tests.bench.figure import Aim, Figure, ratio
from tests.bench.harness import Options, Stage
from tests.bench.scale_sides import FULL, IDLE, submission
from tests.bench.stats import percentile
from tests.bench.timing import Broken

ROOM = 160.0  # seconds that filling and draining may take together
FIRST = 1000  # jobs after which it is known how long the rest takes
FILLERS, HERDS, DRAINERS = 2, 3, 2  # processes
SAMPLES, LONG_SAMPLES = 300, 2000
CROWD_SAMPLES, CROWD_WARMING = 100, 5
WARMING = 50  # turns that are not counted
PAGE = 50
CPU_SECONDS = 10.0
BESIDE = "50 queued, no workers"
SAME, BYTES = Aim(1.5, of_comparison=True), Aim(2048)
ALL, ONCE = Aim(0, at_least=True, of_comparison=True), Aim(0, of_comparison=True)


@dataclass(frozen=True)
class Size:
    """How much is measured, and what the figures are called."""

    jobs: int
    workers: int
    name: str


WHOLE, LESS = Size(100_000, 1000, "scale"), Size(20_000, 200, "scale-20k-200")

Took = dict[str, tuple[list[float], list[float]]]  # what -> ms on the full server, and on the empty one


def run(options: Options) -> Iterator[Figure]:
    """The figures."""
    samples = LONG_SAMPLES if options.long else SAMPLES
    with ExitStack() as stack:
        full, empty = (stack.enter_context(Stage(options)) for _ in range(2))
        asyncio.run(_turns(full, empty, WARMING))  # makes the classes, and loads the scripts
        size, rate, held = fill(full, options.long)
        yield Figure(f"{size.name}.bytes-a-job", held, "B", aim=BYTES)
        filled(empty, "page", PAGE)
        _herd(full, size.workers)
        yield from _busy(full, empty, size)
        took = asyncio.run(_turns(full, empty, samples))
        took |= asyncio.run(_crowd(full, empty, CROWD_SAMPLES))
        for what, (loaded, bare) in took.items():
            for percent in (50, 99):
                aim = None if what == "crowd" else SAME
                value, beside = percentile(loaded, percent), percentile(bare, percent)
                yield ratio(f"{size.name}.{what}.p{percent}", value, "ms", beside, BESIDE, aim)
        yield from _drained(full, size, WARMING + samples + CROWD_WARMING + CROWD_SAMPLES, rate)


def fill(stage: Stage, is_long: bool) -> tuple[Size, float, float]:
    """Queues as much as there is room for: how much, at how many jobs a second, and the bytes of one."""
    before = _info(stage, "memory")["used_memory"]
    rate = filled(stage, "first", FIRST)
    size = WHOLE if is_long or 2 * WHOLE.jobs / rate < ROOM else LESS
    rate = filled(stage, "rest", size.jobs - FIRST)
    return size, rate, (_info(stage, "memory")["used_memory"] - before) / size.jobs


def filled(stage: Stage, name: str, count: int) -> float:
    """Queues that many jobs; how many a second."""
    share = count // FILLERS
    sides = [stage.side(scale_sides.fill, name=f"{name}-{number}", count=share) for number in range(FILLERS)]
    spans = [side.hear() for side in sides]
    for side in sides:
        stage.stop(side.process)
    return share * FILLERS / _whole(spans)


def _herd(stage: Stage, count: int) -> None:
    """Starts idle workers; returns when all have registered and read."""
    shares = [len(range(number, count, HERDS)) for number in range(HERDS)]
    sides = [
        stage.side(scale_sides.idle, name=f"idle{number}", count=share) for number, share in enumerate(shares)
    ]
    for side in sides:
        side.hear()


def _busy(full: Stage, empty: Stage, size: Size) -> Iterator[Figure]:
    """How much of a processor the servers take while the workers idle, and how many of these are in time."""
    stages = full, empty
    before, asked = [_processor(stage) for stage in stages], _asked(full)
    began = time.monotonic()
    time.sleep(CPU_SECONDS)
    after, answered = [_processor(stage) for stage in stages], _asked(full) - asked
    took = time.monotonic() - began
    loaded, bare = (100 * (late - early) / took for late, early in zip(after, before, strict=True))
    yield Figure(f"{size.name}.idle.cpu", loaded, "%", bare, "no workers", loaded - bare)
    due = size.workers * (1 / BEAT + 1 / TICK + 1 / BLOCK)
    yield ratio(f"{size.name}.idle.commands", answered / took, "/s", due, "beats, ticks, reads due")
    live = len([name for name in full.live_workers() if name.startswith("idle")])
    short = live - size.workers
    yield Figure(f"{size.name}.idle.live", live, "workers", size.workers, "started", short, aim=ALL)


async def _turns(full: Stage, empty: Stage, count: int) -> Took:
    """A job at a time is submitted, claimed and finished, and jobs are listed, on both servers by turns."""
    took: Took = {"submit": ([], []), "claim": ([], []), "list": ([], [])}
    stores = [Store(stage.url) for stage in (full, empty)]
    clerks = [await scale_sides.register(store, f"clerk-{count}", FULL) for store in stores]
    sides = list(enumerate(zip(stores, clerks, strict=True)))
    for number in range(count):
        for at, (store, leases) in sides:
            for what, milliseconds in (await _turn(store, leases, f"{count}-{number}")).items():
                took[what][at].append(milliseconds)
        sides.reverse()
    for store in stores:
        await store.close()
    return took


async def _turn(store: Store, leases: Leases, key: str) -> dict[str, float]:
    """The ms that each takes."""
    jobs = store.jobs(Seal(noop.SEAL))
    submit, _ = await _timed(jobs.submit(submission(FULL, key)))
    claim, held = await _timed(leases.claim(scale_sides.streams(leases, FULL), 1))
    if not held:
        raise Broken("there is nothing to claim")
    await scale_sides.finish(leases, held)
    page, _ = await _timed(jobs.page(PAGE))
    return {"submit": submit, "claim": claim, "list": page}


async def _crowd(full: Stage, empty: Stage, count: int) -> Took:
    """Submissions to the class that the idle workers block on; on the empty server nobody does."""
    took: tuple[list[float], list[float]] = ([], [])
    stores = [Store(stage.url) for stage in (full, empty)]
    sides = list(enumerate(stores))
    for number in range(-CROWD_WARMING, count):
        for at, store in sides:
            await asyncio.sleep(0.02)
            milliseconds, _ = await _timed(store.jobs(Seal(noop.SEAL)).submit(submission(IDLE, f"{number}")))
            if number >= 0:  # the first ones make the class
                took[at].append(milliseconds)
        sides.reverse()
    for store in stores:
        await store.close()
    return {"crowd": took}


def _drained(stage: Stage, size: Size, others: int, rate: float) -> Iterator[Figure]:
    """Takes and ends all that is queued, while the others still idle. `others`: jobs that have ended by now."""
    sides = [stage.side(scale_sides.drain, name=f"drain{number}") for number in range(DRAINERS)]
    said = [side.hear() for side in sides]
    counts = stage.ask(lambda store: stage.jobs(store).counts())
    spans = [(began, ended) for began, ended, *_ in said]
    started, finished, first = (sum(row[column] for row in said) for column in (2, 3, 4))
    yield ratio(f"{size.name}.drain", finished / _whole(spans), "/s", rate, "submissions, two processes")
    for what, count, aim in (
        ("started", started, ONCE),
        ("started-first", first, ALL),
        ("finished", finished, ALL),
        ("done", counts["done"] - others, ALL),
    ):
        yield Figure(f"{size.name}.{what}", count, "jobs", size.jobs, "submitted", count - size.jobs, aim=aim)
    yield Figure(f"{size.name}.not-done", sum(counts.values()) - counts["done"], "jobs", aim=Aim(0))


async def _timed(what: Awaitable[Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    answer = await what
    return (time.perf_counter() - began) * 1e3, answer


def _whole(spans: list[tuple[float, float]]) -> float:
    """Seconds from the first beginning to the last end."""
    return max(ended for _, ended in spans) - min(began for began, _ in spans)


def _info(stage: Stage, section: str) -> dict[str, Any]:
    answer: dict[str, Any] = stage.ask(lambda store: store.redis.info(section))
    return answer


def _processor(stage: Stage) -> float:
    """Seconds of a processor that its server has used."""
    info = _info(stage, "cpu")
    return float(info["used_cpu_user"] + info["used_cpu_sys"])


def _asked(stage: Stage) -> int:
    """How many scripts and blocking reads its server has answered."""
    stats = _info(stage, "commandstats")
    return sum(stats[f"cmdstat_{name}"]["calls"] for name in ("evalsha", "xreadgroup"))
