"""The page of one job: what it shows and keeps current, and what its buttons do."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from starlette.datastructures import State
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app.state import lifecycle
from app.state.events import Event
from app.state.job import Job, NoSuchJob, is_id
from app.state.jobs import Jobs, command_line
from app.state.output import Output
from app.web import logs, pages, preparing, steering, views
from app.web.dashboard import door, live
from app.web.dashboard.acting import acted, record
from app.web.dashboard.forms import form
from app.web.dashboard.job import attempts, jobview, media, probing
from app.web.dashboard.job.media import Looks
from app.web.dashboard.topics import Feed, Topic
from app.web.loglines import Reader
from app.web.parts import jobs, store
from app.web.problems import Problem

FIRST = "first"  # what a button says of a job that nobody has run again yet
TELLING = (
    "exit",
    "signal",
    "disk_full",
)  # causes of an end about which the program itself may have said something
_MARK = re.compile(r"[A-Z0-9]{26}|" + FIRST)


@dataclass(frozen=True)
class Seen:
    """What the page shows at a moment, by Redis' clock."""

    head: jobview.Head
    progress: jobview.Progress | None
    history: tuple[attempts.Step, ...]
    media: media.View
    last_words: str


class JobTopic(Topic):
    """The regions of one job's page."""

    def __init__(self, job_id: str, all_jobs: Jobs, output: Output, looks: Looks) -> None:
        self._id = job_id
        self._jobs = all_jobs
        self._output = output
        self._looks = looks
        self._lookers: set[str] = set()
        self._told: float | None = None

    def touched(self, event: Event) -> bool:
        """Whether the job has moved, or one that looks at its files."""
        if event.job == self._id and event.event == "progress":
            self._told = int(event.id.partition("-")[0]) / 1000
        return event.job == self._id or event.job in self._lookers

    async def look(self) -> Seen | None:
        """None where there is no such job any more. Raises a RedisError."""
        try:
            job = await self._jobs.get(self._id)
        except NoSuchJob:
            return None
        waits = job.state == lifecycle.QUEUED
        (_, now), again, looks, place, prospects, words = await asyncio.gather(
            self._jobs.revision(),
            self._jobs.again(job.id),
            self._looks.known(job),
            self._jobs.position(job) if waits else _nothing(),
            self._jobs.prospects(job) if waits else _nothing(),
            logs.last_words(self._output, job.id) if job.cause in TELLING else _nothing(),
        )
        self._lookers = {one.looker for one in looks.values() if one.waits}
        return Seen(
            jobview.head(job, again, place, *(prospects or ([], ""))),
            jobview.progress(job, self._told, now),
            attempts.history(job, now),
            media.view(job, looks),
            words or "",
        )

    def render(self, seen: Seen | None, acts: bool) -> Mapping[str, str]:
        """A region for each part."""
        if seen is None:
            return {"job-head": pages.render("_job_gone.html", id=self._id)}
        parts = ("head", "progress", "history", "media")
        context = {"seen": seen, "id": self._id, "acts": acts}
        return {f"job-{part}": pages.render(f"_job_{part}.html", **context) for part in parts}


class LogFeed(Feed):
    """A job's log as it grows."""

    target = "log"

    def __init__(self, job_id: str, output: Output) -> None:
        self._id = job_id
        self._output = output
        self._at = ""
        self._reader: Reader | None = None

    async def read(self, after: str) -> Sequence[tuple[str, str]]:
        """What follows: each entry's pieces."""
        known, self._reader = (
            self._reader if after == self._at else None,
            None,
        )  # nobody else goes on with it now
        reader, shown = await logs.grown(self._output, self._id, after, known)
        self._reader, self._at = reader, shown[-1][0] if shown else after
        return [(at, pages.render("_log.html", pieces=pieces)) for at, pieces in shown]


@door.reachable
async def show(request: Request) -> Response:
    """The page."""
    job = await the_job(request)
    tail = await logs.tail(store(request).output, job.id)
    feed = "" if job.ended else f"log:{job.id}"
    shown = await live.show(request, f"job:{job.id}", feed=feed, position=tail.position)
    return pages.page(
        "job.html",
        user=door.user(request),
        live=shown,
        id=job.id,
        title=jobview.outputs(job),
        lines=jobview.lines(job.spec, command_line(job.spec)),
        tail=tail,
    )


@door.reachable
async def raw(request: Request) -> Response:
    """The job as the API shows it."""
    answered = views.answer(views.job(await the_job(request)))
    answered.headers.update(pages.HEADERS)
    return answered


@door.reachable
async def cancel(request: Request) -> Response:
    """Ends it."""
    job = await the_job(request)
    state = await steering.cancel(request.app.state, job, f"cancelled by user {_name(request)}")
    await record(request, "cancelled", job.id)
    said = "is cancelled" if state == lifecycle.CANCELLED else "is being cancelled: its worker was told"
    return acted(request, f"Job {job.id} {said}.", back=f"/jobs/{job.id}")


@door.reachable
async def pause(request: Request) -> Response:
    """Stops its ffmpeg where it is."""
    return await _pause(request, "pause", "paused")


@door.reachable
async def resume(request: Request) -> Response:
    """Lets a paused job go on."""
    return await _pause(request, "resume", "resumed")


@door.reachable
async def retry(request: Request) -> Response:
    """Runs its command again, as a new job; of two clicks on one button the second finds the first one's job."""
    job = await the_job(request)
    mark = (await form(request)).get("after", FIRST)
    key = f"retry-{job.id}-{mark if _MARK.fullmatch(mark) else FIRST}"
    stored = await preparing.again(jobs(request), job, key, job.owner)
    made = await preparing.submit(jobs(request), stored)
    if made.new:
        await record(request, "retried", job.id)
    return acted(request, f"Job {job.id} runs again as job {made.id}.", back=f"/jobs/{made.id}")


@door.reachable
async def look(request: Request) -> Response:
    """Has small jobs look at its files."""
    job = await the_job(request)
    begun = await looks(request.app.state).begin(job)
    if begun:
        await record(request, "looked at the files of", job.id)
    said = "A worker looks at the files." if begun else "There is nothing more to look at."
    return acted(request, said, back=f"/jobs/{job.id}#job-media")


@door.reachable
async def picture(request: Request) -> Response:
    """A picture of its output."""
    job_id, what = request.path_params["job_id"], request.path_params["what"]
    known = is_id(job_id) and what in probing.PICTURES
    found = await looks(request.app.state).picture(job_id, what) if known else b""
    if not found:
        raise Problem(
            404, "no-picture", "there is no such picture, or no longer: have a look at the files again"
        )
    headers = {**pages.HEADERS, "Cache-Control": "private, max-age=600"}
    return Response(found, headers=headers, media_type="image/jpeg")


async def the_job(request: Request) -> Job:
    """The job that the path names. Raises NoSuchJob."""
    job_id = request.path_params["job_id"].upper()
    if not is_id(job_id):
        raise NoSuchJob(f"there is no job {job_id[:100]!r}: an id has 26 letters and digits")
    return await jobs(request).get(job_id)


def looks(app: State) -> Looks:
    """Looks at files."""
    return Looks(app.jobs, app.store.output, app.store.media)


async def _pause(request: Request, how: str, done: str) -> Response:
    job = await the_job(request)
    await steering.pause(request.app.state, job, how)
    await record(request, done, job.id)
    return acted(request, f"Job {job.id}: its worker was told.", back=f"/jobs/{job.id}")


def _name(request: Request) -> str:
    user = door.user(request)
    return user.name if user else "nobody"


async def _nothing() -> None:
    return None


TOPICS: dict[str, Callable[[State, str], Topic | Feed]] = {
    "job:": lambda app, job_id: JobTopic(job_id, app.jobs, app.store.output, looks(app)),
    "log:": lambda app, job_id: LogFeed(job_id, app.store.output),
}
ROUTES: list[BaseRoute] = [
    Route("/jobs/{job_id}", show),
    Route("/jobs/{job_id}/raw", raw),
    Route("/jobs/{job_id}/cancel", cancel, methods=["POST"]),
    Route("/jobs/{job_id}/pause", pause, methods=["POST"]),
    Route("/jobs/{job_id}/resume", resume, methods=["POST"]),
    Route("/jobs/{job_id}/retry", retry, methods=["POST"]),
    Route("/jobs/{job_id}/media", look, methods=["POST"]),
    Route("/jobs/{job_id}/thumbs/{what}", picture),
]
