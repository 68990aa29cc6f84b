"""Two coordinators behind the proxies of deploy/, one of them killed again and again: nobody notices."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.farm import Farm, until
from tests.whole.proxies import PROXIES, behind
from tests.whole.tools import events, ffmpegs, shim


@pytest.fixture(params=PROXIES)
def proxied(request: pytest.FixtureRequest, own_farm: Farm, tmp_path: Path) -> Iterator[Farm]:
    """A farm whose clients know the address of a proxy only."""
    with behind(request.param, own_farm, tmp_path):
        yield own_farm


class Killer(threading.Thread):
    """Kills the coordinators in turn and starts them again, until stopped."""

    def __init__(self, farm: Farm) -> None:
        super().__init__()
        self.farm, self.kills, self.over = farm, 0, threading.Event()

    def run(self) -> None:
        while not self.over.wait(1.0):
            self.farm.restart_web(self.kills % 2)
            self.kills += 1

    def __enter__(self) -> Killer:
        self.start()
        return self

    def __exit__(self, *ignored: object) -> None:
        self.over.set()
        self.join()


def test_an_attached_call_goes_on_while_coordinators_die(proxied: Farm) -> None:
    data = proxied.client_root / "random.bin"
    with Path("/dev/urandom").open("rb") as source:
        data.write_bytes(source.read(40 << 20))
    with Killer(proxied) as killer:
        sound = "-f s16le -ar 2400000 -ac 1".split()  # 4.8 MB/s
        call = shim(proxied, "-v", "error", "-readrate", "1", *sound, "-i", data, "-f", "s16le", "-")
        got = hashlib.sha256()
        assert call.stdout
        while piece := call.stdout.read(1 << 16):
            got.update(piece)
        status = call.wait(30)

    assert status == 0, call.stderr and call.stderr.read()
    assert killer.kills >= 2
    assert got.hexdigest() == hashlib.sha256(data.read_bytes()).hexdigest()


def test_every_submission_becomes_one_job_that_ends_once(proxied: Farm) -> None:
    proxied.install_shim()
    with Killer(proxied) as killer:
        calls = [
            shim(
                proxied,
                *"-v error -f lavfi -i color=s=16x16:d=1 -f framemd5 -metadata".split(),
                f"title={n}",
                "-",
            )
            for n in range(24)
        ]
        outputs = {call.communicate(timeout=60)[0] for call in calls}
        until(lambda: killer.kills >= 2)

    assert {call.returncode for call in calls} == {0}
    assert len(outputs) == 1
    counted = events(proxied)
    assert len(counted) == 24
    assert all(one["submit"] == one["start"] == one["succeed"] == 1 for one in counted.values())


def test_the_job_of_a_killed_caller_ends_at_once(proxied: Farm) -> None:
    marker = secrets.token_hex(8)
    call = shim(
        proxied, "-re", "-f", "lavfi", "-i", "testsrc2", "-metadata", f"title={marker}", "-f", "null", "-"
    )
    until(lambda: ffmpegs(marker))
    time.sleep(0.3)  # it has no watcher yet: the proxy tells that its connection is closed
    call.kill()

    until(lambda: not ffmpegs(marker), within=10)
