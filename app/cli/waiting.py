"""A job as if it ran here: its output on ours, its exit status as ours, and it ends when we are ended."""

from __future__ import annotations

import base64
import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic, sleep
from types import FrameType
from typing import Any

from app.cli import errors, progressbar
from app.cli.client import Client, Log, Patience
from app.cli.errors import TRY_AGAIN, UNREACHABLE, Failure
from app.cli.moments import within
from app.cli.terminal import Sink, say
from app.state.lifecycle import DONE, FAILED, FINAL
from app.wire.messages import JOBS, job_path

Job = dict[str, Any]
Lines = Iterator[Job]

SETTLE_SECONDS = 3.0  # for a cancelled job to end


class Stopped(BaseException):
    """Somebody wants this command to end: SIGINT or SIGTERM."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def wait(
    client: Client,
    body: Job,
    told: Callable[[Job], None],
    show: Callable[[Lines], None],
    timeout: float | None = None,
) -> int:
    """Queues a job and stays until it ends; its exit status. `told` gets the answer, `show` the log.

    After `timeout` seconds raises TimedOut; the job goes on.

    SIGINT, SIGTERM and output that cannot be written (its reader is gone) end the job, as they would end ffmpeg.
    """
    stay = _Stay(client, show)
    try:
        with stoppable():
            answer = client.post(JOBS, body)
            told(answer)
            job_id = answer["id"]
            with within(timeout, f"job {job_id} has not ended", f"; it goes on: ffgrid watch {job_id}"):
                return stay.until_end(job_id)
    except Stopped as stop:
        stay.cancel(body)
        return 128 + stop.number
    except OSError:
        stay.cancel(body, quiet=True)
        raise


def status_of(job: Job) -> int:
    """The exit status for a job that has ended: ffmpeg's own, 128 and the signal, or 1 for anything else."""
    if job["state"] == DONE:
        return 0
    if job["signal"]:
        return 128 + int(job["signal"])
    return int(job["exit"] or errors.FAILED)


def output(out: Sink, err: Sink) -> Callable[[Lines], None]:
    """Shows a log as what the job printed; says where another attempt begins."""
    attempt = 0

    def show(lines: Lines) -> None:
        nonlocal attempt
        for line in lines:
            if line["kind"] == "end":
                return
            if attempt and line["attempt"] != attempt:
                say(f"this is attempt {line['attempt']}")
            attempt = line["attempt"]
            if line["kind"] == "gap":
                err.write(b"ffgrid: %d parts of the log are gone: it is bounded\n" % line["missing"])
            else:
                (out if line["kind"] == "stdout" else err).write(content(line))

    return show


def records(lines: Lines) -> None:
    """Shows a log as JSON, an entry a line."""
    for line in lines:
        print(json.dumps(line), flush=True)


def content(line: Job) -> bytes:
    """The bytes of an entry of a log."""
    return base64.b64decode(line["b64"]) if "b64" in line else str(line["data"]).encode()


class _Stay:
    """One job that somebody waits for."""

    def __init__(self, client: Client, show: Callable[[Lines], None]) -> None:
        self._client = client
        self._show = show
        self._patience = Patience(say)
        self._log: Log | None = None

    def until_end(self, job_id: str) -> int:
        """Shows all it prints; its exit status."""
        self._log = self._client.log(job_id, self._patience)
        try:
            self._show(self._log.read(follow=True))
            job: Job = self._client.get(job_path(job_id), self._patience)
        except Failure as failure:
            if failure.status not in (UNREACHABLE, TRY_AGAIN):
                raise
            raise Failure(f"{failure}. The job goes on: ffgrid watch {job_id}", failure.status) from None
        if job["state"] != DONE and (job["state"], job["cause"]) != (FAILED, "exit"):
            say(f"job {job_id} {progressbar.plain(job, self._client.now)}")
        return status_of(job)

    def cancel(self, body: Job, quiet: bool = False) -> None:
        """Ends the job and waits a little for that, showing its last words unless `quiet`."""
        try:
            job_id = self._client.post(JOBS, body)["id"]  # the same key is the same job, if there is one
            self._client.post(job_path(job_id, "cancel"))
            deadline = monotonic() + SETTLE_SECONDS
            while self._client.get(job_path(job_id))["state"] not in FINAL and monotonic() < deadline:
                sleep(0.1)
            if self._log and not quiet:
                self._show(self._log.read(follow=False))
            say(f"job {job_id} is cancelled")
        except Failure as failure:
            say(f"cannot cancel the job: {failure}")


@contextmanager
def stoppable() -> Iterator[None]:
    """SIGINT and SIGTERM raise Stopped, unless they are ignored."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped(number)

    numbers = [n for n in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(n) != signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
