"""What the checks share: the settings, the live workers, and a way to run a command on one of them."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from time import monotonic, sleep
from typing import Any

from app.cli.client import Client
from app.cli.errors import Failure
from app.cli.submission import submission
from app.cli.waiting import content
from app.settings import Settings
from app.state.lifecycle import DONE, FINAL, QUEUED
from app.wire.messages import JOBS, job_path

LOOK_SECONDS = 0.1
TRY_SECONDS = 8.0  # for one job, from being queued to its end

Worker = dict[str, Any]


@dataclass(frozen=True)
class Ran:
    """How a command ended on a worker. `reason` is "" when it did well; `taken` is False when nobody ran it."""

    reason: str
    out: str = ""
    err: str = ""
    taken: bool = True


class Mess:
    """What the checks have made and have to take away, also when somebody interrupts them."""

    def __init__(self) -> None:
        self._made: dict[str, Callable[[], None]] = {}

    def add(self, name: str, take_away: Callable[[], None]) -> None:
        """Something is there from now on."""
        self._made[name] = take_away

    def take_away(self, name: str) -> None:
        """It is not needed any more."""
        with suppress(OSError):  # a disk that does not answer any more: nobody can do better
            self._made.pop(name, _nothing)()

    def clear(self) -> None:
        """Takes away what is still there."""
        for name in list(self._made):
            self.take_away(name)


@dataclass(frozen=True)
class Scene:
    """`until` is when all checks have to be done (monotonic); `patience` how much longer than usual each may take."""

    settings: Settings
    workers: Sequence[Worker]
    until: float
    patience: float = 1.0
    mess: Mess = field(default_factory=Mess)

    def client(self, url: str = "") -> Client:
        """A client of its own for a thread, of this coordinator or of all."""
        if not url:
            return Client.of(self.settings)
        return Client([url], self.key())

    def key(self) -> Any:
        """The key to sign with. Raises Failure."""
        from app.cli.client import read_key

        return read_key(self.settings.key_file)

    def begin(self, client: Client, args: Sequence[str], worker: str = "") -> str:
        """Queues an ffmpeg command for that worker, or for any; the job's id, which the mess knows. Raises Failure."""
        labels = [f"worker={worker}"] if worker else []
        fields = submission(["ffmpeg", *args], self.settings.roots, None, labels)
        answer = client.post(JOBS, {**fields, "lane": "live", "max_seconds": 30, "max_attempts": 1})
        job_id: str = answer["id"]
        self.mess.add(job_id, partial(_end, client, job_id))
        if not answer["qualified"]:
            self.mess.take_away(job_id)
            raise Failure(answer.get("warning", "no worker can run it"))
        return job_id

    def run(self, worker: str, args: Sequence[str]) -> Ran:
        """Runs an ffmpeg command on that worker. Never leaves the job behind. Raises Failure."""
        client = self.client()
        job_id = self.begin(client, args, worker)
        until = min(monotonic() + TRY_SECONDS * self.patience, self.until - 1)
        try:
            job = wait(client, job_id, FINAL, until)
        finally:
            self.mess.take_away(job_id)
        if job["state"] == QUEUED:
            return Ran("it took no job in time: its slots are full", taken=False)
        if job["state"] not in FINAL:
            return Ran("the job did not end in time")
        out, err = printed(client, job_id)
        return Ran("" if job["state"] == DONE else job["reason"] or job["state"], out, err)


def _nothing() -> None:
    return


def wait(client: Client, job_id: str, states: Container[str], until: float) -> dict[str, Any]:
    """The job once it is in one of these states, or as it is when the time is over. Raises Failure."""
    while True:
        job: dict[str, Any] = client.get(job_path(job_id))
        if job["state"] in states or monotonic() > until:
            return job
        sleep(LOOK_SECONDS)


def _end(client: Client, job_id: str) -> None:
    """Cancels the job, unless it has ended."""
    try:
        if client.get(job_path(job_id))["state"] not in FINAL:
            client.post(job_path(job_id, "cancel"))
    except Failure:
        return  # it has ended meanwhile, or ends by itself


def printed(client: Client, job_id: str) -> tuple[str, str]:
    """What a job that has ended has printed: stdout and stderr. Raises Failure."""
    texts = {"stdout": b"", "stderr": b""}
    for line in client.lines(job_path(job_id, "log")):
        if line["kind"] in texts:
            texts[line["kind"]] += content(line)
    return texts["stdout"].decode("utf-8", "replace"), texts["stderr"].decode("utf-8", "replace")
