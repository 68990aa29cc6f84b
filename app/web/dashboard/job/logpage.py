"""A job's log as a file, and what is looked for in it."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from app.web import logs, pages
from app.web.dashboard import door, live
from app.web.dashboard.job.jobpage import the_job
from app.web.parts import store
from app.web.problems import Problem
from app.web.words import shortened, visible

STREAMS = ("stdout", "stderr")
LONGEST = 200  # characters that are looked for
SHOWN = 1000  # characters of a line that has them


@door.reachable
async def log(request: Request) -> Response:
    """With `q`: a page of the lines that hold it. Without: all that is kept, as a file; `stream` names one of two."""
    return await (_search if "q" in request.query_params else _download)(request)


async def _search(request: Request) -> Response:
    job, wanted = await the_job(request), request.query_params["q"][:LONGEST]
    found = (
        await logs.search(store(request).output, job.id, wanted) if wanted.strip() else logs.Found([], False)
    )
    lines = [(attempt, stream, number, _split(line, wanted)) for attempt, stream, number, line in found.lines]
    return pages.page(
        "log.html",
        user=door.user(request),
        live=await live.show(request),
        id=job.id,
        wanted=visible(wanted),
        lines=lines,
        more=found.more,
    )


async def _download(request: Request) -> Response:
    job, stream = await the_job(request), request.query_params.get("stream", "")
    if stream and stream not in STREAMS:
        raise Problem(422, "invalid", f"stream: expected {' or '.join(STREAMS)}, got {stream!r}")
    whole = await logs.is_whole(store(request).output, job.id)
    name = ".".join([job.id, *([stream] if stream else []), *([] if whole else ["incomplete"]), "log"])
    headers = {**pages.HEADERS, "Content-Disposition": f'attachment; filename="{name}"'}
    body = logs.stored(store(request).output, job.id, stream)
    return StreamingResponse(body, headers=headers, media_type="text/plain; charset=utf-8")


def _split(line: str, wanted: str) -> tuple[str, str, str]:
    """The line around the first place where that stands."""
    at = line.casefold().find(wanted.casefold())
    if at < 0 or len(line.casefold()) != len(line):
        return shortened(line, SHOWN), "", ""
    end = at + len(wanted)
    before = line[:at] if at < SHOWN else "…" + line[at - SHOWN : at]
    return before, line[at:end], shortened(line[end:], SHOWN)


ROUTES: list[BaseRoute] = [Route("/jobs/{job_id}/log", log)]
