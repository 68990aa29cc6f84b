"""R14: two attempts at one job at the same time, each believing that it writes the output.

half of the jobs    their worker is cut off from Redis: its ffmpegs go on to their end
the other half      their whole host is frozen, and goes on when other attempts run already
all of them         are started anew by a third worker after a lease

The network comes back when the first attempts have ended and the second ones have not. An output is decoded the
moment its job is done, and again when nobody runs any more.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Collection, Iterator
from pathlib import Path

from app.state.workers import LEASE_MS
from tests.bench.proc import children
from tests.bench.timing import wait_until
from tests.chaos import facts, media
from tests.chaos.row import Row, Settings, none
from tests.chaos.scene import Member, Scene, film

PAIRS, SHORT_PAIRS = 10, 4
LENGTH = LEASE_MS // 1000 + 5  # seconds of film: still running when the second attempt starts
FRAMES = 25 * LENGTH
POLL = 0.05


def run(settings: Settings, wanted: Collection[str]) -> Iterator[Row]:
    """The row."""
    count = SHORT_PAIRS if settings.short else PAIRS
    with Scene() as scene:
        cut, host = scene.hire_all(["cut", "host"], count // 2, gated=True)
        jobs = scene.submit_all(film(f"{number}.mkv", LENGTH) for number in range(count))
        paths = {job: scene.movies / f"{number}.mkv" for number, job in enumerate(jobs)}
        scene.until_working(jobs)
        scene.hire("third", count)
        firsts = set(cut.ffmpegs())
        cut.cut()
        _whole_host(host, signal.SIGSTOP)
        scene.until_again(jobs)
        _whole_host(host, signal.SIGCONT)
        wait_until(lambda: not firsts & set(cut.ffmpegs()), "the first attempts do not end", LENGTH * 2)
        early = sum(path.exists() for path in paths.values())
        cut.join()
        broken = _decoded_when_done(scene, paths)
        scene.until_free(["cut", "host", "third"])
        found = media.frames(list(paths.values()))
        yield none("R14", f"outputs of {count} jobs, there before an attempt was accepted", early)
        yield none("R14", "broken outputs the moment their jobs are done", broken)
        yield none("R14", "broken outputs at the end", sum(n != FRAMES for n in found.values()))


def _whole_host(member: Member, number: int) -> None:
    """Everything of it at once: the worker, its guard, its ffmpegs."""
    for pid in [member.pid, *(one.pid for one in children(member.pid))]:
        os.kill(pid, number)


def _decoded_when_done(scene: Scene, paths: dict[str, Path]) -> int:
    """How many outputs were not whole when their jobs were first seen to be done."""
    left, broken, deadline = dict(paths), 0, time.monotonic() + 3 * LENGTH
    while left:
        done = {event.job for event in scene.ask(facts.events) if event.name == "succeed"}
        ready = [left.pop(job) for job in done & left.keys()]
        broken += sum(found != FRAMES for found in media.frames(ready).values())
        if time.monotonic() > deadline:
            return broken + len(left)
        time.sleep(POLL)
    return broken
