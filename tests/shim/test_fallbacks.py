"""The record of calls that ran here: kept small, told once, and in nobody's way."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from app.wire.keyfile import Key
from shim import fallbacks
from shim.config import Config
from tests.shim.conftest import Fake, Place, answer, problem

Make = Callable[..., Fake]

NOTED = answer(202, {"noted": 1})


def config(url: str, cache: Path) -> Config:
    return Config([url], Key("tester", bytes(32), b""), {}, "", "live", cache=str(cache))


def spool(cache: Path) -> list[list[str]]:
    """What is recorded, without the times."""
    return [line.split("\t")[1:] for line in (cache / "fallbacks").read_text().splitlines()]


def forget_the_last_try(cache: Path) -> None:
    os.utime(cache / "fallbacks.asked", (1, 1))


def test_each_call_is_a_line(tmp_path: Path) -> None:
    cache = tmp_path / "a" / "b"

    fallbacks.record(str(cache), "ffmpeg", "no\tworker\nis  alive")
    fallbacks.record(str(cache), "ffprobe", "\udcff" + "x" * 900)

    assert spool(cache) == [["ffmpeg", "1", "no worker is alive"], ["ffprobe", "1", "\\udcff" + "x" * 499]]
    assert (cache.stat().st_mode & 0o777, (cache / "fallbacks").stat().st_mode & 0o777) == (0o700, 0o600)


def test_it_starts_over_when_it_is_full_and_counts_what_is_lost(tmp_path: Path) -> None:
    for number in range(2_500):
        fallbacks.record(str(tmp_path), "ffmpeg", f"{number:050}")

    lines = spool(tmp_path)
    assert (tmp_path / "fallbacks").stat().st_size <= fallbacks.SPOOL_BYTES
    assert lines[0][2] == fallbacks.DROPPED
    assert sum(int(count) for _, count, _ in lines) == 2_500


@pytest.mark.parametrize("place", ["/proc/nowhere", "/dev/null", "/dev/null/below"])
def test_where_nothing_can_be_written_nothing_is(place: str) -> None:
    fallbacks.record(place, "ffmpeg", "why")
    fallbacks.deliver(config("http://127.0.0.1:9", Path(place)))


def test_what_was_recorded_is_told_once(tmp_path: Path, fake: Make) -> None:
    coordinator = fake(NOTED)
    for why in ("a", "b", "a"):
        fallbacks.record(str(tmp_path), "ffmpeg", why)

    fallbacks.deliver(config(coordinator.url, tmp_path))
    forget_the_last_try(tmp_path)
    fallbacks.deliver(config(coordinator.url, tmp_path))

    ((head, body),) = coordinator.asked
    told = json.loads(body)["fallbacks"]
    assert head.startswith("POST /v1/fallbacks HTTP/1.1\r\n")
    assert {(one["binary"], one["reason"], one["count"]) for one in told} == {
        ("ffmpeg", "a", 2),
        ("ffmpeg", "b", 1),
    }
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fallbacks.asked"]


def test_what_nobody_takes_stays(tmp_path: Path, fake: Make) -> None:
    coordinator = fake(problem(503, "full"), NOTED)
    fallbacks.record(str(tmp_path), "ffmpeg", "a")

    for url in ("http://127.0.0.1:9", coordinator.url):
        fallbacks.deliver(config(url, tmp_path))
        forget_the_last_try(tmp_path)
        assert spool(tmp_path) == [["ffmpeg", "1", "a"]]
    fallbacks.deliver(config(coordinator.url, tmp_path))

    assert not (tmp_path / "fallbacks").exists()
    assert len(coordinator.asked) == 2


def test_nobody_is_asked_twice_within_seconds(tmp_path: Path, fake: Make) -> None:
    coordinator = fake(problem(503, "full"))
    fallbacks.record(str(tmp_path), "ffmpeg", "a")

    for _ in range(3):
        fallbacks.deliver(config(coordinator.url, tmp_path))

    assert len(coordinator.asked) == 1


def test_what_a_dead_process_was_telling_is_told_as_well(tmp_path: Path, fake: Make) -> None:
    coordinator = fake(NOTED)
    fallbacks.record(str(tmp_path), "ffmpeg", "old")
    (tmp_path / "fallbacks").rename(tmp_path / "fallbacks.sending")
    fallbacks.record(str(tmp_path), "ffmpeg", "new")

    fallbacks.deliver(config(coordinator.url, tmp_path))

    told = json.loads(coordinator.asked[0][1])["fallbacks"]
    assert {one["reason"] for one in told} == {"old", "new"}


@pytest.mark.parametrize(
    "rubbish",
    [
        b"\0" * 100,
        b"nan\tffmpeg\t1\twhy\n",
        b"1\trm\t1\twhy\n",
        b"1\tffmpeg\tx\ty\n",
        b"1\tffmpeg",
        b"\xff\n",
    ],
)
def test_lines_that_are_none_are_left_out(tmp_path: Path, fake: Make, rubbish: bytes) -> None:
    coordinator = fake(NOTED)
    (tmp_path / "fallbacks").write_bytes(rubbish + b"\n1.5\tffmpeg\t2\tgood\n")

    fallbacks.deliver(config(coordinator.url, tmp_path))

    told = json.loads(coordinator.asked[0][1])["fallbacks"]
    assert told == [{"at": 1.5, "binary": "ffmpeg", "reason": "good", "count": 2}]


def test_a_call_that_stays_is_recorded_where_the_launcher_or_the_environment_says(place: Place) -> None:
    launcher, told = place.install("--cache", str(place.folder / "baked")), str(place.folder / "told")

    place.run(launcher, "-i", "/etc/passwd")
    place.run(launcher, "-i", "/etc/hosts", env={"FFGRID_CACHE": told})
    place.run(launcher, "-i", "/etc/group", env={"FFGRID_CACHE": ""})

    assert [line[2].split()[0] for line in spool(place.folder / "baked")] == ["'/etc/passwd'"]
    assert [line[2].split()[0] for line in spool(place.folder / "told")] == ["'/etc/hosts'"]
