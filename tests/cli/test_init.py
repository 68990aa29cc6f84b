"""`ffgrid init`: by flags, and as somebody types at a terminal; then the farm that it describes is started."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import socket
import stat
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.cli import units
from app.settings import Settings
from tests.conftest import start_server
from tests.farm import FFGRID, answers, until
from tests.ports import free_port

DEPLOY = Path(__file__).parents[2] / "deploy/systemd"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    (tmp_path / "redis").mkdir()
    process, url = start_server("valkey", tmp_path / "redis", "--appendonly", "yes")
    yield url
    process.terminate()
    process.wait()


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """The environment of a user who has nothing yet but films."""
    (tmp_path / "home").mkdir()
    (tmp_path / "films & more").mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FFGRID_", "XDG_"))}
    return {**kept, "HOME": str(tmp_path / "home")}


def init(home: dict[str, str], *flags: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [FFGRID, "init", *flags],
        env=home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Traceback" not in done.stderr
    return done


def flags(tmp_path: Path, server: str, port: int) -> list[str]:
    roots = f"Movies={tmp_path / 'films & more'}"
    given = ["--redis-url", server, "--roots", roots, "--listen", f"127.0.0.1:{port}", "--admin", "ada"]
    return ["--yes", *given]


def config_of(home: dict[str, str]) -> Path:
    return Path(home["HOME"]) / ".config/ffgrid"


def test_by_flags_and_everything_that_it_prints_works(
    server: str, home: dict[str, str], tmp_path: Path
) -> None:
    port = free_port()
    done = init(home, *flags(tmp_path, server, port))
    folder = config_of(home)
    settings = Settings.load(home)

    assert done.returncode == 0, done.stderr
    assert {path.name for path in folder.iterdir()} == {"config.toml", "master", "ada.key", "ada-shim.key"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    assert (settings.redis_url, settings.urls) == (server, (f"http://127.0.0.1:{port}",))
    assert settings.roots == {"Movies": str(tmp_path / "films & more")}
    assert "✗ bad     coordinator" in done.stdout
    assert "[Service]" in done.stdout

    web = next(line for line in done.stdout.splitlines() if re.match(r" +ffgrid web ", line))
    with started(web, home):
        until(lambda: answers(f"http://127.0.0.1:{port}/readyz"))
        key = next(line for line in done.stdout.splitlines() if " keys add NAME " in line)
        run(key.replace("NAME", "render"), home, tmp_path)
        worker = next(line for line in done.stdout.splitlines() if line.endswith(" ffgrid worker"))
        with started(worker.replace("NAME", "render"), home, tmp_path):
            until(lambda: "render" in run("ffgrid workers", home, tmp_path).stdout)
            shim = next(line for line in done.stdout.splitlines() if " shim install " in line)
            run(shim.replace("/usr/local/lib/ffgrid", "bin") + " --no-warm", home, tmp_path)
            report = json.loads(run("ffgrid doctor --json --shim bin", home, tmp_path).stdout)
        link = re.search(r"http://\S+/setup\?t=\S+", done.stdout)
        assert link
        with urllib.request.urlopen(link[0]) as page:
            assert "ada" in page.read().decode()

    assert report["ok"], report
    assert {one["verdict"] for one in report["checks"] if one["check"] in ("root", "shim", "signature")} == {
        "ok"
    }


@contextlib.contextmanager
def started(line: str, home: dict[str, str], cwd: Path | None = None) -> Iterator[None]:
    process = subprocess.Popen(["sh", "-c", f"exec env {command(line)}"], env=home, cwd=cwd)
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


def run(line: str, home: dict[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(["sh", "-c", command(line)], env=home, cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


def command(line: str) -> str:
    """The line as it was printed, with our own ffgrid in it."""
    return re.sub(r"(?<![\w/-])ffgrid (?=[a-z])", f"{FFGRID} ", line.strip(), count=1)


def test_nothing_is_overwritten_unless_that_is_said(
    server: str, home: dict[str, str], tmp_path: Path
) -> None:
    given = flags(tmp_path, server, free_port())
    init(home, *given)
    before = {path.name: path.read_bytes() for path in config_of(home).iterdir()}
    refused = init(home, *given)
    unchanged = {path.name: path.read_bytes() for path in config_of(home).iterdir()}
    other = init(home, *given, "--dir", str(tmp_path / "other"))
    replaced = init(home, *given, "--overwrite")
    after = {path.name: path.read_bytes() for path in config_of(home).iterdir()}

    assert refused.returncode == 1
    assert "nothing was written: there are already" in refused.stderr
    assert unchanged == before
    assert other.returncode == 1
    assert "has keys of a master key that is not here" in other.stderr
    assert not (tmp_path / "other").exists()
    assert replaced.returncode == 0
    assert after["master"] == before["master"]
    assert after["ada.key"] != before["ada.key"]


@pytest.mark.parametrize(
    ("flag", "value", "said"),
    [
        ("--redis-url", "redis://127.0.0.1:1", "--redis-url: redis://127.0.0.1:1: "),
        ("--redis-url", "http://x", "--redis-url: "),
        ("--roots", "Movies=/nowhere", "--roots: Movies: there is no directory /nowhere"),
        ("--roots", "", "--roots: expected Name=/directory"),
        ("--listen", "x", "--listen: expected HOST:PORT, such as 0.0.0.0:8000, got 'x'"),
        ("--listen", "192.0.2.1:8000", "--listen: cannot listen at 192.0.2.1:8000: cannot assign"),
        ("--admin", "a b", "--admin: expected up to 59 letters"),
    ],
)
def test_an_answer_that_cannot_be_is_refused(
    flag: str, value: str, said: str, server: str, home: dict[str, str], tmp_path: Path
) -> None:
    done = init(home, *flags(tmp_path, server, free_port()), flag, value)

    assert done.returncode in (1, 2)
    assert f"ffgrid: {said}" in done.stderr
    assert not config_of(home).exists()


def test_a_port_that_is_taken_is_refused(server: str, home: dict[str, str], tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = init(home, *flags(tmp_path, server, taken.getsockname()[1]))

    assert done.returncode == 1
    assert "address already in use" in done.stderr


def test_a_redis_that_evicts_is_refused(server: str, home: dict[str, str], tmp_path: Path) -> None:
    path = server.removeprefix("unix://")
    with socket.socket(socket.AF_UNIX) as line:
        line.connect(path)
        line.sendall(b"CONFIG SET maxmemory-policy allkeys-lru\r\n")
        line.recv(100)
    done = init(home, *flags(tmp_path, server, free_port()))

    assert done.returncode == 1
    assert "allkeys-lru" in done.stderr
    assert "CONFIG SET maxmemory-policy noeviction" in done.stderr


class Person:
    """Somebody at a terminal, who reads and types."""

    def __init__(self, home: dict[str, str]) -> None:
        self.seen = ""
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [FFGRID, "init"],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**home, "TERM": "dumb", "LC_ALL": "C.UTF-8", "COLUMNS": "200"},
            start_new_session=True,
        )
        os.close(theirs)

    def reads(self, text: str) -> None:
        """Waits for this to be printed."""
        begin = len(self.seen)
        while text not in self.seen[begin:]:
            assert select.select([self._ours], [], [], 30)[0], self.seen
            try:
                data = os.read(self._ours, 65_536)
            except OSError:
                data = b""
            assert data, self.seen
            self.seen += data.decode()
            begin = 0 if text in self.seen else begin

    def types(self, text: str) -> None:
        os.write(self._ours, f"{text}\n".encode())

    def leaves(self) -> int:
        """Reads to the end; the command's status."""
        with contextlib.suppress(OSError):
            while data := os.read(self._ours, 65_536):
                self.seen += data.decode()
        os.close(self._ours)
        return self.process.wait(30)


def test_a_person_who_makes_every_mistake(server: str, home: dict[str, str], tmp_path: Path) -> None:
    port = free_port()
    person = Person(home)
    person.reads("Redis or Valkey [redis://127.0.0.1:6379/0]: ")
    person.types(f"redis://:geheim@127.0.0.1:{free_port()}")
    person.reads("✗ redis://:***@127.0.0.1:")
    person.types(server)
    person.reads("Directories with media (Name=/directory:...): ")
    person.types("Movies=/nowhere")
    person.reads("✗ Movies: there is no directory /nowhere")
    person.types(f"Movies={tmp_path / 'films & more'}")
    person.reads("The coordinator listens at [127.0.0.1:8000]: ")
    person.types("nonsense")
    person.reads("✗ expected HOST:PORT")
    person.types(f"127.0.0.1:{port}")
    person.reads("The admin's name [")
    person.types("no spaces please")
    person.reads("✗ expected up to 59 letters")
    person.types("ada")

    assert person.leaves() == 0, person.seen
    assert Settings.load(home).urls == (f"http://127.0.0.1:{port}",)
    assert "1. The coordinator:" in person.seen

    again = Person(home)
    again.reads("Redis or Valkey [")
    again.types("")
    again.reads("Directories with media (Name=/directory:...) [Movies=")
    again.types("")
    again.reads("The coordinator listens at [")
    again.types(f"127.0.0.1:{free_port()}")
    again.reads("The admin's name [")
    again.types("ada")
    again.reads("Replace them? [y/N] ")
    again.types("")

    assert again.leaves() == 1
    assert "nothing was written" in again.seen
    assert Settings.load(home).urls == (f"http://127.0.0.1:{port}",)


def test_the_units_in_deploy_are_those_that_init_prints() -> None:
    values = ("ffgrid", "/etc/ffgrid/config.toml", "/opt/ffgrid/bin/ffgrid")

    assert (DEPLOY / "ffgrid-web.service").read_text() == units.web(*values, "0.0.0.0", 8000)
    assert (DEPLOY / "ffgrid-worker.service").read_text() == units.worker(*values)


def test_a_unit_takes_any_path() -> None:
    unit = units.worker("me", "/a b/50%/config.toml", "/opt/x y/ffgrid")

    assert 'Environment=FFGRID_CONFIG="/a b/50%%/config.toml"' in unit
    assert 'ExecStart="/opt/x y/ffgrid" worker' in unit
