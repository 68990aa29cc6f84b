"""How attempts end, with real processes: tried again, too long, stalled, no room, lost, published by somebody else."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.farm import Farm, Worker, until
from tests.fuse import Mount
from tests.whole.tools import events, ffmpegs, litter

CODED = ["-c:v", "mpeg4", "-threads", "1"]
SHORT = ["-f", "lavfi", "-i", "testsrc2=duration=1:size=64x36", *CODED]
LONG = ["-re", "-f", "lavfi", "-i", "testsrc2=size=64x36:duration=60", *CODED]
ROOM = 256 << 10  # bytes of the small disk
ENDED = ("done", "failed", "cancelled", "dead")

# Stands for an ffmpeg: kills its worker when it is asked to.
POISON = """#!/bin/sh
case "$*" in *comment=poison*) kill -9 $PPID; sleep 30;; esac
exec ffmpeg "$@"
"""


@dataclass
class Grid:
    """A farm with a small disk, and a directory whose server can be told not to answer, in its root."""

    farm: Farm
    slow: Mount

    def submit(self, *words: str | Path, flags: tuple[str, ...] = (), replace: bool = True) -> str:
        """The id of a new job."""
        command = ["ffmpeg", "-v", "error", *(["-y"] if replace else []), *words]
        done = self.farm.ffgrid("submit", *flags, "--", *command)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def tidy(self) -> None:
        self.farm.tidy()

    def hire(self, name: str, ffmpeg: str | None = None) -> Worker:
        """A worker that takes the jobs with `only=NAME` and, unless they are few, others."""
        return self.farm.start_worker(name, env={"FFGRID_LABELS": f"only={name}"}, ffmpeg=ffmpeg)

    def state(self, job: str) -> str:
        return str(self.farm.job(job)["state"])

    def ended(self, job: str, within: float = 60.0) -> dict[str, Any]:
        """The job, once it has ended."""
        until(lambda: self.state(job) in ENDED, within)
        return self.farm.job(job)

    def path(self, name: str) -> Path:
        return self.farm.client_root / name


@dataclass
class Limit:
    """A memory cgroup."""

    folder: Path

    def hold(self, pid: int) -> None:
        """This process, and what it starts from now on."""
        (self.folder / "cgroup.procs").write_text(str(pid))


@contextmanager
def memory_limit(size: int) -> Iterator[Limit]:
    """A memory cgroup, of whichever version this system has. Fails the test where none can be made."""
    top = Path("/sys/fs/cgroup")
    old = (top / "memory").is_dir()
    folder = (top / "memory" if old else top) / f"ffgrid-tests-{os.getpid()}"
    try:
        folder.mkdir()
        (folder / ("memory.limit_in_bytes" if old else "memory.max")).write_text(str(size))
    except OSError as error:
        raise AssertionError(f"this test needs a memory cgroup of its own, as root: {error}") from None
    try:
        yield Limit(folder)
    finally:
        until(lambda: not (folder / "cgroup.procs").read_text().split())
        folder.rmdir()


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grid]:
    """One for the tests that break no worker but those that they hire."""
    assert os.geteuid() == 0, "these tests mount a small disk: run them as root"
    folder = tmp_path_factory.mktemp("grid")
    with Farm.start(folder / "farm", webs=1, workers=1) as farm:
        room = farm.client_root / "full"
        room.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "none", room], check=True)
        try:
            with Mount(folder / "disk", farm.client_root / "slow") as slow:
                yield Grid(farm, slow)
        finally:
            subprocess.run(["umount", "--lazy", room], check=True)


def test_a_job_that_failed_is_tried_again_and_done(grid: Grid) -> None:
    source = grid.path("comes later.mkv")
    flags = ("--retries", "3", "--retry-delay", "1")
    job = grid.submit("-i", source, *CODED, grid.path("again.mkv"), flags=flags)
    until(lambda: grid.state(job) == "waiting")
    grid.farm.media(source.name, 1, size="64x36")

    ended = grid.ended(job)

    assert (ended["state"], ended["losses"]) == ("done", 0)
    assert ended["failures"] == ended["attempt"] - 1 >= 1
    assert ended["attempts"][0]["cause"] == "exit"


def test_a_job_runs_no_longer_than_it_may(grid: Grid) -> None:
    job = grid.submit(*LONG, grid.path("long.mkv"), flags=("--max-seconds", "1"))

    ended = grid.ended(job)

    assert (ended["state"], ended["cause"]) == ("failed", "timeout")
    assert ffmpegs(job) == []
    assert not grid.path("long.mkv").exists()


def test_a_process_that_does_nothing_is_ended(grid: Grid) -> None:
    job = grid.submit(*LONG, grid.path("stalled.mkv"), flags=("--stall-seconds", "2"))
    until(lambda: grid.farm.job(job)["progress"])
    for pid in ffmpegs(job):
        os.kill(pid, signal.SIGSTOP)

    ended = grid.ended(job)

    assert (ended["state"], ended["cause"]) == ("failed", "stalled")


def test_a_slow_encode_is_not_ended_for_doing_nothing(grid: Grid) -> None:
    """One picture takes longer than the limit, but the processor works on it."""
    source = ["-f", "lavfi", "-i", "testsrc2=size=2560x1440:rate=1:duration=1"]
    slow = ["-filter_threads", "1", "-vf", "nlmeans=p=3:r=21", *CODED]
    job = grid.submit(*source, *slow, grid.path("slow.mkv"), flags=("--stall-seconds", "1"))

    ended = grid.ended(job)

    assert ended["state"] == "done", ended["reason"]
    assert ended["finished"] - ended["started"] > 1.2  # else it shows nothing


def test_a_process_that_the_kernel_ends_for_memory_is_told(grid: Grid) -> None:
    with memory_limit(256 << 20) as limit:
        worker = grid.hire("small")
        limit.hold(worker.pid)
        big = ["-f", "lavfi", "-i", "testsrc2=size=7680x4320:duration=9", "-c:v", "libx264"]
        job = grid.submit(*big, grid.path("big.mkv"), flags=("--label", "only=small"))

        ended = grid.ended(job)

        assert worker.is_alive
        worker.kill()
    assert (ended["state"], ended["cause"], ended["signal"]) == ("failed", "oom", signal.SIGKILL)
    assert not any(job in name for name in litter(grid.farm))


def test_a_full_disk_is_told_and_nothing_is_left_on_it(grid: Grid) -> None:
    target = grid.path("full") / "film.mkv"
    target.write_text("the old one")
    source = ["-f", "lavfi", "-i", "testsrc2=size=640x360:duration=20", "-c:v", "rawvideo"]

    ended = grid.ended(grid.submit(*source, target))

    assert (ended["state"], ended["cause"]) == ("failed", "disk_full")
    assert os.listdir(target.parent) == [target.name]
    assert target.read_text() == "the old one"


def test_what_is_refused_is_not_tried_again(grid: Grid) -> None:
    target = grid.path("taken.mkv")
    target.write_text("the old one")

    job = grid.submit(*SHORT, target, flags=("--retries", "3", "--retry-delay", "0.1"), replace=False)

    ended = grid.ended(job)
    assert (ended["state"], ended["cause"], ended["attempt"]) == ("failed", "refused", 1)
    assert target.read_text() == "the old one"


def test_a_file_that_appears_meanwhile_is_not_replaced(grid: Grid) -> None:
    target = grid.path("appears.mkv")
    source = ["-re", "-f", "lavfi", "-i", "testsrc2=size=64x36:duration=2"]
    job = grid.submit(*source, *CODED, target, replace=False)
    until(lambda: ffmpegs(job))
    target.write_text("somebody else's")

    ended = grid.ended(job)

    assert (ended["state"], ended["cause"]) == ("failed", "refused")
    assert "'appears.mkv' exists already: add -y" in ended["reason"]
    assert target.read_text() == "somebody else's"


def test_a_job_in_place_writes_under_its_own_name(grid: Grid) -> None:
    target = grid.path("grows.mkv")
    job = grid.submit(*LONG, "-flush_packets", "1", target, flags=("--in-place",))

    until(lambda: target.exists() and target.stat().st_size)

    assert grid.state(job) == "running"
    assert grid.farm.ffgrid("cancel", job).returncode == 0
    assert grid.ended(job)["state"] == "cancelled"


def test_what_gets_its_name_cannot_be_cancelled_any_more(grid: Grid) -> None:
    grid.slow.hang("rename", "rename2")
    try:
        job = grid.submit(*SHORT, grid.slow.place / "late.mkv")
        until(grid.slow.held)

        refused = grid.farm.ffgrid("cancel", job)

        assert grid.state(job) == "publishing"
        assert refused.returncode == 1
        assert "its outputs are getting their names" in refused.stderr
    finally:
        grid.slow.answer()
    assert grid.ended(job)["state"] == "done"


def test_another_worker_publishes_what_a_killed_one_had_encoded(grid: Grid) -> None:
    worker = grid.hire("publishes")
    grid.slow.hang("rename", "rename2")
    try:
        job = grid.submit(*SHORT, grid.slow.place / "adopted.mkv", flags=("--label", "only=publishes"))
        until(grid.slow.held)
        worker.signal(signal.SIGKILL)
    finally:
        grid.slow.fail()  # it was never renamed
    worker.kill()
    (encoded,) = grid.slow.place.glob(f".ffgrid-{job}-1-*")
    whole = encoded.stat().st_ino

    grid.hire("publishes")

    ended = grid.ended(job)
    assert (ended["state"], ended["attempt"], ended["losses"]) == ("done", 2, 1)
    assert (grid.slow.place / "adopted.mkv").stat().st_ino == whole  # not encoded again
    assert events(grid.farm)[job]["publish"] == 2
    assert list(grid.slow.place.glob(".ffgrid-*")) == []


def test_a_job_that_kills_its_workers_is_dead_and_no_other_is_harmed(grid: Grid, tmp_path: Path) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text(POISON)
    program.chmod(0o755)
    worker = grid.hire("poison", str(program))
    flags = ("--label", "only=poison", "--max-attempts", "2")
    job = grid.submit(*SHORT, "-metadata", "comment=poison", grid.path("poison.mkv"), flags=flags)
    healthy = grid.submit(*SHORT, grid.path("healthy.mkv"))
    for _ in range(2):
        worker.process.wait(20)
        worker = grid.hire("poison", str(program))

    ended = grid.ended(job)

    assert (ended["state"], ended["cause"], ended["losses"]) == ("dead", "lost", 2)
    assert [one["cause"] for one in ended["attempts"]] == ["lost", "lost"]
    assert (grid.ended(healthy)["state"], grid.farm.job(healthy)["losses"]) == ("done", 0)
    until(lambda: litter(grid.farm) == [])


@pytest.mark.parametrize("ending", ["dead", "cancelled"])
def test_a_lost_attempt_leaves_no_files(grid: Grid, ending: str) -> None:
    worker = grid.hire(f"lost-{ending}")
    redo = ("--redo", "never") if ending == "dead" else ()
    flags = ("--label", f"only=lost-{ending}", *redo)
    job = grid.submit(*LONG, "-flush_packets", "1", grid.path(f"{ending}.mkv"), flags=flags)
    until(lambda: any(job in name for name in litter(grid.farm)))
    if ending == "cancelled":  # its worker never hears of it
        worker.signal(signal.SIGSTOP)
        assert grid.farm.ffgrid("cancel", job).returncode == 0
    worker.kill()
    assert any(job in name for name in litter(grid.farm))

    grid.hire(f"lost-{ending}")

    ended = grid.ended(job)
    assert (ended["state"], ended["losses"]) == (ending, 1)
    until(lambda: not any(job in name for name in litter(grid.farm)))
