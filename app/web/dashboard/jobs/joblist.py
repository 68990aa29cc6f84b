"""The page of all jobs: filters, pages in both directions, rows that are kept current where they stand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from starlette.datastructures import State
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app.state.events import Event
from app.state.job import Job
from app.state.lifecycle import STATES
from app.state.listing import Filter, Listing, Page
from app.state.operations import Operation, Operations
from app.web import filters, pages, words
from app.web.cursors import check_cursors
from app.web.dashboard import door, live, present
from app.web.dashboard.jobs import jobrows
from app.web.dashboard.topics import Rows, Topic
from app.web.parts import store
from app.web.problems import Problem
from app.wire.messages import LANES

SIZES = ("25", "50", "100")
USUAL = "50"
TOUCHED = 200  # jobs that one look is taken at: the last that something has happened to
NEW = 99  # new jobs that are counted
OPERATIONS = 8  # the newest
WORDS = ("state", "q", "lane", "worker", "owner", "label", "since", "until")
START = "0" * 26  # no job's id is smaller


class JobRows(Rows):
    """The rows of jobs that something happens to, and which job was the last to come."""

    def __init__(self, listing: Listing) -> None:
        self._listing = listing
        self._touched: dict[str, None] = {}
        self._last = ""

    def touched(self, event: Event) -> bool:
        """Remembers the job."""
        self._touched.pop(event.job, None)
        self._touched[event.job] = None
        while len(self._touched) > TOUCHED:
            self._touched.pop(next(iter(self._touched)))
        if event.event == "submit":
            self._last = event.job
        return True

    def row(self, event: Event) -> str:
        """The id of its row."""
        return f"job-{event.job}"

    async def look(self) -> tuple[list[Job], float]:
        """These jobs, and the time. Raises a RedisError."""
        asked = list(self._touched)
        found = await self._listing.read(asked) if asked else []
        now = await self._listing.now()
        for job_id in asked:
            self._touched.pop(job_id, None)
        return found, now / 1000

    def render(self, seen: tuple[list[Job], float], acts: bool) -> Mapping[str, str]:
        """A row each."""
        jobs, now = seen
        rows = {
            f"job-{one.id}": pages.render("_jobrow.html", job=jobrows.job(one, now), acts=acts)
            for one in jobs
        }
        return {**rows, "jobs-last": f'<data id="jobs-last" value="{self._last}" hidden></data>'}


class JobCounts(Topic):
    """How many jobs are in each state."""

    def __init__(self, listing: Listing) -> None:
        self._listing = listing

    def touched(self, event: Event) -> bool:
        """Whether a job has moved."""
        return event.event != "progress"

    async def look(self) -> dict[str, int]:
        """Raises a RedisError."""
        return await self._listing.counts(STATES)

    def render(self, seen: dict[str, int], acts: bool) -> Mapping[str, str]:
        """A number each."""
        counts = {"all": sum(seen.values()), **seen}
        return {
            f"count-{name}": pages.render("_count.html", name=name, count=words.number(n))
            for name, n in counts.items()
        }


class OperationsTopic(Topic):
    """Operations on many jobs."""

    period = 1.0

    def __init__(self, operations: Operations, listing: Listing) -> None:
        self._operations = operations
        self._listing = listing

    def touched(self, event: Event) -> bool:
        """They tell of themselves in time."""
        return False

    async def look(self) -> tuple[list[Operation], float]:
        """Raises a RedisError."""
        return (await self._operations.all())[:OPERATIONS], await self._listing.now() / 1000

    def render(self, seen: tuple[list[Operation], float], acts: bool) -> Mapping[str, str]:
        """All in one region."""
        rows = [jobrows.operation(one, seen[1]) for one in seen[0]]
        return {"operations": pages.render("_operations.html", rows=rows, acts=acts)}


@dataclass(frozen=True)
class Chip:
    """A state that the list can be narrowed to."""

    name: str
    label: str
    tone: str
    address: str
    chosen: bool


@door.reachable
async def joblist(request: Request) -> Response:
    """The page. What its filter does not understand is said where the list would be."""
    asked = asked_for(request)
    shown = await live.show(request, "jobs", "counts", "operations")
    context = {
        "user": door.user(request),
        "live": shown,
        "asked": asked,
        "said": {name: asked.get(name, "") for name in WORDS},
        "lanes": LANES,
        "sizes": SIZES,
    }
    size = _size(request)
    try:
        which, page, now = await _page(request, int(size))
    except Problem as problem:
        status = 200 if pages.is_htmx(request) else problem.status
        wrong = words.visible(problem.detail[:1].upper() + problem.detail[1:])
        return _answer(request, status, context, size, _nothing(asked, wrong))
    total = await _total(request, which, page, int(size))
    return _answer(request, 200, context, size, _list(request, asked, page, total, now / 1000))


@door.reachable
async def newer(request: Request) -> Response:
    """How many jobs have come since the list was read, as a link to them; nothing while there are none."""
    after = request.query_params.get("after", "")
    check_cursors("", after)
    which = await parsed(request)
    page = await store(request).listing.page(which, NEW + 1, after=after)
    count = len(page.jobs)
    address = at("/jobs", asked_for(request), n=_size(request))
    return pages.fragment(pages.render("_newer.html", count=count, limit=NEW, address=address), "")


def asked_for(request: Request) -> dict[str, str]:
    """The words of the filter that are said, as they were."""
    query = request.query_params
    return {name: value for name in WORDS if (value := query.get(name, "").strip())}


async def parsed(request: Request) -> Filter:
    """The filter that the query says. Raises Problem 422."""
    asked = asked_for(request)
    return filters.parse(asked, [asked.get("label", "")], await store(request).listing.now())


def at(path: str, asked: Mapping[str, str], **more: str) -> str:
    """An address with these words."""
    pairs = {
        **asked,
        **{name: value for name, value in more.items() if value and (name, value) != ("n", USUAL)},
    }
    return f"{path}?{urlencode(pairs)}" if pairs else path


async def _page(request: Request, size: int) -> tuple[Filter, Page, int]:
    before, after = request.query_params.get("before", ""), request.query_params.get("after", "")
    check_cursors(before, after)
    which = await parsed(request)
    page = await store(request).listing.page(which, size, before, after)
    if after and not page.newer and len(page.jobs) < size:  # the top: a whole page of it
        page = await store(request).listing.page(which, size)
    return which, page, await store(request).listing.now()


async def _total(request: Request, which: Filter, page: Page, size: int) -> int | None:
    """How many jobs match, where that is known at once."""
    if not page.newer and not page.older:
        return len(page.jobs)
    if which.text or which.fields.keys() > {"state"}:
        return None
    return (await store(request).listing.count(which)).number


def _list(
    request: Request, asked: dict[str, str], page: Page, total: int | None, now: float
) -> dict[str, Any]:
    size = _size(request)
    newest = page.first or f"{now * 1000:.0f}-{START}"
    is_top = not page.newer
    return {
        **_nothing(asked, ""),
        "rows": [jobrows.job(one, now) for one in page.jobs],
        "total": None if total is None else words.number(total),
        "older": page.older and at("/jobs", asked, n=size, before=page.older),
        "newer": page.newer and at("/jobs", asked, n=size, after=page.newer),
        "first": "" if is_top else at("/jobs", asked, n=size),
        "news": at("/jobs.new", asked, n=size, after=newest) if is_top else "",
        "searched": present.moment(page.searched / 1000, now) if page.searched is not None else None,
    }


def _nothing(asked: dict[str, str], wrong: str) -> dict[str, Any]:
    empty: dict[str, Any] = dict.fromkeys(("older", "newer", "first", "news", "total", "searched"))
    exports = {kind: at(f"/jobs.{kind}", asked) for kind in ("csv", "ndjson")}
    is_counted = asked.keys() <= {"state"}  # the numbers are of all jobs
    return {**empty, "rows": [], "wrong": wrong, "chips": _chips(asked), "counted": is_counted, **exports}


def _chips(asked: dict[str, str]) -> Sequence[Chip]:
    others = {name: value for name, value in asked.items() if name != "state"}
    chosen = asked.get("state", "")
    every = Chip("all", "all", "", at("/jobs", others), not chosen)
    states = (
        Chip(one, one, present.BADGES[one].tone, at("/jobs", {"state": one, **others}), one == chosen)
        for one in STATES
    )
    return [every, *states]


def _answer(
    request: Request, status: int, context: dict[str, Any], size: str, listed: dict[str, Any]
) -> Response:
    places = {name: request.query_params.get(name, "") for name in ("before", "after")}
    again = at("/jobs", asked_for(request), n=size, **places, again="1")  # the same list, read anew
    response = pages.page("jobs.html", status, size=size, again=again, **context, **listed)
    if pages.is_htmx(request) and "again" not in request.query_params:
        response.headers["HX-Push-Url"] = pages.below(at("/jobs", asked_for(request), n=size))
    return response


def _size(request: Request) -> str:
    size = request.query_params.get("n", "")
    return size if size in SIZES else USUAL


TOPICS: dict[str, Callable[[State, str], Topic]] = {
    "jobs": lambda state, _: JobRows(state.store.listing),
    "counts": lambda state, _: JobCounts(state.store.listing),
    "operations": lambda state, _: OperationsTopic(state.store.operations, state.store.listing),
}
ROUTES: list[BaseRoute] = [Route("/jobs", joblist), Route("/jobs.new", newer)]
