"""One process of a worker: its bytes, its end, its group, and nothing of it left."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.guard import Guard
from app.wire import command
from tests.farm import until
from worker.child import Child, spawn
from worker.plan import Plan

ENVIRONMENT = {"PATH": os.environ["PATH"]}

# A worker that starts a process, says its id, and waits; its guard does nothing.
PARENT = """\
import os, sys
from app.wire.command import read
from worker.child import spawn
from worker.plan import Plan

class Nobody:
    def watch(self, group): pass

child = spawn(Plan(["sleep", "60"], read("ffmpeg", []), environment=dict(os.environ)), Nobody())
print(child.pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def guard() -> Iterator[Guard]:
    """A guard of this process."""
    guard = Guard()
    yield guard
    guard.close()


def start(
    guard: Guard, *argv: str, cwd: str | None = None, stdin: bool = False, progress: bool = False
) -> Child:
    nothing = command.read("ffmpeg", [])
    ready = Plan(argv, nothing, cwd=cwd, stdin=stdin, progress=progress, environment=ENVIRONMENT)
    return spawn(ready, guard)


def shell(guard: Guard, script: str, stdin: bool = False) -> Child:
    return start(guard, "/bin/sh", "-c", script, stdin=stdin)


async def everything(child: Child, name: str) -> bytes:
    """All that it writes there."""
    parts = []
    while data := await child.read(name):
        parts.append(data)
    return b"".join(parts)


async def ended(child: Child) -> int:
    """Its status, at the latest after some seconds; nothing of it stays open."""
    try:
        return await asyncio.wait_for(child.wait(), 10)
    finally:
        child.kill()
        child.close()


def states(group: int) -> list[str]:
    """The states of the processes of a group."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if words[2] == str(group):
                found.append(words[0])
    return found


def is_alive(pid: int) -> bool:
    """Whether it runs; one that is dead and not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def descriptors() -> int:
    """How many this process has open."""
    return len(os.listdir("/proc/self/fd"))


# Its end


@pytest.mark.parametrize("status", [0, 1, 69, 187, 255])
async def test_its_exit_code_is_told(guard: Guard, status: int) -> None:
    assert await ended(shell(guard, f"exit {status}")) == status


@pytest.mark.parametrize(
    "number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGTERM, signal.SIGKILL, signal.SIGPIPE]
)
async def test_the_signal_that_ended_it_is_told(guard: Guard, number: signal.Signals) -> None:
    assert await ended(shell(guard, f"kill -{number.value} $$")) == -number


async def test_its_end_can_be_asked_for_twice(guard: Guard) -> None:
    child = shell(guard, "exit 3")

    assert [await ended(child), await child.wait()] == [3, 3]


async def test_many_end_each_with_its_own_status(guard: Guard) -> None:
    children = [shell(guard, f"sleep 0.0{number}; exit {number}") for number in range(9)]

    assert await asyncio.gather(*map(ended, children)) == list(range(9))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
async def test_a_signal_reaches_it(guard: Guard, number: signal.Signals) -> None:
    child = shell(guard, f"trap 'exit 42' {number.value}; echo ready; while :; do sleep 0.01; done")
    assert await child.read("stdout") == b"ready\n"

    child.signal(number)

    assert await ended(child) == 42


async def test_a_signal_after_its_end_is_harmless(guard: Guard) -> None:
    child = shell(guard, "exit 0")
    await ended(child)

    child.signal(signal.SIGTERM)
    child.kill()


async def test_it_can_be_stopped_and_goes_on(guard: Guard) -> None:
    child = shell(guard, "read line; echo $line", stdin=True)
    child.signal(signal.SIGSTOP)
    await child.write(b"hello\n")
    until(lambda: Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")

    child.signal(signal.SIGCONT)

    assert await everything(child, "stdout") == b"hello\n"
    assert await ended(child) == 0


# Its bytes


async def test_its_two_outputs_are_apart_and_byte_for_byte(guard: Guard) -> None:
    child = shell(guard, r"printf 'a\000\377\r\n'; printf '\376' >&2")

    out, err = await asyncio.gather(everything(child, "stdout"), everything(child, "stderr"))

    assert (out, err) == (b"a\0\xff\r\n", b"\xfe")
    assert await ended(child) == 0


async def test_a_flood_goes_through_it_and_comes_back(guard: Guard) -> None:
    flood = os.urandom(8_000_000)
    child = start(guard, "cat", stdin=True)
    reading = asyncio.create_task(everything(child, "stdout"))

    assert await child.write(flood)
    child.end_input()

    assert await asyncio.wait_for(reading, 20) == flood
    assert await ended(child) == 0


async def test_without_input_it_reads_the_end_at_once(guard: Guard) -> None:
    child = start(guard, "cat")

    assert await child.write(b"x") is False
    assert await everything(child, "stdout") == b""
    assert await ended(child) == 0


async def test_input_that_nobody_reads_any_more_is_not_taken(guard: Guard) -> None:
    child = shell(guard, "exec <&-; echo closed; sleep 60", stdin=True)
    assert await child.read("stdout") == b"closed\n"

    assert [await child.write(b"x"), await child.write(b"y")] == [False, False]
    child.kill()
    assert await ended(child) == -signal.SIGKILL


async def test_an_output_that_we_shut_is_broken_for_it(guard: Guard) -> None:
    child = shell(guard, "read line; echo more; echo $? >&2", stdin=True)
    child.shut("stdout")
    await child.write(b"\n")

    assert await child.read("stdout") == b""
    assert await ended(child) == -signal.SIGPIPE


async def test_progress_has_a_descriptor_of_its_own(guard: Guard, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text('#!/bin/sh\necho "$1 $3"\necho progress=end >/proc/self/fd/${2#pipe:}\n')
    program.chmod(0o755)
    child = start(guard, str(program), "last", progress=True)

    out, progress = await asyncio.gather(everything(child, "stdout"), everything(child, "progress"))

    assert (out, progress) == (b"-progress last\n", b"progress=end\n")
    assert await ended(child) == 0


async def test_a_real_ffmpeg_reports_there(guard: Guard) -> None:
    arguments = "-v error -f lavfi -i testsrc2=size=32x32:rate=10:duration=1 -f null -".split()
    child = start(guard, "ffmpeg", *arguments, progress=True)

    err, progress = await asyncio.gather(everything(child, "stderr"), everything(child, "progress"))

    assert err == b""
    assert progress.endswith(b"progress=end\n")
    assert b"frame=10\n" in progress
    assert await ended(child) == 0


# What it gets


async def test_it_gets_the_environment_and_the_directory_it_is_given(guard: Guard, tmp_path: Path) -> None:
    child = start(guard, "/usr/bin/env", cwd=str(tmp_path))
    shown = (await everything(child, "stdout")).decode().splitlines()
    await ended(child)
    child = shell(guard, "pwd")
    await ended(child)

    assert shown == [f"PATH={ENVIRONMENT['PATH']}"]
    assert await _pwd(guard, tmp_path) == tmp_path


async def _pwd(guard: Guard, folder: Path) -> Path:
    child = start(guard, "/bin/sh", "-c", "pwd -P", cwd=str(folder))
    try:
        return Path((await everything(child, "stdout")).decode().strip())
    finally:
        await ended(child)


async def test_it_gets_no_descriptor_of_ours_or_of_another(guard: Guard) -> None:
    other = start(guard, "cat", stdin=True)
    child = shell(guard, "ls /proc/self/fd", stdin=True)

    shown = (await everything(child, "stdout")).split()

    assert shown == [b"0", b"1", b"2", b"3"]  # the last is of the listing itself
    await ended(child)
    other.end_input()
    assert await ended(other) == 0


async def test_it_leads_a_group_of_its_own(guard: Guard) -> None:
    child = start(guard, "cat", stdin=True)

    assert os.getpgid(child.pid) == child.pid
    assert os.getpgid(0) != child.pid
    child.end_input()
    await ended(child)


async def test_what_python_ignores_is_not_ignored_by_it(guard: Guard) -> None:
    child = shell(guard, "grep SigIgn /proc/$$/status")
    shown = await everything(child, "stdout")
    await ended(child)

    assert int(shown.split()[1], 16) & (1 << (signal.SIGPIPE - 1)) == 0


# Nothing of it left


async def test_it_is_killed_with_everything_it_has_started(guard: Guard) -> None:
    child = shell(guard, "sleep 60 & echo $!; (sleep 60 & echo $!; wait) & wait")
    started: list[int] = []
    while len(started) < 2:
        started += [int(word) for word in (await child.read("stdout")).split()]
    assert all(map(is_alive, started))

    child.kill()

    assert await ended(child) == -signal.SIGKILL
    until(lambda: not any(map(is_alive, started)), within=20)


async def test_what_it_has_left_behind_is_killed_too(guard: Guard) -> None:
    child = shell(guard, "sleep 60 & echo $!")
    started = int(await child.read("stdout"))
    assert await asyncio.wait_for(child.wait(), 10) == 0
    try:
        child.kill()

        until(lambda: not is_alive(started), within=20)
    finally:
        child.close()
        if is_alive(started):
            os.kill(started, signal.SIGKILL)


@pytest.mark.skipif(
    not shutil.which("setpriv"), reason="only the kernel of Linux ties a process to its parent"
)
def test_it_ends_when_its_worker_is_killed_though_nobody_guards_it() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert parent.stdin
    assert parent.stdout
    pid = int(parent.stdout.readline())
    # Until setpriv has asked the kernel, only the guard would notice.
    until(lambda: Path(f"/proc/{pid}/comm").read_text() == "sleep\n", within=10)

    parent.kill()
    parent.communicate()

    until(lambda: not is_alive(pid), within=20)


async def test_fifty_leave_no_descriptor_open(guard: Guard, tmp_path: Path) -> None:
    async def run(number: int) -> None:
        child = start(guard, "true", stdin=bool(number % 2), progress=not number % 3)
        await ended(child)

    await run(0)
    before = descriptors()
    for number in range(50):
        await run(number)

    assert descriptors() == before


@pytest.mark.parametrize("missing", ["program", "directory"])
async def test_what_cannot_be_started_is_said_and_leaves_nothing_open(
    guard: Guard, tmp_path: Path, missing: str
) -> None:
    program = str(tmp_path / "nowhere") if missing == "program" else "/bin/true"
    cwd = str(tmp_path / "nowhere") if missing == "directory" else None
    before = descriptors()

    with pytest.raises(OSError, match="nowhere") as caught:
        await ended(start(guard, program, cwd=cwd, stdin=True, progress=True))

    assert caught.value.filename == str(tmp_path / "nowhere")
    assert descriptors() == before


async def test_closing_twice_is_harmless(guard: Guard) -> None:
    child = start(guard, "true", stdin=True)
    await ended(child)

    child.close()

    assert await child.read("stdout") == b""


async def test_waiting_costs_no_time_and_no_thread(guard: Guard) -> None:
    threads = len(os.listdir("/proc/self/task"))
    children = [start(guard, "cat", stdin=True) for _ in range(8)]
    waiting = [asyncio.create_task(ended(child)) for child in children]
    began = time.process_time()
    await asyncio.sleep(0.2)
    used = time.process_time() - began

    assert used < 0.1
    assert len(os.listdir("/proc/self/task")) == threads
    for child in children:
        child.end_input()
    assert await asyncio.gather(*waiting) == [0] * 8


async def test_a_signal_to_the_group_reaches_what_it_has_started(guard: Guard) -> None:
    child = shell(guard, "sleep 60 & sleep 60 & wait")
    until(lambda: len(states(child.pid)) == 3)

    child.signal_group(signal.SIGSTOP)
    until(lambda: states(child.pid) == ["T"] * 3)
    child.signal_group(signal.SIGCONT)
    until(lambda: states(child.pid) == ["S"] * 3)

    child.signal_group(signal.SIGTERM)
    assert await ended(child) == -signal.SIGTERM
    child.signal_group(signal.SIGTERM)  # there is none any more


async def test_a_stopped_group_is_killed_at_once(guard: Guard) -> None:
    child = shell(guard, "sleep 60 & wait")
    until(lambda: len(states(child.pid)) == 2)
    child.signal_group(signal.SIGSTOP)

    child.kill()

    assert await ended(child) == -signal.SIGKILL
    until(lambda: set(states(child.pid)) <= {"Z"})  # nobody's children wait for init


async def test_it_can_be_made_nicer_and_never_more_urgent(guard: Guard) -> None:
    child = shell(guard, "sleep 60 & wait")
    until(lambda: len(states(child.pid)) == 2)

    nicenesses = []
    for asked in (0, 7, 3):
        child.yield_to_others(asked)
        nicenesses.append(os.getpriority(os.PRIO_PROCESS, child.pid))
    child.kill()

    assert nicenesses == [os.getpriority(os.PRIO_PROCESS, 0), 7, 7]
    await ended(child)
    child.yield_to_others(19)  # there is none any more
