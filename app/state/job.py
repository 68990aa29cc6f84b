"""A job as the rest of the program sees it: parsed once from its Redis hash."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.state import lifecycle

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class JobError(Exception):
    """Something about a job that the caller can be told."""


class NoSuchJob(JobError):
    """There is no job with this id."""


class LeaseLost(JobError):
    """The job is another worker's now, or has ended."""


@dataclass(frozen=True)
class Job:
    """One job. Times are Unix seconds; `progress` is what the worker last said (see `worker.progress`)."""

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
    worker: str | None = None
    exit: int | None = None
    signal: int | None = None
    reason: str = ""
    cause: str = ""
    cancelling: bool = False
    paused: bool = False
    progress: dict[str, Any] = field(default_factory=dict)

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
            worker=text.get("worker"),
            exit=_number(text.get("exit")),
            signal=_number(text.get("signal")),
            reason=text.get("reason", ""),
            cause=text.get("cause", ""),
            cancelling="cancel" in text and text["state"] not in lifecycle.FINAL,
            paused="paused" in text and text["state"] == lifecycle.RUNNING,
            progress=json.loads(text["progress"]) if text.get("progress") else {},
        )


def new_id() -> str:
    """A ULID: 48 bits of milliseconds and 80 random bits in Crockford's base 32, 26 characters."""
    value = (int(time.time() * 1000) << 80) | secrets.randbits(80)
    return "".join(_CROCKFORD[(value >> shift) & 31] for shift in range(125, -1, -5))


def is_id(text: str) -> bool:
    """Whether the text has the form of a job id."""
    return len(text) == 26 and set(_CROCKFORD).issuperset(text)


def _seconds(milliseconds: str | None) -> float | None:
    return int(milliseconds) / 1000 if milliseconds else None


def _number(text: str | None) -> int | None:
    return int(text) if text else None
