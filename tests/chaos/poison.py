"""R26: a job that kills whatever worker takes it; workers that are told to go; coordinators that are told to go."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from collections.abc import Collection, Iterator

from app.state import lifecycle
from app.state.job import Job
from tests.chaos import facts, mount
from tests.chaos.row import Row, Settings, none, seconds
from tests.chaos.scene import Member, Scene, film

# Kills the worker that started it, if the command says so.
POISON = """#!/bin/sh
case "$*" in *comment=poison*) kill -9 $PPID; exec sleep 60;; esac
exec ffmpeg "$@"
"""
HEALTHY, SHORT_HEALTHY = 30, 12
MEMBERS = ("a", "b", "c", "d")


def run(settings: Settings, wanted: Collection[str]) -> Iterator[Row]:
    """The row; what a hung mount does is in `mount`."""
    with Scene() as scene:
        if settings.short:  # its verdict must not hang on who happens to be beside the poison again and again
            yield from _poison(scene, SHORT_HEALTHY, most=5)
        else:
            yield from _poison(scene, HEALTHY, most=3)
    with Scene() as scene:
        yield from _drain(scene)
    yield from mount.run(settings, wanted)


def _poison(scene: Scene, count: int, most: int) -> Iterator[Row]:
    """Among `count` healthy jobs, each of which may lose `most` workers."""
    ffmpeg = scene.script("ffmpeg", POISON)
    scene.web()
    with Supervisor(scene, scene.hire_all(MEMBERS, 2, ffmpeg=ffmpeg)) as supervisor:
        films = [film(f"{number}.mkv", 1) for number in range(count)]
        first = scene.submit_all(films[: count // 2], max_attempts=most)
        poison = scene.submit(film("poison.mkv", 1, more=["-metadata", "comment=poison"]))
        others = scene.submit_all(films[count // 2 :], max_attempts=most)
        scene.until_states([poison, *first, *others], lifecycle.FINAL, within=90)
    job, healthy = scene.job(poison), [scene.job(one) for one in first + others]
    yield Row("R26", "workers that a poison job kills", supervisor.deaths, 3)
    is_dead = job.state == "dead" or (job.state, job.cause) == ("failed", "lost")
    yield none("R26", "... and does not end as dead", not is_dead)
    yield none("R26", f"... of {count} healthy jobs that do not end well", _not_done(healthy))
    lost = max(one.losses for one in healthy)
    yield Row("R26", "... workers that a healthy job beside it has lost, at most", lost, 2)


class Supervisor(threading.Thread):
    """Starts every worker again that has died. A context; `deaths` counts them."""

    def __init__(self, scene: Scene, members: list[Member]) -> None:
        super().__init__(daemon=True)
        self._scene, self._members = scene, members
        self._over = threading.Event()
        self.deaths = 0

    def __enter__(self) -> Supervisor:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        while not self._over.wait(0.2):
            for number, member in enumerate(self._members):
                if member.process.poll() is not None:
                    self.deaths += 1
                    self._members[number] = self._scene.restart(member.name)


def _drain(scene: Scene) -> Iterator[Row]:
    port, web = scene.coordinator()
    leaving, _ = scene.hire_all(["leaving", "staying"], 6)
    jobs = scene.submit_all(film(f"{number}.mkv", 3) for number in range(8))
    scene.until_working(jobs)
    leaving.process.send_signal(signal.SIGTERM)
    later = scene.submit_all(film(f"later-{number}.mkv", 1) for number in range(8))
    scene.until_states(jobs + later, lifecycle.FINAL)
    again = sum(event.name == "start" and event.attempt > 1 for event in scene.ask(facts.events))
    ended = [scene.job(job) for job in jobs + later]
    yield none("R26", "jobs that a drained worker loses, or that run twice", again + _not_done(ended))
    yield none("R26", "... a drained worker that does not end", _exit(leaving.process, 10) is None)
    followed = scene.submit(film("followed.mkv", 60))
    scene.until_working([followed])
    follower = threading.Thread(target=_follow, args=(scene, port, followed), daemon=True)
    follower.start()
    time.sleep(1)
    began = time.monotonic()
    web.send_signal(signal.SIGTERM)
    took = time.monotonic() - began if _exit(web, 15) is not None else float("inf")
    yield seconds("R26", "a coordinator with an open stream is told to end -> gone", took, 3)


def _follow(scene: Scene, port: int, job: str) -> None:
    """Somebody who reads a job's log as it comes."""
    try:
        for _ in scene.client(port).lines(f"/v1/jobs/{job}/log?follow=1"):
            pass
    except Exception:  # the end of the coordinator is what is waited for
        return


def _not_done(jobs: Collection[Job]) -> int:
    return sum(job.state != "done" for job in jobs)


def _exit(process: subprocess.Popen[bytes], within: float) -> int | None:
    """Its status, or None when it does not end."""
    try:
        return process.wait(within)
    except subprocess.TimeoutExpired:
        return None
