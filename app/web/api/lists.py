"""`GET /v1/jobs`: the jobs that a filter lets through, page by page."""

from __future__ import annotations

from dataclasses import replace

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.state.clients import Client
from app.state.listing import Filter
from app.web import filters, views
from app.web.api.answering import ANYBODY
from app.web.auth import signed
from app.web.cursors import check_cursors
from app.web.parts import store
from app.web.problems import Problem
from app.web.views import answer
from app.wire.messages import JOBS

LIMIT = 200  # jobs in one answer


@signed(*ANYBODY)
async def listing(request: Request, client: Client, body: bytes) -> Response:
    """The newest jobs that match. `next` is the `before` of the page of older ones, `newer` the `after` of newer ones.

    A client sees its own jobs, an admin everybody's. `searched` is null, or the Unix seconds back to which was looked
    when there was no time for more: then the page is not full, and `next` goes on from there.
    """
    query, lists = request.query_params, store(request).listing
    which = only_own(filters.parse(query, query.getlist("label"), await lists.now()), client)
    limit, before, after = query.get("limit", "50"), query.get("before", ""), query.get("after", "")
    if not (limit.isascii() and limit.isdigit() and len(limit) < 9) or not 1 <= int(limit) <= LIMIT:
        raise Problem(422, "invalid", f"limit: expected 1 to {LIMIT}, got {limit!r}")
    check_cursors(before, after)
    page = await lists.page(which, int(limit), before, after)
    return answer(
        {
            "jobs": [views.job(one) for one in page.jobs],
            "next": page.older or None,
            "newer": page.newer or None,
            "searched": None if page.searched is None else page.searched / 1000,
        }
    )


def only_own(which: Filter, client: Client) -> Filter:
    """The filter within what the client may see. Raises Problem 403."""
    if client.role == "admin" or which.owner == client.id:
        return which
    if which.owner:
        raise Problem(403, "forbidden", f"owner: a key of role {client.role} sees its own jobs only")
    return replace(which, owner=client.id)


ROUTES = [Route(JOBS, listing, methods=["GET"])]
