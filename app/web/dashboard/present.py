"""Jobs and workers as people read them: what the templates print, computed. Pure; no HTML, no clock.

What comes from outside (names, commands, reasons) goes through `words.visible`, so that no character hides or
moves what stands around it. HTML's own characters are the templates' business.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite

from app.state.job import Job
from app.state.jobs import command_line
from app.state.workers import Worker
from app.web import words
from app.web.words import NOTHING, shortened, visible

LINE = 400  # characters of a command that a line gets
FULL = 1500  # characters of it that can be called up
RARE = ("waiting", "publishing", "dead")
TAIL = 32  # characters, at most, at a command's end that a narrow screen keeps: the output's name


@dataclass(frozen=True)
class Badge:
    """A state: a word, a sign beside it, and the tone that colours both."""

    label: str
    sign: str
    tone: str


@dataclass(frozen=True)
class Counter:
    """A number in the page's head."""

    label: str
    value: str
    tone: str


@dataclass(frozen=True)
class Command:
    """A command's line in two parts, of which a narrow screen cuts the head; `full` is longer."""

    head: str
    tail: str
    full: str


@dataclass(frozen=True)
class Moment:
    """A time: how long ago, exactly for people, and for programs."""

    ago: str
    exact: str
    stamp: str


@dataclass(frozen=True)
class Running:
    """A running job's row. `bar` is its bar's value, 0 to 1, or "" while nobody knows."""

    id: str
    badge: Badge
    command: Command
    worker: str
    note: str
    bar: str
    percent: str
    fps: str
    speed: str
    size: str
    left: str


@dataclass(frozen=True)
class Recent:
    """A job's row in the list of all."""

    id: str
    badge: Badge
    command: Command
    lane: str
    worker: str
    attempt: str
    created: Moment
    ended: Moment
    took: str
    ending: str


@dataclass(frozen=True)
class Machine:
    """A worker's row."""

    id: str
    badge: Badge
    host: str
    slots: str
    roots: str
    ffmpeg: str
    heard: str


@dataclass(frozen=True)
class Active:
    """Running jobs, of which `more_running` are not shown."""

    running: tuple[Running, ...]
    more_running: int


@dataclass(frozen=True)
class Overview:
    """The other lists of the first page."""

    recent: tuple[Recent, ...]
    failures: tuple[Recent, ...]
    workers: tuple[Machine, ...]


BADGES = {
    "queued": Badge("queued", "○", "wait"),
    "running": Badge("running", "▸", "work"),
    "waiting": Badge("waiting", "↻", "wait"),
    "publishing": Badge("publishing", "▸", "work"),
    "paused": Badge("paused", "‖", "wait"),
    "cancelling": Badge("cancelling", "▾", "stop"),
    "done": Badge("done", "✓", "good"),
    "failed": Badge("failed", "✕", "bad"),
    "cancelled": Badge("cancelled", NOTHING, "stop"),
    "dead": Badge("dead", "✕", "bad"),
    "online": Badge("online", "✓", "good"),
    "busy": Badge("busy", "▸", "work"),
    "draining": Badge("draining", "▾", "stop"),
    "offline": Badge("offline", "✕", "bad"),
}


def active(jobs: Sequence[Job], count: int, now: float) -> Active:
    """Of `count` running jobs these, at `now` by Redis' clock; those come first that somebody waits for."""
    ordered = sorted(jobs, key=lambda job: not job.spec.get("attach"))
    return Active(
        running=tuple(running(job, now) for job in ordered),
        more_running=max(0, count - len(jobs)) if jobs else 0,
    )


def overview(newest: Sequence[Job], failed: Sequence[Job], known: Sequence[Worker], now: float) -> Overview:
    """The newest jobs, those that failed last, and all workers."""
    return Overview(
        recent=tuple(recent(job, now) for job in newest),
        failures=tuple(recent(job, now) for job in failed),
        workers=tuple(machine(worker) for worker in known),
    )


def counters(counts: Mapping[str, int], known: Sequence[Worker]) -> tuple[Counter, ...]:
    """How many jobs are in each state (the rare ones only if there are any), and how many workers are there."""
    live = sum(worker.live for worker in known)
    shown = {state: count for state, count in counts.items() if count or state not in RARE}
    jobs = (Counter(state, words.number(count), BADGES[state].tone) for state, count in shown.items())
    label = "worker online" if live == 1 else "workers online"
    return (*jobs, Counter(label, words.number(live), "good" if live else "bad"))


def badge(job: Job) -> Badge:
    """The state as people see it: a running job can be "cancelling" (told to end) or "paused"."""
    return BADGES["cancelling" if job.cancelling else "paused" if job.paused else job.state]


def running(job: Job, now: float) -> Running:
    """A running job's row."""
    done = reported(job, "fraction")
    return Running(
        id=job.id,
        badge=badge(job),
        command=command(job),
        worker=visible(job.worker or NOTHING),
        note=note(job, now),
        bar="" if done is None else f"{done:.4f}",
        percent=words.percent(done),
        fps=words.fps(reported(job, "fps")),
        speed=words.speed(reported(job, "speed")),
        size=words.size(reported(job, "total_size")),
        left=words.left(reported(job, "left")) if job.progress else "starting",
    )


def recent(job: Job, now: float) -> Recent:
    """A job's row in the list of all."""
    return Recent(
        id=job.id,
        badge=badge(job),
        command=command(job),
        lane=visible(job.lane),
        worker=visible(job.worker or NOTHING),
        attempt=str(job.attempt) if job.attempt else NOTHING,
        created=moment(job.created, now),
        ended=moment(job.finished or now, now),
        took=took(job, now),
        ending=ending(job),
    )


def machine(worker: Worker) -> Machine:
    """A worker's row."""
    about = worker.about
    silent = [f"{name} (does not answer)" for name in about.get("silent_roots", ())]
    roots = ", ".join([*map(str, about.get("roots", ())), *silent])
    return Machine(
        id=visible(worker.id),
        badge=BADGES[worker.state],
        host=visible(str(about.get("host", ""))),
        slots=f"{worker.busy if worker.live else NOTHING} / {about.get('slots', '?')}",
        roots=visible(shortened(roots, 80)) or NOTHING,
        ffmpeg=visible(shortened(str(about.get("binaries", {}).get("ffmpeg", "")), 28)) or NOTHING,
        heard=words.ago(worker.silent),
    )


def command(job: Job) -> Command:
    """The job's command."""
    whole = command_line(job.spec)
    line = visible(shortened(whole, LINE))
    name = line.rfind("/", len(line) - TAIL)
    cut = len(line) - TAIL * 2 // 3 if name < 0 else name
    if len(line) < 2 * TAIL:
        cut = len(line)
    return Command(line[:cut], line[cut:], visible(shortened(whole, FULL)))


def note(job: Job, now: float) -> str:
    """What else there is to say of a running job."""
    parts = [f"{badge(job).label} for {took(job, now)}"]
    if job.spec.get("attach"):
        parts.append("somebody waits for it")
    if job.lane != "normal":
        parts.append(f"lane {job.lane}")
    if job.attempt > 1:
        parts.append(f"attempt {job.attempt}")
    return visible(" · ".join(parts))


def took(job: Job, now: float) -> str:
    """How long the last attempt took, or has taken so far."""
    if job.started is None or job.state in ("queued", "waiting"):
        return NOTHING
    return words.duration((job.finished or now) - job.started)


def ending(job: Job) -> str:
    """How a job ended; how far it is; or what keeps it."""
    if job.state == "queued":
        return f"lost {words.times(job.losses)}, waits again" if job.losses else ""
    if job.state == "waiting":
        return visible(shortened(f"{job.reason}, tried again", 160))
    if job.state == "running":
        return words.percent(reported(job, "fraction"))
    if job.state == "done":
        return f"exit {job.exit or 0}"
    return visible(shortened(job.reason, 160))


def moment(at: float, now: float) -> Moment:
    """A time seen from `now`."""
    exactly = datetime.fromtimestamp(at, UTC)
    return Moment(words.ago(now - at), f"{exactly:%Y-%m-%d %H:%M:%S} UTC", f"{exactly:%Y-%m-%dT%H:%M:%SZ}")


def reported(job: Job, name: str) -> float | None:
    """A number of the worker's last report, if it is one."""
    value = job.progress.get(name)
    return float(value) if isinstance(value, int | float) and isfinite(value) else None
