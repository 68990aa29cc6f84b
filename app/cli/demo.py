"""`ffgrid demo`: every part for real on this machine, and one transcode through them.

sample.mkv --> DIR/player/Movies (the client's view)      DIR/render/Movies (the worker's view)
                    \\___________________  one directory  ___________________/
"""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
import webbrowser
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

from app.cli import progressbar
from app.cli.checks.machines import KNOWN, hardware
from app.cli.client import Client, read_key
from app.cli.errors import Failure
from app.cli.processes import answers, find_ffmpeg, free_port, stop, this_command
from app.cli.submission import submission
from app.guard import Guard
from app.state import passwords
from app.state.clients import Master, write_private
from app.state.embedded import Embedded
from app.state.store import Store
from app.wire import keyfile
from app.wire.messages import JOBS, job_path

USER = "demo"  # of the dashboard
SECONDS = 20  # of the sample
READY_SECONDS = 15.0
ENCODERS = ("libx265 -preset ultrafast -x265-params log-level=error", "libx264 -preset veryfast", "mpeg4")


def run(arguments: Namespace) -> int:
    """Runs the demo until Ctrl-C; with `--once` until the result is checked."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ffgrid-demo-")))
        for number in (signal.SIGTERM, signal.SIGINT):  # also where a shell has SIGINT ignored
            signal.signal(number, _interrupt)
        demo = Demo(folder, stack, arguments.port)
        demo.start()
        if not arguments.once:
            demo.open()
        demo.transcode()
        if arguments.once:
            demo.check()
            return 0
        demo.fill()
        demo.stay()
    return 0


class Demo:
    """The parts of one demonstration; all end with `stack`."""

    def __init__(self, folder: Path, stack: ExitStack, port: int) -> None:
        self._folder = folder
        self._stack = stack
        self._began = time.monotonic()
        self._ffmpeg = find_ffmpeg()
        self._ports = (port or free_port(), free_port())
        self._player, self._render = folder / "player" / "Movies", folder / "render" / "Movies"
        self._url = self._link = ""

    @property
    def _dashboard(self) -> str:
        return f"http://127.0.0.1:{self._ports[0]}/"

    def start(self) -> None:
        """Starts the server, two coordinators and a worker, and makes the sample meanwhile."""
        server = self._stack.enter_context(Embedded(self._folder / "valkey"))
        self._url = server.url
        self._guard = Guard()
        self._stack.callback(self._guard.close)
        self._step("server", "Valkey, private, on a socket of its own")
        self._make_keys()
        (self._folder / "disk").mkdir()
        for view in (self._player, self._render):
            view.parent.mkdir()
            view.symlink_to(self._folder / "disk")
        webs = [self._daemon("web", "--port", str(port)) for port in self._ports]
        worker = self._daemon("worker", "--slots", "2", "--worker-id", "demo-worker", key="worker")
        sample = self._begin_sample()
        kept = ["--cache", str(self._folder / "answers"), "--no-warm"]
        self._ffgrid("shim", "install", str(self._folder / "bin"), "--no-local", *kept, key="client")
        self._step("shim", f"{self._folder / 'bin' / 'ffmpeg'}, its Movies are in {self._player}")
        for port, process in zip(self._ports, webs, strict=True):
            self._until(partial(answers, port), process, "the coordinator")
        self._step("web", f"two coordinators, {self._dashboard} and port {self._ports[1]}")
        print(f"  {'sign in':<9} {self._link} (once)", flush=True)
        self._until(self._has_worker, worker, "the worker")
        self._step("worker", f"demo-worker, its Movies are in {self._render}: {self._worker()}")
        if sample.wait():
            raise Failure(f"{self._ffmpeg} cannot make the sample")
        self._guard.forget(sample.pid)
        self._step("sample", f"{SECONDS} s of H.264 with sound, {self._player / 'sample.mkv'}")

    def transcode(self) -> None:
        """One real call of the stand-in, with a moving bar."""
        result = self._player / "sample.hevc.mkv"
        command = ["-y", "-v", "error", "-readrate", "4", "-i", str(self._player / "sample.mkv")]
        command += ["-c:v", *self._encoder().split(), "-c:a", "aac", str(result)]
        shown = " ".join(["ffmpeg", *command]).replace(str(self._folder), "...")
        print(f"\n  $ {shown}\n")
        shim = subprocess.Popen(
            [self._folder / "bin" / "ffmpeg", *command], stdin=subprocess.DEVNULL, process_group=0
        )
        self._guard.watch(shim.pid)
        self._stack.callback(stop, shim)
        self._show_progress(shim)
        status = shim.wait()
        self._guard.forget(shim.pid)
        if status != 0:
            raise Failure(f"the transcode failed with status {status}")
        self._step("done", f"{result} ({result.stat().st_size / 1e6:.1f} MB)")

    def check(self) -> None:
        """Decodes the result. Raises Failure."""
        result = self._player / "sample.hevc.mkv"
        decoded = subprocess.run(
            [self._ffmpeg, "-v", "error", "-xerror", "-i", result, "-f", "null", "-", "-progress", "pipe:1"],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        frames = decoded.stdout.rpartition("frame=")[2].partition("\n")[0].strip()
        if decoded.returncode or decoded.stderr or not frames.isdigit() or int(frames) < SECONDS * 20:
            raise Failure(f"the result does not decode: {decoded.stderr.strip() or f'{frames or 0} frames'}")
        self._step("checked", f"it decodes: {frames} frames, no error")

    def open(self) -> None:
        """Has a browser show the dashboard, where there is a screen: from now on a bar moves there."""
        if sys.stdout.isatty() and (sys.platform == "darwin" or os.environ.get("DISPLAY")):
            webbrowser.open(self._link)

    def fill(self) -> None:
        """Work for whoever looks at the dashboard: a job that fails, and one that runs a minute. A slot stays free."""
        client, sample = self._client(), self._player / "sample.mkv"
        slow = ["-v", "error", "-readrate", "0.3", "-i", str(sample), "-c:v", *self._encoder().split()]
        for args in (
            ["-v", "error", "-i", str(self._player / "missing.mkv"), "-f", "null", "-"],
            [*slow, str(self._player / "slow.mkv")],
        ):
            fields = submission(["ffmpeg", *args], {"Movies": str(self._player)}, None, ())
            self._stack.callback(_cancel, client, client.post(JOBS, fields)["id"])
        self._step("jobs", "one fails, one runs for a minute")

    def stay(self) -> None:
        """Shows where everything is until Ctrl-C."""
        print(f"\n  dashboard  {self._link}\n  stand-in   {self._folder / 'bin' / 'ffmpeg'}")
        print("  next       ffgrid init   sets up one that stays;  ffgrid doctor   says whether all is well")
        print("\n  Ctrl-C ends it and removes everything.", flush=True)
        while True:
            signal.pause()

    def _show_progress(self, shim: subprocess.Popen[bytes]) -> None:
        tty = sys.stdout.isatty()
        shown = ""
        client = self._client()
        while shim.poll() is None:
            jobs = client.get(f"{JOBS}?limit=1")["jobs"]
            line = progressbar.line(jobs[0], 72, time.time()) if jobs else ""
            if line and line != shown:
                print(f"\r  {line}\x1b[K" if tty else f"  {line}", end="" if tty else "\n", flush=True)
                shown = line
            time.sleep(0.2 if tty else 0.5)
        if tty:
            print("\r\x1b[K", end="")

    def _client(self) -> Client:
        key = read_key(self._folder / "client.key")
        return Client([f"http://127.0.0.1:{port}" for port in self._ports], key)

    def _worker(self) -> str:
        """What the worker has."""
        with self._store() as (loop, store):
            (one,) = loop.run_until_complete(store.workers.live())
        slots = one.about["slots"]
        encoders = " ".join(name for name in KNOWN if name in one.about["encoders"])
        chips = " ".join(hardware(one.about)) or "no GPU"
        return f"{slots} slot{'s' * (slots > 1)}, {encoders or 'no well-known encoder'}, {chips}"

    def _make_keys(self) -> None:
        master = Master.load(self._folder / "master", create=True)
        with self._store() as (loop, store):
            for name in ("client", "worker"):
                client = loop.run_until_complete(store.clients.add(name, name))
                seal = master.seal_key() if name == "worker" else b""
                key = keyfile.Key(name, master.secret(name, name, client.version), seal)
                write_private(self._folder / f"{name}.key", keyfile.dump(key))
            users = store.users(master)
            hashed = passwords.make(secrets.token_urlsafe(24))  # nobody knows it: the link is the way in
            loop.run_until_complete(users.add(USER, "admin", hashed))
            link = loop.run_until_complete(store.sessions(master, users).link(USER))
        self._link = f"{self._dashboard}setup?t={link}"

    @contextmanager
    def _store(self) -> Iterator[tuple[asyncio.AbstractEventLoop, Store]]:
        loop, store = asyncio.new_event_loop(), Store(self._url)
        try:
            yield loop, store
        finally:
            loop.run_until_complete(store.close())
            loop.close()

    def _has_worker(self) -> bool:
        with self._store() as (loop, store):
            return bool(loop.run_until_complete(store.workers.live()))

    def _begin_sample(self) -> subprocess.Popen[bytes]:
        source = ["-f", "lavfi", "-i", f"testsrc2=size=480x270:rate=25:duration={SECONDS}"]
        source += ["-f", "lavfi", "-i", f"sine=duration={SECONDS}"]
        coded = ["-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac", str(self._player / "sample.mkv")]
        made = subprocess.Popen(
            [self._ffmpeg, "-v", "error", *source, *coded], stdin=subprocess.DEVNULL, process_group=0
        )
        self._guard.watch(made.pid)
        self._stack.callback(stop, made)
        return made

    def _encoder(self) -> str:
        listed = subprocess.run(
            [self._ffmpeg, "-hide_banner", "-encoders"], capture_output=True, text=True, check=True
        )
        return next(encoder for encoder in ENCODERS if f" {encoder.split()[0]} " in listed.stdout)

    def _daemon(self, *words: str, key: str = "") -> subprocess.Popen[bytes]:
        log = self._stack.enter_context((self._folder / f"{words[0]}.log").open("ab"))
        command, environment = [*this_command(), *words], self._environment(key)
        process = subprocess.Popen(
            command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL, process_group=0
        )
        self._guard.watch(process.pid)
        self._stack.callback(stop, process)
        return process

    def _ffgrid(self, *words: str, key: str) -> None:
        command, environment = [*this_command(), *words], self._environment(key)
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Failure(done.stderr.strip())

    def _environment(self, key: str) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("FFGRID_")}
        return {
            **inherited,
            "FFGRID_REDIS_URL": self._url,
            "FFGRID_MASTER_FILE": str(self._folder / "master"),
            "FFGRID_KEY_FILE": str(self._folder / f"{key}.key"),
            "FFGRID_URL": " ".join(f"http://127.0.0.1:{port}" for port in self._ports),
            "FFGRID_ROOTS": f"Movies={self._player if key == 'client' else self._render}",
            "FFGRID_FFMPEG": self._ffmpeg,
        }

    def _until(self, condition: Callable[[], bool], process: subprocess.Popen[bytes], what: str) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not condition():
            if process.poll() is not None or time.monotonic() > deadline:
                logs = "".join(path.read_text() for path in sorted(self._folder.glob("*.log")))
                raise Failure(f"{what} does not start:\n{logs[-2000:]}")
            time.sleep(0.02)

    def _step(self, name: str, what: str) -> None:
        print(f"  {name:<9} {what.replace(str(self._folder), '...') if name != 'done' else what}", end="")
        print(f"  ({time.monotonic() - self._began:.1f} s)", flush=True)


def _cancel(client: Client, job_id: str) -> None:
    """Ends a job, if it has not ended: its worker would wait for it."""
    with suppress(Failure):
        client.post(job_path(job_id, "cancel"))


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt
