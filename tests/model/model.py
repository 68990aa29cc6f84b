"""What must hold, in plain Python: jobs move along the lifecycle's table, and only for who holds their lease.

It is written from that table and from the design, and knows no script. Each method says what a call answers, and
changes what must be there afterwards. Which hints lie in which stream it takes from what was seen before the call:
a hint only says that somebody should look.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from app.state.jobs import Submission
from app.state.lifecycle import FINAL, HELD, MOVES
from tests.model.seen import KEYS, Event, Seen

KEPT_ATTEMPTS = 20


@dataclass
class Job:
    """One job. `ending` is what people are told of how the last attempt has ended."""

    id: str
    asked: Submission
    cls: str
    created: int
    entered: int = 0
    state: str = "queued"
    attempt: int = 0
    losses: int = 0
    failures: int = 0
    worker: str | None = None
    boot: str | None = None
    token: str | None = None
    won: str | None = None
    started: int | None = None
    finished: int | None = None
    due: int | None = None
    listed: bool = True  # whether the list of waiting jobs has it, which somebody may have deleted
    cancel: str | None = None
    paused: bool = False
    published: str = ""
    progress: dict[str, Any] = field(default_factory=dict)
    ending: dict[str, Any] = field(default_factory=dict)
    attempts: dict[int, dict[str, Any]] = field(default_factory=dict)
    caller: str | None = None  # the connection that came last
    deadline: int | None = None  # when the caller counts as gone
    suspect: int | None = None  # since when its worker is known to be silent
    releases: int = 0
    heard: int = 0  # when its worker was heard of last, by a clock that nobody sets
    promised: bool = False  # somebody was told that it is being cancelled

    @property
    def stream(self) -> str:
        """Where its hints lie."""
        return KEYS.queue(self.cls, self.asked.lane)

    @property
    def held(self) -> bool:
        """Whether a worker has a lease on it."""
        return self.state in HELD

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in FINAL


@dataclass
class Worker:
    """What is known of a name: the process that has it, and whether an earlier one was seen dead."""

    boot: str
    about: dict[str, Any]
    beat: int
    until: int  # when it is forgotten by itself
    busy: int = 0
    order: str = ""
    fenced: str = ""  # the boot of a process that is known to be dead
    claimed: list[tuple[str, str]] = field(default_factory=list)  # what the last claim has given: job, token


@dataclass
class Model:
    """All that must be there. `now` is the server's clock, `true` one that only goes on."""

    now: int
    true: int
    jobs: dict[str, Job] = field(default_factory=dict)
    keys: dict[str, tuple[str, str, int]] = field(default_factory=dict)  # owner:key -> job, digest, until
    workers: dict[str, Worker] = field(default_factory=dict)
    beats: dict[str, int] = field(default_factory=dict)  # worker -> last beat
    classes: dict[str, int] = field(default_factory=dict)  # class -> last use
    capable: dict[str, dict[str, int]] = field(default_factory=dict)
    litter: dict[str, int] = field(default_factory=dict)
    inboxes: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)  # those of the call
    gone: set[tuple[str, str]] = field(
        default_factory=set
    )  # entries that somebody has just found to be of no use
    fallbacks: list[tuple[str, ...]] = field(default_factory=list)
    fallbacks_until: int = 0
    last_tick: int | None = None
    grace: int = 0
    grace_callers: int = 0
    broken_off: int = 0  # when the last outage ended: silence before it proves nothing
    cursors: dict[str, int] = field(default_factory=dict)  # index -> where the audit goes on

    def move(self, job: Job, event: str, **ending: Any) -> bool:
        """Moves the job, if the table has the move."""
        sources, target = MOVES[event]
        if job.state not in sources:
            return False
        was_held, job.state, job.entered = job.held, target, self.now
        job.ending.update(ending)
        if was_held and not job.held:
            told = {name: ending[name] for name in ("exit", "signal", "cause", "reason") if name in ending}
            job.attempts[job.attempt] = {
                "event": event,
                "worker": job.worker,
                "started": job.started,
                "ended": self.now,
                **told,
            }
            job.attempts.pop(job.attempt - KEPT_ATTEMPTS, None)
            job.token = job.boot = job.suspect = None
        if job.ended:
            job.finished, job.deadline, job.due = self.now, None, None
            if job.id in self.litter:  # no attempt comes that would look after what earlier ones have left
                self.litter[job.id] = self.now
        self.say(job, event)
        return True

    def say(self, job: Job, event: str) -> None:
        """Something has happened to the job."""
        self.events.append(Event(job.id, event, job.state, job.worker or "", job.attempt))

    def tell(self, worker: str, **message: str) -> None:
        """A message for a worker, which it has time to read until another process has its name."""
        self.inboxes.setdefault(worker, []).append(message)

    # What a worker does about jobs

    def start(self, job: Job, worker: str, boot: str, token: str) -> None:
        """A worker has got a queued job."""
        job.worker, job.attempt, job.ending, job.due = worker, job.attempt + 1, {}, None
        self.move(job, "start")
        job.boot, job.token, job.started, job.heard = boot, token, self.now, self.true

    def may_write(self, job_id: str, token: str) -> Job | None:
        """The job, if this token is the one that may write about it."""
        job = self.jobs.get(job_id)
        return job if job and job.held and job.token == token else None

    def progress(self, job_id: str, token: str, progress: dict[str, Any]) -> bool:
        """Whether it was accepted."""
        if job := self.may_write(job_id, token):
            job.progress = progress
            self.say(job, "progress")
        return job is not None

    def publish(self, job_id: str, token: str, outputs: str) -> str:
        """ok, lost, or how the job is to end."""
        job = self.may_write(job_id, token)
        if not job:
            return "lost"
        if job.state == "running" and job.cancel:
            return job.cancel
        if self.move(job, "publish"):
            job.published = outputs
        return "ok"

    def finish(self, job_id: str, token: str, event: str, again: bool, ending: dict[str, Any]) -> bool:
        """Whether the lease's holder has ended the job, now or by the same words before."""
        job = self.jobs.get(job_id)
        if job and job.won == token:
            return True
        job = self.may_write(job_id, token)
        if not job:
            return False
        if event == "fail":
            if job.cancel:
                event = "cancel"
            elif again and job.failures < job.asked.retries:
                event = "defer"
        if not self.move(job, event, **ending):
            return False
        job.won, job.published = token, ""
        if event in ("fail", "defer"):
            job.failures += 1
        if event == "defer":
            wait = min(job.asked.retry_delay * 1000 * 2 ** (job.failures - 1), 3_600_000)
            job.due, job.listed, job.progress = self.now + int(wait), True, {}
            self.classes[job.cls] = job.due
        return True

    def release(self, job_id: str, token: str) -> bool:
        """Whether the job was its holder's to be handed back."""
        job = self.may_write(job_id, token)
        if not job:
            return False
        if job.cancel:
            return self.move(job, "cancel", cause="cancelled")
        if not self.move(job, "release"):
            return False
        job.progress, job.releases = {}, job.releases + 1
        return True

    def lose(self, job: Job) -> str:
        """Its worker is taken for dead. The state afterwards."""
        job.losses += 1
        self.litter[job.id] = self.now
        reason = f"its worker {job.worker} was lost"
        if job.losses > 1:
            buried = f"its worker was lost {job.losses} times, {job.worker} the last"
        else:
            buried = reason
        if job.cancel:
            self.move(job, "cancel", cause="cancelled")
        elif job.asked.redo == "never" or job.losses >= job.asked.max_attempts:
            self.move(job, "bury", cause="lost", reason=buried)
        else:
            self.move(job, "lose", cause="lost", reason=reason)
            job.progress = {}
        return job.state

    # What clients ask for

    def cancel(self, job: Job | None, how: str, reason: str) -> str:
        """cancelled, cancelling, late, ended or unknown."""
        if not job:
            return "unknown"
        if job.ended:
            return "ended"
        if not job.held:
            self.move(job, "cancel", reason=reason, cause="cancelled")
            return "cancelled"
        if job.state == "publishing":
            return "late"
        job.cancel, job.promised = how, True
        job.ending["reason"] = reason
        self.tell(job.worker or "", do=how, job=job.id)
        return "cancelling"

    def interrupt(self, job: Job | None, reason: str) -> str:
        """The state afterwards."""
        if job and job.state == "queued":
            self.cancel(job, "cancel", reason)
        return job.state if job else "unknown"

    def pause(self, job: Job | None, how: str) -> str:
        """The state; a running job's worker is told."""
        if job and job.state == "running":
            job.paused = how == "pause"
            self.tell(job.worker or "", do=how, job=job.id)
            self.say(job, how)
        return job.state if job else "unknown"

    def call(self, job: Job | None, milliseconds: int, connection: str, arrives: bool) -> str | None:
        """The state; the caller's time goes on if this connection is the one to say so."""
        if job and not job.ended and (arrives or job.caller == connection):
            job.caller, job.deadline = connection, self.now + milliseconds
            if arrives and job.held:
                self.tell(job.worker or "", do="call", job=job.id)
        return job.state if job else None

    def orphan(self, job: Job | None) -> None:
        """Kills the job if its caller's time is over."""
        if job and job.deadline is not None and job.deadline <= self.now:
            job.deadline = None
            self.cancel(job, "kill", "its caller is gone")

    # What lies in the streams

    def live(self, seen: Seen, stream: str, entry: str) -> Job | None:
        """The job that an entry points at, if it is the entry that the job's hash names."""
        job_id = seen.queue(stream).entries.get(entry)
        job = self.jobs.get(job_id or "")
        return job if job and seen.jobs.get(job.id, {}).get("msg") == entry else None
