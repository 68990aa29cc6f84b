"""Redis forgets what it was told: calls whose readers cannot tell begin again, the others end with a clear sentence.

forgets   the server is killed, and comes back with what it had written down before the call
flushed   somebody empties it, and only the keys of clients are written again
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis

from app.state.keys import Keys
from tests.farm import Farm, until
from tests.whole.tools import direct, events, ffmpegs, shim

SOURCE = "-f lavfi -i testsrc2=size=64x36:rate=25".split()
SILENT = ["-v", "error", "-re", *SOURCE]
BUSY = [*SILENT, "-f", "null", "-"]
CODED = "-t 5 -c:v mpeg4 -threads 1 -y".split()


@pytest.fixture
def forgetful(tmp_path: Path) -> Iterator[Farm]:
    """Two coordinators, and a worker that runs one job at a time."""
    with Farm.start(tmp_path / "farm", workers=0) as farm:
        farm.start_worker("w1", slots=1)
        farm.install_shim("--no-local")
        yield farm


def redis(farm: Farm) -> Redis:
    return Redis(unix_socket_path=farm.redis_url.removeprefix("unix://"))


def write_down(farm: Farm) -> None:
    """What Redis knows now it will know again."""
    with redis(farm) as server:
        server.save()


def forget(farm: Farm) -> None:
    """What it was told since then it does not."""
    assert farm.redis
    farm.redis.kill()
    farm.restart_redis()


def flush(farm: Farm) -> None:
    """It knows the clients' keys, and nothing else."""
    with redis(farm) as server:
        keys = server.hgetall(Keys().clients)
        with server.pipeline(transaction=True) as both:
            both.flushall()
            both.hset(Keys().clients, mapping=keys)
            both.execute()


LOSSES: dict[str, Callable[[Farm], None]] = {"forgets": forget, "flushed": flush}


class Watch(threading.Thread):
    """Counts the ffmpegs of a call, as long as it runs: the most at a time."""

    def __init__(self, marker: str) -> None:
        super().__init__()
        self._marker = marker
        self._over = threading.Event()
        self.most = 0

    def __enter__(self) -> Watch:
        self.start()
        return self

    def __exit__(self, *ignored: object) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        while not self._over.wait(0.02):
            self.most = max(self.most, len(ffmpegs(self._marker)))


@pytest.mark.parametrize("loss", LOSSES)
def test_a_call_that_waits_for_a_worker_begins_again(forgetful: Farm, loss: str) -> None:
    farm = forgetful
    result, marker = farm.client_root / "queued.mkv", secrets.token_hex(8)
    write_down(farm)
    farm.ffgrid("submit", "--", "ffmpeg", *BUSY[:-1], "-metadata", f"title={marker}", "-")
    until(lambda: ffmpegs(marker))
    call = shim(farm, *SILENT, *CODED, result)
    until(lambda: farm.json("jobs", "--state", "queued")["jobs"])

    LOSSES[loss](farm)
    out, err = call.communicate(timeout=60)

    assert (call.returncode, out, err) == (0, b"", b"")
    assert _frames(farm, result) == 125
    assert ffmpegs(marker) == []  # the worker has heard of it too


@pytest.mark.parametrize("loss", LOSSES)
def test_a_call_that_runs_and_says_nothing_begins_again(forgetful: Farm, loss: str) -> None:
    farm = forgetful
    result, marker = farm.client_root / "silent.mkv", secrets.token_hex(8)
    write_down(farm)
    call = shim(farm, *SILENT, "-metadata", f"title={marker}", *CODED, result)
    until(lambda: ffmpegs(marker))
    time.sleep(1.0)

    with Watch(marker) as watch:
        LOSSES[loss](farm)
        out, err = call.communicate(timeout=60)

    assert (call.returncode, out, err) == (0, b"", b"")
    assert _frames(farm, result) == 125
    assert watch.most == 1  # the first was dead before the second began
    (counted,) = events(farm).values()
    assert counted["submit"] == counted["start"] == counted["succeed"] == 1


@pytest.mark.parametrize("loss", LOSSES)
def test_a_call_that_has_printed_ends_with_a_sentence(forgetful: Farm, loss: str) -> None:
    farm = forgetful
    write_down(farm)
    call = shim(farm, *SILENT, "-f", "rawvideo", "-")
    assert call.stdout
    call.stdout.read(10_000)

    LOSSES[loss](farm)
    _, err = call.communicate(timeout=60)

    assert call.returncode == 1
    assert err.decode() == (
        "ffmpeg (ffgrid): the job was lost: the queue has forgotten it, "
        "and a part of what it printed has been read\n"
    )


def _frames(farm: Farm, path: Path) -> int:
    """How many pictures the film has."""
    asked = "-v error -count_frames -show_entries stream=nb_read_frames -of csv=p=0".split()
    return int(direct(farm, *asked, path, binary="ffprobe").stdout)
