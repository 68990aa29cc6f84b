"""A stage for a benchmark: a private server and the real parts of ffgrid, each a process of its own.

All of it lies in one temporary folder, talks over loopback and unix sockets, and ends with the stage: by pid,
also on Ctrl-C, and by the guard when this process is killed.
"""

from __future__ import annotations

import asyncio
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from app.guard import Guard
from app.state.clients import Master, write_private
from app.state.embedded import Embedded
from app.state.jobs import Jobs
from app.state.seal import Seal
from app.state.store import Store
from app.wire import keyfile
from tests.bench.timing import Broken, wait_until
from tests.ports import free_port

ROOT = Path(__file__).resolve().parent.parent.parent
STOP_SECONDS = 5.0
FFGRID = (sys.executable, "-P", "-m", "app.cli.main")
MOVIES = "Movies"  # the root that every worker and every shim on a stage has

# Answers as ffmpeg does where a worker asks, and does nothing otherwise.
TRIVIAL = '#!/bin/sh\ncase "$1" in -version) echo "ffmpeg version 0";; esac\n'

# The same for a program that does something when its first argument is -nostdin: what follows this.
CALLED = '#!/bin/sh\nif [ "$1" != -nostdin ]; then echo "ffmpeg version 0"; exit; fi\n'

T = TypeVar("T")


@dataclass(frozen=True)
class Options:
    """What the command line asks of every benchmark."""

    server: str = "redis"  # or "embedded"
    long: bool = False


class Stage:
    """A server, and whatever parts are asked for. A context."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self._stack = ExitStack()
        self.url = ""
        self.folder = Path()

    def __enter__(self) -> Stage:
        """Starts the server. Raises Broken."""
        with ExitStack() as stack:
            # What is killed may still make a last file while the folder is removed.
            folder = tempfile.TemporaryDirectory(prefix="ffgrid-bench-", ignore_cleanup_errors=True)
            self.folder = Path(stack.enter_context(folder))
            (self.folder / MOVIES).mkdir()
            self._guard = Guard()
            stack.callback(self._guard.close)
            self.master = Master.load(self.folder / "master", create=True)
            self._stack = stack
            self.url = self._server()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    @property
    def movies(self) -> Path:
        """The directory of the one root."""
        return self.folder / MOVIES

    def web(self) -> int:
        """A coordinator; the port it answers on."""
        return self.coordinator()[0]

    def coordinator(self) -> tuple[int, subprocess.Popen[bytes]]:
        """A coordinator: the port it answers on, and its process."""
        port = free_port()
        process = self.start([*FFGRID, "web", "--port", str(port)], self.environment())
        wait_until(lambda: self._lives(process) and _connects(port), "the coordinator does not answer")
        return port, process

    def worker(
        self, name: str, slots: int, ffmpeg: str = "ffmpeg", ffprobe: str = "ffprobe"
    ) -> subprocess.Popen[bytes]:
        """A worker that has registered."""
        process = self.worker_later(name, slots, ffmpeg, ffprobe)
        wait_until(lambda: self._lives(process) and name in self.live_workers(), f"{name} does not register")
        return process

    def worker_later(
        self,
        name: str,
        slots: int,
        ffmpeg: str,
        ffprobe: str = "ffprobe",
        extra: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """A worker that has only been started. `extra` goes before what its environment says otherwise."""
        is_script = ffmpeg.startswith(
            str(self.folder)
        )  # it may run this interpreter, which is in no namespace
        environment = self.environment() | {
            "FFGRID_KEY_FILE": str(self.key(name, "worker")),
            "FFGRID_FFMPEG": ffmpeg,
            "FFGRID_FFPROBE": ffprobe,
            "FFGRID_SANDBOX": "rewrite" if is_script else "auto",
            **(extra or {}),
        }
        command = [*FFGRID, "worker", "--worker-id", name, "--slots", str(slots)]
        return self.start(command, environment)

    def shim(self, port: int, cache: bool = False) -> Path:
        """The folder of two launchers that never run anything here, and remember answers only with `cache`."""
        folder = self.folder / ("bin-cached" if cache else "bin")
        environment = self.environment() | {
            "FFGRID_URL": f"http://127.0.0.1:{port}",
            "FFGRID_KEY_FILE": str(self.key("caller", "client")),
            "FFGRID_CACHE": str(folder / "cache") if cache else "",
        }
        command = [*FFGRID, "shim", "install", str(folder), "--no-local", "--no-warm"]
        subprocess.run(command, env=environment, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        return folder

    def key(self, name: str, role: str) -> Path:
        """The file of that key, made if it is new."""
        path = self.folder / f"{name}.key"
        if not path.exists():
            client = self.ask(lambda store: store.clients.add(name, role))
            seal = self.master.seal_key() if role == "worker" else b""
            secret = self.master.secret(name, role, client.version)
            write_private(path, keyfile.dump(keyfile.Key(name, secret, seal)))
        return path

    def script(self, name: str, text: str) -> str:
        """A program of that text; its path."""
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o755)
        return str(path)

    def ask(self, question: Callable[[Store], Awaitable[T]]) -> T:
        """What the question to the store gives."""

        async def run() -> T:
            store = Store(self.url)
            try:
                return await question(store)
            finally:
                await store.close()

        return asyncio.run(run())

    def jobs(self, store: Store) -> Jobs:
        """Jobs as this stage's coordinators and workers seal them."""
        return store.jobs(Seal(self.master.seal_key()))

    def live_workers(self) -> list[str]:
        """Who is alive, by name."""
        return [worker.id for worker in self.ask(lambda store: store.workers.live())]

    def side(self, function: Callable[..., Any], **arguments: Any) -> Side:
        """A function of a benchmark in a process of its own; it gets `url` and says things with `say`."""
        name = f"{function.__module__}:{function.__name__}"
        text = json.dumps({"url": self.url, **arguments})
        command = [sys.executable, "-m", "tests.bench.side", name, text]
        return Side(self.start(command, self.environment(), stdout=subprocess.PIPE))

    def start(
        self,
        command: Sequence[str | Path],
        environment: Mapping[str, str],
        stdin: int = subprocess.DEVNULL,
        stdout: int = subprocess.DEVNULL,
    ) -> subprocess.Popen[bytes]:
        """Any process; it ends with the stage. What it has to say goes into `log`."""
        with (self.folder / "log").open("ab") as log:
            process = subprocess.Popen(
                command,
                env=dict(environment),
                cwd=ROOT,
                stdin=stdin,
                stdout=stdout,
                stderr=log,
                process_group=0,
            )
        self._guard.watch(process.pid)
        self._stack.callback(self.stop, process)
        return process

    def stop(self, process: subprocess.Popen[bytes], sig: int = signal.SIGTERM) -> None:
        """Ends it, and waits for that."""
        if process.poll() is None:
            process.send_signal(sig)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._guard.forget(process.pid)
        for pipe in (process.stdin, process.stdout):
            if pipe:
                pipe.close()

    def environment(self) -> dict[str, str]:
        """What the parts are told; nothing of the caller's own configuration."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "LD_LIBRARY_PATH") if name in os.environ}
        return kept | {
            "HOME": str(self.folder),
            "FFGRID_REDIS_URL": self.url,
            "FFGRID_MASTER_FILE": str(self.folder / "master"),
            "FFGRID_ROOTS": f"{MOVIES}={self.movies}",
        }

    def said(self) -> str:
        """The end of what the parts have logged."""
        log = self.folder / "log"
        return log.read_text("utf-8", "replace")[-2000:] if log.exists() else ""

    def _server(self) -> str:
        if self.options.server == "embedded":
            return self._stack.enter_context(Embedded(self.folder / "valkey")).url
        path = self.folder / "s"
        binary = shutil.which("redis-server")
        if binary is None:
            raise Broken("redis-server is not installed: `make bench` installs it; or use --server embedded")
        words = ["--port", "0", "--unixsocket", str(path), "--save", "", "--dir", str(self.folder)]
        process = self.start([binary, *words], os.environ)
        wait_until(lambda: self._lives(process) and path.exists(), "redis-server does not start")
        return f"unix://{path}"

    def _lives(self, process: subprocess.Popen[bytes]) -> bool:
        if process.poll() is not None:
            raise Broken(f"a part has ended with status {process.returncode}:\n{self.said()}")
        return True


class Side:
    """A function that runs in a process of its own and says JSON, a value a line."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process

    def speaks_within(self, seconds: float) -> bool:
        """Whether it says something, or ends, before that time is over."""
        assert self.process.stdout
        ready, _, _ = select.select([self.process.stdout], [], [], seconds)
        return bool(ready)

    def hear(self) -> Any:
        """The next thing it says. Raises Broken."""
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise Broken(f"a part of the benchmark has ended with status {self.process.wait()}")
        return json.loads(line)


def say(value: Any) -> None:
    """Tells the benchmark something, from a process on the side."""
    print(json.dumps(value), flush=True)


def _connects(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
