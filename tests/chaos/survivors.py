"""R15: no ffmpeg outlives its worker, whatever ends or stops the worker, its guard, or both.

killed          the worker is killed
frozen          the worker is stopped by a signal: its guard notices that it says nothing
unguarded       its guard is killed and has been replaced; then the worker is frozen
both            the worker and its guard are killed at the same moment
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Collection, Iterator

from app.state.workers import BEAT
from tests.bench.proc import children, look
from tests.bench.timing import Broken, wait_until
from tests.chaos.row import Row, Settings, none
from tests.chaos.scene import Member, Scene, film

WATCH, SHORT_WATCH = 6.0, 10.0  # seconds until nobody may live; a busy machine may take longer
ENDLESS = 120.0
EACH = 2  # jobs a worker


def run(settings: Settings, wanted: Collection[str]) -> Iterator[Row]:
    """The row."""
    watch = SHORT_WATCH if settings.short else WATCH
    with Scene() as scene:
        crew = scene.hire_all(["killed", "frozen", "unguarded", "both"], EACH)
        jobs = scene.submit_all(film(f"{number}.mkv", ENDLESS) for number in range(EACH * len(crew)))
        scene.until_working(jobs)
        had = {member.name: member.ffmpegs() for member in crew}
        if any(len(pids) != EACH for pids in had.values()):
            raise Broken(f"not every worker has {EACH} ffmpegs: {had}")
        killed, frozen, unguarded, both = crew
        os.kill(_guard(unguarded), signal.SIGKILL)
        time.sleep(2 * BEAT)  # it is missed at the next word to it
        kept = len(set(had["unguarded"]) & set(unguarded.ffmpegs()))
        harms: list[Callable[[], object]] = [
            lambda: scene.stop(killed.process),
            frozen.freeze,
            unguarded.freeze,
            lambda: (os.kill(_guard(both), signal.SIGKILL), scene.stop(both.process)),
        ]
        for harm in harms:
            harm()
        ends = time.monotonic() + watch
        wait_until(lambda: not _alive(had) or time.monotonic() > ends, "never", 2 * watch)
        yield none("R15", f"ffmpegs of {EACH} that ended when only their guard was killed", EACH - kept)
        for name, alive in _by_name(had).items():
            yield none("R15", f"ffmpegs alive {watch:.0f} s later, worker {name}", alive)


def _guard(member: Member) -> int:
    """The process that ends what the worker leaves."""
    for child in children(member.pid):
        with open(f"/proc/{child.pid}/cmdline", "rb") as file:
            if b"guard.py" in file.read():
                return child.pid
    raise AssertionError(f"{member.name} has no guard")


def _alive(had: dict[str, list[int]]) -> bool:
    return any(_by_name(had).values())


def _by_name(had: dict[str, list[int]]) -> dict[str, int]:
    """How many of them live, by their worker."""
    return {name: sum(_is_ffmpeg(pid) for pid in pids) for name, pids in had.items()}


def _is_ffmpeg(pid: int) -> bool:
    found = look(pid)
    return found is not None and found.name == "ffmpeg"
