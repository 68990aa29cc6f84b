"""How long a process may run and do nothing: slow is not hung."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from worker import limits
from worker.limits import Watch, oom_kills, processor_seconds
from worker.progress import Progress

Start = Callable[[str], subprocess.Popen[bytes]]
BUSY, IDLE = "while True: pass", "import time; time.sleep(60)"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LOOK", 0.02)


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts Python with that program, in a process group of its own."""
    started = []

    def begin(program: str) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen([sys.executable, "-I", "-S", "-c", program], process_group=0))
        return started[-1]

    yield begin
    for process in started:
        os.killpg(process.pid, signal.SIGKILL)  # what it has started, too
        process.wait()


async def verdict(watch: Watch, within: float, paused: bool = False) -> str | None:
    """What it says, or None when it has said nothing within so many seconds."""
    stopped = asyncio.Event()
    if paused:
        stopped.set()
    try:
        async with asyncio.timeout(within):
            return await watch.overdue(stopped)
    except TimeoutError:
        return None


async def test_a_process_that_does_nothing_is_stalled(start: Start) -> None:
    assert await verdict(Watch(start(IDLE).pid, 0, 0.6), 20) == "stalled"


async def test_a_process_that_computes_is_slow_and_not_stalled(start: Start) -> None:
    assert await verdict(Watch(start(BUSY).pid, 0, 0.6), 2.5) is None


async def test_what_is_looked_at_seldom_is_not_judged_at_the_first_look(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LOOK", 0.5)

    assert await verdict(Watch(start(BUSY).pid, 0, 0.4), 2.5) is None


async def test_what_its_children_compute_counts(start: Start) -> None:
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-I', '-S', '-c', {BUSY!r}])"

    assert await verdict(Watch(start(program).pid, 0, 0.8), 2.5) is None


async def test_a_process_that_was_stopped_is_stalled(start: Start) -> None:
    process = start(BUSY)
    process.send_signal(signal.SIGSTOP)

    assert await verdict(Watch(process.pid, 0, 0.6), 20) == "stalled"


async def test_a_job_that_is_paused_is_neither_stalled_nor_late(start: Start) -> None:
    assert await verdict(Watch(start(IDLE).pid, 0.3, 0.3), 1.5, paused=True) is None


async def test_progress_counts_when_its_numbers_change(start: Start) -> None:
    watch = Watch(start(IDLE).pid, 0, 0.6)

    async def report(step: int) -> None:
        for frame in range(0, 60 * step, step or 1):
            watch.reports(Progress(frame=frame, speed=frame / 100))
            await asyncio.sleep(0.05)

    moving = asyncio.create_task(report(1))
    assert await verdict(watch, 2.0) is None
    moving.cancel()
    standing = asyncio.create_task(report(0))
    assert await verdict(watch, 20) == "stalled"
    standing.cancel()


async def test_output_counts(start: Start) -> None:
    watch = Watch(start(IDLE).pid, 0, 0.6)

    async def print_on() -> None:
        while True:
            watch.works()
            await asyncio.sleep(0.05)

    printing = asyncio.create_task(print_on())
    assert await verdict(watch, 2.0) is None
    printing.cancel()


async def test_a_process_may_run_for_so_long(start: Start) -> None:
    assert await verdict(Watch(start(BUSY).pid, 0.3, 0), 20) == "timeout"


async def test_without_limits_nothing_is_said(start: Start) -> None:
    assert await verdict(Watch(start(IDLE).pid, 0, 0), 0.5) is None


async def test_only_a_kill_of_this_moment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = 5
    monkeypatch.setattr(limits, "oom_kills", lambda: counted)
    watch = Watch(0, 0, 0)
    assert not watch.memory_was_short()
    counted = 6
    assert watch.memory_was_short()

    await verdict(watch, 0.3)  # some looks later it has nothing to do with this process any more

    assert not watch.memory_was_short()


def test_the_kernel_tells_both() -> None:
    assert oom_kills() >= 0
    assert processor_seconds(os.getpgrp()) > 0
