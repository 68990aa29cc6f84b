"""The page of who did what."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app.state.activity import Deed
from app.state.job import is_id
from app.web import pages
from app.web.cursors import is_cursor, is_number
from app.web.dashboard import door, live, present
from app.web.parts import jobs, store
from app.web.problems import Problem
from app.web.words import shortened, visible

PAGE = 50


@dataclass(frozen=True)
class Line:
    """A deed. `path` is the page of what it was done to, or ""."""

    id: str
    at: present.Moment
    who: str
    did: str
    what: str
    path: str


@door.reachable
async def activity(request: Request) -> Response:
    """The newest deeds, or those before the entry `before`."""
    before = request.query_params.get("before", "")
    if before and not is_cursor(before, is_number):
        raise Problem(422, "invalid", "before: expected the link to older entries of an earlier page")
    found = await store(request).activity.newest(PAGE + 1, before)
    _, now = await jobs(request).revision()
    return pages.page(
        "activity.html",
        user=door.user(request),
        live=await live.show(request),
        lines=[line(deed, now) for deed in found[:PAGE]],
        older=found[PAGE - 1].id if len(found) > PAGE else "",
        before=before,
    )


def line(deed: Deed, now: float) -> Line:
    """A deed as the page shows it."""
    return Line(
        deed.id,
        present.moment(deed.at, now),
        visible(shortened(deed.who, 80)),
        visible(deed.did),
        visible(shortened(deed.what, 120)),
        f"/jobs/{deed.what}" if is_id(deed.what) else "",
    )


ROUTES: list[BaseRoute] = [Route("/activity", activity)]
