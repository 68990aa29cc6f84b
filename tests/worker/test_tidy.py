"""What lost attempts have left is removed by a worker, and a directory that hangs is left alone for a while."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from redis.exceptions import ConnectionError

from app.state.leases import Leases
from app.state.seal import Seal
from worker import tidy
from worker.aside import aside
from worker.files import stem
from worker.machine import Machine
from worker.tidy import Tidier

SEAL = Seal(bytes(32))


class Queue(Leases):
    """Gives out batches of jobs, and remembers what it is told."""

    def __init__(self, *batches: list[tuple[str, bytes]]) -> None:
        self.batches = list(batches)
        self.told: list[list[str]] = []

    async def tidy(self, classes: Sequence[str], looked_after: Sequence[str]) -> list[tuple[str, bytes]]:
        self.told.append(list(looked_after))
        return self.batches.pop(0) if self.batches else []


class Away(Queue):
    """Cannot be reached."""

    async def tidy(self, classes: Sequence[str], looked_after: Sequence[str]) -> list[tuple[str, bytes]]:
        raise ConnectionError("away")


def job(job_id: str, folder: str = "", root: str = "Films") -> tuple[str, bytes]:
    """A job that reads from and writes to that folder of the root."""
    named = [[{"root": root}, f"{folder}/{name}"] for name in ("in.mkv", "out.mkv")]
    spec: dict[str, Any] = {"binary": "ffmpeg", "args": ["-i", *named], "cwd": None}
    return job_id, SEAL.close(job_id, spec)


def leave(folder: Path, job_id: str) -> None:
    """Leaves what an attempt at this job would."""
    folder.mkdir(exist_ok=True)
    (folder / f"{stem(job_id, 1, 'aaaaaaaa')}2.mkv").touch()


async def tidied(queue: Queue, folder: Path) -> Tidier:
    """A tidier of that root that has been woken and has done its work."""
    made = Tidier(queue, SEAL, Machine({}, {}, [], {"Films": str(folder)}, 1))
    made.wake(["class"])
    assert made._task
    await made._task
    return made


async def test_what_is_left_is_removed_and_told(tmp_path: Path) -> None:
    for job_id in ("A", "B", "C"):
        leave(tmp_path, job_id)
    queue = Queue([job("A"), job("B")])

    await tidied(queue, tmp_path)

    assert os.listdir(tmp_path) == [f"{stem('C', 1, 'aaaaaaaa')}2.mkv"]
    assert queue.told == [[], ["A", "B"]]


async def test_it_goes_on_while_there_is_more(tmp_path: Path) -> None:
    queue = Queue([job("A")], [job("B")])

    await tidied(queue, tmp_path)

    assert queue.told == [[], ["A"], ["B"]]


async def test_what_was_never_run_here_needs_no_look(tmp_path: Path) -> None:
    queue = Queue([job("A", root="TV"), ("B", b"nobody has sealed this")])

    await tidied(queue, tmp_path)

    assert queue.told == [[], ["A", "B"]]


async def test_what_cannot_be_looked_at_is_not_said_to_be_clean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(folders: object, job_id: str) -> None:
        if job_id == "A":
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tidy.files, "sweep", fail)
    queue = Queue([job("A"), job("B")])

    await tidied(queue, tmp_path)

    assert queue.told == [[], ["B"]]


async def test_a_directory_that_hangs_is_touched_once_and_then_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, touched = threading.Event(), []

    def hang(folders: set[str], job_id: str) -> None:
        touched.append(job_id)
        if f"{tmp_path}/hung" in folders:
            answers.wait(30)

    async def impatient(*words: Any) -> Any:
        return await aside(*words, within=0.1)

    monkeypatch.setattr(tidy.files, "sweep", hang)
    monkeypatch.setattr(tidy, "aside", impatient)
    queue = Queue([job("A", "/hung"), job("B", "/hung"), job("C")])

    made = await tidied(queue, tmp_path)

    assert (touched, queue.told) == (["A", "C"], [[], ["C"]])
    made.wake(["class"])
    assert made._task is not None
    assert made._task.done()  # it rests
    answers.set()


async def test_without_redis_it_waits_for_the_next_heartbeat(tmp_path: Path) -> None:
    made = await tidied(Away(), tmp_path)
    before = made._task

    made.wake(["class"])

    assert made._task is not before
    assert made._task
    await made._task


async def test_it_is_one_at_a_time(tmp_path: Path) -> None:
    made = Tidier(Queue(), SEAL, Machine({}, {}, [], {"Films": str(tmp_path)}, 1))
    made.wake(["class"])
    first = made._task
    made.wake(["class"])

    assert made._task is first
    await asyncio.gather(*([first] if first else []))
