"""`/v1/bulk`: one action on many jobs, those that are named or all that match a filter, in the background."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.state.activity import Activity
from app.state.clients import Client
from app.state.job import Job
from app.state.listing import Filter
from app.state.operations import ACTIONS, NoSuchOperation, Operation, Operations, Work
from app.web import filters, schema, views
from app.web.api import ANYBODY, answer
from app.web.auth import signed
from app.web.lists import lists_of, only_own
from app.web.problems import Problem
from app.wire.messages import BULK

SHOWN = 20  # jobs that a dry run shows
COUNTING = 2.0  # seconds that counting may take


@dataclass(frozen=True)
class Dry:
    """What an action would concern: how many jobs, the newest of them, and the ids of those that were named."""

    total: int
    exact: bool
    jobs: list[Job]
    ids: tuple[str, ...] = ()


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
    begun = await operations(request).undertake(asked.key, work, COUNTING)
    activity: Activity = request.app.state.store.activity
    await activity.add(work.by, f"began to {told(work)}", f"operation {begun.id}")
    return answer(view(begun), 202, {"Location": f"{BULK}/{begun.id}"})


@signed(*ANYBODY)
async def bulks(request: Request, client: Client, body: bytes) -> Response:
    """The operations that go on, and those that ended within a day, the newest first. A client sees its own."""
    found = [one for one in await operations(request).all() if _may_see(client, one)]
    return answer({"operations": [view(one) for one in found]})


@signed(*ANYBODY)
async def bulk_show(request: Request, client: Client, body: bytes) -> Response:
    """One operation: `total` jobs, of which so many are `done`, were left alone (`skipped`) or `failed`."""
    return answer(view(await _own(request, client)))


@signed(*ANYBODY)
async def bulk_cancel(request: Request, client: Client, body: bytes) -> Response:
    """Stops an operation: 200. What it has done stays done. 409 when it has ended."""
    found = await _own(request, client)
    if await operations(request).stop(found.id) != "stopped":
        raise Problem(409, "ended", f"operation {found.id} has ended already")
    return answer(view(await operations(request).get(found.id)))


def prepare(asked: schema.Bulk, which: Filter, by: str) -> Work:
    """What is asked, checked. Raises Problem 422."""
    if bool(asked.ids) == (asked.filter is not None):
        raise Problem(422, "invalid", "ids, filter: expected one of them; {} is the filter of all jobs")
    if (asked.action == "lane") != (asked.lane is not None):
        raise Problem(422, "invalid", "lane: expected with the action 'lane', and with no other")
    states = ACTIONS[asked.action]
    if not asked.ids:
        if asked.action == "retry" and not which.state:
            raise Problem(422, "invalid", f"filter.state: expected which to run again: {', '.join(states)}")
        if which.state and which.state not in states:
            raise Problem(
                422,
                "invalid",
                f"filter.state: {asked.action!r} concerns jobs that are {', '.join(states)}, got {which.state!r}",
            )
        states = (which.state,) if which.state else states
    ids = tuple(dict.fromkeys(asked.ids or ()))
    return Work(asked.action, by, which, states, ids, asked.lane or "")


def told(work: Work) -> str:
    """The action in words."""
    return {"cancel": "cancel jobs", "retry": "run jobs again"}.get(work.action, f"move jobs to {work.lane}")


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


def operations(request: Request) -> Operations:
    """The operations of this application."""
    found: Operations = request.app.state.store.operations
    return found


async def _filter(request: Request, asked: schema.Words) -> Filter:
    words = {name: str(value) for name, value in msgspec.structs.asdict(asked).items() if name != "label"}
    return filters.parse(words, asked.label, await lists_of(request).now())


async def dry(request: Request, work: Work) -> Dry:
    """What it would concern."""
    lists = lists_of(request)
    if work.ids:
        found = [job for job in await lists.read(list(work.ids)) if work.concerns(job)]
        return Dry(len(found), True, found[:SHOWN], tuple(job.id for job in found))
    total = await operations(request).count(work, COUNTING)
    pages = [await lists.page(replace(work.which, state=state), SHOWN) for state in work.states]
    newest = sorted((job for page in pages for job in page.jobs), key=lambda job: job.created, reverse=True)
    return Dry(total.number, total.exact, newest[:SHOWN])


async def _own(request: Request, client: Client) -> Operation:
    found = await operations(request).get(request.path_params["operation_id"])
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
