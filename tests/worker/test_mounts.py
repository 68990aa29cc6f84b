"""Roots that answer and roots that hang, and who waits for them."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator

import pytest

from worker.aside import Hung
from worker.mounts import Mounts

ROOTS = {"Movies": "/srv/movies", "Hung": "/srv/hung"}


class Host:
    """Its file systems: those in `hangs` answer when `recovers` is set."""

    def __init__(self) -> None:
        self.hangs = {"/srv/hung"}
        self.recovers = threading.Event()
        self.looks: list[str] = []

    def stat(self, path: str) -> None:
        self.looks.append(path)
        if path in self.hangs:
            self.recovers.wait()


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    made = Host()
    monkeypatch.setattr(os, "stat", made.stat)
    yield made
    made.recovers.set()


async def test_roots_that_answer_are_all_there(host: Host) -> None:
    host.hangs.clear()

    assert await Mounts().hung(ROOTS, needed=ROOTS) == frozenset()


async def test_a_root_that_hangs_is_left_out_for_who_does_not_need_it(host: Host) -> None:
    mounts = Mounts(patience=0.2)

    assert await mounts.hung(ROOTS, needed=["Movies"]) == {"Hung"}


async def test_only_the_first_waits_for_a_root_that_it_does_not_need(host: Host) -> None:
    mounts = Mounts(patience=1.0)
    await mounts.hung(ROOTS, needed=["Movies"])
    began = time.monotonic()

    for _ in range(20):
        assert await mounts.hung(ROOTS, needed=["Movies"]) == {"Hung"}

    assert time.monotonic() - began < 1.0
    assert host.looks.count("/srv/hung") == 1  # and no thread more is lost to it


async def test_who_needs_it_is_told_which_it_is(host: Host) -> None:
    with pytest.raises(Hung, match=r"the root 'Hung' does not answer \(waited 0\.2 s\)"):
        await Mounts(patience=0.2).hung(ROOTS, needed=["Hung"])


async def test_a_root_that_answers_again_is_there_again(host: Host) -> None:
    mounts = Mounts(patience=0.2)
    await mounts.hung(ROOTS, needed=[])
    host.recovers.set()

    for _ in range(500):
        if not await mounts.hung(ROOTS, needed=[]):
            break
        await asyncio.sleep(0.01)

    assert await mounts.hung(ROOTS, needed=["Hung"]) == frozenset()


async def test_a_directory_that_is_not_there_does_not_hang() -> None:
    assert await Mounts().hung({"Gone": "/nowhere/at/all"}, needed=["Gone"]) == frozenset()
