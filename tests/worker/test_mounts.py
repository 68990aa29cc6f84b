"""Roots that do not answer are known, and known again when they do."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from worker import mounts
from worker.mounts import Mounts


class Disk:
    """Stands for `os.statvfs`: one path hangs as long as `answers` is not set."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.answers = threading.Event()
        self.asked = 0

    def statvfs(self, path: str) -> object:
        if path == self.path:
            self.asked += 1
            self.answers.wait(60)
        return os.stat(path)


@pytest.fixture
async def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Disk]:
    """A root that hangs, called "Films"; looks follow each other quickly."""
    (tmp_path / "films").mkdir()
    made = Disk(str(tmp_path / "films"))
    monkeypatch.setattr(mounts, "os", made)
    monkeypatch.setattr(mounts, "EVERY", 0.01)
    monkeypatch.setattr(mounts, "PATIENCE", 0.1)
    yield made
    made.answers.set()


async def until_silent(watched: Mounts, *names: str) -> None:
    async with asyncio.timeout(10):
        while watched.silent != frozenset(names):  # noqa: ASYNC110 - nobody is told
            await asyncio.sleep(0.01)


async def test_a_root_is_silent_until_it_answers(disk: Disk, tmp_path: Path) -> None:
    watched = Mounts({"Films": disk.path, "TV": str(tmp_path), "Gone": str(tmp_path / "gone")})
    watching = asyncio.create_task(watched.watch())

    await until_silent(watched, "Films")
    await asyncio.sleep(0.3)
    assert (watched.silent, disk.asked) == ({"Films"}, 1)  # it holds one thread, however long it takes

    disk.answers.set()
    await until_silent(watched)
    disk.answers.clear()
    await until_silent(watched, "Films")
    watching.cancel()


async def test_a_root_that_is_not_there_has_answered(disk: Disk, tmp_path: Path) -> None:
    disk.answers.set()
    watched = Mounts({"Gone": str(tmp_path / "gone"), "Films": disk.path})
    watching = asyncio.create_task(watched.watch())

    async with asyncio.timeout(10):
        while disk.asked < 5:  # noqa: ASYNC110 - nobody is told
            await asyncio.sleep(0.01)

    assert (watched.silent, watching.done()) == (frozenset(), False)
    watching.cancel()
