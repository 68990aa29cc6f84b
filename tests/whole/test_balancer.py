"""Two coordinators behind the proxies of deploy/, one of them killed again and again: nobody notices."""

from __future__ import annotations

import hashlib
import re
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.farm import Farm, answers, until
from tests.ports import free_port
from tests.whole.tools import events, shim

DEPLOY = Path(__file__).parents[2] / "deploy"
COMMANDS = {
    "haproxy": lambda config, folder: ["haproxy", "-db", "-f", str(config)],
    "nginx": lambda config, folder: ["nginx", "-g", "daemon off;", "-p", str(folder), "-c", str(config)],
}


@pytest.fixture(params=sorted(COMMANDS))
def behind(request: pytest.FixtureRequest, own_farm: Farm, tmp_path: Path) -> Iterator[Farm]:
    """A farm whose clients know the address of a proxy only."""
    kind: str = request.param
    path = shutil.which(kind, path="/usr/sbin:/usr/bin:/usr/local/sbin:/opt/homebrew/bin")
    assert path, f"{kind} is not installed: run `make test`, which installs it"
    port = free_port()
    places = {"8080": port, "8001": own_farm.webs[0].port, "8002": own_farm.webs[1].port}
    text = next(DEPLOY.glob(f"{kind}.*")).read_text()
    config = tmp_path / "proxy.conf"
    config.write_text(re.sub(r"127\.0\.0\.1:(\d+)", lambda found: f"127.0.0.1:{places[found[1]]}", text))
    command = [path, *COMMANDS[kind](config, tmp_path)[1:]]
    with (tmp_path / "proxy.log").open("wb") as log:
        proxy = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        until(lambda: answers(f"http://127.0.0.1:{port}/readyz"))
        own_farm.proxy = f"http://127.0.0.1:{port}"
        yield own_farm
    finally:
        proxy.send_signal(signal.SIGTERM)
        proxy.wait(10)


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


def test_an_attached_call_goes_on_while_coordinators_die(behind: Farm) -> None:
    data = behind.client_root / "random.bin"
    with Path("/dev/urandom").open("rb") as source:
        data.write_bytes(source.read(40 << 20))
    with Killer(behind) as killer:
        sound = "-f s16le -ar 2400000 -ac 1".split()  # 4.8 MB/s
        call = shim(behind, "-v", "error", "-readrate", "1", *sound, "-i", data, "-f", "s16le", "-")
        got = hashlib.sha256()
        assert call.stdout
        while piece := call.stdout.read(1 << 16):
            got.update(piece)
        status = call.wait(30)

    assert status == 0, call.stderr and call.stderr.read()
    assert killer.kills >= 2
    assert got.hexdigest() == hashlib.sha256(data.read_bytes()).hexdigest()


def test_every_submission_becomes_one_job_that_ends_once(behind: Farm) -> None:
    behind.install_shim()
    with Killer(behind) as killer:
        calls = [
            shim(
                behind,
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
    counted = events(behind)
    assert len(counted) == 24
    assert all(one["submit"] == one["start"] == one["succeed"] == 1 for one in counted.values())
