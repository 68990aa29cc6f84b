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
from typing import NamedTuple

CALL_SECONDS = 10.0
READY_SECONDS = 20.0

Command = Sequence[str | Path]


class Broken(Exception):
    """A benchmark cannot be measured; the text says why."""


class Called(NamedTuple):
    """A program that has run: when it was started (Unix time), for how many seconds, what it printed."""

    began: float
    seconds: float
    out: bytes


def call(argv: Command) -> Called:
    """Runs a program from its start to having its exit status. Raises Broken unless that is 0."""
    ends = os.open(os.devnull, os.O_RDWR), os.memfd_create("out"), os.memfd_create("err")
    actions = [(os.POSIX_SPAWN_DUP2, end, number) for number, end in enumerate(ends)]
    words = [str(word) for word in argv]
    moment, began = time.time(), time.perf_counter()
    pid = os.posix_spawnp(words[0], words, os.environ, file_actions=actions)
    try:
        status = _status(pid)
        seconds = time.perf_counter() - began
        out, err = (os.pread(end, 100_000, 0) for end in ends[1:])
    finally:
        for end in ends:
            os.close(end)
    if status != 0:
        ending = "does not end" if status is None else f"ends with status {status}"
        raise Broken(f"{' '.join(words)} {ending}\n{err.decode('utf-8', 'replace')}")
    return Called(moment, seconds, out)


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


def by_turns(count: int, *commands: Command) -> list[list[Called]]:
    """Runs each `count` times, one beside the other and each first by turns: all meet the same noise."""
    for command in commands:  # the first time is never like the others
        call(command)
    measured: list[list[Called]] = [[] for _ in commands]
    pairs = list(zip(commands, measured, strict=True))
    for _ in range(count):
        for command, calls in pairs:
            calls.append(call(command))
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
