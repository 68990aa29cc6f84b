"""Operations on many jobs: what is to be done to which, how far that has come, and who does the next step.

    undertake --> running --(proceed, account)*--> done
                     '------stop----> stopped

No process owns one. A step is bounded, its effects may come twice, and it is counted once: by who has its token.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from typing import Any

from app.state.connect import Connection
from app.state.job import Job, JobError
from app.state.keys import Keys
from app.state.lifecycle import CANCELLED, DEAD, DONE, FAILED, QUEUED, RUNNING, WAITING
from app.state.listing import CHUNK, Count, Filter, Listing
from app.state.scripting import Scripts

# What can be done, and to jobs of which states; walked in this order, that of a job's life.
ACTIONS = {
    "cancel": (WAITING, QUEUED, RUNNING),
    "retry": (DONE, FAILED, CANCELLED, DEAD),
    "lane": (WAITING, QUEUED),
}
KEPT_MS = 86_400_000  # that an operation is remembered after its end
HELD_MS = 10_000  # that a step may take before another process does it again
AT_ONCE = 100  # operations that may go on


class NoSuchOperation(JobError):
    """There is no operation with this id."""


class OperationKeyReused(JobError):
    """The client used one key for two different operations."""


class TooManyOperations(JobError):
    """Others have to end first."""


@dataclass(frozen=True)
class Work:
    """What is asked: an action on the jobs of these ids, or on all that match. `states` are those that it can concern.

    `by` is who asks ("user ada", "key me"), `lane` where `action` moves them to.
    """

    action: str
    by: str
    which: Filter
    states: tuple[str, ...]
    ids: tuple[str, ...] = ()
    lane: str = ""

    def concerns(self, job: Job) -> bool:
        """Whether it concerns this job, which was named."""
        return job.state in self.states and self.which.owner in ("", job.owner)


@dataclass(frozen=True)
class Operation:
    """How it stands. Times are Unix seconds. `total` is how many jobs there were at the beginning, at least."""

    id: str
    work: Work
    state: str
    began: float
    total: int
    exact: bool = True
    ended: float | None = None
    done: int = 0
    skipped: int = 0
    failed: int = 0
    note: str = ""
    place: str = ""


@dataclass(frozen=True)
class Outcome:
    """What a step has come to."""

    place: str
    done: int = 0
    skipped: int = 0
    failed: int = 0
    note: str = ""


class Operations:
    """The operations of one namespace."""

    def __init__(self, redis: Connection, keys: Keys, scripts: Scripts, listing: Listing) -> None:
        self._redis = redis
        self._keys = keys
        self._scripts = scripts
        self._listing = listing

    async def count(self, work: Work, budget: float) -> Count:
        """How many jobs it concerns."""
        if work.ids:
            return Count(len(work.ids))
        found = [await self._listing.count(replace(work.which, state=one), budget) for one in work.states]
        return Count(sum(one.number for one in found), all(one.exact for one in found))

    async def undertake(self, key: str, work: Work, budget: float = 1.0) -> Operation:
        """Begins it, once for each key that somebody makes. Jobs that are made later are not concerned.

        Raises OperationKeyReused, TooManyOperations.
        """
        operation_id = sha256(f"{work.by}\n{key}".encode()).hexdigest()[:26]
        timeless = replace(
            work, which=replace(work.which, since=None, until=None)
        )  # "24h ago" is another each time
        digest = sha256(json.dumps(asdict(timeless), sort_keys=True).encode()).hexdigest()
        now = await self._listing.now() + 1
        until = now if work.which.until is None else min(now, work.which.until)
        await asyncio.sleep(0.002)  # by then it is later by Redis' clock too: what comes now is not concerned
        bounded = replace(work, which=replace(work.which, until=until))
        total = await self.count(bounded, budget)
        fields = {
            "work": json.dumps(asdict(bounded)),
            "began": now,
            "total": total.number,
            "exact": int(total.exact),
        }
        pairs = [word for pair in fields.items() for word in pair]
        arguments = [operation_id, digest, AT_ONCE, len(fields), *pairs]
        said = await self._scripts.run("undertake", [self._keys.operation(operation_id)], arguments)
        if said == b"conflict":
            raise OperationKeyReused(f"the key {key!r} was used for another operation")
        if said == b"full":
            raise TooManyOperations(f"{AT_ONCE} operations on many jobs go on already: try again later")
        return await self.get(operation_id)

    async def get(self, operation_id: str) -> Operation:
        """Raises NoSuchOperation."""
        stored = await self._redis.hgetall(self._keys.operation(operation_id))
        if not stored:
            raise NoSuchOperation(f"there is no operation {operation_id}")
        return _operation(operation_id, stored)

    async def all(self) -> list[Operation]:
        """Those that are remembered, the newest first."""
        ids = [one.decode() for one in await self._redis.zrange(self._keys.operations, 0, -1)]
        async with self._redis.pipeline(transaction=False) as pipe:
            for operation_id in ids:
                pipe.hgetall(self._keys.operation(operation_id))
            found = zip(ids, await pipe.execute(), strict=True)
        known = [_operation(operation_id, stored) for operation_id, stored in found if stored]
        return sorted(known, key=lambda one: one.began, reverse=True)

    async def going_on(self) -> list[str]:
        """The ids of those that are to be proceeded with."""
        found = await self._redis.zrangebyscore(self._keys.operations, "+inf", "+inf")
        return [one.decode() for one in found]

    async def proceed(self, operation_id: str, token: str) -> Operation | None:
        """The operation, if its next step is this process' to do."""
        name = self._keys.operation(operation_id)
        found = await self._scripts.run("proceed", [name], [token, HELD_MS])
        if not found:
            return None
        return _operation(operation_id, dict(zip(found[::2], found[1::2], strict=True)))

    async def step(self, operation: Operation) -> tuple[list[Job], int, str]:
        """The next jobs that it concerns, how many of those named it does not, and the place after them or ""."""
        work = operation.work
        number, _, cursor = (operation.place or "0 ").partition(" ")
        if work.ids:
            ids = work.ids[int(number) : int(number) + CHUNK]
            jobs = [job for job in await self._listing.read(list(ids)) if work.concerns(job)]
            behind = int(number) + CHUNK
            return jobs, len(ids) - len(jobs), f"{behind} " if behind < len(work.ids) else ""
        which = replace(work.which, state=work.states[int(number)])
        jobs, cursor = await self._listing.some(which, cursor)
        if cursor:
            return jobs, 0, f"{number} {cursor}"
        behind = int(number) + 1
        return jobs, 0, f"{behind} " if behind < len(work.states) else ""

    async def account(self, operation_id: str, token: str, outcome: Outcome, *, is_over: bool) -> str:
        """Notes a step. The operation's state, or "" when the step is not this process' any more."""
        numbers = [outcome.done, outcome.skipped, outcome.failed]
        state = "done" if is_over else "running"
        return await self._account(operation_id, token, outcome.place, *numbers, outcome.note, state)

    async def stop(self, operation_id: str) -> str:
        """Stops it after the step that somebody may be at; its state. Raises NoSuchOperation."""
        state = await self._account(operation_id, "", "", 0, 0, 0, "", "stopped")
        if not state:
            raise NoSuchOperation(f"there is no operation {operation_id}")
        return state

    async def _account(self, operation_id: str, *arguments: Any) -> str:
        names = [self._keys.operation(operation_id)]
        answer = await self._scripts.run("account", names, [operation_id, *arguments, KEPT_MS])
        return answer.decode() if answer else ""


def _operation(operation_id: str, stored: Mapping[bytes, bytes]) -> Operation:
    text = {name.decode(): value.decode() for name, value in stored.items()}
    return Operation(
        id=operation_id,
        work=_work(json.loads(text["work"])),
        state=text["state"],
        began=int(text["began"]) / 1000,
        total=int(text["total"]),
        exact=text["exact"] == "1",
        ended=int(text["ended"]) / 1000 if "ended" in text else None,
        done=int(text["done"]),
        skipped=int(text["skipped"]),
        failed=int(text["failed"]),
        note=text.get("note", ""),
        place=text.get("place", ""),
    )


def _work(stored: dict[str, Any]) -> Work:
    which = stored.pop("which")
    labels = tuple((name, value) for name, value in which.pop("labels"))
    stored["states"], stored["ids"] = tuple(stored["states"]), tuple(stored["ids"])
    return Work(which=Filter(labels=labels, **which), **stored)
