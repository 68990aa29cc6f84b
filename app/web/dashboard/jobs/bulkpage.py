"""One action on many jobs from the page of all jobs: asked for, confirmed with the exact count, stopped."""

from __future__ import annotations

import secrets
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app.state.listing import Filter
from app.state.operations import Work
from app.web import bulk, filters, pages, schema
from app.web.dashboard import door
from app.web.dashboard.acting import acted, record
from app.web.dashboard.forms import form
from app.web.dashboard.jobs import jobrows
from app.web.dashboard.jobs.joblist import WORDS, asked_for, at
from app.web.parts import bulkwork, store
from app.web.problems import Problem
from app.web.words import number


@door.reachable
async def confirm(request: Request) -> Response:
    """How many jobs it would concern, the newest of them, and the button that does it."""
    query = request.query_params
    fields = {name: query.get(name, "") for name in ("action", "to")}
    words = asked_for(request)
    if query.get("all") != "1":
        fields["ids"] = ",".join(query.getlist("id"))
        if not fields["ids"]:
            raise Problem(422, "nothing-selected", "no job is selected: tick some, or choose all that match")
    work = await _work(request, {**fields, **words})
    dry = await bulk.dry(request, work)
    if work.ids:
        fields["ids"] = ",".join(dry.ids)
    now = await store(request).listing.now() / 1000
    context: dict[str, Any] = {
        "user": door.user(request),
        "what": jobrows.told(work),
        "which": jobrows.matching(work),
        "work": work,
        "total": dry.total,
        "number": number(dry.total),
        "exact": dry.exact,
        "rows": [jobrows.job(one, now) for one in dry.jobs],
        "fields": {**fields, **({} if work.ids else words), "key": secrets.token_hex(16)},
        "back": at("/jobs", words),
    }
    return pages.page("bulk.html", **context)


@door.reachable
async def begin(request: Request) -> Response:
    """Begins what was confirmed. Sent twice, it begins once."""
    fields = await form(request)
    work = await _work(request, fields)
    begun = await bulkwork(request).begin(fields.get("key", ""), work, bulk.COUNTING)
    await record(request, f"began to {bulk.told(work)}", f"operation {begun.id}")
    return acted(request, "It has begun.", back="/jobs#operations")


@door.reachable
async def stop(request: Request) -> Response:
    """Stops an operation."""
    operation_id = request.path_params["operation_id"]
    if await store(request).operations.stop(operation_id) != "stopped":
        raise Problem(409, "ended", "this operation has ended already")
    await record(request, "stopped", f"operation {operation_id}")
    return acted(request, "The operation is stopped. What it has done stays done.", back="/jobs#operations")


async def _work(request: Request, fields: dict[str, str]) -> Work:
    """What these fields ask for, checked. Raises Problem 422."""
    ids = fields.get("ids", "")
    words = {name: fields[name] for name in WORDS if fields.get(name)}
    labels = [words.pop("label")] if "label" in words else []
    action = fields.get("action", "")
    asked = {
        "key": fields.get("key", "confirming"),
        "action": action,
        **({"ids": ids.split(",")} if ids else {"filter": {**words, "label": labels}}),
        **({"lane": fields.get("to", "")} if action == "lane" else {}),
    }
    checked = schema.decode(msgspec.json.encode(asked), schema.Bulk)
    which = Filter() if ids else filters.parse(words, labels, await store(request).listing.now())
    user = door.user(request)
    return bulk.prepare(checked, which, f"user {user.name if user else 'nobody'}")


ROUTES: list[BaseRoute] = [
    Route("/bulk", confirm, methods=["GET"]),
    Route("/bulk", begin, methods=["POST"]),
    Route("/bulk/{operation_id}/stop", stop, methods=["POST"]),
]
