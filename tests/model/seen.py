"""What a server holds at one moment, parsed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from app.state.keys import Keys

KEYS = Keys()


@dataclass(frozen=True)
class Queue:
    """A stream of hints: what it holds, entry -> job id; what is delivered, entry -> consumer.

    `last` is the last entry that its group has delivered; None: it has no group.
    """

    entries: dict[str, str]
    pending: dict[str, str]
    last: str | None

    def undelivered(self) -> Iterator[str]:
        """The entries that a read gives next, in order."""
        if self.last is not None:
            last = entry_order(self.last)
            yield from (entry for entry in self.entries if entry_order(entry) > last)


NO_QUEUE = Queue({}, {}, None)


@dataclass(frozen=True)
class Event:
    """One entry of the stream of events."""

    job: str
    event: str
    state: str
    worker: str
    attempt: int


@dataclass
class Seen:
    """All of it. Times are ms."""

    jobs: dict[str, dict[str, str]] = field(default_factory=dict)  # without the sealed spec
    sets: dict[str, dict[str, float]] = field(default_factory=dict)  # every sorted set, in its order
    queues: dict[str, Queue] = field(default_factory=dict)
    inboxes: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    readable: set[str] = field(default_factory=set)  # the workers whose inboxes have a group
    workers: dict[str, dict[str, str]] = field(default_factory=dict)
    idempotency: dict[str, str] = field(default_factory=dict)
    classes: set[str] = field(default_factory=set)
    fallbacks: list[tuple[str, ...]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)  # those since the moment before
    last_event: str = "0-0"
    signs: dict[str, int] = field(default_factory=dict)  # "stream entry" -> when it was touched

    def queue(self, stream: str) -> Queue:
        """That stream, or an empty one."""
        return self.queues.get(stream, NO_QUEUE)

    def members(self, key: str) -> dict[str, float]:
        """A sorted set: member -> score."""
        return self.sets.get(key, {})


def entry_order(entry: str) -> tuple[int, int]:
    """What orders the ids of a stream's entries."""
    at, _, number = entry.partition("-")
    return int(at), int(number)


def parse(text: bytes, last_event: str) -> Seen:
    """What `look.lua` gave."""
    seen = Seen(last_event=last_event)
    for key, (kind, *content) in sorted(json.loads(text).items()):
        _READ[kind](seen, key, content)
    return seen


def _hash(seen: Seen, key: str, content: Any) -> None:
    fields = _pairs(content[0])
    if key.startswith(KEYS.job_prefix):
        del fields["spec"]
        seen.jobs[key.removeprefix(KEYS.job_prefix)] = fields
    elif key.startswith(KEYS.worker_prefix):
        seen.workers[key.removeprefix(KEYS.worker_prefix)] = fields
    elif key == KEYS.classes:
        seen.classes = set(fields)
    elif key == "test:signs":
        seen.signs = {place: int(at) for place, at in fields.items()}


def _sorted_set(seen: Seen, key: str, content: Any) -> None:
    seen.sets[key] = {member: float(score) for member, score in _pairs(content[0]).items()}


def _stream(seen: Seen, key: str, content: Any) -> None:
    rows, last, pending = content
    fields = [(entry, _pairs(row)) for entry, row in rows]
    if key == KEYS.events:
        seen.events = [Event(**{**row, "attempt": int(row["attempt"])}) for _, row in fields]
        seen.last_event = fields[-1][0] if fields else seen.last_event
    elif key.startswith(KEYS.inbox_prefix):
        seen.inboxes[key.removeprefix(KEYS.inbox_prefix)] = [row for _, row in fields]
        if last:
            seen.readable.add(key.removeprefix(KEYS.inbox_prefix))
    elif key == KEYS.fallbacks:
        names = ("client", "at", "binary", "count", "reason")
        seen.fallbacks = [tuple(row[name] for name in names) for _, row in fields]
    else:
        entries = {entry: row["job"] for entry, row in fields}
        seen.queues[key] = Queue(entries, {row[0]: row[1] for row in pending}, last or None)


def _string(seen: Seen, key: str, content: Any) -> None:
    if key.startswith(KEYS.idem_prefix):
        seen.idempotency[key.removeprefix(KEYS.idem_prefix)] = content[0]


def _pairs(flat: list[str]) -> dict[str, str]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


_READ = {"hash": _hash, "zset": _sorted_set, "stream": _stream, "string": _string}
