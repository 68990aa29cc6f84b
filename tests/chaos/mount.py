"""R26: a mount whose server does not answer. Who touches it hangs in the kernel and cannot be killed; the worker
and its other jobs must not notice.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Collection, Iterator

from app.state import lifecycle
from app.state.store import Store
from app.state.workers import BEAT
from tests.bench.harness import MOVIES
from tests.bench.timing import Broken
from tests.chaos.row import Row, Settings, none
from tests.chaos.scene import VIEW, Scene, film

HUNG = "Hung"  # the root on that mount
HUNG_VIEW = "/media/Hung"
WATCH, SHORT_WATCH = 40.0, 9.0  # seconds; a job that hangs is given up after twenty
HEALTHY = 6


def run(settings: Settings, wanted: Collection[str]) -> Iterator[Row]:
    """The figures."""
    watch = SHORT_WATCH if settings.short else WATCH
    with Scene() as scene:
        server = _mount(scene)
        try:
            yield from _hang(scene, server, watch)
        finally:
            scene.stop(server)  # the kernel lets go of all who wait
            time.sleep(0.2)


def _hang(scene: Scene, server: subprocess.Popen[bytes], watch: float) -> Iterator[Row]:
    roots = f"{MOVIES}={scene.movies}:{HUNG}={scene.folder / HUNG}"
    scene.hire("w", 6, env={"FFGRID_ROOTS": roots})
    assert server.stdin
    running = scene.submit_all(film(f"{number}.mkv", watch) for number in range(2))
    scene.until_working(running)
    server.stdin.write(b"hang\n")
    server.stdin.flush()
    hanging = [scene.submit(args, view={MOVIES: VIEW, HUNG: HUNG_VIEW}) for args in _touching()]
    new = scene.submit_all(film(f"new-{number}.mkv", 1) for number in range(HEALTHY))
    missed = scene.ask(lambda store: _missed(store, watch))
    ill = sum(scene.job(job).state != "done" for job in new)
    yield none("R26", f"heartbeats that a worker with a hung mount misses in {watch:.0f} s", missed)
    lost = sum(scene.job(job).attempt > 1 for job in running)
    yield none("R26", "... of the jobs that ran already, started again", lost)
    if watch >= WATCH:
        held = sum(scene.job(job).state in lifecycle.HELD for job in hanging)  # else they wait in the queue
        yield none("R26", "... of the jobs that touch it, not given up", held)
        yield none("R26", f"... of {HEALTHY} new jobs with another root that have not ended well", ill)


def _touching() -> Iterator[list[object]]:
    """Commands that read from the mount, and write to it."""
    hung = [{"root": HUNG}, "/film.mkv"]
    yield ["-y", "-v", "error", "-i", hung, "-c", "copy", [{"root": MOVIES}, "/never.mkv"]]
    yield [*film("never-2.mkv", 1)[:-1], hung]


def _mount(scene: Scene) -> subprocess.Popen[bytes]:
    """The server of the mount."""
    path, backing = scene.folder / HUNG, scene.folder / "behind"
    for directory in (path, backing):
        directory.mkdir()
    command = [sys.executable, "-m", "tests.fuse", backing, path]
    server = scene.start(command, scene.environment(), subprocess.PIPE, subprocess.PIPE)
    assert server.stdout
    if server.stdout.readline() != b"ready\n":
        raise Broken(f"no file system can be mounted here: {scene.said()}")
    scene.unmount_at_end(path)
    return server


async def _missed(store: Store, watch: float) -> int:
    """How many of the worker's heartbeats have not come meanwhile."""
    ends, last, missed = time.monotonic() + watch, 0.0, 0
    while time.monotonic() < ends:
        silent = max(worker.silent for worker in await store.workers.all())
        if silent < last:  # it has beaten
            missed += max(0, round(last / BEAT) - 1)
            last = 0.0
        last = max(last, silent)
        await asyncio.sleep(0.1)
    return missed + max(0, round(last / BEAT) - 1)
