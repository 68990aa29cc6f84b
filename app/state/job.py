"""A job as the rest of the program sees it: parsed once from its Redis hash."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.state import lifecycle

OWN = "ffgrid:"  # the owner of a job begins so where ffgrid has made it for itself: no list, no count has it
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class JobError(Exception):
    """Something about a job that the caller can be told."""


class NoSuchJob(JobError):
    """There is no job with this id."""


class LeaseLost(JobError):
    """The job is another worker's now, or has ended."""


@dataclass(frozen=True)
class Job:
    """One job. Times are Unix seconds; `progress` is what the worker last said (see `worker.progress`).

    `attempts` are those that have ended, the first first: `number event worker started ended`, and how: `exit
    signal cause reason`. `losses` counts lost workers, `failures` what was or will be tried again.
    """

    id: str
    state: str
    spec: dict[str, Any]
    lane: str
    owner: str
    cls: str
    created: float
    started: float | None = None
    finished: float | None = None
    attempt: int = 0
    losses: int = 0
    failures: int = 0
    worker: str | None = None
    exit: int | None = None
    signal: int | None = None
    reason: str = ""
    cause: str = ""
    cancelling: bool = False
    paused: bool = False
    progress: dict[str, Any] = field(default_factory=dict)
    due: float | None = None
    attempts: list[dict[str, Any]] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in lifecycle.FINAL

    @classmethod
    def from_hash(cls, job_id: str, stored: Mapping[bytes, bytes], spec: dict[str, Any]) -> Job:
        """Parses the hash; `spec` is the opened seal."""
        text = {name.decode(): value.decode() for name, value in stored.items() if name != b"spec"}
        return cls(
            id=job_id,
            state=text["state"],
            spec=spec,
            lane=text["lane"],
            owner=text["owner"],
            cls=text["cls"],
            created=int(text["created"]) / 1000,
            started=_seconds(text.get("started")),
            finished=_seconds(text.get("finished")),
            attempt=int(text["attempt"]),
            losses=int(text["losses"]),
            failures=int(text.get("failures", "0")),
            worker=text.get("worker"),
            exit=_number(text.get("exit")),
            signal=_number(text.get("signal")),
            reason=text.get("reason", ""),
            cause=text.get("cause", ""),
            cancelling="cancel" in text and text["state"] not in lifecycle.FINAL,
            paused="paused" in text and text["state"] == lifecycle.RUNNING,
            progress=json.loads(text["progress"]) if text.get("progress") else {},
            due=_seconds(text.get("due")) if text["state"] == lifecycle.WAITING else None,
            attempts=_attempts(text),
        )


def new_id() -> str:
    """A ULID: 48 bits of milliseconds and 80 random bits in Crockford's base 32, 26 characters."""
    value = (int(time.time() * 1000) << 80) | secrets.randbits(80)
    return "".join(_CROCKFORD[(value >> shift) & 31] for shift in range(125, -1, -5))


def is_id(text: str) -> bool:
    """Whether the text has the form of a job id."""
    return len(text) == 26 and set(_CROCKFORD).issuperset(text)


def _attempts(text: Mapping[str, str]) -> list[dict[str, Any]]:
    numbers = sorted(int(name.removeprefix("try:")) for name in text if name.startswith("try:"))
    return [_attempt(number, json.loads(text[f"try:{number}"])) for number in numbers]


def _attempt(number: int, ending: dict[str, Any]) -> dict[str, Any]:
    return {
        "number": number,
        "event": ending["event"],
        "worker": ending["worker"],
        "started": ending["started"] / 1000,
        "ended": ending["ended"] / 1000,
        "exit": _number(ending.get("exit")),
        "signal": _number(ending.get("signal")),
        "cause": ending.get("cause", ""),
        "reason": ending.get("reason", ""),
    }


def _seconds(milliseconds: str | None) -> float | None:
    return int(milliseconds) / 1000 if milliseconds else None


def _number(text: str | None) -> int | None:
    return int(text) if text else None
