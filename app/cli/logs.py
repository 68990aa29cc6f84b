"""`ffgrid logs`: what a job printed, from where on, with the time before each line."""

from __future__ import annotations

import base64
import sys
from argparse import Namespace
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import chain

from app.cli import waiting
from app.cli.client import Log, Patience
from app.cli.errors import USAGE, Failure
from app.cli.jobs import client_of, resolve
from app.cli.moments import moment, within
from app.cli.terminal import Sink, say
from app.cli.waiting import Job, Lines, content
from app.wire.messages import job_path

TEXT = ("stdout", "stderr")  # kinds of entries that hold what the job printed


def run(arguments: Namespace) -> int:
    """Prints what a job printed, both of its streams in order."""
    if arguments.tail is not None and arguments.tail < 0:
        raise Failure(f"--tail: expected a number from 0 on, got {arguments.tail}", USAGE)
    client = client_of(arguments)
    job_id = resolve(client, arguments.job)
    client.get(job_path(job_id))
    log = client.log(job_id, Patience(say) if arguments.follow else Patience(say, 0.0))
    if arguments.since is not None:
        log.begin(moment(arguments.since, "--since", client.now))
    out = Sink(sys.stdout)
    show = waiting.records if arguments.json else waiting.output(out, out)
    with within(arguments.timeout, f"job {job_id} has not ended"):
        show(_lines(arguments, log))
    return 0


def _lines(arguments: Namespace, log: Log) -> Lines:
    lines = log.read(arguments.follow) if arguments.tail is None else _tailed(arguments, log)
    if arguments.timestamps:
        return timed(lines) if arguments.json else stamped(lines)
    return lines


def _tailed(arguments: Namespace, log: Log) -> Lines:
    """The last lines of what there is now, and with --follow what comes then."""
    *entries, end = log.read(follow=False)
    last = (
        entries[max(len(entries) - arguments.tail, 0) :] if arguments.json else tail(entries, arguments.tail)
    )
    return chain(last, log.read(follow=True)) if arguments.follow else iter([*last, end])


def tail(entries: Iterable[Job], count: int) -> list[Job]:
    """What holds the last so many lines. An entry can hold several lines, or a part of one."""
    pieces: list[tuple[int, Job]] = []
    number = 0
    for entry in entries:
        for piece in pieces_of(entry):
            pieces.append((number, piece))
            number += ends_line(piece)
    lines = number if not pieces or ends_line(pieces[-1][1]) else number + 1
    return [piece for line, piece in pieces if line >= lines - count]


def stamped(lines: Lines) -> Iterator[Job]:
    """The entries with the time before each line: when its first part came, by the clock of Redis, in UTC."""
    is_start = True
    for entry in lines:
        for piece in pieces_of(entry):
            if entry["kind"] in TEXT:
                piece = {**piece, "b64": _b64(_stamp(piece["id"]) + content(piece))} if is_start else piece
                is_start = ends_line(piece)
            yield piece


def timed(lines: Lines) -> Iterator[Job]:
    """The entries with a field more: their time in Unix seconds."""
    for entry in lines:
        yield {**entry, "time": seconds(entry["id"])} if "id" in entry else entry


def pieces_of(entry: Job) -> list[Job]:
    """An entry for each line in this one, or part of a line. A "\\r" ends a line too: ffmpeg's progress does so."""
    if entry["kind"] not in TEXT:
        return [entry]
    bare = {name: value for name, value in entry.items() if name not in ("data", "b64")}
    return [{**bare, "b64": _b64(piece)} for piece in content(entry).splitlines(keepends=True)]


def ends_line(piece: Job) -> bool:
    """Whether the next piece begins a line."""
    return piece["kind"] not in TEXT or content(piece).endswith((b"\n", b"\r"))


def seconds(entry_id: str) -> float:
    """When an entry was written: its id begins with the milliseconds."""
    return int(entry_id.partition("-")[0]) / 1000


def _stamp(entry_id: str) -> bytes:
    at = datetime.fromtimestamp(seconds(entry_id), UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03}Z ".encode()


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
