"""R16: what is left in the root after many attempts that went wrong in all the ways there are.

fails       ffmpeg finds its input broken when it has written for a while
crashes     ffmpeg is killed
fills       the disk is full
overdue     it runs longer than it may
cancelled   by its owner
lost        its worker is killed; half of these jobs may be tried again, the others are dead
released    its worker is told twice to stop, and hands the job back

In the end all jobs have ended, all workers live, and what begins with `.ffgrid-` is counted.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from app.state import lifecycle
from tests.bench.harness import MOVIES
from tests.chaos import facts, media
from tests.chaos.cancel import processes
from tests.chaos.row import Row, Settings, none
from tests.chaos.scene import Member, Scene, film

FAILURES, SHORT_FAILURES = 50, 12
SLOTS = 4
LENGTH = 3  # seconds of film
SMALL, SIZE = "small", 256 << 10  # the disk that gets full, and its bytes
TIDY = 15.0  # seconds after the last end in which workers may tidy up
WRONG = (
    "fail",
    "defer",
    "cancel",
    "lose",
    "bury",
    "release",
)  # the events that end an attempt without success


def run(settings: Settings, wanted: Collection[str]) -> Iterator[Row]:
    """The row."""
    enough, rounds = SHORT_FAILURES if settings.short else FAILURES, 0
    with Scene() as scene:
        scene.mount(SMALL, SIZE)
        _make_broken(scene)
        crew = scene.hire_all(["a", "b", "c"], SLOTS)
        while (count := _wrong(scene)) < enough:
            _round(scene, crew, rounds)
            rounds += 1
        ends = time.monotonic() + TIDY
        while (left := litter(scene)) and time.monotonic() < ends:
            time.sleep(0.1)
        yield none("R16", f"unfinished files left by {count} failed attempts", len(left))


def litter(scene: Scene) -> list[str]:
    """The names of unfinished outputs in the root."""
    return [path.name for path in scene.movies.rglob(".ffgrid-*")]


def _round(scene: Scene, crew: list[Member], number: int) -> None:
    """Seven jobs that come to grief, and what each of their workers had besides."""
    names = ("fails", "crashes", "fills", "cancelled", "again", "dead", "released")
    args = {name: film(f"{number}-{name}.mkv", LENGTH) for name in names}
    args["fails"] = _broken(f"{number}-fails.mkv")
    args["fills"] = film(f"{number}.mkv", 60, pace=False, more=["-c:v", "rawvideo"], folder=f"/{SMALL}")
    jobs = {name: scene.submit(args[name], max_attempts=1 if name == "dead" else 3) for name in names}
    jobs["overdue"] = scene.submit(film(f"{number}-overdue.mkv", LENGTH), max_seconds=1)
    long = [job for name, job in jobs.items() if name not in ("fails", "fills", "overdue")]
    scene.until_working(long)
    pids = {job: pid for member in crew for job, pid in processes(member.ffmpegs()).items()}
    if crashing := pids.get(jobs["crashes"]):  # on a busy machine it may have ended by now
        os.kill(crashing, signal.SIGKILL)
    scene.cancel([jobs["cancelled"]])
    worker = {name: scene.job(jobs[name]).worker for name in ("dead", "again", "released")}
    for index, member in enumerate(crew):
        if member.name == worker["released"] and worker["released"] != worker["dead"]:
            _stop_twice(member)
        elif member.name in worker.values():
            scene.stop(member.process)
        else:
            continue
        crew[index] = scene.restart(member.name)
    scene.until_live(member.name for member in crew)
    scene.until_states(jobs.values(), lifecycle.FINAL, within=60)


def _stop_twice(member: Member) -> None:
    """It hands back what it has, and ends."""
    member.process.send_signal(signal.SIGTERM)
    time.sleep(0.2)  # two signals at once would be one
    member.process.send_signal(signal.SIGTERM)
    member.process.wait(20)


def _make_broken(scene: Scene) -> None:
    """A film in the root that is broken in its middle."""
    path = scene.movies / "broken.mkv"
    media.make(path, LENGTH)
    data = bytearray(path.read_bytes())
    half = len(data) // 2
    data[half : half + 2000] = b"\xff" * 2000
    path.write_bytes(data)


def _broken(name: str) -> Sequence[Any]:
    """A command that finds the broken film broken."""
    source = ["-re", "-xerror", "-err_detect", "explode", "-i", [{"root": MOVIES}, "/broken.mkv"]]
    return ["-y", "-v", "error", *source, "-c:v", "mpeg4", [{"root": MOVIES}, f"/{name}"]]


def _wrong(scene: Scene) -> int:
    """How many attempts have gone wrong so far."""
    return sum(event.name in WRONG and event.attempt > 0 for event in scene.ask(facts.events))
