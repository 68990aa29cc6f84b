"""Who wants something while faults happen: threads that submit, cancel and call, and write down what they are told."""

from __future__ import annotations

import hashlib
import heapq
import itertools
import json
import queue
import subprocess
import threading
import time
from collections.abc import Callable
from functools import cache
from typing import Any

from app.cli.client import Client
from app.cli.errors import TRY_AGAIN, UNREACHABLE, Failure
from app.wire.messages import job_path
from tests.bench.harness import MOVIES
from tests.chaos.journal import Journal
from tests.chaos.plan import Work
from tests.chaos.scene import film, submission
from tests.chaos.world import SMALL, World

THREADS = 6
AGAIN = 0.2  # seconds before somebody who got no answer asks again
RATE = 25.0  # pictures a second
RETRY_DELAY = 0.5
CALL_SECONDS = 100.0  # after which a call counts as one that does not end


class Load:
    """Does each work at its time, from `begin` on; `end` returns when all of it has been said."""

    def __init__(self, world: World, journal: Journal, works: list[Work]) -> None:
        self._world, self._journal = world, journal
        self._launcher = world.shim(world.proxy) / "ffmpeg"
        self._due: queue.SimpleQueue[Callable[[Client], None] | None] = queue.SimpleQueue()
        self._serial = itertools.count()
        self._plan = [(work.at, next(self._serial), self._doing(work)) for work in works]
        heapq.heapify(self._plan)
        self._lock = threading.Lock()
        self._over = threading.Event()
        world.key("chaos", "admin")
        for frames in {work.frames for work in works if work.kind == "call"}:
            expected(frames)
        self._threads = [threading.Thread(target=self._serve, daemon=True) for _ in range(THREADS)]
        self._callers: list[threading.Thread] = []
        self._clock = threading.Thread(target=self._dispatch, daemon=True)

    def begin(self) -> None:
        """From now on."""
        for thread in (*self._threads, self._clock):
            thread.start()

    def end(self, within: float) -> None:
        """Waits until nobody wants anything any more; at most so many seconds."""
        deadline = time.monotonic() + within
        self._clock.join(max(0.0, deadline - time.monotonic()))
        for thread in (*self._threads, *self._callers):
            thread.join(max(0.0, deadline - time.monotonic()))
        self._over.set()

    def _dispatch(self) -> None:
        """Hands out what is due; ends when nothing can come any more."""
        while self._plan:
            with self._lock:
                at, _, doing = self._plan[0]
                if is_due := at <= self._journal.now:
                    heapq.heappop(self._plan)
            if is_due:
                self._due.put(doing)
            else:
                time.sleep(0.01)
        time.sleep(2.0)  # a cancel may come from what was handed out last
        while self._plan:
            time.sleep(0.1)
            with self._lock:
                while self._plan and self._plan[0][0] <= self._journal.now:
                    self._due.put(heapq.heappop(self._plan)[2])
        for _ in self._threads:
            self._due.put(None)

    def _serve(self) -> None:
        client = self._world.client(self._world.proxy)
        while doing := self._due.get():
            doing(client)

    def _doing(self, work: Work) -> Callable[[Client], None]:
        return lambda client: self._call(work) if work.kind == "call" else self._submit(client, work)

    def _submit(self, client: Client, work: Work) -> None:
        """Until a coordinator says that it has it."""
        self._asked(work)
        body = json.loads(submission(command(work), retries=work.retries, retry_delay=RETRY_DELAY))
        said = self._until_answered(lambda: client.post("/v1/jobs", body))
        if said is None:
            return
        self._journal.note("acked", name=work.name, job=said["id"], new=said["new"])
        if work.cancel_after is not None:
            when = self._journal.now + work.cancel_after
            with self._lock:
                heapq.heappush(
                    self._plan, (when, next(self._serial), lambda client: self._cancel(client, said["id"]))
                )

    def _cancel(self, client: Client, job: str) -> None:
        self._journal.note("cancel", job=job)
        self._until_answered(lambda: client.post(job_path(job, "cancel")))

    def _until_answered(self, ask: Callable[[], Any]) -> Any:
        """The answer, or None: somebody said no, or the run is over."""
        while not self._over.is_set():
            try:
                return ask()
            except Failure as failure:
                if failure.status not in (TRY_AGAIN, UNREACHABLE):
                    self._journal.note("refused", why=str(failure))
                    return None
                time.sleep(AGAIN)
        return None

    def _asked(self, work: Work) -> None:
        self._journal.note("asked", name=work.name, kind=work.kind, frames=work.frames, retries=work.retries)

    def _call(self, work: Work) -> None:
        """In a thread of its own: it lasts as long as the job."""
        caller = threading.Thread(target=self._wait_for_call, args=(work,), daemon=True)
        caller.start()
        self._callers.append(caller)

    def _wait_for_call(self, work: Work) -> None:
        self._asked(work)
        process = self._world.start(
            [self._launcher, *talk(work)],
            {**self._world.environment(), "FFGRID_WAIT": "never"},
            stdout=subprocess.PIPE,
        )
        assert process.stdout
        got = process.stdout.read()
        try:
            status = process.wait(CALL_SECONDS)
        except subprocess.TimeoutExpired:
            return
        right = expected(work.frames)
        facts = {"sha": digest(got), "size": len(got), "prefix": right.startswith(got)}
        wanted = {"expected_sha": digest(right), "expected_size": len(right)}
        self._journal.note("call", name=work.name, status=status, **facts, **wanted)


def command(work: Work) -> list[Any]:
    """The job's command; its name is in its title."""
    title = ["-metadata", f"title={work.name}"]
    if work.kind == "wrong":
        source = ["-y", "-v", "error", "-i", [{"root": MOVIES}, "/nowhere.mkv"]]
        return [*source, *title, [{"root": MOVIES}, f"/{work.name}.mkv"]]
    folder = f"/{SMALL}" if work.kind == "small" else ""
    return film(f"{work.name}.mkv", work.frames / RATE, work.paced, title, folder)


def talk(work: Work) -> list[str]:
    """The arguments of a call that prints pictures."""
    pace = ["-re"] if work.paced else []
    return ["-nostdin", "-v", "error", *pace, *_source(work.frames), "-metadata", f"title={work.name}", *_RAW]


_RAW = ("-f", "rawvideo", "-")


def _source(frames: int) -> list[str]:
    return ["-f", "lavfi", "-i", f"testsrc2=size=64x36:rate=25:duration={frames / RATE}"]


@cache
def expected(frames: int) -> bytes:
    """What such a call prints."""
    command = ["ffmpeg", "-nostdin", "-v", "error", *_source(frames), *_RAW]
    return subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True).stdout


def digest(data: bytes) -> str:
    """A hash to compare."""
    return hashlib.sha256(data).hexdigest()
