"""`ffgrid submit`, `jobs`, `show`, `watch`, `pause` and `resume`.

A job is named by its id or by the start of it: four characters at least, as many as it takes.
"""

from __future__ import annotations

import json
import os
import sys
import time
from argparse import Namespace
from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.parse import urlencode

from app.cli import errors, filters, progressbar, waiting, watching
from app.cli.client import Client
from app.cli.errors import NOT_FOUND, USAGE, Failure
from app.cli.moments import within
from app.cli.progressbar import age, clock, took
from app.cli.submission import directory, submission
from app.cli.table import table
from app.cli.terminal import Sink, clipped, columns, printable, put, say
from app.settings import Settings
from app.state.job import is_id
from app.state.lifecycle import CANCELLED, DEAD, DONE, FAILED, QUEUED, WAITING
from app.wire.messages import JOBS, job_path

Job = dict[str, Any]

PAGE = 200  # jobs in one answer, at most
PAGES = 10  # how many of them are searched for the start of an id
PREFIX = 4  # characters that the start of an id must have
NARROW = 20  # columns that a command gets in a table, however narrow the terminal is
SHORT = 14  # characters of an id on a narrow terminal: enough to name it

# What `submit` says with flags of the same names.
ASKED = tuple(
    """lane nice max_attempts retries retry_delay max_seconds stall_seconds in_place redo""".split()
)
HEADS = ("ID", "STATE", "LANE", "WORKER", "PROGRESS", "AGE", "TIME", "COMMAND")


def submit(arguments: Namespace) -> int:
    """Queues a command."""
    if arguments.command[:1] and arguments.command[0].startswith("-") and arguments.command[0] != "--":
        arguments.parser.reject(arguments.command)
    settings = _settings(arguments)
    here = directory(settings.roots, os.environ)
    fields = submission(arguments.command, settings.roots, here, arguments.label)
    asked = {name: getattr(arguments, name) for name in ASKED}
    body = {**fields, **{name: value for name, value in asked.items() if value is not None}}
    client = Client.of(settings)
    if arguments.wait:
        show = waiting.records if arguments.json else waiting.output(Sink(sys.stdout), Sink(sys.stderr))
        told = partial(_told, as_json=arguments.json)
        return waiting.wait(client, body, told, show, arguments.timeout)
    answer = client.post(JOBS, body)
    warn(answer)
    print(json.dumps(answer) if arguments.json else answer["id"])
    return 0


def listing(arguments: Namespace) -> int:
    """Lists the newest jobs."""
    if arguments.limit < 1:
        raise Failure(f"--limit: expected a number from 1 on, got {arguments.limit}", USAGE)
    client = client_of(arguments)
    found: list[Job] = []
    following = None
    which = filters.words(arguments)
    for page in _pages(client, arguments.limit, which):
        found += page["jobs"]
        following = page["next"]
        if len(found) >= arguments.limit:
            break
    if arguments.json:
        print(json.dumps({"jobs": found, "next": following}))
    elif found:
        put(listed(found, client.now, columns(sys.stdout)))
    else:
        say("there are no such jobs" if which else "there are no jobs")
    return 0


def show(arguments: Namespace) -> int:
    """Shows one job."""
    client = client_of(arguments)
    job = client.get(job_path(resolve(client, arguments.job)))
    if arguments.json:
        print(json.dumps(job))
        return 0
    lines = [(name, text) for name, text in _facts(job, client.now) if text]
    for name, text in lines:
        put(f"{name + ':':<10} {printable(text)}")
    return 0


def watch(arguments: Namespace) -> int:
    """Follows a job with a progress bar; 0 when it is done. With --exit-status ends as ffmpeg did."""
    client = client_of(arguments)
    job_id = resolve(client, arguments.job)
    with within(arguments.timeout, f"job {job_id} has not ended"):
        job = watching.watch(client, job_id, watching.View(sys.stdout, client, arguments.json))
    if arguments.exit_status:
        return waiting.status_of(job)
    return 0 if job["state"] == DONE else errors.FAILED


def pause(arguments: Namespace) -> int:
    """Stops a running job's ffmpeg where it is."""
    return _tell(arguments, "pause")


def resume(arguments: Namespace) -> int:
    """Lets a paused job go on."""
    return _tell(arguments, "resume")


def resolve(client: Client, text: str) -> str:
    """The id that this is, or the start of. Raises Failure."""
    wanted = text.upper()
    if is_id(wanted):
        return wanted
    if len(wanted) < PREFIX or not is_id(wanted.ljust(26, "0")):
        raise Failure(
            f"{text!r} is no job's id: expected 26 letters and digits, or the first {PREFIX} or more", USAGE
        )
    found = [job for job in _newest_down_to(client, wanted) if job["id"].startswith(wanted)]
    if not found:
        raise Failure(f"there is no job whose id begins with {wanted}", NOT_FOUND)
    if len(found) > 1:
        some = ", ".join(job["id"] for job in found[:5]) + (" and others" if len(found) > 5 else "")
        raise Failure(f"{wanted} is the beginning of {len(found)} ids: {some}", USAGE)
    return str(found[0]["id"])


def client_of(arguments: Namespace) -> Client:
    """The client that flags, environment and file describe. Raises Failure, BadSetting."""
    return Client.of(_settings(arguments))


def _tell(arguments: Namespace, what: str) -> int:
    client = client_of(arguments)
    answer = client.post(job_path(resolve(client, arguments.job), what))
    print(json.dumps(answer) if arguments.json else f"{answer['id']} {answer['state']}")
    return 0


def _newest_down_to(client: Client, wanted: str) -> Iterator[Job]:
    """The newest jobs. An id begins with its time, so older ones than what is wanted need not be asked for."""
    for number, page in enumerate(_pages(client, PAGE * PAGES, {}), 1):
        yield from page["jobs"]
        if number == PAGES or not page["jobs"] or page["jobs"][-1]["id"] < wanted:
            return


def _pages(client: Client, limit: int, which: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Pages of jobs, the newest first, until there are no more."""
    left, before = limit, ""
    while left > 0:
        place = {"before": before} if before else {}
        query = urlencode({"limit": min(left, PAGE), **which, **place}, doseq=True)
        page = client.get(f"{JOBS}?{query}")
        yield page
        left, before = left - len(page["jobs"]), page["next"]
        if not before:
            return


def listed(jobs: list[Job], now: float, room: int | None) -> str:
    """The table; the commands take what the other columns leave, which on a narrow terminal are fewer."""
    rows = [HEADS, *(_row(job, now) for job in jobs)]
    if room is not None:
        if room - _taken(rows) < NARROW:
            rows = [(row[0][:SHORT], row[1], *row[3:]) for row in rows]
        left = max(room - _taken(rows), NARROW)
        rows = [(*row[:-1], clipped(row[-1], left)) for row in rows]
    return table(rows[0], rows[1:])


def _taken(rows: list[tuple[str, ...]]) -> int:
    """The width of all columns but the last."""
    return sum(2 + max(map(len, column)) for column in list(zip(*rows, strict=True))[:-1])


def _row(job: Job, now: float) -> tuple[str, ...]:
    ran = took(job, now)
    cells = (
        job["id"],
        progressbar.activity(job),
        job["lane"],
        job["worker"] or "-",
        _progress(job),
        age(now - job["created"]),
        "-" if ran is None else clock(ran),
        job["command"],
    )
    return tuple(map(printable, cells))


def _progress(job: Job) -> str:
    if job["state"] in (FAILED, CANCELLED, DEAD):
        if job["signal"]:
            return f"signal {job['signal']}"
        return "-" if job["exit"] is None else f"exit {job['exit']}"
    return progressbar.percent(job) or progressbar.media_time(job) or "-"


def _facts(job: Job, now: float) -> list[tuple[str, str]]:
    return [
        ("id", job["id"]),
        ("state", progressbar.standing(job, now)),
        ("progress", ", ".join(progressbar.facts(job))),
        ("command", job["command"]),
        ("worker", job["worker"] or "" if job["state"] not in (QUEUED, WAITING) else ""),
        ("attempts", _attempts(job)),
        ("exit", "" if job["exit"] is None else str(job["exit"])),
        ("signal", "" if job["signal"] is None else str(job["signal"])),
        ("reason", job["reason"]),
        ("cause", job["cause"]),
        ("lane", job["lane"]),
        ("labels", ", ".join(f"{name}={value}" for name, value in job["labels"].items())),
        ("owner", job["owner"]),
        ("created", _moment(job["created"], now)),
        ("started", _moment(job["started"], now)),
        ("finished", _moment(job["finished"], now)),
        ("retry of", job["retry_of"] or ""),
        *((f"attempt {one['number']}", _ending(one)) for one in job["attempts"] if len(job["attempts"]) > 1),
    ]


def _attempts(job: Job) -> str:
    counted = [
        f"{job[name]} {word}" for name, word in (("losses", "lost"), ("failures", "failed")) if job[name]
    ]
    return ", ".join([str(job["attempt"]), *counted])


def _ending(attempt: Job) -> str:
    """How an attempt ended: `exit 1 after 0:12 on render (exit status 1)`."""
    events = {"succeed": "done", "cancel": "cancelled", "release": "handed back"}
    what = f"exit {attempt['exit']}" if attempt["exit"] else events.get(attempt["event"], attempt["cause"])
    what = f"signal {attempt['signal']}" if attempt["signal"] else what
    why = f" ({attempt['reason']})" if attempt["reason"] else ""
    return f"{what} after {clock(attempt['ended'] - attempt['started'])} on {attempt['worker']}{why}"


def _moment(at: float | None, now: float) -> str:
    if at is None:
        return ""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at)) + f" ({age(now - at)} ago)"


def _told(answer: Job, as_json: bool) -> None:
    """The job is queued, and we are going to wait for it. Its id goes where it is in nobody's way."""
    warn(answer)
    if as_json:
        print(json.dumps(answer), flush=True)
    elif sys.stderr.isatty():
        say(f"job {answer['id']}")


def warn(answer: Job) -> None:
    """Says what the coordinator has warned of."""
    if "warning" in answer:
        say(answer["warning"])


def _settings(arguments: Namespace) -> Settings:
    return Settings.load(os.environ, vars(arguments))
