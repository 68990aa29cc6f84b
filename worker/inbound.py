"""What an attached caller sends: standard input, signals, and how far it has read."""

from __future__ import annotations

import asyncio

from app.state.connect import UNREACHABLE, stop
from app.state.output import Entry, Output
from app.wire import attach
from worker.child import Child
from worker.report import Caller

WAIT = 2.0  # seconds one read waits
RETRY = 0.2  # seconds before Redis is asked again


class Inbound:
    """Takes the caller's frames in their order, each once, however often it sends them.

    Signals act when they arrive, even while ffmpeg does not read its input; all frames are acknowledged in
    order, input only when ffmpeg has it, so that the caller is never far ahead.
    """

    def __init__(
        self, output: Output, job_id: str, caller: Caller, child: Child, stdout: asyncio.Task[None]
    ) -> None:
        self._output = output
        self._job_id = job_id
        self._caller = caller
        self._child = child
        self._stdout = stdout  # the task that relays it
        self._after = "0-0"
        self._stopped = False
        self._pending: asyncio.Queue[Entry] = asyncio.Queue()

    async def run(self) -> None:
        """Takes frames until stopped. While Redis is away it waits."""
        feeding = asyncio.create_task(self._feed())
        try:
            await self._receive()
        finally:
            await stop(feeding)

    async def stop(self) -> None:
        """Ends `run`. A blocked read is woken, not cancelled: that would cost its connection."""
        self._stopped = True
        try:
            await self._output.wake_in(self._job_id)
        except UNREACHABLE:
            return  # the read fails as well

    async def _receive(self) -> None:
        while not self._stopped:
            try:
                entries = await self._output.receive_in(self._job_id, self._after, WAIT)
                for entry in entries:
                    await self._take(entry)
                if entries:
                    await self._output.took(self._job_id, entries)
            except UNREACHABLE:
                await asyncio.sleep(RETRY)

    async def _take(self, entry: Entry) -> None:
        self._after = entry.id
        if entry.kind == attach.WINDOW:
            await self._caller.consumed(attach.unpack(entry.data))
        elif entry.kind:
            self._pending.put_nowait(entry)
            self._obey(entry)

    def _obey(self, entry: Entry) -> None:
        if entry.kind == attach.SIGNAL:
            self._child.signal(entry.data[0])
        elif entry.kind == attach.CLOSED and entry.data == attach.STDOUT:
            self._stdout.cancel()  # its end closes our end of the pipe: ffmpeg is told by the kernel

    async def _feed(self) -> None:
        while True:
            entry = await self._pending.get()
            if entry.kind == attach.STDIN:
                await self._child.write(entry.data)
            elif entry.kind == attach.EOF:
                self._child.end_input()
            if self._pending.empty():
                await self._caller.took(entry.number)
