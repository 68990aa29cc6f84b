"""Workers as their pages show them, computed. Pure; no HTML, no clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import quote

from app.state.job import Job
from app.state.jobs import command_line
from app.state.workers import Day, Worker
from app.web.dashboard import present
from app.web.dashboard.present import Badge, Command, Moment
from app.web.words import NOTHING, shortened, visible

FRESH = 3.0  # seconds since a heartbeat that are not worth a word: the next one comes within two
HARDWARE = (
    "_nvenc",
    "_vaapi",
    "_qsv",
    "_vulkan",
    "_amf",
    "_v4l2m2m",
    "_rkmpp",
    "_videotoolbox",
    "_mf",
    "_d3d12va",
)
KNOWN = ("libx264", "libx265", "libsvtav1", "libaom-av1", "libvpx-vp9", "libfdk_aac", "libopus")
CHIPS = 16  # hardware encoders that a row names
# What can be done about a worker in each state.
ORDERS: Mapping[str, tuple[str, ...]] = {
    "online": ("pause", "drain"),
    "busy": ("pause", "drain"),
    "paused": ("resume", "drain"),
    "draining": ("resume",),
    "offline": ("remove",),
}
MEANINGS: Mapping[str, str] = {
    "paused": "takes nothing new",
    "draining": "ends with its last job",
    "offline": "not heard of; its jobs go to others",
}


@dataclass(frozen=True)
class Chip:
    """A word about what a worker has or can; a tone colours it, and a word says it too."""

    text: str
    tone: str = ""


@dataclass(frozen=True)
class Run:
    """A job that a worker runs: its id and what it makes."""

    id: str
    name: str


@dataclass(frozen=True)
class Row:
    """A worker. `heard` is None where it was heard of just now."""

    id: str
    path: str
    badge: Badge
    meaning: str
    host: str
    heard: Moment | None
    busy: str
    slots: str
    day: Day
    roots: tuple[Chip, ...]
    labels: tuple[str, ...]
    encoders: tuple[Chip, ...]
    more: int
    ffmpeg: str
    sandbox: str
    runs: tuple[Run, ...]
    orders: tuple[str, ...]


@dataclass(frozen=True)
class Fact:
    """A line of a worker's own page."""

    name: str
    value: str


@dataclass(frozen=True)
class Ended:
    """A job that ended on a worker."""

    id: str
    badge: Badge
    command: Command
    finished: Moment
    took: str
    ending: str


def row(worker: Worker, day: Day, jobs: Iterable[Job]) -> Row:
    """A worker, what it has ended within a day, and those of the running jobs that are its own."""
    about = worker.about
    hardware, software, more = encoders([str(name) for name in about.get("encoders", ())])
    return Row(
        id=visible(worker.id),
        path=f"/workers/{quote(worker.id, safe='')}",
        badge=present.BADGES[worker.state],
        meaning=MEANINGS.get(worker.state, ""),
        host=visible(str(about.get("host", ""))),
        heard=None if worker.silent <= FRESH else present.moment(worker.heard, worker.heard + worker.silent),
        busy=str(worker.busy) if worker.live else NOTHING,
        slots=visible(str(about.get("slots", "?"))),
        day=day,
        roots=roots(worker),
        labels=tuple(visible(f"{name}={value}") for name, value in about.get("labels", {}).items()),
        encoders=(*(Chip(name, "work") for name in hardware[:CHIPS]), *map(Chip, software)),
        more=more + max(0, len(hardware) - CHIPS),
        ffmpeg=visible(shortened(str(about.get("binaries", {}).get("ffmpeg", "")), 28)) or NOTHING,
        sandbox=visible(str(about.get("sandbox", ""))) or NOTHING,
        runs=tuple(Run(job.id, made(job)) for job in jobs if job.worker == worker.id),
        orders=ORDERS[worker.state],
    )


def roots(worker: Worker) -> tuple[Chip, ...]:
    """Its roots, those that do not answer too."""
    mute = [Chip(visible(f"{name} does not answer"), "bad") for name in worker.about.get("silent_roots", ())]
    return (*(Chip(visible(str(name))) for name in worker.about.get("roots", ())), *mute)


def encoders(names: Sequence[str]) -> tuple[list[str], list[str], int]:
    """Those that use hardware, the usual others, and how many more there are."""
    hardware = [visible(name) for name in names if name.endswith(HARDWARE)]
    software = [name for name in KNOWN if name in names]
    return hardware, software, len(names) - len(hardware) - len(software)


def started(worker: Worker, now: float) -> Moment | None:
    """When its process began, by its own clock."""
    at = worker.about.get("started")
    return present.moment(at, now) if isinstance(at, int | float) else None


def facts(worker: Worker) -> tuple[Fact, ...]:
    """What else a worker says of itself."""
    about = worker.about
    known = {
        "Host": about.get("host"),
        "Version": about.get("version"),
        "Process": about.get("pid"),
        **about.get("binaries", {}),
        "Sandbox": about.get("sandbox"),
    }
    return tuple(
        Fact(visible(shortened(name, 40)), visible(shortened(str(value), 80)))
        for name, value in known.items()
        if value
    )


def ended(jobs: Iterable[Job], now: float) -> tuple[Ended, ...]:
    """Ended jobs, the last first."""
    newest = sorted((job for job in jobs if job.finished), key=lambda job: job.finished or 0, reverse=True)
    return tuple(
        Ended(
            job.id,
            present.badge(job),
            present.command(job),
            present.moment(job.finished or 0, now),
            present.took(job, now),
            present.ending(job),
        )
        for job in newest
    )


def made(job: Job) -> str:
    """What a job makes, as its command's last word says it, in short; else its id."""
    last = command_line({**job.spec, "args": job.spec["args"][-1:]}).partition(" ")[2]
    name = last.rpartition("/")[2].strip("'")
    return visible(shortened(name, 40)) if name.strip("-") else job.id
