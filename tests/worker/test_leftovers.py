"""What an earlier process of a worker has left is ended, and nothing else is."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator

import pytest

from worker.leftovers import NAME, end_leftovers, mark

Start = Callable[[str], subprocess.Popen[bytes]]
OWN = mark("den", "boot2", "0123456789ab")


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a process that carries that mark, in a group of its own."""
    started = []

    def begin(carried: str) -> subprocess.Popen[bytes]:
        environment = {"PATH": os.environ["PATH"], NAME: carried}
        started.append(subprocess.Popen(["sleep", "60"], env=environment, process_group=0))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.wait()


def test_what_an_earlier_start_has_left_is_ended(start: Start) -> None:
    left = [start(mark("den", boot, "0123456789ab")) for boot in ("boot1", "boot0")]

    assert end_leftovers(OWN) == 2
    assert [process.wait(10) for process in left] == [-signal.SIGKILL] * 2


@pytest.mark.parametrize(
    "carried",
    [OWN, mark("den2", "boot1", "0123456789ab"), mark("den", "boot1", "another"), "den", ""],
)
def test_what_is_not_of_an_earlier_start_lives(start: Start, carried: str) -> None:
    other = start(carried)

    assert end_leftovers(OWN) == 0
    assert other.poll() is None
