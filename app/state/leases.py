"""Jobs from a worker's side: take, keep, report, hand back. Every write carries the lease's token."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from redis.exceptions import ResponseError

from app.state.connect import BLOCK, FULL, Connection
from app.state.job import LeaseLost
from app.state.keys import GROUP, Keys
from app.state.lifecycle import ENDINGS
from app.state.scripting import Scripts
from app.state.workers import PROOF_MS
from app.wire.messages import LANES

TIDY_MS = 30_000  # what a worker has to look after the files of jobs

# It goes on while the host sleeps, where the system has such a clock.
CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


@dataclass(frozen=True)
class Lease:
    """A worker's right to write about a job, while `token` is the one in the job's hash."""

    id: str
    token: str
    attempt: int
    sealed: bytes
    published: str = ""  # what an attempt before has said when it was about to end (see `publish`)
    called: bool = False  # its caller has come
    request: str = ""  # the id of the request that has submitted the job

    @property
    def mark(self) -> str:
        """8 hex digits of this attempt alone: its number may come again when Redis has lost writes."""
        return self.token[-8:]


@dataclass(frozen=True)
class Beat:
    """What the coordinator side knows that a worker must hear of.

    `standing` is "ok", "unknown" (register again) or "replaced" (another process has the name).
    """

    standing: str
    lost: list[str]
    cancelled: dict[str, str]
    order: str  # pause, drain or ""
    paused: list[str]
    litter: bool  # jobs that have ended may have left files


@dataclass(frozen=True)
class Delivery:
    """What a blocking read gave: hints at jobs (stream, entry, job id) and messages for the worker."""

    hints: list[tuple[str, str, str]]
    messages: list[dict[str, str]]


class Leases:
    """The queue as one worker process sees it. `blocking` must be a client that waits for long reads."""

    def __init__(
        self, redis: Connection, blocking: Connection, keys: Keys, scripts: Scripts, worker: str, boot: str
    ) -> None:
        self._redis = redis
        self._blocking = blocking
        self._keys = keys
        self._scripts = scripts
        self._inbox = keys.inbox(worker)
        self._heard = time.clock_gettime(CLOCK)  # when the last heartbeat that was answered was sent
        self.worker = worker
        self.boot = boot
        # The tokens of calls that had no answer: of a claim, and of the starts of entries.
        self._asked: list[str] = []
        self._starting: dict[str, str] = {}

    def silent(self) -> float:
        """For how many seconds nobody can have heard of this worker. Above a lease, its jobs may be others' now."""
        return time.clock_gettime(CLOCK) - self._heard

    def streams(self, classes: Sequence[str]) -> list[str]:
        """The streams of these classes, the most urgent lane first."""
        return [self._keys.queue(cls, lane) for lane in LANES for cls in classes]

    async def claim(self, streams: Sequence[str], count: int) -> list[Lease]:
        """Up to `count` queued jobs, taken in the order of the streams.

        After a call without an answer it asks with the same tokens, and gets what that call has taken.
        """
        if not streams or count < 1:
            return []
        self._asked += [self._token() for _ in range(count - len(self._asked))]
        arguments = [self.worker, self.boot, *self._asked[:count]]
        taken = await self._scripts.run("claim", list(streams), arguments)
        self._asked = []
        return [_lease(row) for row in taken]

    async def start(self, stream: str, entry: str, job_id: str) -> Lease | None:
        """The job that a hint points at, or None when there is nothing to do about it.

        After a call without an answer the same hint gives what that call has started.
        """
        token = self._starting.setdefault(entry, self._token())
        arguments = [entry, job_id, self.worker, self.boot, token]
        row = await self._scripts.run("start", [stream], arguments)
        del self._starting[entry]
        return _lease(row) if row else None

    async def wait(self, streams: Sequence[str]) -> Delivery:
        """Waits up to BLOCK seconds for a hint or a message. Makes groups that Redis has lost."""
        wanted: dict[Any, Any] = dict.fromkeys([*streams, self._inbox], ">")
        try:
            reply = await self._blocking.xreadgroup(
                GROUP, self.worker, wanted, count=1, block=int(BLOCK * 1000)
            )
        except ResponseError as error:
            if not str(error).startswith(("NOGROUP", "UNBLOCKED")):
                raise
            await self._make_groups(list(wanted))
            return Delivery([], [])
        delivery, read = _delivery(reply, self._inbox)
        if read:
            await self._redis.xack(self._inbox, GROUP, *read)
            await self._redis.xdel(self._inbox, *read)
        return delivery

    async def put_back(self, entry: str, job_id: str) -> None:
        """Hands back a hint that was delivered in excess."""
        self._starting.pop(entry, None)
        await self._scripts.run("release", [self._keys.job(job_id)], [job_id, "", entry])

    async def release(self, lease: Lease) -> None:
        """Hands a started job back, uncharged. Raises LeaseLost."""
        answer = await self._scripts.run("release", [self._keys.job(lease.id)], [lease.id, lease.token])
        _demand(answer, lease)

    async def beat(self, busy: int, classes: Sequence[str], held: Mapping[str, str]) -> Beat:
        """Says that this worker is alive and still runs the jobs `held` (id -> token)."""
        sent = time.clock_gettime(CLOCK)
        pairs = [word for pair in held.items() for word in pair]
        arguments = [self.worker, self.boot, busy, len(classes), *classes, *pairs]
        standing, lost, cancelled, order, paused, litter = await self._scripts.run(
            "beat", [self._keys.worker(self.worker)], arguments
        )
        self._heard = sent
        asked = {job_id.decode(): how.decode() for job_id, how in cancelled}
        return Beat(standing.decode(), _texts(lost), asked, order.decode(), _texts(paused), bool(litter))

    async def progress(self, lease: Lease, progress: dict[str, Any]) -> None:
        """Stores how far the job is. Raises LeaseLost."""
        arguments = [lease.id, lease.token, json.dumps(progress)]
        _demand(await self._scripts.run("progress", [self._keys.job(lease.id)], arguments), lease)

    async def publish(self, lease: Lease, outputs: str) -> str:
        """Asks whether the outputs may get their names; `outputs` is kept for who has to take over.

        "ok", or "cancel" or "kill" when somebody has asked for the job's end. Raises LeaseLost.
        """
        answer: bytes = await self._scripts.run(
            "publish", [self._keys.job(lease.id)], [lease.id, lease.token, outputs]
        )
        _demand(answer, lease)
        return answer.decode()

    async def finish(
        self, lease: Lease, event: str, fields: Mapping[str, str | int], again: bool = False
    ) -> None:
        """Ends the job with one of lifecycle.ENDINGS. Saying it twice is harmless. Raises LeaseLost.

        `again`: another try at what failed may end otherwise; the job may wait for it then.
        """
        if event not in ENDINGS:
            raise ValueError(f"{event!r} ends no job")
        pairs = [word for pair in fields.items() for word in pair]
        answer = await self._scripts.run(
            "finish", [self._keys.job(lease.id)], [lease.id, lease.token, event, int(again), *pairs]
        )
        _demand(answer, lease)

    async def tidy(self, classes: Sequence[str], looked_after: Sequence[str]) -> list[tuple[str, bytes]]:
        """Ended jobs whose lost attempts may have left files, as (id, sealed spec).

        `looked_after` are those of the call before. What is gone cannot be looked for and is not named.
        """
        arguments = [PROOF_MS, TIDY_MS, len(looked_after), *looked_after, *classes]
        found = await self._scripts.run("tidy", [self._keys.litter], arguments)
        return [(job_id.decode(), sealed) for job_id, sealed in found]

    async def litter(self, job_id: str) -> None:
        """This job may leave files that nobody has removed: somebody looks for them once it has ended."""
        seconds, _ = await self._redis.time()
        with suppress(FULL):
            await self._redis.zadd(self._keys.litter, {job_id: seconds * 1000})

    async def is_called(self, lease: Lease) -> bool:
        """Whether the caller of an attached job has come."""
        return bool(await self._redis.hexists(self._keys.job(lease.id), "caller"))

    async def nudge(self) -> None:
        """Ends this worker's own blocking read, so that it looks at its slots again."""
        await self._redis.xadd(self._inbox, {"do": "look"}, maxlen=1000)

    async def _make_groups(self, streams: Sequence[str]) -> None:
        for stream in streams:
            try:
                await self._redis.xgroup_create(stream, GROUP, id="0", mkstream=True)
            except ResponseError as error:
                if not str(error).startswith("BUSYGROUP"):
                    raise

    def _token(self) -> str:
        return f"{self.boot}:{secrets.token_hex(8)}"


def _lease(row: list[Any]) -> Lease:
    job_id, token, attempt, sealed, published, called, request = row
    texts = (job_id.decode(), token.decode(), int(attempt), sealed, published.decode())
    return Lease(*texts, called == b"1", request.decode())


def _texts(ids: list[bytes]) -> list[str]:
    return [job_id.decode() for job_id in ids]


def _demand(answer: bytes, lease: Lease) -> None:
    if answer == b"lost":
        raise LeaseLost(f"the lease on job {lease.id}, attempt {lease.attempt}, is lost")


def _delivery(reply: Any, inbox: str) -> tuple[Delivery, list[bytes]]:
    """The reply of XREADGROUP, and the inbox entries in it."""
    delivery, read = Delivery([], []), []
    for key, entries in reply or []:
        for entry, fields in entries:
            if key.decode() != inbox:
                delivery.hints.append((key.decode(), entry.decode(), fields[b"job"].decode()))
                continue
            delivery.messages.append({name.decode(): value.decode() for name, value in fields.items()})
            read.append(entry)
    return delivery, read
