"""Whole farms whose Redis is in trouble: what runs goes on, what is new is told to wait, and all is well afterwards."""

from __future__ import annotations

import hashlib
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from tests.conftest import SERVERS
from tests.farm import Farm, Web, until
from tests.ports import free_port
from tests.replication import Replication, Server
from tests.whole.tools import direct, events, ffmpegs, frames, litter, shim

ALWAYS = ("--appendonly", "yes", "--appendfsync", "always")
CODED = ["-c:v", "libx264", "-preset", "ultrafast", "-threads", "1"]
RAW = [
    "-v",
    "error",
    "-nostdin",
    "-f",
    "lavfi",
    "-i",
    "testsrc2=size=320x180:rate=25:d={}",
    "-f",
    "rawvideo",
    "-",
]


both_kinds = pytest.mark.parametrize("kind", SERVERS)


@pytest.fixture
def kind() -> str:
    """Of the server, where one kind is enough."""
    return "valkey"


@pytest.fixture
def server(kind: str, tmp_path: Path) -> Iterator[Server]:
    """A server that keeps what it has answered."""
    server = Server(kind, tmp_path / "server", free_port(), ALWAYS)
    yield server
    server.kill()


@pytest.fixture
def shop(server: Server, tmp_path: Path) -> Iterator[Farm]:
    """A farm with a coordinator and a worker on it."""
    with staffed(Farm(tmp_path / "farm", server.url)) as farm:
        yield farm


def staffed(farm: Farm) -> Farm:
    """The same farm, with a coordinator and a worker."""
    farm.start_web()
    farm.start_worker("w1")
    return farm


class Job:
    """A submitted job that runs for some seconds, and what becomes of it."""

    def __init__(self, farm: Farm, seconds: int) -> None:
        self._farm = farm
        self._seconds = seconds
        farm.media("film.mkv", seconds)
        self.result = farm.client_root / "result.mkv"
        done = farm.ffgrid(
            "submit", "--", "ffmpeg", "-v", "error", "-re", "-i", "film.mkv", *CODED, self.result
        )
        assert done.returncode == 0, done.stderr
        self.id = done.stdout.strip()
        until(lambda: farm.job(self.id)["state"] == "running")

    def assert_is_done_in_one_go(self) -> None:
        """One attempt, one ending, the whole film, nothing beside it."""
        farm = self._farm
        until(lambda: self._ends(), within=self._seconds + 30)
        ended = farm.job(self.id)
        assert (ended["state"], ended["attempt"], ended["losses"]) == ("done", 1, 0)
        assert events(farm)[self.id]["succeed"] == 1
        near = farm.client_root / "near.mkv"
        direct(farm, "-v", "error", "-i", "film.mkv", *CODED, near)
        assert frames(self.result) == frames(near)
        assert litter(farm) == []

    def _ends(self) -> bool:
        shown = self._farm.ffgrid("show", self.id, "--json")
        return shown.returncode == 0 and '"state": "done"' in shown.stdout.replace('":"', '": "')


class Call:
    """A call of the stand-in that prints a known film at the speed of playing; `assert_is_whole` reads it all."""

    def __init__(self, farm: Farm, seconds: int) -> None:
        raw = [word.format(seconds) for word in RAW]
        self._expected = hashlib.sha256(direct(farm, *raw).stdout).hexdigest()
        self._got = hashlib.sha256()
        self._process = shim(farm, *raw[:3], "-re", *raw[3:])
        self._began = threading.Event()
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()
        assert self._began.wait(20)

    def assert_is_whole(self) -> None:
        """It ends as it should, and every byte has come once."""
        self._reading.join(60)
        errors = self._process.stderr.read() if self._process.stderr else b""
        assert (self._process.wait(10), errors) == (0, b"")
        assert self._got.hexdigest() == self._expected

    def _read(self) -> None:
        assert self._process.stdout
        while data := self._process.stdout.read(1 << 16):
            self._got.update(data)
            self._began.set()


def submit(farm: Farm) -> subprocess.CompletedProcess[str]:
    """The simplest job."""
    return farm.ffgrid("submit", "--", "ffprobe", "-version")


def assert_works(farm: Farm, within: float = 20.0) -> None:
    """Somebody who asks now, and again when told so, gets a job that is done."""
    job = until(lambda: done.stdout.strip() if (done := submit(farm)).returncode == 0 else "", within)
    until(lambda: farm.job(job)["state"] == "done", within)


def ready(web: Web) -> int:
    """The status of /readyz."""
    try:
        with urllib.request.urlopen(f"{web.url}/readyz", timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


# A master and its replicas


def test_a_failover_costs_running_jobs_and_calls_nothing(kind: str, tmp_path: Path) -> None:
    with Replication(tmp_path / "servers", kind, replicas=2, watched=True) as watched:
        farm = Farm(tmp_path / "farm", watched.url, settings={"FFGRID_REPLICAS": "1"})
        with staffed(farm):
            job, call = Job(farm, 6), Call(farm, 6)
            watched.fail_over()

            assert_works(farm)
            call.assert_is_whole()
            job.assert_is_done_in_one_go()


def test_a_server_that_is_a_replica_for_a_while_costs_a_running_job_nothing(
    server: Server, shop: Farm
) -> None:
    job = Job(shop, 4)
    server.ask("CONFIG", "SET", "replica-serve-stale-data", "yes")
    server.ask("REPLICAOF", "127.0.0.1", "9")
    refused = submit(shop)
    until(lambda: ffmpegs(job.id) == [])  # it has ended, and can tell nobody
    server.ask("REPLICAOF", "NO", "ONE")

    job.assert_is_done_in_one_go()
    assert_works(shop)
    assert (refused.returncode, refused.stdout) == (75, "")
    assert "cannot be reached: try again" in refused.stderr


# A server that is full


@both_kinds
def test_on_a_full_server_what_runs_ends_and_nothing_new_begins(server: Server, shop: Farm) -> None:
    job, call = Job(shop, 4), Call(shop, 4)
    server.ask("CONFIG", "SET", "maxmemory", 1)
    refused = submit(shop)
    answered = shop.ffgrid("jobs", "--state", "running")

    call.assert_is_whole()
    job.assert_is_done_in_one_go()
    assert (refused.returncode, refused.stdout) == (75, "")
    assert "is full" in refused.stderr
    assert answered.returncode == 0
    server.ask("CONFIG", "SET", "maxmemory", 0)
    assert_works(shop)


# A server that says nothing for a while


def test_pauses_cost_a_running_job_nothing(server: Server, shop: Farm) -> None:
    job = Job(shop, 13)
    for command in (
        ("CLIENT", "PAUSE", 4000, "WRITE"),
        ("CLIENT", "PAUSE", 4000, "ALL"),
        ("DEBUG", "SLEEP", 4),
    ):
        with Redis(port=server.port, socket_timeout=8) as client:
            client.execute_command(*command)
            client.set("pause", "is over")  # waits

    job.assert_is_done_in_one_go()


# A server that is not there


def test_daemons_that_start_before_redis_wait_for_it(server: Server, shop: Farm) -> None:
    for process in (*shop.workers, *shop.webs):
        process.end()
    server.kill()
    worker, web = shop.start_worker("w1", wait=False), shop.start_web()
    until(lambda: b"waiting for Redis" in worker.log.read_bytes())
    until(lambda: b"waiting for Redis" in web.log.read_bytes())
    before = ready(web)
    server.start()

    until(lambda: ready(web) == 200)
    assert_works(shop)
    assert before == 503
    assert worker.is_alive


def test_a_wrong_password_ends_a_daemon_with_a_sentence(server: Server, shop: Farm) -> None:
    for process in (*shop.workers, *shop.webs):
        process.end()
    server.ask("CONFIG", "SET", "requirepass", "right")
    shop.redis_url = server.url.replace("://", "://:s3cr3t@")
    worker, web = shop.start_worker("w1", wait=False), shop.start_web(wait=False)

    for process in (worker, web):
        assert process.process.wait(20) == 1
        said = process.log.read_text()
        assert "does not serve us" in said
        assert "Traceback" not in said
        assert "s3cr3t" not in said


# A server that has lost its data


@both_kinds
def test_a_farm_goes_on_after_all_data_is_lost(server: Server, shop: Farm) -> None:
    job = Job(shop, 30)
    server.ask("FLUSHALL")
    server.ask("SCRIPT", "FLUSH")
    for key in (shop.key_file, shop.folder / "w1.key"):  # the keys are made again, and are the same
        again = shop.folder / "again.key"
        shop.add_key(key.stem, "admin" if key.stem == "cli" else "worker", again)
        assert again.read_text() == key.read_text()
        again.unlink()

    assert_works(shop)
    until(lambda: not shop.client_root.joinpath("result.mkv").exists() and litter(shop) == [])
    assert shop.ffgrid("show", job.id).returncode == 3
