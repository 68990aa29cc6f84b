"""The watcher's view of a process, and the process itself when nobody can be told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from shim.watcher import is_stopped
from tests.farm import until
from tests.shim.conftest import Fake, answer, problem

PARENT = """\
import os, sys, time
from app.wire.keyfile import Key
from shim import watcher
from shim.config import Config
urls, watcher.CANCEL_SECONDS = sys.argv[1].split(), 2.0
child = watcher.start(Config(urls, Key("k", bytes(32), b""), {}, "", "live"), "0" * 26)
print(child, flush=True)
sys.stdin.read()
watcher.end(child)
print("ended", flush=True)
sys.stdin.close()
"""


@pytest.mark.parametrize(
    ("stat", "stopped"),
    [
        (b"1 (ffmpeg) S 1 1", False),
        (b"1 (ffmpeg) R 1 1", False),
        (b"1 (ffmpeg) T 1 1", True),
        (b"1 (a) T (b) S 1", False),
        (b"1 (a\n) ) T 1", True),
        (b"1 (traced) t 1", False),
        (b"1 (ffmpeg) Z 1", None),
        (b"1 (ffmpeg) X 1", None),
        (b"", None),
    ],
)
def test_a_line_of_proc_says_whether_a_process_is_stopped(stat: bytes, stopped: bool | None) -> None:
    assert is_stopped(stat) is stopped


def parent(urls: str = "http://127.0.0.1:9") -> tuple[subprocess.Popen[bytes], int]:
    """A process that is watched, and its watcher, which nobody answers unless somebody is named."""
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT, urls],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout
    return process, int(process.stdout.readline())


def test_it_is_ended_and_waited_for() -> None:
    process, watcher = parent()

    out, _ = process.communicate(timeout=20)

    assert out == b"ended\n"
    assert not Path(f"/proc/{watcher}").exists()


@pytest.mark.parametrize("stopped", [False, True])
def test_it_ends_when_its_whole_session_is_killed(stopped: bool) -> None:
    process, watcher = parent()
    if stopped:
        os.killpg(process.pid, signal.SIGSTOP)
        until(lambda: " T " in Path(f"/proc/{process.pid}/stat").read_text())
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=20)

    until(lambda: not Path(f"/proc/{watcher}").exists(), within=20)


@pytest.mark.parametrize("status", [200, 202, 404, 409])
def test_the_job_of_a_caller_that_was_killed_is_cancelled(fake: Callable[..., Fake], status: int) -> None:
    away, coordinator = fake(b""), fake(problem(503, "going away", name="leaving"), answer(status, {}))
    process, watcher = parent(f"http://127.0.0.1:9 {away.url} {coordinator.url}")
    until(lambda: os.getsid(watcher) == watcher)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=20)

    until(lambda: not Path(f"/proc/{watcher}").exists(), within=20)
    heads = [head.partition("\r\n")[0] for head, _ in coordinator.asked]
    assert heads == [f"POST /v1/jobs/{'0' * 26}/cancel HTTP/1.1"] * 2  # until somebody has heard it


def test_a_caller_that_ends_by_itself_cancels_nothing(fake: Callable[..., Fake]) -> None:
    coordinator = fake(answer(200, {}))
    process, _ = parent(coordinator.url)

    process.communicate(timeout=20)

    assert coordinator.asked == []


def test_it_is_in_nobodys_way() -> None:
    process, watcher = parent()
    until(lambda: os.getsid(watcher) == watcher)
    until(lambda: os.readlink(f"/proc/{watcher}/cwd") == "/")

    held = until(lambda: _only_null(watcher))
    assert len(held) == 4  # three times nothing, and what it looks at
    process.communicate(timeout=20)


def _only_null(pid: int) -> list[str]:
    """Its descriptors, once none is left that was its parent's."""
    try:
        held = [os.readlink(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")]
    except OSError:
        return []
    return (
        held
        if sorted(held)[:3] == ["/dev/null"] * 3
        and all(place == "/dev/null" or place.endswith("/stat") for place in held)
        else []
    )
