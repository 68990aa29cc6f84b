"""The guard: what a worker has started ends with it, however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import guard as module
from app.guard import SILENCE, Guard
from tests.farm import until

# A worker: starts groups with a guard, says their ids and the guard's, and does what it is told.
WORKER = """\
import signal, subprocess, sys
from app.guard import Guard

guard = Guard()
children = [subprocess.Popen(["sleep", "60"], process_group=0) for _ in range(2)]
for child in children:
    guard.watch(child.pid)
print(guard._process.pid, *(child.pid for child in children), flush=True)
for line in sys.stdin:
    word = line.strip()
    if word == "tick":
        guard.tick()
    elif word == "forget":
        guard.forget(children[0].pid)
    elif word == "gentle":
        guard.watch(children[1].pid, signal.SIGTERM)
    elif word == "close":
        guard.close()
    print(guard._process.pid, flush=True)
"""


class Worker:
    """That worker, seen from outside."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            bufsize=1,
        )
        self.guard, *self.children = self.hear()

    def hear(self) -> list[int]:
        assert self.process.stdout
        return [int(word) for word in self.process.stdout.readline().split()]

    def tell(self, word: str) -> None:
        """Has it done."""
        assert self.process.stdin
        self.process.stdin.write(word + "\n")
        (self.guard,) = self.hear()

    def end(self) -> str:
        """Ends all of it; what it said on standard error."""
        for pid in self.children:
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)
        self.process.kill()
        _, said = self.process.communicate()
        return said


def is_alive(pid: int) -> bool:
    """Whether it runs; one that is dead and not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def all_dead(*pids: int) -> bool:
    return not any(map(is_alive, pids))


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    assert worker.end() == ""


def test_what_is_guarded_ends_when_its_parent_is_killed(worker: Worker) -> None:
    assert all(map(is_alive, worker.children))

    worker.process.kill()

    until(lambda: all_dead(*worker.children), within=20)
    until(lambda: all_dead(worker.guard), within=20)


def test_what_is_forgotten_lives_on(worker: Worker) -> None:
    worker.tell("forget")
    worker.process.kill()

    until(lambda: all_dead(worker.children[1], worker.guard), within=20)
    assert is_alive(worker.children[0])


def test_the_signal_may_be_a_gentler_one(worker: Worker) -> None:
    worker.tell("gentle")
    worker.process.kill()

    until(lambda: all_dead(*worker.children), within=20)


def test_a_guard_that_is_closed_ends_what_it_guards(worker: Worker) -> None:
    worker.tell("close")

    until(lambda: all_dead(*worker.children, worker.guard), within=20)
    assert worker.process.poll() is None


def test_what_is_guarded_ends_when_its_parent_is_frozen() -> None:
    ticked, silent = Worker(), Worker()
    try:
        ticked.tell("tick")
        began = time.monotonic()
        ticked.process.send_signal(signal.SIGSTOP)
        silent.process.send_signal(signal.SIGSTOP)

        until(lambda: all_dead(*ticked.children), within=20)
        took = time.monotonic() - began

        assert took > SILENCE - 0.5
        assert took < SILENCE + 3
        assert is_alive(ticked.guard)  # for what is started after the thaw
        assert all(map(is_alive, silent.children))  # it never said that it would tick
    finally:
        said = ticked.end() + silent.end()
    assert said == ""


def test_a_parent_that_ticks_is_left_alone(worker: Worker) -> None:
    end = time.monotonic() + SILENCE + 1
    while time.monotonic() < end:
        worker.tell("tick")
        time.sleep(0.5)

    assert all(map(is_alive, worker.children))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_no_signal_of_a_terminal_or_a_supervisor_ends_it(worker: Worker, number: signal.Signals) -> None:
    worker.tell("tick")  # it has answered: it ignores signals by now
    until(lambda: ignores(worker.guard, number))

    os.kill(worker.guard, number)
    worker.tell("forget")
    guard = worker.guard
    worker.tell("tick")
    worker.process.kill()

    assert worker.guard == guard
    until(lambda: all_dead(worker.children[1]), within=20)


def ignores(pid: int, number: signal.Signals) -> bool:
    (line,) = [
        one for one in Path(f"/proc/{pid}/status").read_text().splitlines() if one.startswith("SigIgn")
    ]
    return bool(int(line.split()[1], 16) & (1 << (number - 1)))


def test_it_is_in_no_session_of_its_parents(worker: Worker) -> None:
    assert os.getsid(worker.guard) == worker.guard


@pytest.mark.parametrize("word", ["tick", "forget", "gentle"])
def test_a_guard_that_has_died_is_replaced_and_learns_the_groups_again(worker: Worker, word: str) -> None:
    first = worker.guard
    os.kill(first, signal.SIGKILL)
    until(lambda: all_dead(first))
    assert all(map(is_alive, worker.children))

    worker.tell(word)
    assert worker.guard != first
    assert is_alive(worker.guard)
    worker.process.kill()

    guarded = worker.children[1:] if word == "forget" else worker.children
    until(lambda: all_dead(*guarded), within=20)


def test_a_guard_that_keeps_dying_is_replaced_each_time(worker: Worker) -> None:
    seen = {worker.guard}
    for _ in range(3):
        os.kill(worker.guard, signal.SIGKILL)
        until(lambda: all_dead(worker.guard))
        worker.tell("tick")
        seen.add(worker.guard)

    assert len(seen) == 4


def test_a_second_guard_learns_that_its_parent_ticks(worker: Worker) -> None:
    worker.tell("tick")
    os.kill(worker.guard, signal.SIGKILL)
    until(lambda: all_dead(worker.guard))
    worker.tell("tick")  # finds that it has died
    worker.tell("tick")

    worker.process.send_signal(signal.SIGSTOP)

    until(lambda: all_dead(*worker.children), within=20)


# What the parent knows


@pytest.fixture
def guard() -> Iterator[Guard]:
    guard = Guard()
    yield guard
    guard.close()


def test_a_parent_that_ticks_in_time_knows_that_nothing_was_struck(guard: Guard) -> None:
    began = time.monotonic()
    guard.tick()

    assert not guard.has_struck(began)


def test_a_parent_that_was_frozen_knows_it(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    began = time.monotonic()
    guard.tick()
    monkeypatch.setattr(module, "SILENCE", 0.05)

    until(lambda: guard.has_struck(began), within=20)
    guard.tick()

    assert guard.has_struck(began)
    assert not guard.has_struck(time.monotonic() + 1)
