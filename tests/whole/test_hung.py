"""A root whose server does not answer: who touches it hangs in the kernel, and nobody else notices."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.state.workers import BEAT
from tests.farm import Farm, until
from tests.fuse import Mount
from tests.whole.tools import ffmpegs

CODED = ["-c:v", "mpeg4", "-threads", "1", "-flush_packets", "1"]
SHORT = ["-f", "lavfi", "-i", "testsrc2=duration=1:size=64x36", *CODED]


@dataclass
class Hanging:
    """A farm whose worker has two roots, one of which can hang. Both are in every caller's view."""

    farm: Farm
    mount: Mount

    def submit(self, *words: str | Path) -> str:
        """The id of a new job."""
        roots = f"Media={self.farm.client_root}:Hung={self.mount.place}"
        command = ["submit", "--", "ffmpeg", "-v", "error", "-y", *words]
        done = self.farm.ffgrid(*command, FFGRID_ROOTS=roots)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def state(self, job: str) -> str:
        return str(self.farm.job(job)["state"])

    @property
    def busy(self) -> int:
        """How many slots of the worker are taken."""
        return int(self.farm.json("workers")["workers"][0]["busy"])

    @property
    def log(self) -> str:
        """What the worker says."""
        return self.farm.workers[0].log.read_text()


@pytest.fixture
def hanging(tmp_path: Path) -> Iterator[Hanging]:
    """One with a film in each root."""
    with (
        Mount(tmp_path / "disk", tmp_path / "hung") as mount,
        Farm.start(tmp_path / "farm", webs=1, workers=0) as farm,
    ):
        try:
            roots = f"Media={farm.worker_root}:Hung={mount.place}"
            farm.start_worker("w1", slots=4, env={"FFGRID_ROOTS": roots})
            film = farm.media("film.mkv", 60, size="64x36")
            shutil.copy(film, mount.place / "film.mkv")
            yield Hanging(farm, mount)
        finally:
            mount.answer()


def test_jobs_on_a_root_that_hangs_can_be_cancelled_and_harm_no_other(hanging: Hanging) -> None:
    film = hanging.farm.client_root / "film.mkv"
    healthy, reads, writes = (
        hanging.submit("-re", "-i", source, *CODED, target)
        for source, target in (
            (film, hanging.farm.client_root / "healthy.mkv"),
            (hanging.mount.place / "film.mkv", hanging.farm.client_root / "reads.mkv"),
            (film, hanging.mount.place / "writes.mkv"),
        )
    )
    until(lambda: all(hanging.farm.job(job)["progress"] for job in (healthy, reads, writes)))

    hanging.mount.hang()
    until(lambda: {"read", "write"} <= set(hanging.mount.held()))
    new = hanging.submit(*SHORT, hanging.farm.client_root / "new.mkv")
    began, silent = time.monotonic(), 0.0
    for job in (reads, writes):
        assert hanging.farm.ffgrid("cancel", job).returncode == 0
    while not all(hanging.state(job) == "cancelled" for job in (reads, writes)):
        silent = max(silent, hanging.farm.json("workers")["workers"][0]["silent"])
        assert time.monotonic() - began < 12

    assert silent < 2 * BEAT
    assert {hanging.farm.job(job)["cause"] for job in (reads, writes)} == {"cancelled"}
    until(lambda: hanging.state(new) == "done")
    assert hanging.state(healthy) == "running"
    assert hanging.busy == 3  # two of them hang
    assert hanging.log.count("its process does not end; its slot is lost until it does") == 2

    hanging.mount.answer()

    until(lambda: hanging.busy == 1)
    assert hanging.log.count("its process has ended, its slot is free again") == 2
    assert ffmpegs(reads) + ffmpegs(writes) == []
    until(lambda: not list(hanging.mount.place.glob(".ffgrid-*")))
    again = hanging.submit("-i", hanging.mount.place / "film.mkv", *CODED, hanging.mount.place / "again.mkv")
    until(lambda: hanging.state(again) == "done")


def test_jobs_that_need_a_root_that_hangs_wait_until_it_answers(hanging: Hanging) -> None:
    hanging.mount.hang()
    until(lambda: "the root Hung does not answer" in hanging.log)
    until(lambda: hanging.farm.json("workers")["workers"][0]["roots"] == ["Media"])

    needs = hanging.submit(
        "-t", "1", "-i", hanging.mount.place / "film.mkv", *CODED, hanging.farm.client_root / "a.mkv"
    )
    other = hanging.submit(*SHORT, hanging.farm.client_root / "other.mkv")

    until(lambda: hanging.state(other) == "done")
    assert (hanging.state(needs), hanging.farm.job(needs)["attempt"]) == ("queued", 0)
    hanging.mount.answer()
    until(lambda: hanging.state(needs) == "done")
    assert hanging.farm.job(needs)["losses"] == 0
    assert "the root Hung answers again" in hanging.log
