"""Real processes killed with real signals in the middle of real work."""

from __future__ import annotations

import hashlib
import os
import signal
import time
from pathlib import Path

from tests.farm import Farm, until
from tests.whole.tools import direct, events, ffmpegs, frames, litter, shim

# Eight seconds of work at the speed of playing, so that there is a middle to be killed in.
SLOW = ["-re", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:d=8"]
ENDLESS = [*SLOW[:-1], "testsrc2=size=320x180:rate=25"]  # for work that is never done
KILLED = f"title=killed-{os.getpid()}"
CODED = ["-c:v", "libx264", "-preset", "ultrafast", "-threads", "1"]


def begin_slow_job(farm: Farm, name: str, source: list[str] = SLOW) -> tuple[str, Path]:
    """A submitted job that is running, and where its result will be."""
    result = farm.client_root / name
    done = farm.ffgrid("submit", "--", "ffmpeg", "-v", "error", *source, *CODED, result)
    assert done.returncode == 0, done.stderr
    job = done.stdout.strip()
    until(lambda: farm.job(job)["state"] == "running" and ffmpegs(job))
    return job, result


def test_a_killed_workers_job_is_done_by_another_worker(any_farm: Farm) -> None:
    job, result = begin_slow_job(any_farm, "killed.mkv")
    near = any_farm.client_root / "near.mkv"
    any_farm.start_worker("w2")
    any_farm.workers[0].kill()

    until(lambda: any_farm.job(job)["state"] == "done", within=40)
    direct(any_farm, "-v", "error", *SLOW[1:], *CODED, near)

    ended = any_farm.job(job)
    assert (ended["attempt"], ended["losses"], ended["worker"]) == (2, 1, "w2")
    assert events(any_farm)[job]["succeed"] == 1
    assert frames(near) == frames(result)
    assert ffmpegs(job) == []
    assert litter(any_farm) == []


def test_a_restarted_worker_gives_its_old_jobs_back_at_once(own_farm: Farm) -> None:
    job, result = begin_slow_job(own_farm, "restarted.mkv")
    own_farm.workers[0].kill()
    own_farm.start_worker(own_farm.workers[0].id)

    until(lambda: own_farm.job(job)["attempt"] == 2, within=4)  # less than the lease
    until(lambda: own_farm.job(job)["state"] == "done", within=30)

    assert own_farm.job(job)["losses"] == 1
    assert result.exists()
    assert litter(own_farm) == []


def test_ffmpeg_does_not_outlive_its_killed_worker(own_farm: Farm) -> None:
    job, _ = begin_slow_job(own_farm, "alone.mkv", ENDLESS)
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


def test_a_killed_callers_ffmpeg_is_ended(any_farm: Farm) -> None:
    call = shim(any_farm, "-v", "error", *ENDLESS, "-metadata", KILLED, "-f", "null", "-")
    until(lambda: ffmpegs(KILLED))
    call.kill()

    until(lambda: not ffmpegs(KILLED), within=5)

    until(lambda: any_farm.json("jobs")["jobs"][0]["state"] == "cancelled", within=5)


def test_a_caller_that_is_told_to_end_while_it_waits_for_a_worker_ends_by_that_signal(any_farm: Farm) -> None:
    busy = [shim(any_farm, "-v", "error", *ENDLESS, "-f", "null", "-") for _ in range(2)]  # both slots
    until(lambda: sum(job["state"] == "running" for job in any_farm.json("jobs")["jobs"]) == 2)
    waiting = shim(any_farm, "-v", "error", *ENDLESS, "-f", "null", "-")
    until(lambda: any_farm.json("jobs")["jobs"][0]["state"] == "queued")

    waiting.send_signal(signal.SIGTERM)

    assert waiting.wait(timeout=20) == -signal.SIGTERM
    assert any_farm.json("jobs")["jobs"][0]["state"] == "cancelled"
    assert all(call.poll() is None for call in busy)


def test_a_reader_that_goes_away_ends_ffmpeg_as_a_broken_pipe_does(any_farm: Farm) -> None:
    call = shim(any_farm, "-v", "error", *ENDLESS, "-c:v", "mpeg2video", "-f", "mpegts", "-")
    assert call.stdout
    assert call.stderr
    call.stdout.read(1000)
    call.stdout.close()

    assert call.wait(timeout=20) == 1
    assert b"Broken pipe" in call.stderr.read()


def test_a_cancelled_job_ends_and_leaves_nothing(any_farm: Farm) -> None:
    job, result = begin_slow_job(any_farm, "cancelled.mkv", ENDLESS)

    assert any_farm.ffgrid("cancel", job).returncode == 0
    until(lambda: any_farm.job(job)["state"] == "cancelled", within=10)

    assert ffmpegs(job) == []
    assert not result.exists()
    assert litter(any_farm) == []


def test_a_drained_worker_finishes_its_job_and_takes_no_other(any_farm: Farm) -> None:
    job, result = begin_slow_job(any_farm, "drained.mkv")
    worker = any_farm.workers[0]
    worker.signal(signal.SIGTERM)
    until(
        lambda: not any_farm.json("workers")["workers"] or any_farm.json("workers")["workers"][0]["draining"]
    )

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
    time.sleep(0.3)  # two signals at once would be one
    worker.signal(signal.SIGTERM)
    assert worker.process.wait(timeout=20) == 0

    any_farm.start_worker("w2")
    until(lambda: any_farm.job(job)["state"] == "done", within=40)

    ended = any_farm.job(job)
    assert (ended["attempt"], ended["losses"], ended["worker"]) == (2, 0, "w2")
    assert result.exists()
    assert litter(any_farm) == []


def test_a_restart_of_redis_costs_a_running_job_nothing(tmp_path: Path) -> None:
    for kind in ("valkey", "redis"):
        with Farm.start(
            tmp_path / kind, kind, options=("--appendonly", "yes", "--appendfsync", "always")
        ) as farm:
            job, result = begin_slow_job(farm, "through.mkv")
            farm.restart_redis()

            until(lambda farm=farm, job=job: farm.job(job)["state"] == "done", within=40)  # type: ignore[misc]

            ended = farm.job(job)
            assert (ended["attempt"], ended["losses"]) == (1, 0)
            assert result.exists()
