"""`/v1/jobs` and `/v1/fleet`: one function an operation."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from app.state import lifecycle
from app.state.clients import Client
from app.state.job import Job, NoSuchJob, is_id
from app.state.jobs import Submission as Stored
from app.web import logs, preparing, schema, steering, views
from app.web.api.answering import ANYBODY, noted
from app.web.auth import signed
from app.web.cursors import is_cursor, is_number
from app.web.leaving import until_leaving
from app.web.parts import census, jobs, store
from app.web.problems import Problem
from app.web.views import answer
from app.wire.messages import FLEET, FLEET_HEADER, JOBS, WITHDRAWN, job_path


@signed(*ANYBODY)
async def submit(request: Request, client: Client, body: bytes) -> Response:
    """Queues a command. 201 for a new job, 200 for one that this key has made before."""
    wanted = schema.decode(body, schema.Submission)
    return await _submitted(request, preparing.prepare(wanted, client.id))


@signed(*ANYBODY)
async def retry(request: Request, client: Client, body: bytes) -> Response:
    """Runs an ended job's command again, as a new job that names the old one."""
    old = await owned_job(request, client)
    key = schema.decode(body, schema.Retry).key
    made = await _submitted(request, await preparing.again(jobs(request), old, key, old.owner))
    await noted(request, client, "retried", old.id)
    return made


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
    state = await steering.cancel(request.app.state, one, f"cancelled by {client.id}")
    await noted(request, client, "cancelled", one.id)
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
    if not is_cursor(after, is_number):
        raise Problem(422, "invalid", "after: expected the id of an entry")
    lines = logs.told(store(request).output, jobs(request), one.id, after, follow)
    return StreamingResponse(lines, media_type="application/x-ndjson")


@signed(*ANYBODY)
async def fleet(request: Request, client: Client, body: bytes) -> Response:
    """Which workers would serve jobs with these labels: an id that changes when their answers may, "" for none.

    The id is in the header `FFGrid-Fleet` too, and so it is in the answer to a submission. It is at most two
    seconds old.
    """
    labels = schema.labels(request.query_params.getlist("label"))
    known, workers = await census(request).fleet(labels)
    return answer({"fleet": known, "workers": workers}, headers={FLEET_HEADER: known})


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
        await store(request).output.wake(one.id)
    return answer({"id": one.id, "state": state})


async def _pause(request: Request, client: Client, how: str) -> Response:
    one = await owned_job(request, client)
    await steering.pause(request.app.state, one, how)
    await noted(request, client, "paused" if how == "pause" else "resumed", one.id)
    return answer({"id": one.id, "state": "pausing" if how == "pause" else "running"}, 202)


async def _submitted(request: Request, submission: Stored) -> Response:
    census(request).look()  # meanwhile: telling the fleet must not make anybody wait
    made = await preparing.submit(jobs(request), submission)
    body: dict[str, Any] = {"id": made.id, "qualified": made.qualified, "new": made.new}
    if not made.qualified:
        body["warning"] = (
            f"queued, but {await jobs(request).why_nobody(submission.needs) or 'no worker is free'}"
        )
    headers = {"Location": job_path(made.id), **await census(request).header(submission.needs["labels"])}
    return answer(body, 201 if made.new else 200, headers)


ROUTES = [
    Route(JOBS, submit, methods=["POST"]),
    Route(JOBS + "/{job_id}", show, methods=["GET"]),
    Route(JOBS + "/{job_id}/log", until_leaving(log), methods=["GET"]),
    Route(JOBS + "/{job_id}/cancel", cancel, methods=["POST"]),
    Route(JOBS + "/{job_id}/pause", pause, methods=["POST"]),
    Route(JOBS + "/{job_id}/resume", resume, methods=["POST"]),
    Route(JOBS + "/{job_id}/retry", retry, methods=["POST"]),
    Route(FLEET, fleet, methods=["GET"]),
]
