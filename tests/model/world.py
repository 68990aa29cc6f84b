"""A model and a subject side by side: each step is made in both, then what both hold is compared."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from app.state.leases import Lease, Leases
from app.state.requirements import class_id, missing, requirement
from app.state.workers import LEASE_MS, PROOF_MS
from app.wire.messages import LANES
from tests.model import crew
from tests.model.compare import Violation, compare
from tests.model.model import Job, Model
from tests.model.seen import KEYS, Seen
from tests.model.subject import Subject

START = 1_800_000_000_000
NEEDS = [requirement("ffmpeg", ["Movies"], {}, []), requirement("ffmpeg", ["TV"], {}, [])]
CLASSES = [class_id(needs) for needs in NEEDS]
HOSTS = {"den": ["Movies", "TV"], "attic": ["TV"]}

T = TypeVar("T")


@dataclass
class Process:
    """A worker's process. One that is not alive does nothing any more; one that is may be cut off for long."""

    name: str
    boot: str
    host: str
    about: dict[str, Any]
    leases: Leases
    alive: bool = True
    held: dict[str, str] = field(default_factory=dict)  # what it believes: job -> token
    # The tokens of calls that had no answer: of a claim, and of the starts of entries.
    tokens: list[str] = field(default_factory=list)
    starting: dict[str, str] = field(default_factory=dict)

    def classes(self, model: Model) -> list[str]:
        """The known classes that it can serve."""
        able = zip(CLASSES, NEEDS, strict=True)
        return [cls for cls, needs in able if cls in model.classes and not missing(needs, self.about)]


@dataclass(frozen=True)
class Hint:
    """An entry that was delivered to a process, which may start the job, or put the entry back, or forget it."""

    process: Process
    stream: str
    entry: str
    job_id: str


class World:
    """All of it. What an action does is in `actions`."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.steps = 0
        self._forget()

    def _forget(self) -> None:
        self.model = Model(START, START)
        self.seen = Seen()
        self.processes: list[Process] = []
        self.leases: list[tuple[Process, Lease]] = []  # all that were ever given
        self.hints: list[Hint] = []
        self.found: list[str] = []  # the jobs whose files somebody is looking for
        self.torn: set[str] = set()
        self.endings: dict[str, str] = {}
        self.delivered: set[str] = set()  # jobs whose entries their workers have been given just now
        self._before: dict[str, tuple[int, str | None, int]] = {}

    async def begin(self) -> None:
        """Starts anew, on an empty server."""
        self._forget()
        self.subject.twice = False
        self.seen = await self.subject.empty(self.model.now)

    # Steps

    async def step(self, action: Callable[..., Awaitable[bool]], **arguments: Any) -> bool:
        """Makes the action and compares. False: there was nothing to do it with. Raises Violation."""
        if not await action(self, **arguments):
            return False
        await self.look()
        return True

    async def look(self) -> None:
        """Compares what there is now: a step. Raises Violation."""
        self.steps += 1
        self.seen = await self.subject.look(self.seen.last_event)
        compare(self.subject, self.model, self.seen, self.torn)
        for job in self.model.jobs.values():
            losses, boot, heard = self._before.get(job.id, (0, None, 0))
            if job.losses > losses:
                self._check_loss(job, boot, heard)
            self._check_ending(job)
        self._check_entries()
        self.model.events = []
        self._before = {job.id: (job.losses, job.boot, job.heard) for job in self.model.jobs.values()}

    def _check_entries(self) -> None:
        """In damaged streams too: what somebody has just looked at is as it should be."""
        for stream, entry in self.model.gone:
            if entry in self.seen.queue(stream).entries:
                raise Violation(f"{stream} still has {entry}, which nobody needs")
        for job in map(self.model.jobs.__getitem__, self.delivered):
            holder = self.seen.queue(job.stream).pending.get(self.seen.jobs[job.id].get("msg", ""))
            if holder != job.worker:
                raise Violation(f"the entry of {job.id} is held by {holder}")
        self.model.gone, self.delivered = set(), set()

    def _check_loss(self, job: Job, boot: str | None, heard: int) -> None:
        """Nothing is taken from a live worker that was heard of just now, and no file gets two writers."""
        holder = next(one for one in self.processes if one.boot == boot)
        silence = self.model.true - heard
        patience = LEASE_MS if job.asked.redo == "suspected" or job.cancel else PROOF_MS
        if holder.alive and silence < patience:
            raise Violation(f"{job.id} ({job.asked.redo}) was taken from a live worker after {silence} ms")

    def _check_ending(self, job: Job) -> None:
        """One ending for ever, and what was promised."""
        ended = [event for event in self.seen.events if event.job == job.id and event.state in ENDED]
        if len(ended) > 1 or (ended and job.id in self.endings):
            raise Violation(f"{job.id} ends twice")
        if job.ended and self.endings.setdefault(job.id, job.state) != job.state:
            raise Violation(f"{job.id} was {self.endings[job.id]} and is {job.state}")
        if job.ended and job.promised and job.state not in ("cancelled", "done"):
            raise Violation(f"{job.id} was to be cancelled and is {job.state}")
        if job.attempt > 1 + job.losses + job.failures + job.releases:
            raise Violation(f"{job.id} was started {job.attempt} times")
        if job.losses > job.asked.max_attempts or job.failures > job.asked.retries + 1:
            raise Violation(f"{job.id} was lost {job.losses} times and failed {job.failures} times")

    # What actions need

    async def call(self, twice: bool, work: Awaitable[T], lost: bool = False) -> T:
        """Makes a call; with `twice` its reply is lost and it is made again by the client library.

        With `lost` there is never a reply. Raises redis-py's ConnectionError then.
        """
        self.subject.twice, self.subject.lost = twice, lost
        try:
            return await work
        finally:
            self.subject.twice = self.subject.lost = False

    def pick(self, options: Sequence[T], number: int) -> T | None:
        """One of them, if there are any; 0 is the newest."""
        return options[-1 - number % len(options)] if options else None

    def process(self, number: int) -> Process | None:
        """A process that lives."""
        return self.pick([one for one in self.processes if one.alive], number)

    def job(self, number: int | None) -> Job | None:
        """A job that is known."""
        return None if number is None else self.pick(list(self.model.jobs.values()), number)

    def streams(self, process: Process) -> list[str]:
        """What a process reads, the most urgent lane first."""
        return [KEYS.queue(cls, lane) for lane in LANES for cls in process.classes(self.model)]

    def keep(self, process: Process, lease: Lease) -> None:
        """A process has got a lease."""
        process.held[lease.id] = lease.token
        self.leases.append((process, lease))

    def check_lease(self, lease: Lease, job: Job) -> None:
        """A lease says what its job is."""
        spec = self.subject.seal.open(job.id, lease.sealed)
        found = (lease.id, lease.token, lease.attempt, lease.published, lease.called, lease.request, spec)
        expected = (
            job.id,
            job.token,
            job.attempt,
            job.published,
            job.caller is not None,
            job.asked.request,
            job.asked.spec,
        )
        if found != expected:
            raise Violation(f"the lease on {job.id}: found {found!r}, expected {expected!r}")

    async def check_forgotten(self, name: str) -> None:
        """Of a worker that has gone no consumer is left, unless it still holds something."""
        for stream, queue in (await self.subject.look(self.seen.last_event)).queues.items():
            holds_nothing = queue.last is not None and name not in queue.pending.values()
            if holds_nothing and name in await self.subject.consumers(stream):
                raise Violation(f"{name} is still a consumer of {stream}")

    async def pass_time(self, milliseconds: int, true: int | None = None) -> None:
        """Time passes, or the clock is set."""
        self.model.now += milliseconds
        self.model.true += milliseconds if true is None else true
        crew.pass_time(self.model)
        await self.subject.set_clock(self.model.now)


ENDED = ("done", "failed", "cancelled", "dead")
