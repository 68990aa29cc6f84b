"""The HTTP API under /v1: one function an operation."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app import logs
from app.state import lifecycle
from app.state.clients import Client
from app.state.job import Job, NoSuchJob, is_id
from app.state.jobs import Jobs, Submitted
from app.state.jobs import Submission as Stored
from app.state.output import Entry, Output
from app.state.requirements import requirement
from app.web import schema, views
from app.web.auth import signed
from app.web.census import Census
from app.web.problems import Problem
from app.wire import command, placing, roots
from app.wire.messages import FLEET_HEADER, STALL_SECONDS, WITHDRAWN, job_path

ANYBODY = ("client", "admin")
LOG_WAIT = 2.0  # seconds a followed log waits before it looks at the job's state


@signed(*ANYBODY)
async def submit(request: Request, client: Client, body: bytes) -> Response:
    """Queues a command. 201 for a new job, 200 for one that this key has made before."""
    wanted = schema.decode(body, schema.Submission)
    return await _submitted(request, prepare(wanted, client.id))


@signed(*ANYBODY)
async def retry(request: Request, client: Client, body: bytes) -> Response:
    """Runs an ended job's command again, as a new job that names the old one."""
    old = await owned_job(request, client)
    if not old.ended:
        raise Problem(
            409, "not-ended", f"job {old.id} is {old.state}: only a job that has ended can be run again"
        )
    key = schema.decode(body, schema.Retry).key
    wanted = {**await jobs(request).sealed_spec(old.id), "attach": False, "retry_of": old.id}
    return await _submitted(request, _stored(key, wanted, old.owner, require_worker=False))


@signed(*ANYBODY)
async def listing(request: Request, client: Client, body: bytes) -> Response:
    """The newest jobs: `state`, `limit` (1 to 200) and `before`, the `next` of the page before."""
    query = request.query_params
    state, limit, before = query.get("state", ""), query.get("limit", "50"), query.get("before", "")
    if state and state not in lifecycle.STATES:
        raise Problem(422, "invalid", f"state: {state!r} is none of {', '.join(lifecycle.STATES)}")
    if not (limit.isascii() and limit.isdigit()) or not 1 <= int(limit) <= 200:
        raise Problem(422, "invalid", f"limit: expected 1 to 200, got {limit!r}")
    if before and not _is_cursor(before, is_id):
        raise Problem(422, "invalid", "before: expected the 'next' of an earlier page")
    owner = "" if client.role == "admin" else client.id
    found, following = await jobs(request).page(int(limit), before, state, owner)
    return answer({"jobs": [views.job(one) for one in found], "next": following or None})


@signed(*ANYBODY)
async def show(request: Request, client: Client, body: bytes) -> Response:
    """One job."""
    return answer(views.job(await owned_job(request, client)))


@signed(*ANYBODY)
async def cancel(request: Request, client: Client, body: bytes) -> Response:
    """Ends a job: 200 when it was queued, 202 when its worker has been told, 409 when it has ended.

    With `if=queued` a job that a worker has taken is left alone, and that is a 409 too.
    """
    one = await owned_job(request, client)
    if "if" in request.query_params:
        return await _withdraw(request, one)
    state = await jobs(request).cancel(one.id, reason=f"cancelled by {client.id}")
    if state == "late":
        raise Problem(409, "too-late", f"job {one.id} is done: its outputs are getting their names")
    if state == "ended":
        raise Problem(409, "ended", f"job {one.id} has ended already: it is {one.state}")
    if state == lifecycle.CANCELLED and one.spec["attach"]:
        await request.app.state.store.output.wake(one.id)
    return answer({"id": one.id, "state": state}, 202 if state == "cancelling" else 200)


@signed(*ANYBODY)
async def pause(request: Request, client: Client, body: bytes) -> Response:
    """Stops a running job's ffmpeg where it is: 202 when its worker has been told, 409 when it does not run."""
    return await _pause(request, client, "pause")


@signed(*ANYBODY)
async def resume(request: Request, client: Client, body: bytes) -> Response:
    """Lets a paused job go on: 202 when its worker has been told, 409 when it does not run."""
    return await _pause(request, client, "resume")


@signed(*ANYBODY)
async def log(request: Request, client: Client, body: bytes) -> Response:
    """What the job printed, a JSON object a line; with `follow=1` until it ends. `after` skips entries."""
    one = await owned_job(request, client)
    after, follow = request.query_params.get("after", "0-0"), request.query_params.get("follow") == "1"
    if not _is_cursor(after, _is_number):
        raise Problem(422, "invalid", "after: expected the id of an entry")
    lines = _log_lines(request.app.state.store.output, jobs(request), one.id, after, follow)
    return StreamingResponse(lines, media_type="application/x-ndjson")


@signed(*ANYBODY)
async def workers(request: Request, client: Client, body: bytes) -> Response:
    """All workers that are remembered."""
    return answer({"workers": [views.worker(one) for one in await request.app.state.store.workers.all()]})


@signed(*ANYBODY)
async def fleet(request: Request, client: Client, body: bytes) -> Response:
    """Which workers would serve jobs with these labels: an id that changes when their answers may, "" for none.

    The id is in the header `FFGrid-Fleet` too, and so it is in the answer to a submission. It is at most two
    seconds old.
    """
    labels = schema.labels(request.query_params.getlist("label"))
    known, workers = await census(request).fleet(labels)
    return answer({"fleet": known, "workers": workers}, headers={FLEET_HEADER: known})


@signed("admin")
async def drain(request: Request, client: Client, body: bytes) -> Response:
    """Tells a worker to take nothing new and to end when its jobs have ended."""
    await request.app.state.store.workers.drain(request.path_params["worker_id"])
    return answer({"id": request.path_params["worker_id"], "state": "draining"}, 202)


def answer(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """JSON, made by what also reads it."""
    return Response(msgspec.json.encode(content), status, headers, "application/json")


def jobs(request: Request) -> Jobs:
    """The jobs of this application."""
    found: Jobs = request.app.state.jobs
    return found


def census(request: Request) -> Census:
    """What this process knows of the live workers."""
    found: Census = request.app.state.census
    return found


async def owned_job(request: Request, client: Client) -> Job:
    """The job that the path names, if it is this client's to see. Raises NoSuchJob."""
    job_id = request.path_params["job_id"]
    one = await jobs(request).get(job_id) if is_id(job_id) else None
    if one is None or (client.role != "admin" and one.owner != client.id):
        raise NoSuchJob(f"there is no job {job_id}")
    return one


async def _withdraw(request: Request, one: Job) -> Response:
    condition = request.query_params["if"]
    if condition != lifecycle.QUEUED:
        raise Problem(422, "invalid", f"if: expected 'queued', got {condition!r}")
    state = await jobs(request).interrupt(one.id, WITHDRAWN)
    if state != lifecycle.CANCELLED:
        raise Problem(409, "not-queued", f"job {one.id} is {state}: a worker has taken it")
    if one.spec["attach"]:
        await request.app.state.store.output.wake(one.id)
    return answer({"id": one.id, "state": state})


async def _pause(request: Request, client: Client, how: str) -> Response:
    one = await owned_job(request, client)
    state = await jobs(request).pause(one.id, how)
    if state != lifecycle.RUNNING:
        raise Problem(409, "not-running", f"job {one.id} is {state}: only a running job can be paused")
    return answer({"id": one.id, "state": "pausing" if how == "pause" else "running"}, 202)


def prepare(wanted: schema.Submission, owner: str) -> Stored:
    """A checked submission, ready to be stored. Raises Problem 422."""
    arguments = [schema.folded(argument, f"args[{index}]") for index, argument in enumerate(wanted.args)]
    spec = {
        "binary": wanted.binary,
        "args": arguments,
        "cwd": None if wanted.cwd is None else schema.folded(wanted.cwd, "cwd"),
        "view": {name: schema.folded(path, f"view.{name}") for name, path in wanted.view.items()},
        "labels": wanted.labels,
        "lane": wanted.lane,
        "nice": wanted.nice,
        "env": schema.environment(wanted.env),
        "attach": wanted.attach,
        "in_place": wanted.in_place,
        "max_attempts": wanted.max_attempts,
        "retries": wanted.retries,
        "retry_delay": wanted.retry_delay,
        "max_seconds": wanted.max_seconds,
        "stall_seconds": _stall_seconds(wanted),
        **schema.given(wanted, ("stdin", "umask", "user", "redo")),
    }
    if wanted.attach and wanted.retries:
        raise Problem(422, "invalid", "retries: an attached job runs once, its caller sees how that ends")
    return _stored(wanted.key, spec, owner, wanted.require_worker)


def _stored(key: str, spec: dict[str, Any], owner: str, require_worker: bool) -> Stored:
    if roots.names(spec["view"].values()):
        raise Problem(
            422, "invalid", "view: a path names a root, expected the directory on the client's host"
        )
    if spec["cwd"] is not None and placing.is_outside(spec["cwd"], None):
        raise Problem(422, "outside-roots", "cwd: the directory lies outside every root")
    named = roots.names([*spec["args"], spec["cwd"] or ""])
    plain = [roots.unfold(argument, {name: f"/{name}" for name in named}) for argument in spec["args"]]
    schema.check_sizes(plain)
    read = command.read(spec["binary"], plain)
    outside = placing.strays(read, spec["args"], spec["cwd"])
    if outside:
        raise Problem(
            422, "outside-roots", f"args[{outside[0]}]: {plain[outside[0]]!r} lies outside every root"
        )
    encoders = [name for name in read.encoders if command.build_dependent(name)]
    return Stored(
        key=key,
        digest=sha256(json.dumps(spec, sort_keys=True).encode()).hexdigest(),
        owner=owner,
        spec=spec,
        needs=requirement(spec["binary"], named, spec["labels"], encoders),
        lane=spec["lane"],
        redo=_redo(spec, command.kind(read)),
        attach=spec["attach"],
        max_attempts=spec["max_attempts"],
        retries=spec.get("retries", 0),
        retry_delay=spec.get("retry_delay", 0),
        require_worker=require_worker,
        request=logs.known("request_id"),
    )


def _redo(spec: dict[str, Any], kind: str) -> str:
    """When another worker may run it, if nothing is said: at once what leaves nothing, or files under its own names."""
    may_meet = kind == "stream" or (kind == "atomic" and spec["in_place"])
    return spec.get("redo") or ("fenced" if may_meet else "suspected")


def _stall_seconds(wanted: schema.Submission) -> float:
    if wanted.stall_seconds is None:
        return 0 if wanted.attach else STALL_SECONDS
    return wanted.stall_seconds


async def _submitted(request: Request, submission: Stored) -> Response:
    census(request).look()  # meanwhile: telling the fleet must not make anybody wait
    made: Submitted = await jobs(request).submit(submission)
    body: dict[str, Any] = {"id": made.id, "qualified": made.qualified, "new": made.new}
    if not made.qualified:
        body["warning"] = (
            f"queued, but {await jobs(request).why_nobody(submission.needs) or 'no worker is free'}"
        )
    headers = {"Location": job_path(made.id), **await census(request).header(submission.needs["labels"])}
    return answer(body, 201 if made.new else 200, headers)


async def _log_lines(
    output: Output, all_jobs: Jobs, job_id: str, after: str, follow: bool
) -> AsyncIterator[bytes]:
    last: Entry | None = None
    while True:
        ended = (await all_jobs.get(job_id)).ended  # asked before reading: what is read then is all there is
        entries = await output.read_log(job_id, after, LOG_WAIT if follow and not ended else 0.0)
        for entry in entries:
            if missing := _missing(last, entry):
                gap = {"id": after, "kind": "gap", "attempt": entry.attempt, "missing": missing}
                yield json.dumps(gap).encode() + b"\n"
            after, last = entry.id, entry
            if entry.kind:
                yield json.dumps(_log_line(entry)).encode() + b"\n"
        if not entries and (ended or not follow):
            break
    one = await all_jobs.get(job_id)
    yield (
        json.dumps({"kind": "end", "state": one.state, "exit": one.exit, "signal": one.signal}).encode()
        + b"\n"
    )


def _missing(last: Entry | None, entry: Entry) -> int:
    """How many entries were dropped between these two, because a log is bounded."""
    if last is None or last.attempt != entry.attempt or not entry.serial:
        return 0
    return max(0, entry.serial - last.serial - 1)


def _log_line(entry: Entry) -> dict[str, Any]:
    kind = {b"O": "stdout", b"E": "stderr"}.get(entry.kind, "note")
    line = {"id": entry.id, "kind": kind, "attempt": entry.attempt}
    try:
        return {**line, "data": entry.data.decode()}
    except UnicodeDecodeError:
        return {**line, "b64": base64.b64encode(entry.data).decode()}


def _is_cursor(text: str, is_second: Callable[[str], bool]) -> bool:
    first, separator, second = text.partition("-")
    return bool(separator) and _is_number(first) and is_second(second)


def _is_number(text: str) -> bool:
    """Digits that fit into 64 bits."""
    return text.isascii() and text.isdigit() and len(text) < 20
