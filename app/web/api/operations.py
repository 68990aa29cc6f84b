"""`/v1/bulk`: one action on many jobs, those that are named or all that match a filter, in the background."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.state.clients import Client
from app.state.listing import Filter
from app.state.operations import NoSuchOperation, Operation
from app.web import filters, schema, views
from app.web.api.answering import ANYBODY, noted
from app.web.api.lists import only_own
from app.web.auth import signed
from app.web.bulk import COUNTING, dry, prepare, told
from app.web.parts import bulkwork, store
from app.web.problems import Problem
from app.web.views import answer
from app.wire.messages import BULK


@signed(*ANYBODY)
async def bulk(request: Request, client: Client, body: bytes) -> Response:
    """Begins an action on many jobs: 202, and 200 with `dry_run` which only counts and shows the newest of them.

    Give `ids`, or a `filter` of the same words as in GET /v1/jobs: then it concerns all that match and that the action
    can concern, of those that are there now. `cancel` concerns waiting, queued and running jobs, `lane` waiting and
    queued ones. `retry` makes a new job of each; its filter must name one of the states of jobs that have ended.
    Asking twice with one key begins it once. How it goes on is told by GET /v1/bulk/{id}.
    """
    asked = schema.decode(body, schema.Bulk)
    which = only_own(await _filter(request, asked.filter or schema.Words()), client)
    work = prepare(asked, which, f"key {client.id}")
    if asked.dry_run:
        told_first = await dry(request, work)
        shown = [views.job(job) for job in told_first.jobs]
        total, exact = told_first.total, told_first.exact
        return answer({"action": work.action, "total": total, "exact": exact, "jobs": shown})
    begun = await bulkwork(request).begin(asked.key, work, COUNTING)
    await noted(request, client, f"began to {told(work)}", f"operation {begun.id}")
    return answer(view(begun), 202, {"Location": f"{BULK}/{begun.id}"})


@signed(*ANYBODY)
async def bulks(request: Request, client: Client, body: bytes) -> Response:
    """The operations that go on, and those that ended within a day, the newest first. A client sees its own."""
    found = [one for one in await store(request).operations.all() if _may_see(client, one)]
    return answer({"operations": [view(one) for one in found]})


@signed(*ANYBODY)
async def bulk_show(request: Request, client: Client, body: bytes) -> Response:
    """One operation: `total` jobs, of which so many are `done`, were left alone (`skipped`) or `failed`."""
    return answer(view(await _own(request, client)))


@signed(*ANYBODY)
async def bulk_cancel(request: Request, client: Client, body: bytes) -> Response:
    """Stops an operation: 200. What it has done stays done. 409 when it has ended."""
    found = await _own(request, client)
    if await store(request).operations.stop(found.id) != "stopped":
        raise Problem(409, "ended", f"operation {found.id} has ended already")
    return answer(view(await store(request).operations.get(found.id)))


def view(one: Operation) -> dict[str, Any]:
    """An operation as JSON."""
    work = one.work
    return {
        "id": one.id,
        "action": work.action,
        "lane": work.lane or None,
        "filter": None if work.ids else filters.words(work.which),
        "by": work.by,
        "state": one.state,
        "began": one.began,
        "ended": one.ended,
        "total": one.total,
        "exact": one.exact,
        "done": one.done,
        "skipped": one.skipped,
        "failed": one.failed,
        "note": one.note,
    }


async def _filter(request: Request, asked: schema.Words) -> Filter:
    words = {name: str(value) for name, value in msgspec.structs.asdict(asked).items() if name != "label"}
    return filters.parse(words, asked.label, await store(request).listing.now())


async def _own(request: Request, client: Client) -> Operation:
    found = await store(request).operations.get(request.path_params["operation_id"])
    if not _may_see(client, found):
        raise NoSuchOperation(f"there is no operation {found.id}")
    return found


def _may_see(client: Client, one: Operation) -> bool:
    return client.role == "admin" or one.work.by == f"key {client.id}"


ROUTES = [
    Route(BULK, bulk, methods=["POST"]),
    Route(BULK, bulks, methods=["GET"]),
    Route(BULK + "/{operation_id}", bulk_show, methods=["GET"]),
    Route(BULK + "/{operation_id}/cancel", bulk_cancel, methods=["POST"]),
]
