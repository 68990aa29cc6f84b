"""How much of a processor one coordinator takes for 200 open first pages, idle and at 4 changes a second.

The pages are raw streams of a process of its own; the changes are reports of four running jobs. Beside the idle ones:
the same coordinator without pages. Beside the others: a bare server (asyncio, as the coordinator) that sends as many
bytes as often to as many connections, and knows what they are.
"""

from __future__ import annotations

import asyncio
import select
import time
from collections.abc import Iterator
from typing import Any

from tests.bench import reporting
from tests.bench.figure import Aim, Figure
from tests.bench.harness import Options, Side, Stage, say
from tests.bench.proc import cpu
from tests.bench.timing import Broken
from tests.bench.visitor import get, sessions, streams
from tests.ports import free_port

TABS = 200
JOBS = 4
EVERY = 0.25  # seconds between two changes
SECONDS, LONG_SECONDS = 8.0, 60.0
SETTLE = 2.0  # seconds after which pages are open and idle
IDLE, BUSY = Aim(1.0), Aim(8.0)


def run(options: Options) -> Iterator[Figure]:
    """The figures."""
    seconds = LONG_SECONDS if options.long else SECONDS
    with Stage(options) as stage:
        port, process = stage.coordinator()
        cookies = sessions(stage, TABS)
        topics = get(port, "/", cookies[0]).events.partition("t=")[2].partition("&")[0]
        held = {"port": port, "topics": topics, "cookies": cookies, "seconds": seconds}
        alone = _share(process.pid, seconds)
        idle, _ = _held(stage, process.pid, held)
        side = stage.side(reporting.report, jobs=JOBS, every=EVERY)
        side.hear()
        busy, (events, carried) = _held(stage, process.pid, held)
        stage.stop(side.process)
        bare = _bare(stage, held, carried // max(1, events))
    yield Figure("tabs.idle", idle, "%", alone, "without pages", idle - alone, aim=IDLE)
    yield Figure("tabs.busy", busy, "%", bare, "a bare server, same bytes", busy - bare, aim=BUSY)
    yield Figure("tabs.busy.events", events / seconds, "/s", TABS / EVERY, "pages times changes")
    yield Figure("tabs.busy.bytes", carried / max(1, events), "B")


def _held(stage: Stage, pid: int, held: dict[str, Any]) -> tuple[float, tuple[int, int]]:
    """The process's share while the pages are open, in percent; and what they were sent: events, bytes."""
    side = stage.side(hold, **held)
    side.hear()
    before, began = cpu(pid), time.monotonic()
    events, carried, lost = side.hear()
    share = 100 * (cpu(pid) - before) / (time.monotonic() - began)
    stage.stop(side.process)
    if lost:
        raise Broken(f"{lost} of {TABS} streams have ended")
    return share, (events, carried)


def _bare(stage: Stage, held: dict[str, Any], size: int) -> float:
    port = free_port()
    side: Side = stage.side(serve, port=port, size=size)
    side.hear()
    share, _ = _held(stage, side.process.pid, {**held, "port": port})
    stage.stop(side.process)
    return share


def _share(pid: int, seconds: float) -> float:
    before = cpu(pid)
    time.sleep(seconds)
    return 100 * (cpu(pid) - before) / seconds


def hold(url: str, port: int, topics: str, cookies: list[str], seconds: float) -> None:
    """Holds the streams: says "ready", and after so many seconds [events, bytes, streams that have ended]."""
    waiting = select.epoll()
    open_streams = {connection.fileno(): connection for connection in streams(port, topics, cookies)}
    for number in open_streams:
        waiting.register(number, select.EPOLLIN)
    _until_all_speak(waiting, open_streams)
    _listen(waiting, open_streams, SETTLE)
    say("ready")
    say(_listen(waiting, open_streams, seconds))
    time.sleep(seconds)  # for the end of the stage


def _until_all_speak(waiting: select.epoll, streams: dict[int, Any]) -> None:
    silent = set(streams)
    while silent:
        for number, _ in waiting.poll():
            streams[number].recv(1 << 18)
            silent.discard(number)


def _listen(waiting: select.epoll, streams: dict[int, Any], seconds: float) -> tuple[int, int, int]:
    events = carried = lost = 0
    ends = time.monotonic() + seconds
    while (left := ends - time.monotonic()) > 0:
        for number, _ in waiting.poll(left):
            data = streams[number].recv(1 << 18)
            events += data.count(b"\nid: ") + data.startswith(b"id: ")
            carried += len(data)
            if not data:
                lost += 1
                waiting.unregister(number)
    return events, carried, lost


def serve(url: str, port: int, size: int) -> None:
    """A server that sends so many bytes to all its connections at each change."""
    asyncio.run(_serve(port, b"id: 0\n" + b"x" * (size - 8) + b"\n\n"))


async def _serve(port: int, text: bytes) -> None:
    writers: list[asyncio.StreamWriter] = []

    async def welcome(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writers.append(writer)

    await asyncio.start_server(welcome, "127.0.0.1", port, backlog=TABS)
    say("ready")
    while True:
        await asyncio.sleep(EVERY)
        for writer in writers:
            writer.write(text)
