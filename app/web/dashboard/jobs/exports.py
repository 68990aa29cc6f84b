"""All jobs that match, for spreadsheets and programs: read and sent a handful at a time."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from app.state.job import Job
from app.state.listing import Filter, Listing
from app.web import pages, views
from app.web.dashboard import door
from app.web.dashboard.jobs.joblist import parsed
from app.web.parts import store

COLUMNS = "id state reason command lane worker owner labels created started finished attempt exit signal cause".split()
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")  # how a cell begins that a spreadsheet computes


@door.reachable
async def jobs_csv(request: Request) -> Response:
    """All that match as CSV. Times are ISO 8601 in UTC."""
    return await _sent(request, "csv", "text/csv; charset=utf-8", _table)


@door.reachable
async def jobs_ndjson(request: Request) -> Response:
    """All that match as the API shows them, a JSON object a line."""
    return await _sent(request, "ndjson", "application/x-ndjson", _lines)


async def _sent(
    request: Request, kind: str, media_type: str, written: Callable[[Sequence[Job] | None], str]
) -> Response:
    which = await parsed(request)
    headers = {**pages.HEADERS, "Content-Disposition": f'attachment; filename="jobs.{kind}"'}
    return StreamingResponse(
        _parts(store(request).listing, which, written), headers=headers, media_type=media_type
    )


async def _parts(
    lists: Listing, which: Filter, written: Callable[[Sequence[Job] | None], str]
) -> AsyncIterator[str]:
    yield written(None)
    async for jobs in lists.every(which):
        yield written(jobs)


def _lines(jobs: Sequence[Job] | None) -> str:
    return "".join(msgspec.json.encode(views.job(one)).decode() + "\n" for one in jobs or ())


def _table(jobs: Sequence[Job] | None) -> str:
    out = io.StringIO()
    table = csv.writer(out)
    if jobs is None:
        table.writerow(COLUMNS)
    table.writerows(map(_cells, jobs or ()))
    return out.getvalue()


def _cells(one: Job) -> list[str]:
    shown = views.job(one)
    cells = {
        **shown,
        "labels": json.dumps(shown["labels"], ensure_ascii=False) if shown["labels"] else "",
        **{name: _time(shown[name]) for name in ("created", "started", "finished")},
    }
    return [_safe("" if cells[name] is None else str(cells[name])) for name in COLUMNS]


def _time(seconds: float | None) -> str:
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def _safe(cell: str) -> str:
    """No cell is a formula, whatever a job's command or reason says."""
    return f"'{cell}" if cell.startswith(FORMULA) else cell


ROUTES: list[BaseRoute] = [Route("/jobs.csv", jobs_csv), Route("/jobs.ndjson", jobs_ndjson)]
