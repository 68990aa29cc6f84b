"""What is in a job's files: small jobs look, and whoever renders the page first keeps what they saw."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from app.state import lifecycle
from app.state.job import Job, NoSuchJob
from app.state.jobs import Jobs
from app.state.media import Media
from app.state.output import Output
from app.web import logs, preparing
from app.web.dashboard.job import probing
from app.web.words import visible

_MEGABYTE = 1 << 20  # more than that no look has to say


@dataclass(frozen=True)
class View:
    """What the page shows of a job's files. `ask` is the button's label, or "" where there is nothing to look at."""

    rows: tuple[probing.Row, ...] = ()
    pictures: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    ask: str = ""
    waits: bool = False


@dataclass(frozen=True)
class Look:
    """One look at a file: the job that looks, and what it has seen or why it has not."""

    looker: str
    seen: Mapping[str, Any] | None = None
    error: str = ""

    @property
    def waits(self) -> bool:
        """Whether it is still looking."""
        return self.seen is None and not self.error


class Looks:
    """Looks at the files of jobs."""

    def __init__(self, jobs: Jobs, output: Output, media: Media) -> None:
        self._jobs = jobs
        self._output = output
        self._media = media

    async def known(self, job: Job) -> dict[str, Look]:
        """All looks that somebody has asked for."""
        found = await self._media.looks(job.id, probing.WHATS)
        return {what: await self._known(job, what, *look) for what, look in found.items()}

    async def begin(self, job: Job) -> int:
        """Has looked at what is not known yet; how many looks that are. Raises NobodyQualifies, Problem, BadSeal."""
        spec = await self._jobs.sealed_spec(job.id)
        looks, begun = await self.known(job), 0
        for what, wanted in _wanted(job, spec, looks).items():
            last = looks[what].looker if what in looks else "first"
            mark = sha256(json.dumps([wanted, last], sort_keys=True).encode()).hexdigest()[:16]
            stored = preparing.stored(f"{what}-{job.id}-{mark}", wanted, probing.OWNER, require_worker=True)
            made = await self._jobs.submit(stored)
            await self._media.begin(job.id, what, made.id)
            begun += 1
        return begun

    async def picture(self, job_id: str, what: str) -> bytes:
        """A picture that was made, or nothing."""
        return await self._media.picture(job_id, what)

    async def _known(self, job: Job, what: str, looker: str, seen: bytes | None) -> Look:
        if seen is None:
            seen = await self._end(job.id, what, looker)
        if seen is None:
            return Look(looker)
        if seen.startswith(b"!"):
            return Look(looker, error=seen[1:].decode(errors="replace"))
        return Look(looker, json.loads(seen))

    async def _end(self, job_id: str, what: str, looker: str) -> bytes | None:
        """What a look that has ended saw, kept from now on; None while it has not."""
        try:
            one = await self._jobs.get(looker)
        except NoSuchJob:
            return b"!it is too long ago"
        if not one.ended:
            return None
        seen, picture = await self._seen(one, what)
        await self._media.end(job_id, what, seen, picture)
        return seen

    async def _seen(self, looker: Job, what: str) -> tuple[bytes, bytes]:
        try:
            if looker.state != lifecycle.DONE:
                raise probing.Unreadable(await self._complaint(looker))
            printed = await self._printed(looker.id, "stdout")
            if what in probing.PICTURES:
                return b"{}", probing.jpeg(printed)
            return probing.summary(printed), b""
        except probing.Unreadable as error:
            return b"!" + str(error).encode("utf-8", "replace"), b""

    async def _complaint(self, looker: Job) -> str:
        """The last line that it printed about its trouble, without the name of the file that is known here."""
        lines = (await self._printed(looker.id, "stderr")).decode("utf-8", "backslashreplace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        return (said[-1] if said else looker.reason)[-300:]

    async def _printed(self, job_id: str, stream: str) -> bytes:
        printed = b""
        async for part in logs.stored(self._output, job_id, stream):
            printed += part
            if len(printed) > _MEGABYTE:
                raise probing.Unreadable("it has printed more than a look has to say")
        return printed


def view(job: Job, looks: Mapping[str, Look]) -> View:
    """What the page shows."""
    files, done = probing.files(job.spec), job.state == lifecycle.DONE
    sides = {what: looks[what].seen if what in looks else None for what in ("in", "out")}
    notes = [f"No look at the input: {files.no_input}."] if files.no_input else []
    if files.no_output:
        notes.append(f"No look at the output: {files.no_output}.")
    elif not done:
        notes.append("The output is looked at when the job is done.")
    names = {
        "in": "The input",
        "out": "The output",
        **{one: f"The picture at {one} %" for one in probing.PICTURES},
    }
    notes += [f"{names[what]}: {one.error}." for what, one in looks.items() if one.error]
    return View(
        rows=probing.rows(sides["in"], sides["out"]) if any(sides.values()) else (),
        pictures=tuple(what for what in probing.PICTURES if what in looks and looks[what].seen is not None),
        notes=tuple(visible(note) for note in notes),
        ask=_label(_wanted(job, job.spec, looks), looks),
        waits=any(one.waits for one in looks.values()),
    )


def _label(wanted: Mapping[str, Any], looks: Mapping[str, Look]) -> str:
    if not wanted:
        return ""
    if any(one.error for one in looks.values()):
        return "Look again"
    return "Make pictures of the output" if not {"in", "out"} & wanted.keys() else "Look at the files"


def _wanted(job: Job, spec: Mapping[str, Any], looks: Mapping[str, Look]) -> dict[str, probing.Spec]:
    """The looks that could be had and are not: what: the job that would look."""
    files, done = probing.files(spec), job.state == lifecycle.DONE
    missing = [what for what in probing.WHATS if what not in looks or looks[what].error]
    wanted = {}
    if files.input is not None and "in" in missing:
        wanted["in"] = probing.probe(spec, files.input)
    if files.output is not None and done:
        if "out" in missing:
            wanted["out"] = probing.probe(spec, files.output)
        duration = _duration(job, looks)
        if duration:
            wanted |= {
                what: probing.picture(spec, files.output, what, duration)
                for what in probing.PICTURES
                if what in missing
            }
    return wanted


def _duration(job: Job, looks: Mapping[str, Look]) -> float | None:
    """How long the output's video is: as a look has seen it, or else as the job said when it ended."""
    if "out" in looks:
        return probing.duration_of(looks["out"].seen)
    told, frames = job.progress.get("out_time"), job.progress.get("frame")
    return float(told) if isinstance(told, int | float) and told > 0 and frames else None
