"""The stage of the benchmarks with what faults need: a Redis that keeps all it has said yes to, workers by name
that can be killed, frozen, cut off and started again, and jobs as coordinators make them.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from app.cli.client import Client
from app.state.connect import RedisError
from app.state.job import Job
from app.state.store import Store
from app.web import schema
from app.web.preparing import prepare
from app.wire import keyfile
from tests.bench.harness import MOVIES, Options, Stage
from tests.bench.proc import children
from tests.bench.timing import Broken
from tests.chaos import facts
from tests.chaos.gate import Gate
from tests.conftest import wait_for_socket

VIEW = f"/media/{MOVIES}"  # where the callers have the root
KEPT = ("--appendonly", "yes", "--appendfsync", "always")
POLL = 0.02

T = TypeVar("T")


@dataclass
class Member:
    """A worker of the scene."""

    name: str
    process: subprocess.Popen[bytes]
    gate: Gate | None = None

    @property
    def pid(self) -> int:
        return self.process.pid

    def freeze(self) -> None:
        """Stops the worker's own process (not its guard, not its jobs)."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Lets it go on."""
        self.process.send_signal(signal.SIGCONT)

    def cut(self) -> None:
        """Nothing passes between it and Redis any more. It must have been hired `gated`."""
        assert self.gate
        self.gate.shut()

    def join(self) -> None:
        """It has its network back."""
        assert self.gate
        self.gate.open()

    def ffmpegs(self) -> list[int]:
        """The processes of its jobs."""
        return [one.pid for one in children(self.pid, "ffmpeg")]


class Scene(Stage):
    """A context. All that it starts ends with it, by its id, and at once."""

    def __init__(self, server: str = "redis-server", libfaketime: str = "") -> None:
        """`server` is the program; with the library `libfaketime` its clock can be set."""
        super().__init__(Options())
        self._program = server
        self._library = libfaketime
        self._hired: dict[str, tuple[int, str, dict[str, str], Gate | None]] = {}
        self.redis: subprocess.Popen[bytes]

    def stop(self, process: subprocess.Popen[bytes], sig: int = signal.SIGKILL) -> None:
        """Ends it; unless told otherwise as a power cut would."""
        super().stop(process, sig)

    # Redis

    def _server(self) -> str:
        self.start_redis()
        return f"unix://{self.folder / 's'}"

    def start_redis(self) -> None:
        """The server, on its data of before."""
        binary = shutil.which(self._program)
        if binary is None:
            raise Broken(f"{self._program} is not installed: `make chaos` installs it")
        path = self.folder / "s"
        path.unlink(missing_ok=True)
        words = ["--port", "0", "--unixsocket", str(path), "--save", "", "--dir", str(self.folder), *KEPT]
        self.redis = self.start([binary, *words], {**os.environ, **self._clock()})
        wait_for_socket(path)

    def set_clock(self, offset: int) -> None:
        """The server's clock is so many seconds before (or behind) the true one, from now on."""
        (self.folder / "clock").write_text(f"{offset:+d}")

    def _clock(self) -> dict[str, str]:
        """The environment in which it can be set."""
        if not self._library:
            return {}
        self.set_clock(0)
        return {
            "LD_PRELOAD": self._library,
            "FAKETIME_TIMESTAMP_FILE": str(self.folder / "clock"),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def kill_redis(self) -> None:
        """Ends the server as a power cut would."""
        self.stop(self.redis)

    def command(self, *words: str | int) -> Any:
        """What the server answers."""
        return self.ask(lambda store: store.redis.execute_command(*words))

    def mount(self, name: str, size: int) -> Path:
        """A disk of so many bytes in the root, for the workers that come later."""
        path = self.movies / name
        path.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(path)]
        subprocess.run(command, check=True, capture_output=True)
        self.unmount_at_end(path)
        return path

    def unmount_at_end(self, path: Path) -> None:
        """So that the folder can be removed."""
        self._stack.callback(subprocess.run, ["umount", "--lazy", str(path)], check=False)

    # Workers

    def hire(self, name: str, slots: int = 1, **more: Any) -> Member:
        """A worker that has registered; see `launch`."""
        return self.hire_all([name], slots, **more)[0]

    def hire_all(self, names: Iterable[str], slots: int = 1, **more: Any) -> list[Member]:
        """Workers that have registered."""
        members = [self.launch(name, slots, **more) for name in names]
        self.until_live(member.name for member in members)
        return members

    def launch(
        self,
        name: str,
        slots: int = 1,
        gated: bool = False,
        ffmpeg: str = "ffmpeg",
        env: Mapping[str, str] | None = None,
    ) -> Member:
        """A worker that has only been started, from now on known by its name. `gated`: it can be cut off."""
        extra = {"TMPDIR": str(self.folder), **(env or {})}
        gate = None
        if gated:
            gate = self._stack.enter_context(Gate(self.folder / f"gate-{name}", self.folder / "s"))
            extra["FFGRID_REDIS_URL"] = gate.url
        self._hired[name] = slots, ffmpeg, extra, gate
        return self.restart(name)

    def until_live(self, names: Iterable[str]) -> None:
        """Returns once these workers have registered. Raises Broken."""
        wanted = set(names)

        async def holds(store: Store) -> bool:
            return wanted <= {worker.id for worker in await store.workers.live()}

        self.until(holds, f"not all of {sorted(wanted)} register", 60)

    def restart(self, name: str) -> Member:
        """Another process under that name, as a supervisor starts it. It has not registered yet."""
        slots, ffmpeg, extra, gate = self._hired[name]
        return Member(name, self.worker_later(name, slots, ffmpeg, extra=extra), gate)

    # Jobs

    def client(self, port: int) -> Client:
        """Who asks the coordinator at that port, with a key of its own."""
        key = keyfile.parse(self.key("chaos", "admin").read_text())
        return Client([f"http://127.0.0.1:{port}"], key)

    def submit(self, args: Sequence[Any], **fields: Any) -> str:
        """The id of a new job, made as a coordinator makes it."""
        return self.submit_all([args], **fields)[0]

    def submit_all(self, commands: Iterable[Sequence[Any]], **fields: Any) -> list[str]:
        """The ids of new jobs."""

        async def run(store: Store) -> list[str]:
            jobs = self.jobs(store)
            bodies = (submission(args, **fields) for args in commands)
            return [
                (await jobs.submit(prepare(schema.decode(body, schema.Submission), "chaos"))).id
                for body in bodies
            ]

        return self.ask(run)

    def job(self, job_id: str) -> Job:
        """As Redis has it."""
        return self.ask(lambda store: self.jobs(store).get(job_id))

    def cancel(self, job_ids: Iterable[str]) -> None:
        """Asks for the end of these jobs."""

        async def run(store: Store) -> None:
            for job_id in job_ids:
                await self.jobs(store).cancel(job_id)

        self.ask(run)

    def until(self, holds: Callable[[Store], Awaitable[bool]], lack: str, within: float = 30.0) -> None:
        """Returns once that holds. A Redis that does not answer is asked again. Raises Broken."""

        async def run(store: Store) -> None:
            deadline = time.monotonic() + within
            while not await _answered(holds, store):
                if time.monotonic() > deadline:
                    raise Broken(f"{lack}, after {within:.0f} s")
                await asyncio.sleep(POLL)

        self.ask(run)

    def until_states(self, job_ids: Iterable[str], states: Iterable[str], within: float = 30.0) -> None:
        """Returns once each of the jobs is in one of these states. Raises Broken."""
        ids, wanted = list(job_ids), set(states)

        async def holds(store: Store) -> bool:
            jobs = self.jobs(store)
            return all([(await jobs.get(job_id)).state in wanted for job_id in ids])

        self.until(holds, f"not all of {len(ids)} jobs are {' or '.join(sorted(wanted))}", within)

    def until_working(self, job_ids: Iterable[str], within: float = 30.0) -> None:
        """Returns once pictures of each of the jobs have come out. Raises Broken."""
        left = set(job_ids)

        async def holds(store: Store) -> bool:
            for job_id in list(left):
                if (await self.jobs(store).get(job_id)).progress.get("frame"):
                    left.discard(job_id)
            return not left

        self.until(holds, "not all jobs work", within)

    def until_again(self, job_ids: Iterable[str], within: float = 30.0) -> None:
        """Returns once each of the jobs has been started a second time. Raises Broken."""
        wanted = set(job_ids)

        async def holds(store: Store) -> bool:
            return wanted <= facts.restarts(await facts.events(store)).keys()

        self.until(holds, "not all jobs are started again", within)

    def until_free(self, names: Collection[str] = ()) -> None:
        """Returns once these workers (all that live, if none is named) run nothing. Raises Broken."""

        async def holds(store: Store) -> bool:
            live = {worker.id: worker.busy for worker in await store.workers.live()}
            return set(names) <= live.keys() and not any(live[name] for name in names or live)

        self.until(holds, "a worker does not let go of its jobs")


def submission(args: Sequence[Any], **fields: Any) -> bytes:
    """The body of a submission by a caller who has the root at VIEW."""
    body = {"key": secrets.token_hex(16), "binary": "ffmpeg", "args": list(args), "view": {MOVIES: VIEW}}
    return json.dumps({**body, **fields}).encode()


def film(
    name: str, seconds: float, pace: bool = True, more: Sequence[str] = (), folder: str = ""
) -> list[Any]:
    """A command that writes a small film of that length, at the speed of playing or as fast as it can."""
    source = ["-f", "lavfi", "-i", f"testsrc2=size=64x36:rate=25:duration={seconds}"]
    coded = ["-c:v", "mpeg4", "-threads", "1", *more]
    where = [{"root": MOVIES}, f"{folder}/{name}"]
    return ["-y", "-v", "error", *(["-re"] if pace else []), *source, *coded, where]


async def _answered(holds: Callable[[Store], Awaitable[bool]], store: Store) -> bool:
    try:
        return await holds(store)
    except (OSError, RedisError):
        return False
