"""A worker is killed (SIGKILL) in the middle of a real transcode: how long until it runs again.

The clock starts before the kill and stops when the queue says that the job runs under its next attempt and
there is an ffmpeg below the worker that has it. Elsewhere: on a second worker that was idle. Restarted: on the
same worker, started again at once, as a supervisor would. Beside it: the lease, the longest silence that does
not prove anything.

Orphans: from the kill until no ffmpeg of the dead worker is left. Beside it: an ffmpeg that is killed directly.
"""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator

from app.state.job import Job
from app.state.jobs import Jobs
from app.state.store import Store
from app.state.workers import BEAT, LEASE_MS
from app.web import schema
from app.web.preparing import prepare
from tests.bench.figure import Aim, Figure
from tests.bench.harness import MOVIES, Options, Stage
from tests.bench.proc import children, look
from tests.bench.shim import make_sample
from tests.bench.stats import median
from tests.bench.timing import Broken, wait_until

TRIALS, LONG_TRIALS = 3, 15
SAMPLE_SECONDS = 60
ELSEWHERE, RESTARTED = Aim(7), Aim(3)
LEASE = LEASE_MS / 1000
POLL = 0.005


def run(options: Options) -> Iterator[Figure]:
    """The figures."""
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        raise Broken("ffmpeg is not installed: `make bench` installs it")
    count = LONG_TRIALS if options.long else TRIALS
    with Stage(options) as stage:
        make_sample(ffmpeg, stage.movies / "in.mkv", SAMPLE_SECONDS)
        moved = [_moved(stage, f"a{number}", f"b{number}") for number in range(count)]
        again = [_again(stage, f"c{number}") for number in range(max(1, count // 3))]
        bare = median(_killed_directly(ffmpeg, stage) for _ in range(count))
    gone = [orphans for _, orphans in moved + again]
    yield from _figures("recovery.elsewhere", [seconds for seconds, _ in moved], ELSEWHERE)
    yield from _figures("recovery.restarted", [seconds for seconds, _ in again], RESTARTED)
    for name, value in (("p50", median(gone)), ("max", max(gone))):
        beside = "ffmpeg killed directly"
        yield Figure(f"recovery.orphans.{name}", value, "ms", bare, beside, value - bare)


def _figures(name: str, values: list[float], aim: Aim) -> Iterator[Figure]:
    shown = (
        {f"{name}.p50": median(values), f"{name}.max": max(values)} if len(values) > 1 else {name: values[0]}
    )
    for name, value in shown.items():
        yield Figure(name, value, "s", LEASE, "the lease", value - LEASE, aim=aim)


def _moved(stage: Stage, first: str, second: str) -> tuple[float, float]:
    """Seconds until the job of a killed worker runs on another; ms until its ffmpeg is gone."""
    one = stage.worker(first, 1)
    job_id = stage.ask(lambda store: _submit(stage, store))
    _in_the_middle(stage, job_id)
    other = stage.worker(second, 1)
    took = _killed(stage, one, job_id, lambda: other)
    _end(stage, job_id)
    stage.stop(other)
    return took


def _again(stage: Stage, name: str) -> tuple[float, float]:
    """The same with one worker, which is started again the moment it is dead."""
    one = stage.worker(name, 1)
    job_id = stage.ask(lambda store: _submit(stage, store))
    _in_the_middle(stage, job_id)
    took = _killed(stage, one, job_id, lambda: stage.worker_later(name, 1, "ffmpeg"))
    _end(stage, job_id)
    return took


def _killed(
    stage: Stage,
    worker: subprocess.Popen[bytes],
    job_id: str,
    successor: Callable[[], subprocess.Popen[bytes]],
) -> tuple[float, float]:
    orphans = children(worker.pid, "ffmpeg")
    time.sleep(random.uniform(0, BEAT))  # any phase of the heartbeat
    began = time.monotonic()
    stage.stop(worker, signal.SIGKILL)
    other = successor()
    gone = wait_until(
        lambda: not any(look(orphan.pid) for orphan in orphans), "an ffmpeg has outlived its worker", LEASE
    )
    runs = stage.ask(lambda store: _runs_again(stage.jobs(store), job_id, other.pid))
    return runs - began, (gone - began) * 1e3


async def _runs_again(jobs: Jobs, job_id: str, worker: int) -> float:
    """The moment at which the job was seen to run below that worker's process."""
    deadline = time.monotonic() + 5 * LEASE
    while time.monotonic() < deadline:
        job = await jobs.get(job_id)
        if job.state == "running" and job.attempt > 1 and children(worker, "ffmpeg"):
            return time.monotonic()
        if job.ended:
            raise Broken(f"the job is not run again: {job.state}, {job.reason}")
        await asyncio.sleep(POLL)
    raise Broken("the job is not run again")


async def _submit(stage: Stage, store: Store) -> str:
    """A transcode that takes a minute and hardly a processor."""
    path = {"root": MOVIES}
    args = [
        "-y",
        "-v",
        "error",
        "-re",
        "-i",
        [path, "/in.mkv"],
        "-c:v",
        "mpeg4",
        "-c:a",
        "aac",
        [path, "/out.mkv"],
    ]
    body = json.dumps({"key": f"key-{time.monotonic_ns()}", "binary": "ffmpeg", "args": args})
    return (
        await stage.jobs(store).submit(prepare(schema.decode(body.encode(), schema.Submission), "bench"))
    ).id


def _in_the_middle(stage: Stage, job_id: str) -> None:
    """Waits until frames have come out."""

    def is_there() -> bool:
        return bool(_job(stage, job_id).progress.get("frame"))

    wait_until(is_there, f"the transcode does not start: {_job(stage, job_id).reason}")


def _job(stage: Stage, job_id: str) -> Job:
    return stage.ask(lambda store: stage.jobs(store).get(job_id))


def _end(stage: Stage, job_id: str) -> None:
    stage.ask(lambda store: stage.jobs(store).cancel(job_id))
    wait_until(lambda: _job(stage, job_id).ended, "the transcode cannot be cancelled")


def _killed_directly(ffmpeg: str, stage: Stage) -> float:
    """The ms for which an ffmpeg is seen after its own SIGKILL."""
    words = ["-v", "error", "-re", "-i", str(stage.movies / "in.mkv"), "-f", "null", "-"]
    process = subprocess.Popen([ffmpeg, *words], stdin=subprocess.DEVNULL)
    time.sleep(0.5)
    began = time.monotonic()
    process.kill()
    gone = wait_until(lambda: look(process.pid) is None, "an ffmpeg cannot be killed")
    process.wait()
    return (gone - began) * 1e3
