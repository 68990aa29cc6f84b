"""Reading the logs of jobs: as the API tells them, the end of one, all of one, and what is looked for in one."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from app.state.jobs import Jobs
from app.state.output import Entry, Output
from app.web import loglines
from app.web.loglines import Piece, Reader, missing

WAIT = 2.0  # seconds a followed log waits before it looks at the job's state
LINES = 500  # that a page begins with
FEW = 8  # entries of which a page's lines are looked for first
BATCH = 100  # entries that are read at a time: 1.6 MB at most
FLOOD = 128_000  # bytes that a page is shown at a time of what has come since
LONGEST = 1 << 16  # characters of a line without an end that are remembered
FOUND = 500  # lines that a search shows, at most


@dataclass(frozen=True)
class Tail:
    """The end of a log. `position` is its last entry's id; `earlier`: there are lines before these; `dropped`:
    entries at the log's begin that are gone for ever.
    """

    pieces: list[Piece]
    position: str
    earlier: bool
    dropped: int


@dataclass(frozen=True)
class Found:
    """Lines in which a text stands: attempt, stream, number of the line in what is kept, and the line."""

    lines: list[tuple[int, str, int, str]]
    more: bool


async def told(output: Output, all_jobs: Jobs, job_id: str, after: str, follow: bool) -> AsyncIterator[bytes]:
    """The log as lines of JSON, each entry one, and the end as the last."""
    last: Entry | None = None
    while True:
        ended = (await all_jobs.get(job_id)).ended  # asked before reading: what is read then is all there is
        entries = await output.read_log(job_id, after, WAIT if follow and not ended else 0.0)
        for entry in entries:
            if count := missing(last, entry):
                yield _line({"id": after, "kind": "gap", "attempt": entry.attempt, "missing": count})
            after, last = entry.id, entry
            if entry.kind:
                yield _line(_told(entry))
        if not entries and (ended or not follow):
            break
    one = await all_jobs.get(job_id)
    yield _line({"kind": "end", "state": one.state, "exit": one.exit, "signal": one.signal})


async def tail(output: Output, job_id: str) -> Tail:
    """The last lines, at least LINES if there are so many."""
    entries: list[Entry] = []
    pieces: list[Piece] = []
    earlier, count = True, FEW
    while earlier and loglines.lines(pieces) < LINES and len(entries) < LINES:
        found = await output.log_before(job_id, entries[0].id if entries else "", count)
        entries, earlier = [*found, *entries], len(found) == count
        pieces = Reader().read(entries)
        count = min(2 * count, BATCH)
    _, dropped = await output.log_size(job_id)
    cut = pieces[-LINES:]
    return Tail(cut, entries[-1].id if entries else "0-0", earlier or len(cut) < len(pieces), dropped)


async def grown(
    output: Output, job_id: str, after: str, reader: Reader | None
) -> tuple[Reader, list[tuple[str, list[Piece]]]]:
    """What follows that entry, each entry's id and pieces, and who reads on there.

    `reader` has read what stands before; without one, another is made. Of a flood only the end is shown.
    """
    reader = reader or await _resumed(output, job_id, after)
    entries = await output.read_log(job_id, after, count=BATCH)
    shown = _last(entries)
    if skipped := entries[: len(entries) - len(shown)]:
        left_out = sum(entry.data.count(b"\n") for entry in skipped)
        reader = Reader()
        reader.read(skipped[-1:])
        gap = reader.leave_out(left_out)
        return reader, [(skipped[-1].id, gap), *((entry.id, reader.read([entry])) for entry in shown)]
    return reader, [(entry.id, reader.read([entry])) for entry in shown]


async def _resumed(output: Output, job_id: str, after: str) -> Reader:
    """A reader that knows what stands before."""
    ms, _, serial = after.partition("-")
    reader = Reader()
    reader.read(await output.log_before(job_id, f"{ms}-{int(serial) + 1}", 2))
    return reader


def _last(entries: list[Entry]) -> list[Entry]:
    """The last entries, of no more than FLOOD bytes; one at least."""
    size, first = 0, len(entries)
    while first and (size < FLOOD or first == len(entries)):
        first -= 1
        size += len(entries[first].data)
    return entries[first:]


async def stored(output: Output, job_id: str, stream: str = "") -> AsyncIterator[bytes]:
    """What is kept of all that was printed, byte for byte; of one stream only, if it is named."""
    async for entry in _entries(output, job_id):
        if stream in ("", loglines.stream(entry)):
            yield entry.data


async def is_whole(output: Output, job_id: str) -> bool:
    """Whether nothing is known to have been dropped of it."""
    there, dropped = await output.log_size(job_id)
    last = [entry for entry in await output.log_before(job_id, count=2) if entry.kind]
    return not dropped and all(entry.attempt > 1 or entry.serial <= there for entry in last)


async def last_words(output: Output, job_id: str) -> str:
    """The last line that its last attempt printed to stderr, which often says why it failed; or ""."""
    entries = [entry for entry in await output.log_before(job_id, count=FEW) if entry.kind]
    said = [
        entry
        for entry in entries
        if loglines.stream(entry) == "stderr" and entry.attempt == entries[-1].attempt
    ]
    text = b"".join(entry.data for entry in said).decode("utf-8", "backslashreplace")
    lines = [line.strip() for line in text.replace("\r", "\n").split("\n")]
    return loglines.shown(next((line for line in reversed(lines) if line), ""))


async def search(output: Output, job_id: str, text: str) -> Found:
    """The first lines that hold the text, whatever its case."""
    found: list[tuple[int, str, int, str]] = []
    wanted = text.casefold()
    async for attempt, stream, number, raw in _lines(output, job_id, wanted):
        line = raw.rstrip("\r").rpartition("\r")[2]  # what a terminal shows of it in the end
        if wanted in line.casefold():
            found.append((attempt, stream, number, loglines.shown(line)))
        if len(found) > FOUND:
            return Found(found[:FOUND], True)
    return Found(found, False)


async def _lines(output: Output, job_id: str, wanted: str) -> AsyncIterator[tuple[int, str, int, str]]:
    """The lines that may hold it. What does not is only counted: a log may have half a million lines."""
    number, rests = 1, dict[tuple[int, bytes], str]()
    async for entry in _entries(output, job_id):
        where = (entry.attempt, loglines.stream(entry))
        text = rests.pop((entry.attempt, entry.kind), "") + entry.data.decode("utf-8", "backslashreplace")
        whole, newline, rest = text.rpartition("\n")
        if newline and wanted in whole.casefold():
            for at, line in enumerate(whole.split("\n"), number):
                yield (*where, at, line)
        number += entry.data.count(b"\n")
        rests[entry.attempt, entry.kind] = "\r".join(rest[-LONGEST:].rsplit("\r", 2)[-2:])
    for (attempt, kind), rest in rests.items():
        yield attempt, loglines.STREAMS.get(kind, "note"), number, rest


async def _entries(output: Output, job_id: str) -> AsyncIterator[Entry]:
    """What there is now; a job that goes on printing keeps nobody."""
    last = [entry.id for entry in await output.log_before(job_id, count=1)]
    after = "0-0"
    while [after] != last and (entries := await output.read_log(job_id, after, count=BATCH)):
        for entry in entries:
            if entry.kind:
                yield entry
            after = entry.id
            if [after] == last:
                break


def _told(entry: Entry) -> dict[str, Any]:
    line = {"id": entry.id, "kind": loglines.stream(entry), "attempt": entry.attempt}
    try:
        return {**line, "data": entry.data.decode()}
    except UnicodeDecodeError:
        return {**line, "b64": base64.b64encode(entry.data).decode()}


def _line(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields).encode() + b"\n"
