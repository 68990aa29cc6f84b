"""What a job says while it runs: its log for everybody, and the lossless stream for an attached caller.

A caller's window bounds how far the job may be ahead: a caller that stops reading stops ffmpeg.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from app.state.connect import FULL, UNREACHABLE, RedisError, stop
from app.state.leases import Lease, Leases
from app.state.output import Output
from app.wire import attach
from worker.outcome import Outcome

FLUSH_SECONDS = 0.1
FLUSH_BYTES = 4096
LOG_ENTRY_BYTES = 16_384
KEPT_ENTRIES = 64  # how many are kept while Redis is away
RETRY = 0.2  # seconds before Redis is asked again

log = logging.getLogger("ffgrid.worker")


class Log:
    """Collects what is printed and stores it in batches, so that a talkative job costs few commands."""

    def __init__(self, output: Output, lease: Lease) -> None:
        self._output = output
        self._lease = lease
        self._parts: list[tuple[bytes, bytes]] = []
        self._size = 0
        self._timer: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()
        self._serial = 1  # of the next entry that is stored

    async def write(self, kind: bytes, data: bytes) -> None:
        """Takes some bytes; waits only when a batch is full."""
        self._parts.append((kind, data))
        self._size += len(data)
        if self._size >= FLUSH_BYTES:
            await self.flush()
        elif self._timer is None:
            self._timer = asyncio.create_task(self._later())

    async def flush(self) -> None:
        """Stores what has been collected. While Redis is away it is kept, the newest part of it."""
        async with self._lock:
            batches, self._parts, self._size = _joined(self._parts), [], 0
            if not batches:
                return
            try:
                await self._output.log(self._lease.id, self._lease.attempt, self._serial, batches)
            except UNREACHABLE:
                dropped = batches[:-KEPT_ENTRIES]
                self._serial += len(dropped)
                self._parts = [*batches[-KEPT_ENTRIES:], *self._parts]
                raise
            self._serial += len(batches)

    async def close(self) -> None:
        """Stores the rest; nothing is taken after this. Raises what Redis raises."""
        if self._timer:
            await stop(self._timer)
        await self.flush()

    async def _later(self) -> None:
        await asyncio.sleep(FLUSH_SECONDS)
        self._timer = None
        try:
            await self.flush()
        except RedisError:
            return  # the next write, or the end, tries again


class Caller:
    """The attached caller's stream: numbered frames out, within its window."""

    def __init__(self, output: Output, lease: Lease) -> None:
        self._output = output
        self._id = lease.id
        self._number = 0
        self._sent: deque[tuple[int, int]] = deque()
        self._ahead = 0
        self._room = asyncio.Event()
        self._order = asyncio.Lock()
        self._ended = False

    async def write(self, kind: bytes, data: bytes) -> None:
        """Sends bytes; waits while the caller is a whole window behind and there may be much more."""
        while self._ahead >= attach.WINDOW_BYTES and not self._ended:
            self._room.clear()
            await self._room.wait()
        await self._send(kind, data)

    async def consumed(self, number: int) -> None:
        """The caller has what was sent up to this frame."""
        while self._sent and self._sent[0][0] <= number:
            self._ahead -= self._sent.popleft()[1]
        self._room.set()
        await self._output.free(self._id, number)

    def end(self) -> None:
        """The process has ended: what is left in its pipes is little, and goes however far the caller is."""
        self._ended = True
        self._room.set()

    async def took(self, number: int) -> None:
        """The job has taken the caller's frames up to this one."""
        await self._send(attach.TAKEN, attach.pack(number))

    async def exit(self, ending: attach.Exit) -> None:
        """The last word."""
        await self._send(attach.EXIT, ending.encode())

    async def _send(self, kind: bytes, data: bytes) -> None:
        """Sends one frame, again until Redis has it: under its number it is stored once.

        A server that is full is waited for: nothing that was printed may be lost. For how the job has ended it
        is not, there is another way to know that. Raises what Redis raises otherwise.
        """
        retried = UNREACHABLE if kind == attach.EXIT else (*UNREACHABLE, FULL)
        async with self._order:  # a frame that overtakes another would be taken for the other's repetition
            self._number += 1
            self._sent.append((self._number, attach.weight(data)))
            self._ahead += attach.weight(data)
            while True:
                try:
                    return await self._output.send(self._id, self._number, kind, data)
                except retried:
                    await asyncio.sleep(RETRY)


class LastWord:
    """How an attempt ends, told to the queue however long Redis takes to answer. `untidy`: it may leave files."""

    def __init__(self, leases: Leases, lease: Lease, kept: Log) -> None:
        self._leases = leases
        self._lease = lease
        self._log = kept

    async def finish(self, ended: Outcome, untidy: bool) -> None:
        """It has ended like this. Raises LeaseLost."""
        await self._say(
            lambda: self._leases.finish(self._lease, ended.event, ended.fields(), ended.again), untidy
        )

    async def release(self, untidy: bool) -> None:
        """The job goes back to its queue. Raises LeaseLost."""
        await self._say(lambda: self._leases.release(self._lease), untidy)

    async def _say(self, word: Callable[[], Awaitable[None]], untidy: bool) -> None:
        while True:
            try:
                await self._close_log()
                if untidy:
                    await self._leases.litter(self._lease.id)
                return await word()
            except UNREACHABLE:
                await asyncio.sleep(RETRY)

    async def _close_log(self) -> None:
        try:
            await self._log.close()
        except UNREACHABLE:
            raise
        except RedisError as error:  # a log is for people: a job does not fail for it
            log.warning("job %s: the end of its log is lost (%s)", self._lease.id, error)


def _joined(parts: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Neighbours of one kind as one; nothing longer than an entry may be."""
    joined: list[tuple[bytes, bytes]] = []
    for kind, data in parts:
        if joined and joined[-1][0] == kind and len(joined[-1][1]) + len(data) <= LOG_ENTRY_BYTES:
            joined[-1] = (kind, joined[-1][1] + data)
        else:
            starts = range(0, len(data), LOG_ENTRY_BYTES)
            joined.extend((kind, data[start : start + LOG_ENTRY_BYTES]) for start in starts)
    return joined
