"""Jobs and workers as the API shows them, in JSON. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from starlette.responses import Response

from app.state.job import Job
from app.state.jobs import command_line
from app.state.queues import Queue
from app.state.workers import Day, Worker
from app.web import coverage


def job(one: Job) -> dict[str, Any]:
    """A job as JSON: times in Unix seconds, `exit` and `signal` null until it has ended."""
    return {
        "id": one.id,
        "state": one.state,
        "cancelling": one.cancelling,
        "paused": one.paused,
        "binary": one.spec["binary"],
        "command": command_line(one.spec),
        "lane": one.lane,
        "labels": one.spec.get("labels", {}),
        "owner": one.owner,
        "created": one.created,
        "started": one.started,
        "finished": one.finished,
        "attempt": one.attempt,
        "losses": one.losses,
        "failures": one.failures,
        "worker": one.worker,
        "exit": one.exit,
        "signal": one.signal,
        "reason": one.reason,
        "cause": one.cause,
        "due": one.due,
        "attempts": one.attempts,
        "retry_of": one.spec.get("retry_of"),
        "progress": one.progress or None,
    }


def worker(one: Worker, day: Day) -> dict[str, Any]:
    """A worker as JSON; `silent` is seconds since its last heartbeat."""
    return {
        "id": one.id,
        "state": one.state,
        "busy": one.busy,
        "silent": round(one.silent, 3),
        "draining": one.draining,
        "paused": one.paused,
        "done_24h": day.done,
        "failed_24h": day.failed,
        **one.about,
    }


def queue(one: Queue, workers: Sequence[Worker]) -> dict[str, Any]:
    """A queue as JSON."""
    return {
        "class": one.cls,
        **one.needs,
        "queued": one.queued,
        "running": one.held,
        "oldest": None if one.oldest is None else round(one.oldest, 3),
        "lanes": {lane.name: {"queued": lane.queued, "running": lane.held} for lane in one.lanes},
        "workers": [worker.id for worker in coverage.able(one.needs, workers) if worker.takes],
        "why": coverage.why(one.needs, workers),
    }


def answer(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """JSON, made by what also reads it."""
    return Response(msgspec.json.encode(content), status, headers, "application/json")
