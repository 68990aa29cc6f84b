"""/submit: a form for a command, checked while it is filled in, and stored as `POST /v1/jobs` would."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from app.state.job import NoSuchJob, is_id
from app.state.workers import Worker
from app.web import pages, preparing
from app.web.dashboard import door, live
from app.web.dashboard.acting import record
from app.web.dashboard.forms import form
from app.web.dashboard.submit import submission, typed
from app.web.dashboard.submit.submission import Checked
from app.web.parts import census, jobs, store
from app.web.words import visible
from app.wire.messages import LANES


@door.reachable
async def show(request: Request) -> Response:
    """The form, empty or filled with the job that `from` names."""
    source = request.query_params.get("from", "").upper()
    if not source:
        return await _page(request, Checked(dict(submission.EMPTY)), secrets.token_hex(8))
    try:
        fields, errors = submission.filled(await _original(request, source) or {}, source), {}
    except typed.CannotRead as error:
        fields, errors = (
            dict(submission.EMPTY),
            {"command": f"{visible(str(error))}. Run the job again instead."},
        )
    return await _page(request, Checked(fields, errors), secrets.token_hex(8))


@door.reachable
async def submit(request: Request) -> Response:
    """Queues it, or shows the form again with what is wrong; with `only=check` it only checks."""
    fields = await form(request, submission.LONGEST)
    checked, key = await _checked(request, fields), _key(fields)
    if checked.stored is None or fields.get("only") == "check":
        return await _page(request, checked, key, 422 if checked.errors else 200)
    census(request).look()
    made = await preparing.submit(jobs(request), submission.keyed(checked.stored, key))
    if made.new:
        await record(request, "submitted", made.id)
    return pages.redirect(f"/jobs/{made.id}")


@door.reachable
async def check(request: Request) -> Response:
    """What is to be said of the form as it is now: partials for htmx, while somebody types."""
    checked = await _checked(request, await form(request, submission.LONGEST))
    nobody = await _nobody(request, checked)
    text = pages.render("_submit_check.html", checked=checked, names=submission.EMPTY, nobody=nobody)
    return HTMLResponse(text, headers=pages.HEADERS)


async def _checked(request: Request, fields: Mapping[str, str]) -> Checked:
    user = door.user(request)
    source = fields.get("source", "")
    try:
        original = await _original(request, source) if source else None
    except NoSuchJob:
        original = None
    return submission.check(fields, f"user:{user.name}" if user else "user:", original)


async def _original(request: Request, source: str) -> dict[str, Any]:
    """What the job runs of which this is a copy. Raises NoSuchJob, BadSeal."""
    if not is_id(source):
        raise NoSuchJob(f"there is no job {source[:100]!r}")
    return await jobs(request).sealed_spec(source)


async def _nobody(request: Request, checked: Checked) -> str:
    """Why no worker could take it now, or ""."""
    if checked.stored is None:
        return ""
    return visible(await jobs(request).why_nobody(checked.stored.needs))


async def _page(request: Request, checked: Checked, key: str, status: int = 200) -> Response:
    workers: list[Worker] = await store(request).workers.live()
    return pages.page(
        "submit.html",
        status,
        user=door.user(request),
        live=await live.show(request),
        checked=checked,
        names=submission.EMPTY,
        key=key,
        lanes=LANES,
        roots=_roots(workers),
        nobody=await _nobody(request, checked),
    )


def _roots(workers: list[Worker]) -> list[tuple[str, str]]:
    """Each root that a live worker has, and who has it."""
    holders: dict[str, list[str]] = {}
    for worker in workers:
        for root in worker.about.get("roots", ()):
            holders.setdefault(str(root), []).append(worker.id)
    return [(visible(root), visible(", ".join(names))) for root, names in sorted(holders.items())]


def _key(fields: Mapping[str, str]) -> str:
    """The form's own; one that somebody made up must fit into a key."""
    text = fields.get("key", "")
    fits = text.isascii() and text.isalnum() and 8 <= len(text) <= 32
    return text if fits else secrets.token_hex(8)


ROUTES: list[BaseRoute] = [
    Route("/submit", show),
    Route("/submit", submit, methods=["POST"]),
    Route("/submit/check", check, methods=["POST"]),
]
