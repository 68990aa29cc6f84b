"""A farm of real processes: coordinators and workers on a Redis, and the `ffgrid` command to use them.

    client                       coordinators           worker
    <folder>/client/<ROOT>/      free ports, one Redis  <folder>/workerside/<ROOT>/
    the same directory, which the worker reaches through another path

In a farm that is `apart` the workers have a mount namespace of their own, where the client's path is empty.

`with Farm(folder, redis_url) as farm` ends every process that it has started, by its id.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import pytest

from app.cli.client import Client
from app.cli.main import main
from app.state.clients import Master
from app.state.store import Store
from app.wire import keyfile
from app.wire.messages import JOBS, WORKERS, job_path
from tests.conftest import start_server
from tests.ports import free_port

ROOT = "It's [x] 50% so"  # what a directory may be called: every character is special to something
ROOT_NAME = "Media"
PATIENCE = "60"  # seconds for a worker to take a call: where machines are busy, the usual five are too few
FFGRID = str(Path(sys.executable).with_name("ffgrid"))

# $1 the client's directory, $2 where the worker has it; the rest is the worker.
APART = 'mount --bind "$1" "$2" && mount -t tmpfs none "$1" && shift 2 && exec "$@"'

T = TypeVar("T")


def until(condition: Callable[[], T], within: float = 40.0) -> T:
    """What the condition gives once that is true. Fails the test when it takes too long."""
    deadline = time.monotonic() + within
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {within} s for {condition}"
        time.sleep(0.02)
    return found


@dataclass
class Process:
    """A process of the farm, and where it writes what it has to say."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None

    def signal(self, number: int) -> None:
        """Sends a signal, if it lives."""
        if self.is_alive:
            self.process.send_signal(number)

    def kill(self) -> None:
        """Ends it at once, as if its host had lost power."""
        self.signal(signal.SIGKILL)
        self.process.wait()

    def end(self, within: float = 8.0) -> int:
        """Asks it to end; its status. One that does not listen is killed."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            return self.process.wait(within)
        except subprocess.TimeoutExpired:
            self.kill()
            return self.process.returncode


@dataclass
class Web(Process):
    """A coordinator process."""

    url: str
    port: int


@dataclass
class Worker(Process):
    """A worker process."""

    id: str


@dataclass
class Farm:
    """Coordinators and workers on one Redis, and a client's side with a key of its own (`cli`, an admin)."""

    folder: Path
    redis_url: str
    webs: list[Web] = field(default_factory=list)
    workers: list[Worker] = field(default_factory=list)
    others: list[subprocess.Popen[bytes]] = field(default_factory=list)
    redis: Process | None = None
    redis_kind: str = "valkey"
    redis_options: tuple[str, ...] = ()
    proxy: str = ""  # the one address that clients know, if there is a proxy
    apart: bool = False
    settings: dict[str, str] = field(default_factory=dict)  # FFGRID_* of coordinators and workers

    def __post_init__(self) -> None:
        (self.folder / "client" / ROOT).mkdir(parents=True)
        (self.folder / "home").mkdir()
        if self.apart:
            (self.folder / "workerside").mkdir()
        else:
            (self.folder / "workerside").symlink_to(self.folder / "client")
        self.key_file = self.add_key("cli", "admin")

    @classmethod
    def start(
        cls,
        folder: Path,
        kind: str = "valkey",
        webs: int = 2,
        workers: int = 1,
        options: tuple[str, ...] = (),
        apart: bool = False,
        settings: dict[str, str] | None = None,
    ) -> Farm:
        """A farm with a server of its own ("redis" or "valkey"), ready to be used."""
        (folder / "redis").mkdir(parents=True)
        server, url = start_server(kind, folder / "redis", *options)
        redis = Process(server, folder / "redis" / "log")
        try:
            farm = cls(folder, url, redis=redis, redis_kind=kind, redis_options=options, apart=apart)
            farm.settings.update(settings or {})
        except BaseException:
            redis.kill()
            raise
        try:
            started = [farm._begin_web() for _ in range(webs)]
            hired = [farm._begin_worker(f"w{number}") for number in range(1, workers + 1)]
            for web in started:
                farm._until_answers(web)
            for worker in hired:
                farm._until_registered(worker)
        except BaseException:
            farm.close()
            raise
        return farm

    def __enter__(self) -> Farm:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def client_root(self) -> Path:
        """The root as clients reach it."""
        return self.folder / "client" / ROOT

    @property
    def worker_root(self) -> Path:
        """The root as workers reach it."""
        return self.folder / "workerside" / ROOT

    @property
    def urls(self) -> str:
        """The addresses of all coordinators that were started, as FFGRID_URL has them."""
        return self.proxy or " ".join(web.url for web in self.webs) or "http://127.0.0.1:9"

    # Processes

    def add_key(self, name: str, role: str, path: Path | None = None) -> Path:
        """A key file for a new key."""
        path = path or self.folder / f"{name}.key"
        words = ["keys", "add", name, "--role", role, "--out", str(path)]
        flags = ["--redis-url", self.redis_url, "--master-file", str(self.folder / "master")]
        with ThreadPoolExecutor(1) as pool:  # a test's own event loop may be running in this thread
            assert pool.submit(main, [*words, *flags]).result() == 0
        return path

    def start_web(self, port: int = 0, wait: bool = True, env: dict[str, str] | None = None) -> Web:
        """A coordinator that answers, once it was waited for, on that port or a free one."""
        web = self._begin_web(port, env)
        if wait:
            self._until_answers(web)
        return web

    def signed_in(self, name: str = "vera", role: str = "viewer") -> str:
        """The value of the cookie of a new session, for this user, who is made if need be."""

        async def begin() -> str:
            store, master = Store(self.redis_url), Master.load(self.folder / "master")
            users = store.users(master)
            try:
                user = await users.get(name) or await users.add(name, role, "no hash")
                return await store.sessions(master, users).begin(user)
            finally:
                await store.close()

        with ThreadPoolExecutor(1) as pool:
            return pool.submit(asyncio.run, begin()).result()

    def restart_web(self, index: int, gently: bool = False) -> Web:
        """Another process in the place of that coordinator, which is killed, or asked to end."""
        if gently:
            self.webs[index].end()
        else:
            self.webs[index].kill()
        web = self.start_web(self.webs[index].port)
        self.webs[index] = self.webs.pop()
        return web

    def restart_redis(self) -> None:
        """The server again, after a kill too. It has lost its data unless its options say otherwise."""
        assert self.redis, "this farm's server is somebody else's"
        self.redis.end()
        (self.folder / "redis" / "s").unlink(missing_ok=True)
        server, _ = start_server(self.redis_kind, self.folder / "redis", *self.redis_options)
        self.redis.process = server

    def start_worker(
        self,
        worker_id: str,
        slots: int = 2,
        env: dict[str, str] | None = None,
        ffmpeg: str | None = None,
        wait: bool = True,
    ) -> Worker:
        """A worker that takes jobs, once it was waited for. One that had this name before has left it its key."""
        worker = self._begin_worker(worker_id, slots, env, ffmpeg)
        if wait:
            self._until_registered(worker)
        return worker

    def install_shim(self, *flags: str) -> Path:
        """The directory with the stand-ins for ffmpeg and ffprobe. Their cache is empty."""
        folder = self.folder / "bin"
        done = self.ffgrid("shim", "install", str(folder), "--no-warm", *flags)
        assert done.returncode == 0, done.stderr
        return folder

    def tidy(self) -> None:
        """Ends the calls and commands that were left running."""
        for started in self.others:
            if started.poll() is None:
                started.kill()
            started.communicate()
        self.others.clear()

    def close(self) -> None:
        """Ends all of it."""
        self.tidy()
        processes = [*self.workers, *self.webs, *([self.redis] if self.redis else [])]
        for process in processes:
            process.signal(signal.SIGCONT)
        for worker in self.workers:  # twice: hand the jobs back
            worker.signal(signal.SIGTERM)
        time.sleep(0.05)
        for process in processes:
            process.end(within=4.0)

    # The client's side

    @property
    def environ(self) -> dict[str, str]:
        """The environment of a client."""
        return {
            **self._environ(),
            "FFGRID_URL": self.urls,
            "FFGRID_KEY_FILE": str(self.key_file),
            "FFGRID_ROOTS": f"{ROOT_NAME}={self.client_root}",
            "FFGRID_WAIT": PATIENCE,
        }

    def ffgrid(
        self, *args: str | Path, cwd: Path | None = None, **env: str | None
    ) -> subprocess.CompletedProcess[str]:
        """Runs the command to its end, in the root if nothing else is said. None takes a variable away.

        Output that is not UTF-8 is there as surrogates: `.encode("utf-8", "surrogateescape")` is its bytes.
        """
        return self._run([str(arg) for arg in args], self._changed(env), cwd or self.client_root)

    def begin(self, *args: str | Path, cwd: Path | None = None, **env: str | None) -> subprocess.Popen[bytes]:
        """Starts the command and leaves it running."""
        command = [FFGRID, *map(str, args)]
        started = subprocess.Popen(
            command,
            cwd=cwd or self.client_root,
            env=self._changed(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.others.append(started)
        return started

    def json(self, *args: str | Path) -> Any:
        """What the command prints with --json."""
        done = self.ffgrid(*args, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def ask(self, target: str) -> Any:
        """What a coordinator answers to a GET. For those who ask again and again: it costs no process."""
        return Client(self.urls.split(), keyfile.parse(self.key_file.read_text())).get(target)

    def job(self, job_id: str) -> dict[str, Any]:
        """One job."""
        found: dict[str, Any] = self.ask(job_path(job_id))
        return found

    def jobs(self) -> list[dict[str, Any]]:
        """The newest 200 jobs, the newest one first."""
        found: list[dict[str, Any]] = self.ask(f"{JOBS}?limit=200")["jobs"]
        return found

    def known_workers(self) -> list[dict[str, Any]]:
        """The workers that the coordinators know."""
        found: list[dict[str, Any]] = self.ask(WORKERS)["workers"]
        return found

    def media(self, name: str, seconds: int = 10, size: str = "320x180") -> Path:
        """A real film in the root."""
        path = self.client_root / name
        source = f"testsrc2=size={size}:rate=25:duration={seconds}"
        command = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", source, "-c:v", "mpeg4", "-y", str(path)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
        return path

    # Within

    def _environ(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("FFGRID_", "XDG_"))}
        return {**kept, "HOME": str(self.folder / "home")}

    def _coordinator_environ(self) -> dict[str, str]:
        master = str(self.folder / "master")
        environ = {"FFGRID_REDIS_URL": self.redis_url, "FFGRID_MASTER_FILE": master}
        return {**self._environ(), **environ, **self.settings}

    def _changed(self, env: dict[str, str | None]) -> dict[str, str]:
        merged = {**self.environ, **env}
        return {name: value for name, value in merged.items() if value is not None}

    def _run(
        self, args: list[str], environ: dict[str, str], cwd: Path | None
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [FFGRID, *args], cwd=cwd, env=environ, stdin=subprocess.DEVNULL, capture_output=True, timeout=100
        )
        out, err = (text.decode("utf-8", "surrogateescape") for text in (done.stdout, done.stderr))
        assert "Traceback" not in err, err
        return subprocess.CompletedProcess(done.args, done.returncode, out, err)

    def _apart(self) -> list[str]:
        """What starts a program in the workers' own mount namespace; it keeps the process id."""
        if not self.apart:
            return []
        folders = [str(self.folder / "client"), str(self.folder / "workerside")]
        return [*own_mounts(), "sh", "-c", APART, "sh", *folders]

    def _spawn(
        self, args: list[str], environ: dict[str, str], log: Path, before: Sequence[str] = ()
    ) -> subprocess.Popen[bytes]:
        with log.open("wb") as file:
            return subprocess.Popen(
                [*before, FFGRID, *args],
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
            )

    def _begin_web(self, port: int = 0, env: dict[str, str] | None = None) -> Web:
        port = port or free_port()
        log = self.folder / f"web-{port}-{len(self.webs)}.log"
        environ = {**self._coordinator_environ(), **(env or {})}
        process = self._spawn(["web", "--port", str(port)], environ, log)
        self.webs.append(Web(process, log, f"http://127.0.0.1:{port}", port))
        return self.webs[-1]

    def _begin_worker(
        self, worker_id: str, slots: int = 2, env: dict[str, str] | None = None, ffmpeg: str | None = None
    ) -> Worker:
        key = self.folder / f"{worker_id}.key"
        if not key.exists():
            self.add_key(worker_id, "worker")
        environ = {
            **self._environ(),
            "FFGRID_REDIS_URL": self.redis_url,
            "FFGRID_KEY_FILE": str(key),
            "FFGRID_ROOTS": f"{ROOT_NAME}={self.worker_root}",
            "FFGRID_WORKER_ID": worker_id,
            "FFGRID_SLOTS": str(slots),
            **self.settings,
            **({"FFGRID_FFMPEG": ffmpeg} if ffmpeg else {}),
            **(env or {}),
        }
        log = self.folder / f"{worker_id}-{len(self.workers)}.log"
        self.workers.append(Worker(self._spawn(["worker"], environ, log, self._apart()), log, worker_id))
        return self.workers[-1]

    def _until_answers(self, web: Web) -> None:
        self._until_ready(web, lambda: answers(f"{web.url}/livez"))

    def _until_registered(self, worker: Worker) -> None:
        with ThreadPoolExecutor(1) as pool:
            self._until_ready(
                worker, lambda: (worker.id, worker.pid) in pool.submit(asyncio.run, self._known()).result()
            )

    async def _known(self) -> list[tuple[str, int]]:
        """The workers that have registered, and their process ids."""
        store = Store(self.redis_url)
        try:
            return [(known.id, known.about["pid"]) for known in await store.workers.all()]
        finally:
            await store.close()

    def _until_ready(self, process: Process, is_ready: Callable[[], bool]) -> None:
        def looks_ready() -> bool:
            assert process.is_alive, process.log.read_text()
            return is_ready()

        until(looks_ready, within=60.0)


def own_mounts() -> list[str]:
    """The command that gives a program a mount namespace of its own. Fails the test where there is none."""
    for command in (["unshare", "--mount"], ["unshare", "--user", "--map-root-user", "--mount"]):
        if subprocess.run([*command, "true"], capture_output=True).returncode == 0:
            return command
    raise AssertionError(
        "this system lets nobody make a mount namespace: run it as root, or allow user namespaces"
    )


def answers(url: str) -> bool:
    """Whether a GET gives 200."""
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=1) as answer:
        return bool(answer.status == 200)
    return False


@pytest.fixture(scope="session")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """Two coordinators and a worker, for the tests that break nothing."""
    assert shutil.which("ffmpeg"), "ffmpeg is not installed: run `make test`, which installs it"
    with Farm.start(tmp_path_factory.mktemp("farm")) as started:
        yield started


@pytest.fixture
def own_farm(tmp_path: Path) -> Iterator[Farm]:
    """The same for one test that breaks something."""
    with Farm.start(tmp_path) as started:
        yield started
