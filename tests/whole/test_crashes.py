"""Real processes killed with real signals in the middle of real work."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from app.state.store import Store
from tests.conftest import SERVERS
from tests.farm import Farm, until
from tests.whole.tools import direct, events, ffmpegs, frames, litter, shim

FILM = ["-re", "-i", "film.mkv"]
ENDLESS = ["-re", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25"]
CODED = ["-c:v", "libx264", "-preset", "ultrafast", "-threads", "1"]
TITLE = f"title={os.getpid()}-"  # whose processes ours are


def begin_slow_job(farm: Farm, name: str, seconds: int = 30) -> tuple[str, Path]:
    """A submitted job that runs for as long as its film lasts, and where its result will be."""
    farm.media("film.mkv", seconds)
    result = farm.client_root / name
    done = farm.ffgrid("submit", "--", "ffmpeg", "-v", "error", *FILM, *CODED, result)
    assert done.returncode == 0, done.stderr
    job = done.stdout.strip()
    until(lambda: farm.job(job)["state"] == "running" and ffmpegs(job))
    return job, result


def shorten(farm: Farm) -> None:
    """Another film in the place of the one that is read: the job's next attempt has two seconds to do."""
    farm.media("short.mkv", 2).replace(farm.client_root / "film.mkv")


def endless(farm: Farm, marker: str, *args: str) -> subprocess.Popen[bytes]:
    """A call that goes on until somebody ends it."""
    return shim(farm, "-v", "error", *ENDLESS, "-metadata", TITLE + marker, *(args or ("-f", "null", "-")))


def reap_nothing(farm: Farm) -> None:
    """From now on no lease of this farm runs out."""

    async def say() -> None:
        store = Store(farm.redis_url)
        await store.redis.hset(store.keys.reaper, "grace", 1 << 50)
        await store.close()

    asyncio.run(say())


def test_a_killed_workers_job_is_done_by_another_worker(any_farm: Farm) -> None:
    job, result = begin_slow_job(any_farm, "killed.mkv")
    near = any_farm.client_root / "near.mkv"
    any_farm.start_worker("w2")
    any_farm.workers[0].kill()
    shorten(any_farm)

    until(lambda: any_farm.job(job)["state"] == "done")
    direct(any_farm, "-v", "error", *FILM[1:], *CODED, near)

    ended = any_farm.job(job)
    assert (ended["attempt"], ended["losses"], ended["worker"]) == (2, 1, "w2")
    assert events(any_farm)[job]["succeed"] == 1
    assert frames(near) == frames(result)
    assert ffmpegs(job) == []
    assert litter(any_farm) == []


def test_a_restarted_worker_gives_its_old_jobs_back_at_once(own_farm: Farm) -> None:
    job, result = begin_slow_job(own_farm, "restarted.mkv")
    reap_nothing(own_farm)
    own_farm.workers[0].kill()
    shorten(own_farm)
    own_farm.start_worker(own_farm.workers[0].id)

    until(lambda: own_farm.job(job)["attempt"] == 2)
    until(lambda: own_farm.job(job)["state"] == "done")

    assert own_farm.job(job)["losses"] == 1
    assert result.exists()
    assert litter(own_farm) == []


def test_ffmpeg_does_not_outlive_its_killed_worker(own_farm: Farm) -> None:
    job, _ = begin_slow_job(own_farm, "alone.mkv")
    own_farm.workers[0].kill()

    until(lambda: ffmpegs(job) == [], within=5)


def test_not_a_byte_is_lost_or_doubled_when_coordinators_are_killed(any_farm: Farm) -> None:
    raw = [
        "-v",
        "error",
        "-nostdin",
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=640x360:rate=25:d=5",
        "-f",
        "rawvideo",
        "-",
    ]
    expected = hashlib.sha256(direct(any_farm, *raw).stdout).hexdigest()
    call = shim(any_farm, *raw[:3], "-re", *raw[3:])
    assert call.stdout

    got = hashlib.sha256()
    began, kills = time.monotonic(), 0
    while data := call.stdout.read(1 << 16):
        got.update(data)
        if time.monotonic() - began > kills + 1 and kills < 3:
            any_farm.restart_web(kills % 2)
            kills += 1

    assert kills == 3
    assert (call.wait(timeout=20), got.hexdigest()) == (0, expected)


def test_a_killed_callers_ffmpeg_is_ended(each_farm: Farm) -> None:
    call = endless(each_farm, "killed")
    until(lambda: ffmpegs(f"{TITLE}killed"))
    call.kill()

    until(lambda: not ffmpegs(f"{TITLE}killed"), within=5)

    until(lambda: each_farm.jobs()[0]["state"] == "cancelled", within=5)


def test_a_caller_that_is_told_to_end_while_it_waits_for_a_worker_ends_by_that_signal(
    each_farm: Farm,
) -> None:
    busy = [endless(each_farm, "busy") for _ in range(2)]  # both slots
    until(lambda: len(ffmpegs(f"{TITLE}busy")) == 2)
    waiting = endless(each_farm, "waiting")
    until(lambda: each_farm.jobs()[0]["state"] == "queued")

    waiting.send_signal(signal.SIGTERM)

    assert waiting.wait(timeout=20) == -signal.SIGTERM
    until(lambda: each_farm.jobs()[0]["state"] == "cancelled")
    assert all(call.poll() is None for call in busy)


def test_a_reader_that_goes_away_ends_ffmpeg_as_a_broken_pipe_does(each_farm: Farm) -> None:
    call = endless(each_farm, "broken", "-c:v", "mpeg2video", "-f", "mpegts", "-")
    assert call.stdout
    assert call.stderr
    call.stdout.read(1000)
    call.stdout.close()

    assert call.wait(timeout=20) == 1
    assert b"Broken pipe" in call.stderr.read()


def test_a_cancelled_job_ends_and_leaves_nothing(each_farm: Farm) -> None:
    job, result = begin_slow_job(each_farm, "cancelled.mkv")

    assert each_farm.ffgrid("cancel", job).returncode == 0
    until(lambda: each_farm.job(job)["state"] == "cancelled", within=10)

    assert ffmpegs(job) == []
    assert not result.exists()
    assert litter(each_farm) == []


def test_a_drained_worker_finishes_its_job_and_takes_no_other(any_farm: Farm) -> None:
    job, result = begin_slow_job(any_farm, "drained.mkv", seconds=5)
    worker = any_farm.workers[0]
    worker.signal(signal.SIGTERM)
    until(lambda: all(one["draining"] for one in any_farm.known_workers()))

    later = any_farm.ffgrid("submit", "--", "ffprobe", "nothing.mkv")

    assert "no live worker" in later.stderr or "no worker is alive" in later.stderr
    assert worker.process.wait(timeout=30) == 0
    assert any_farm.job(job)["state"] == "done"
    assert any_farm.job(later.stdout.strip())["state"] == "queued"
    assert result.exists()


def test_a_second_signal_hands_the_job_back_uncharged(any_farm: Farm) -> None:
    job, result = begin_slow_job(any_farm, "handed.mkv")
    worker = any_farm.workers[0]
    worker.signal(signal.SIGTERM)
    until(lambda: any_farm.known_workers()[0]["draining"])  # two signals at once would be one
    worker.signal(signal.SIGTERM)
    assert worker.process.wait(timeout=20) == 0

    shorten(any_farm)
    any_farm.start_worker("w2")
    until(lambda: any_farm.job(job)["state"] == "done")

    ended = any_farm.job(job)
    assert (ended["attempt"], ended["losses"], ended["worker"]) == (2, 0, "w2")
    assert result.exists()
    assert litter(any_farm) == []


@pytest.mark.parametrize("kind", SERVERS)
def test_a_restart_of_redis_costs_a_running_job_nothing(kind: str, tmp_path: Path) -> None:
    kept = ("--appendonly", "yes", "--appendfsync", "always")
    with Farm.start(tmp_path / kind, kind, options=kept) as farm:
        job, result = begin_slow_job(farm, "through.mkv", seconds=6)
        farm.restart_redis()

        until(lambda: farm.job(job)["state"] == "done")

        ended = farm.job(job)
        assert (ended["attempt"], ended["losses"]) == (1, 0)
        assert result.exists()
