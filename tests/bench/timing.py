"""Clocks: how long a program takes, two ways by turns, waiting with a limit."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

CALL_SECONDS = 10.0
READY_SECONDS = 20.0


class Broken(Exception):
    """A benchmark cannot be measured; the text says why."""


def run_for(argv: Sequence[str | Path]) -> float:
    """The seconds from starting a program to having its exit status. Raises Broken unless that is 0."""
    null, said = os.open(os.devnull, os.O_RDWR), os.memfd_create("said")
    actions = [(os.POSIX_SPAWN_DUP2, end, number) for number, end in enumerate((null, null, said))]
    words = [str(word) for word in argv]
    began = time.perf_counter()
    pid = os.posix_spawnp(words[0], words, os.environ, file_actions=actions)
    try:
        status = _status(pid)
        took = time.perf_counter() - began
        if status != 0:
            ending = "does not end" if status is None else f"ends with status {status}"
            text = os.pread(said, 2000, 0).decode("utf-8", "replace")
            raise Broken(f"{' '.join(words)} {ending}\n{text}")
    finally:
        os.close(null)
        os.close(said)
    return took


def _status(pid: int) -> int | None:
    """Its exit status, or None when it was killed because it took too long."""
    descriptor = os.pidfd_open(pid)
    ended: list[int] = []
    try:
        ended, _, _ = select.select([descriptor], [], [], CALL_SECONDS)
    finally:  # on Ctrl-C too
        if not ended:
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        os.close(descriptor)
    return os.waitstatus_to_exitcode(status) if ended else None


def by_turns(count: int, *ways: Callable[[], float]) -> list[list[float]]:
    """Measures each way `count` times, one beside the other and each first by turns: all meet the same noise."""
    for way in ways:  # the first time is never like the others
        way()
    measured: list[list[float]] = [[] for _ in ways]
    pairs = list(zip(ways, measured, strict=True))
    for _ in range(count):
        for way, values in pairs:
            values.append(way())
        pairs.reverse()
    return measured


def wait_until(condition: Callable[[], bool], lack: str, within: float = READY_SECONDS) -> float:
    """The moment (monotonic) at which the condition was first seen to hold. Raises Broken."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            raise Broken(lack)
        time.sleep(0.002)
    return time.monotonic()


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raises Broken in the middle of what takes longer."""

    def late(number: int, frame: FrameType | None) -> None:
        raise Broken(f"it took longer than {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
