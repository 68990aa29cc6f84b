"""What the API answers, as types: they describe it in /openapi.json, and its tests hold real answers against them.

Times are Unix seconds. Fields may be added; none that is here goes or changes its meaning within /v1.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

import msgspec

from app.state import lifecycle
from app.wire.messages import LANES

State = Literal["queued", "waiting", "running", "publishing", "done", "failed", "cancelled", "dead"]
Lane = Literal["live", "high", "normal", "low"]
Count = Annotated[int, msgspec.Meta(ge=0)]
assert get_args(State) == lifecycle.STATES
assert get_args(Lane) == LANES


class Attempt(msgspec.Struct):
    """One try at a job that has ended: how, and where."""

    number: int
    event: str
    worker: str
    started: float
    ended: float
    exit: int | None
    signal: int | None
    cause: str
    reason: str


class Job(msgspec.Struct):
    """A job. `exit` and `signal` are null until it has ended; `progress` is what its worker said last."""

    id: str
    state: State
    cancelling: bool
    paused: bool
    binary: Literal["ffmpeg", "ffprobe"]
    command: str
    lane: Lane
    labels: dict[str, str]
    owner: str
    created: float
    started: float | None
    finished: float | None
    attempt: Count
    losses: Count
    failures: Count
    worker: str | None
    exit: int | None
    signal: int | None
    reason: str
    cause: str
    due: float | None
    attempts: list[Attempt]
    retry_of: str | None
    progress: dict[str, Any] | None


class Jobs(msgspec.Struct):
    """A page of jobs."""

    jobs: list[Job]
    next: str | None
    newer: str | None
    searched: float | None


class Submitted(msgspec.Struct):
    """A job that was made, or had been made with this key; how many live workers qualify now."""

    id: str
    qualified: Count
    new: bool
    warning: str = ""


class Moved(msgspec.Struct):
    """What a job or a worker is now, or is becoming."""

    id: str
    state: str


class Worker(msgspec.Struct):
    """A worker, and what it says of itself. `silent` is the seconds since its last heartbeat.

    `done_24h` and `failed_24h` are the jobs that have ended on it within this hour and the 23 before; the dead count as
    failed, the cancelled as neither.
    """

    id: str
    state: Literal["online", "busy", "paused", "draining", "offline"]
    busy: Count
    silent: float
    draining: bool
    paused: bool
    done_24h: Count
    failed_24h: Count
    host: str
    slots: Count
    roots: list[str]
    binaries: dict[str, str]
    encoders: list[str]
    labels: dict[str, str]
    silent_roots: list[str] = []
    builds: dict[str, Any] = {}
    sandbox: str = ""
    version: str = ""
    pid: int = 0
    started: float = 0.0


class Workers(msgspec.Struct):
    """All workers that are remembered."""

    workers: list[Worker]


class QueuedInLane(msgspec.Struct):
    """Jobs of one lane of a class."""

    queued: Count
    running: Count


class Queue(msgspec.Struct, rename={"cls": "class"}):
    """A class of jobs: what it needs, what waits and runs, who serves it, or `why` nobody does."""

    cls: str
    binary: str
    roots: list[str]
    labels: dict[str, str]
    encoders: list[str]
    queued: Count
    running: Count
    oldest: float | None
    lanes: dict[Lane, QueuedInLane]
    workers: list[str]
    why: str


class Queues(msgspec.Struct):
    """All queues; how many jobs wait for another try, and how many have lost too many workers."""

    queues: list[Queue]
    retrying: Count
    dead: Count


class Fleet(msgspec.Struct):
    """Which workers would serve such jobs, and how many they are."""

    fleet: str
    workers: Count


class Summary(msgspec.Struct):
    """The farm in seven numbers."""

    queued: Count
    running: Count
    failed_24h: Count
    workers_online: Count
    slots_free: Count
    speed_avg: float | None
    oldest_queued_s: float


class Scaling(msgspec.Struct):
    """How many slots are wanted, and how many there are."""

    wanted_slots: Count
    queued: Count
    running: Count
    slots: Count


class Noted(msgspec.Struct):
    """How many were kept."""

    noted: Count


class KnownFallback(msgspec.Struct):
    """Calls of one client that ran on its own host for one reason; `at` is the last of them."""

    at: float
    binary: str
    count: Count
    reason: str
    client: str


class KnownFallbacks(msgspec.Struct):
    """The calls that ran on their own hosts."""

    fallbacks: list[KnownFallback]


class Operation(msgspec.Struct):
    """An action on many jobs, and how far it is; or with `dry_run` only `action`, `total`, `exact` and `jobs`."""

    action: str
    total: Count
    exact: bool
    id: str = ""
    lane: str | None = None
    filter: Any = None
    by: str = ""
    state: str = ""
    began: float = 0.0
    ended: float | None = None
    done: Count = 0
    skipped: Count = 0
    failed: Count = 0
    note: str = ""
    jobs: list[Job] = []


class Operations(msgspec.Struct):
    """The operations that go on, and those that ended within a day."""

    operations: list[Operation]


class Ready(msgspec.Struct):
    """It can serve."""

    status: Literal["ready"]


# The type of an answer that is JSON, by the name of the operation.
TYPES: dict[str, Any] = {
    "submit": Submitted,
    "retry": Submitted,
    "listing": Jobs,
    "show": Job,
    "cancel": Moved,
    "pause": Moved,
    "resume": Moved,
    "bulk": Operation,
    "bulks": Operations,
    "bulk_show": Operation,
    "bulk_cancel": Operation,
    "fleet": Fleet,
    "summary": Summary,
    "scaling": Scaling,
    "report": Noted,
    "fallbacks": KnownFallbacks,
    "queues": Queues,
    "workers": Workers,
    "drain": Moved,
    "pause_worker": Moved,
    "resume_worker": Moved,
    "readyz": Ready,
}
# What the others answer.
TEXTS = {
    "log": "application/x-ndjson",
    "metrics": "text/plain",
    "livez": "text/plain",
    "openapi": "application/json",
}
