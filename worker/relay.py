"""What a running process prints, on its way: to its log, to an attached caller, byte for byte."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from app.state.connect import RedisError, stop
from app.wire import attach
from worker.child import Child
from worker.limits import Watch
from worker.outcome import TAIL
from worker.report import Caller, Log
from worker.rewrite import Names

DRAIN_SECONDS = 1.0  # for pipes that a grandchild of ffmpeg still holds open

log = logging.getLogger("ffgrid.worker")


class Relay:
    """One process's stdout and stderr; `tail` is what came last on stderr. `caller` is None if nobody is attached."""

    def __init__(self, child: Child, keep: Log, caller: Caller | None, watch: Watch) -> None:
        self._child = child
        self._log = keep
        self._caller = caller
        self._watch = watch
        self.tail = b""
        self.pumps: list[asyncio.Task[None]] = []

    def begin(self, names: Names | None, *, is_report: bool, has_progress: bool) -> None:
        """Starts. `names` are changed in what is text: stderr, and a report on stdout.

        Media that ffmpeg prints holds names only by chance. What is printed beside progress is no sign of work.
        """
        self._counts = b"" if has_progress else attach.STDERR
        self.pumps = [
            asyncio.create_task(self._pump("stdout", attach.STDOUT, names if is_report else None)),
            asyncio.create_task(self._pump("stderr", attach.STDERR, names)),
        ]

    async def emptied(self, stopped: asyncio.Event, *, asked_to_end: bool) -> None:
        """Waits until all that was printed has gone on its way; after a stop, not for long."""
        stopping = asyncio.create_task(stopped.wait())
        pending: set[asyncio.Task[None]] = set(self.pumps)
        while pending and not stopping.done():
            limit = None if self._caller else DRAIN_SECONDS
            done, _ = await asyncio.wait(
                (*pending, stopping), timeout=limit, return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                break
            pending -= done
        if pending and stopping.done() and asked_to_end:
            await asyncio.wait(pending, timeout=DRAIN_SECONDS)
        stopping.cancel()

    async def end(self, job_id: str, *others: asyncio.Task[None]) -> None:
        """Stops it, with what runs beside it."""
        await stop(*self.pumps, *others)
        for task in (*self.pumps, *others):
            if not task.cancelled() and task.exception():
                log.error("job %s: relaying failed", job_id, exc_info=task.exception())

    async def _pump(self, name: str, kind: bytes, names: Names | None) -> None:
        """From one of the process's pipes to where it belongs, until it ends."""
        shown = names.stream() if names else None
        try:
            while data := await self._child.read(name):
                await self._print(kind, shown.feed(data) if shown else data)
            if shown:
                await self._print(kind, shown.end())
        finally:
            self._child.shut(name)

    async def _print(self, kind: bytes, data: bytes) -> None:
        if kind in (attach.STDOUT, self._counts):
            self._watch.works()
        if kind == attach.STDERR:
            self.tail = (self.tail + data)[-TAIL:]
        if data and self._caller:
            await self._caller.write(kind, data)
        if data and (not self._caller or kind == attach.STDERR):
            with suppress(RedisError):  # a log is for people: a job does not fail for it
                await self._log.write(kind, data)
