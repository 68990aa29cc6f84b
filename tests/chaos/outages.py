"""R5 to R8: what must cost no running job its worker. Twelve jobs run; then

R5   Redis is killed and comes back 10 s later
R6   all coordinators are killed and come back a minute later
R7   sixteen processes want the processors
R8   Redis answers nobody for 4 s, again and again; its clock goes ten minutes forward, and ten minutes back

A job that was started twice counts as a false requeue, whatever became of it.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import time
from collections.abc import Awaitable, Callable, Collection, Iterator
from glob import glob

from app.state.store import Store
from app.state.workers import LEASE_MS
from tests.bench.timing import Broken
from tests.chaos import facts
from tests.chaos.row import Row, Settings, none, seconds
from tests.chaos.scene import Member, Scene, film
from tests.conftest import server_binary

JOBS, EACH = 12, 3
LEASE = LEASE_MS / 1000
WATCH, SHORT_WATCH = LEASE + 3, 4.0  # seconds after which a false suspicion has shown
ENDLESS = 900.0
DOWN, WEB_DOWN, LOADED = 10.0, 60.0, 300.0  # seconds
PAUSE, PAUSES, SHORT_PAUSES = 4.0, 10, 2
STEP = 600  # seconds
BUSY = "while True: pass"
CODING = "-v error -f lavfi -i testsrc2=size=1280x720:rate=25 -c:v libx264 -preset slow -f null -".split()


def run(settings: Settings, wanted: Collection[str]) -> Iterator[Row]:
    """R5 to R7."""
    with Scene() as scene:
        scene.hire_all([f"w{number}" for number in range(JOBS // EACH)], EACH)
        jobs, watch = _begin(scene), SHORT_WATCH if settings.short else WATCH
        if "R5" in wanted:
            scene.kill_redis()
            time.sleep(LEASE + 1 if settings.short else DOWN)
            scene.start_redis()
            time.sleep(watch)
            yield none("R5", f"false requeues of {JOBS} jobs, Redis down", _requeued(scene, jobs))
        if "R6" in wanted:
            down = LEASE + 2 if settings.short else min(WEB_DOWN, settings.seconds)
            _without_webs(scene, down, watch)
            yield none("R6", f"false requeues, no coordinator for {down:.0f} s", _requeued(scene, jobs))
        if "R7" in wanted:
            loaded = LEASE + 2 if settings.short else min(LOADED, settings.seconds)
            silent = _under_load(scene, loaded)
            what = f"under the load of 16 processes for {loaded:.0f} s"
            yield none("R7", f"false requeues {what}", _requeued(scene, jobs))
            yield seconds("R7", f"longest silence of a worker {what}", silent, LEASE)


def clocks(settings: Settings, wanted: Collection[str]) -> Iterator[Row]:
    """R8."""
    if not (found := glob("/usr/lib/*/faketime/libfaketime.so.1")):
        raise Broken("faketime is not installed: `make chaos` installs it")
    # Debian's Redis has an allocator that libfaketime cannot live with.
    with Scene(server_binary("valkey"), libfaketime=found[0]) as scene:
        crew = scene.hire_all([f"w{number}" for number in range(JOBS // EACH)], EACH)
        jobs, watch = _begin(scene), SHORT_WATCH if settings.short else WATCH
        pauses = SHORT_PAUSES if settings.short else PAUSES
        for _ in range(pauses):
            scene.command("CLIENT", "PAUSE", int(PAUSE * 1000), "ALL")
            time.sleep(PAUSE + 1)
        what = f"false requeues, Redis silent for {PAUSE:.0f} s, {pauses} times"
        yield none("R8", what, _requeued(scene, jobs))
        for offset in (STEP, 0) if settings.short else (STEP, 0, -STEP, 0):
            scene.set_clock(offset)
            time.sleep(watch)
        yield none("R8", "false requeues, Redis' clock +10 and -10 min", _requeued(scene, jobs))
        scene.hire("heir", EACH)
        scene.set_clock(-STEP)
        took = _noticed(scene, crew[0])
        yield seconds("R8", "killed right after a step back -> next start", took, 10 + LEASE)


def _begin(scene: Scene) -> list[str]:
    jobs = scene.submit_all(film(f"{number}.mkv", ENDLESS) for number in range(JOBS))
    scene.until_working(jobs)
    return jobs


def _requeued(scene: Scene, jobs: Collection[str]) -> int:
    """How many jobs were started more than once, or run no more."""
    seen = scene.ask(facts.events)
    again = {event.job for event in seen if event.name == "start" and event.attempt > 1}
    return len(again | {job for job in jobs if scene.job(job).state != "running"})


def _without_webs(scene: Scene, down: float, watch: float) -> None:
    coordinators = [scene.coordinator() for _ in range(2)]
    for _, process in coordinators:
        scene.stop(process)
    time.sleep(down)
    for _ in coordinators:
        scene.web()
    time.sleep(watch)


def _under_load(scene: Scene, loaded: float) -> float:
    """The longest silence of a worker meanwhile, in seconds."""
    ffmpeg = shutil.which("ffmpeg")
    assert ffmpeg
    commands = [[ffmpeg, *CODING], [sys.executable, "-c", BUSY]] * 8
    load = [scene.start(command, scene.environment()) for command in commands]
    try:
        return scene.ask(_watcher(loaded))
    finally:
        for process in load:
            scene.stop(process)


def _watcher(loaded: float) -> Callable[[Store], Awaitable[float]]:
    async def watch(store: Store) -> float:
        longest, until = 0.0, time.monotonic() + loaded
        while time.monotonic() < until:
            longest = max(longest, *(worker.silent for worker in await store.workers.all()))
            await asyncio.sleep(0.2)
        return longest

    return watch


def _noticed(scene: Scene, member: Member) -> float:
    """Seconds from the kill of a worker to the next start of one of its jobs, which others have room for."""
    began = time.monotonic()
    scene.stop(member.process)

    async def again(store: Store) -> bool:
        return bool(facts.restarts(await facts.events(store)))

    try:
        scene.until(again, "the jobs of the killed worker are not started again", 30)
    except Broken:
        return float("inf")
    return time.monotonic() - began
