"""Jobs a second when each is a process: the real worker with jobs that do nothing but start and end.

All jobs are queued first, then the worker starts; from the first start to the last finish, as Redis' clock
has them. Beside it: the same program spawned as often, as many at a time, by a process that does nothing else
(posix_spawn, wait). By turns. For the real `ffmpeg -version`, and for a shell script that ends at once, where
all that is not the process weighs the most.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from collections.abc import Iterator

from app.state.job import Job
from app.state.store import Store
from app.web import schema
from app.web.preparing import prepare
from tests.bench.figure import Aim, Figure, ratio
from tests.bench.harness import TRIVIAL, Options, Stage, say
from tests.bench.stats import median
from tests.bench.timing import Broken

SLOTS = 4
ROUNDS = 3
SHARE = Aim(0.6, at_least=True, of_comparison=True)
NOTHING = ["-hide_banner"]


def run(options: Options) -> Iterator[Figure]:
    """The figures."""
    with Stage(options) as stage:
        real = shutil.which("ffmpeg")
        if real is None:
            raise Broken("ffmpeg is not installed: `make bench` installs it")
        programs = {
            "ffmpeg": (real, ["-version"], 24),
            "trivial": (stage.script("trivial", TRIVIAL), NOTHING, 300),
        }
        for name, (program, args, count) in programs.items():
            count *= 5 if options.long else 1
            rows = [
                (_bare(stage, [program, *args], count), _ours(stage, program, args, count))
                for _ in range(ROUNDS)
            ]
            bare, ours = (median(column) for column in zip(*rows, strict=True))
            yield ratio(f"processes.{name}", ours, "/s", bare, f"bare spawning, {SLOTS} at a time", SHARE)


def spawn(url: str, argv: list[str], count: int) -> None:
    """Runs a program that often; says how many a second."""
    null = os.open(os.devnull, os.O_RDWR)
    actions = [(os.POSIX_SPAWN_DUP2, null, number) for number in (0, 1, 2)]
    began = time.perf_counter()
    for number in range(count):
        if number >= SLOTS:
            os.wait()
        os.posix_spawn(argv[0], argv, os.environ, file_actions=actions)
    for _ in range(min(count, SLOTS)):
        os.wait()
    say(count / (time.perf_counter() - began))


def _bare(stage: Stage, argv: list[str], count: int) -> float:
    return float(stage.side(spawn, argv=argv, count=count).hear())


def _ours(stage: Stage, program: str, args: list[str], count: int) -> float:
    ids = stage.ask(lambda store: _submit(stage, store, args, count))
    worker = stage.worker_later("w", SLOTS, program, "none")
    jobs = stage.ask(lambda store: _ended(stage, store, ids))
    stage.stop(worker)
    failed = [job for job in jobs if job.state != "done"]
    if failed:
        raise Broken(f"{len(failed)} jobs have failed, the first one because: {failed[0].reason}")
    first, last = min(job.started or 0 for job in jobs), max(job.finished or 0 for job in jobs)
    return count / (last - first)


async def _submit(stage: Stage, store: Store, args: list[str], count: int) -> list[str]:
    jobs = stage.jobs(store)
    ids = []
    for number in range(count):
        key = f"{time.monotonic_ns()}-{number}"
        body = json.dumps({"key": key, "binary": "ffmpeg", "args": args}).encode()
        ids.append((await jobs.submit(prepare(schema.decode(body, schema.Submission), "bench"))).id)
    return ids


async def _ended(stage: Stage, store: Store, ids: list[str]) -> list[Job]:
    """The jobs, once all of them have ended. Asks seldom: it is not what is measured."""
    jobs = stage.jobs(store)
    while True:
        counts = await jobs.counts()
        if counts["queued"] + counts["running"] == 0:
            return [await jobs.get(job_id) for job_id in ids]
        await asyncio.sleep(0.25)
