"""Jobs from the coordinator's side: submit, look, list, cancel."""

from __future__ import annotations

import json
from dataclasses import dataclass
from shlex import quote
from typing import Any

from app.state import lifecycle
from app.state.connect import Connection
from app.state.job import Job, JobError, NoSuchJob, new_id
from app.state.keys import Keys
from app.state.position import Position, position
from app.state.reading import read
from app.state.requirements import Requirement, canonical, class_id, missing, why_nobody
from app.state.scripting import Scripts
from app.state.seal import Seal
from app.state.workers import LIVE_MS, Workers

ATTACH_MS = 15_000  # how long a caller has to attach after submitting
AGAIN_MS = 7 * 86_400_000  # how long it is known which job has run an old one's command again
PAGES_READ = 20  # how many pages are read at most for one that is filtered


class KeyReused(JobError):
    """The client used one key for two different submissions."""


class NobodyQualifies(JobError):
    """No live worker can run this; the text says why."""


@dataclass(frozen=True)
class Submission:
    """What is to be run, checked and ready to be stored."""

    key: str
    digest: str
    owner: str
    spec: dict[str, Any]
    needs: Requirement
    lane: str
    redo: str  # one of app.wire.messages.REDO: when a silent worker's job may be run again
    attach: bool = False
    max_attempts: int = 3
    retries: int = 0  # how often it may fail and be tried again
    retry_delay: float = 10.0  # seconds before the first of these; twice as long each time
    require_worker: bool = False
    request: str = ""  # the id of the request that submits it, for logs


@dataclass(frozen=True)
class Submitted:
    """The answer: the job, how many live workers qualify now, and whether it is new."""

    id: str
    qualified: int
    new: bool


class Jobs:
    """Everything about jobs that a web process does."""

    def __init__(self, redis: Connection, keys: Keys, scripts: Scripts, seal: Seal, workers: Workers) -> None:
        self._redis = redis
        self._keys = keys
        self._scripts = scripts
        self._seal = seal
        self._workers = workers

    async def submit(self, submission: Submission) -> Submitted:
        """Makes the job once for each key. Raises KeyReused, NobodyQualifies."""
        job_id = new_id()
        arguments = self._submit_arguments(job_id, submission)
        verdict, stored_id, qualified = await self._submit(job_id, [*arguments, *_tail(submission, None)])
        if verdict in (b"classify", b"refused"):  # a worker may have come that has not beaten yet
            live = await self._workers.live()
            able = [worker.id for worker in live if not missing(submission.needs, worker.about)]
            verdict, stored_id, qualified = await self._submit(job_id, [*arguments, *_tail(submission, able)])
        if verdict == b"conflict":
            raise KeyReused(f"the key {submission.key!r} was used for another submission")
        if verdict == b"refused":
            raise NobodyQualifies(await self.why_nobody(submission.needs))
        return Submitted(stored_id.decode(), qualified, verdict == b"new")

    async def why_nobody(self, needs: Requirement) -> str:
        """Why no live worker can run this, in words; "" if one can."""
        return why_nobody(needs, [(worker.id, worker.about) for worker in await self._workers.live()])

    async def prospects(self, job: Job) -> tuple[list[str], str]:
        """The live workers that can take this queued job; and why there is none, in words, or ""."""
        stored = await self._redis.hget(self._keys.classes, job.cls)
        if stored is None:
            return [], ""
        needs, live = json.loads(stored), await self._workers.live()
        able = [worker.id for worker in live if not missing(needs, worker.about)]
        return able, why_nobody(needs, [(worker.id, worker.about) for worker in live])

    async def get(self, job_id: str) -> Job:
        """Raises NoSuchJob."""
        stored = await self._redis.hgetall(self._keys.job(job_id))
        if b"state" not in stored:
            raise NoSuchJob(f"there is no job {job_id}")
        return Job.from_hash(job_id, stored, Seal.peek(stored[b"spec"]))

    async def sealed_spec(self, job_id: str) -> dict[str, Any]:
        """What the job runs, if a coordinator has sealed it. Raises NoSuchJob, BadSeal."""
        sealed = await self._redis.hget(self._keys.job(job_id), "spec")
        if sealed is None:
            raise NoSuchJob(f"there is no job {job_id}")
        return self._seal.open(job_id, sealed)

    async def page(
        self, count: int, before: str = "", state: str = "", owner: str = ""
    ) -> tuple[list[Job], str]:
        """The newest jobs, at most `count`, older than the cursor `before`; and the next cursor or "".

        `state` and `owner` narrow the list; both together are filtered while reading. Those of a state come in the
        order in which they have entered it; see `listing` for lists by creation.
        """
        index = self._keys.jobs
        if state:
            index = self._keys.state(state)
        elif owner:
            index = self._keys.owned_by(owner)
        jobs: list[Job] = []
        for _ in range(PAGES_READ):
            rows = await self._rows(index, count, before)
            ids = [job_id for job_id, _ in rows]
            found = {job.id: job for job in await read(self._redis, self._keys, ids)}
            for job_id, score in rows:
                before = f"{score:.0f}-{job_id}"
                if job_id in found and owner in ("", found[job_id].owner):
                    jobs.append(found[job_id])
                if len(jobs) == count:
                    return jobs, before
            if len(rows) < count:
                return jobs, ""
        return jobs, before

    async def position(self, job: Job) -> Position | None:
        """Where a queued job stands; None when it is not queued any more."""
        return await position(self._redis, self._keys, job.id, job.cls, job.lane)

    async def note_again(self, old: str, new: str) -> None:
        """Remembers that the job `new` runs the command of `old` again."""
        await self._redis.set(self._keys.again(old), new, px=AGAIN_MS)

    async def again(self, job_id: str) -> str:
        """The last job that has run this one's command again, or ""."""
        found = await self._redis.get(self._keys.again(job_id))
        return found.decode() if found else ""

    async def counts(self) -> dict[str, int]:
        """How many jobs are in each state."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for state in lifecycle.STATES:
                pipe.zcard(self._keys.state(state))
            return dict(zip(lifecycle.STATES, await pipe.execute(), strict=True))

    async def revision(self) -> tuple[str, float]:
        """The last event's id: while it stays, no job has moved. And Redis' clock, in Unix seconds."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.xrevrange(self._keys.events, count=1)
            pipe.time()
            events, (seconds, microseconds) = await pipe.execute()
        return events[0][0].decode() if events else "", seconds + microseconds / 1e6

    async def cancel(self, job_id: str, how: str = "cancel", reason: str = "cancelled") -> str:
        """ "cancelled", "cancelling" (its worker was told), "late" or "ended". Raises NoSuchJob.

        "late": its outputs are whole and are getting their names.
        """
        answer = await self._scripts.run("cancel", [self._keys.job(job_id)], [job_id, how, reason])
        if answer == b"unknown":
            raise NoSuchJob(f"there is no job {job_id}")
        return str(answer.decode())

    async def interrupt(self, job_id: str, reason: str = "interrupted before it started") -> str:
        """Cancels a job that nobody has taken yet, and no other: its state afterwards, or "unknown"."""
        return await self._script("interrupt", job_id, reason)

    async def pause(self, job_id: str, how: str) -> str:
        """Has a running job stopped ("pause") or gone on with ("resume") by its worker: its state, or "unknown".

        A job in another state than "running" is left alone.
        """
        return await self._script("pause", job_id, how)

    async def relane(self, job_id: str, lane: str) -> str:
        """Moves a job that nobody has taken to another lane: "moved", "same", its state, or "unknown"."""
        return await self._script("relane", job_id, lane)

    async def caller(
        self, job_id: str, milliseconds: int, connection: str, *, arrives: bool = False
    ) -> str | None:
        """Says how long the attached caller counts as alive from now; the job's state, or None.

        Only the connection that came last is heard.
        """
        arguments = [job_id, milliseconds, connection, int(arrives)]
        answer = await self._scripts.run("caller", [self._keys.job(job_id)], arguments)
        return answer.decode() if answer else None

    async def orphan(self, job_id: str) -> None:
        """Cancels the job if its caller's time is over."""
        await self._scripts.run("orphan", [self._keys.job(job_id)], [job_id])

    async def _script(self, name: str, job_id: str, argument: str) -> str:
        answer = await self._scripts.run(name, [self._keys.job(job_id)], [job_id, argument])
        return answer.decode() if answer else "unknown"

    def _submit_arguments(self, job_id: str, submission: Submission) -> list[Any]:
        return [
            job_id,
            submission.owner,
            submission.key,
            submission.digest,
            self._seal.close(job_id, submission.spec),
            class_id(submission.needs),
            canonical(submission.needs),
            submission.lane,
            int(submission.require_worker),
            LIVE_MS,
            ATTACH_MS if submission.attach else 0,
        ]

    async def _submit(self, job_id: str, arguments: list[Any]) -> tuple[bytes, bytes, int]:
        verdict, stored_id, qualified = await self._scripts.run("submit", [self._keys.job(job_id)], arguments)
        return verdict, stored_id, qualified

    async def _rows(self, index: str, count: int, before: str) -> list[tuple[str, float]]:
        """`count` (id, score) pairs below the cursor `<score>-<id>`, the newest first."""
        score, _, last = before.partition("-")
        rows: list[tuple[str, float]] = []
        seen, step = 0, count + 16
        while True:
            found = await self._redis.zrevrangebyscore(
                index, score or "+inf", "-inf", start=seen, num=step, withscores=True
            )
            pairs = [(member.decode(), value) for member, value in found]
            rows += [pair for pair in pairs if not last or (pair[1], pair[0]) < (float(score), last)]
            seen += len(found)
            if len(rows) >= count or len(found) < step:
                return rows[:count]


def _tail(submission: Submission, able: list[str] | None) -> list[Any]:
    """The arguments after the fixed ones: extra fields of the hash, and who qualifies for a new class."""
    fields: list[Any] = ["redo", submission.redo, "max_attempts", submission.max_attempts]
    for name, value in submission.spec.get("labels", {}).items():
        fields += [f"label:{name}", value]
    if submission.retries:
        delay = round(submission.retry_delay * 1000)
        fields += ["retries", submission.retries, "retry_delay", delay]
    if submission.attach:
        fields += ["attach", "1"]
    if submission.request:
        fields += ["request", submission.request]
    return [int(able is not None), len(fields) // 2, *fields, *(able or ())]


def command_line(spec: dict[str, Any]) -> str:
    """The command for people: folded paths as `{Root}/rest`, quoted where a shell would need it."""

    def text(folded: Any) -> str:
        if isinstance(folded, str):
            return folded
        return "".join(piece if isinstance(piece, str) else _piece(piece) for piece in folded)

    return " ".join([spec["binary"], *(quote(text(argument)) for argument in spec["args"])])


def _piece(piece: dict[str, str]) -> str:
    return "{" + piece["root"] + "}" if "root" in piece else json.dumps(piece.get("b64", ""))
