"""What a job says while it runs: its log for everybody, and the lossless stream for an attached caller.

A caller's window bounds how far the job may be ahead: a caller that stops reading stops ffmpeg.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable

from app.state.connect import FULL, UNREACHABLE, ConnectionError, RedisError, stop
from app.state.job import LeaseLost
from app.state.leases import Lease, Leases
from app.state.output import Output
from app.state.workers import LEASE_MS
from app.wire import attach
from worker.outcome import Outcome

FLUSH_SECONDS = 0.1
FLUSH_BYTES = 4096
LOG_ENTRY_BYTES = 16_384
KEPT_ENTRIES = 64  # how many are kept while Redis is away
FLOOD_BYTES = 512 << 10  # of stderr; what comes above that before it is stored is dropped, the oldest first
RETRY = 0.2  # seconds before Redis is asked again

log = logging.getLogger("ffgrid.worker")


class Log:
    """Collects what is printed and stores it in batches, so that a talkative job costs few commands.

    stderr never waits for Redis: a job that prints more than a log can take goes on, and readers are told of a gap.
    """

    def __init__(self, output: Output, lease: Lease, silent: Callable[[], float] = lambda: 0.0) -> None:
        """`silent`: for how many seconds nobody has heard of this worker. Above a lease it says nothing itself."""
        self._output = output
        self._lease = lease
        self._silent = silent
        self._is_lost = False
        self._parts: deque[tuple[bytes, bytes]] = deque()
        self._size = 0
        self._dropped = 0  # bytes since the last entry
        self._timer: asyncio.Task[None] | None = None
        self._lock = asyncio.Lock()
        self._serial = 1  # of the next entry that is stored

    async def write(self, kind: bytes, data: bytes) -> None:
        """Takes some bytes; waits only when a batch of a job's own stdout is full."""
        self._parts.append((kind, data))
        self._size += len(data)
        if self._size >= FLUSH_BYTES and kind != attach.STDERR:
            await self.flush()
            return
        if self._timer is None:
            self._timer = asyncio.create_task(self._later())
        if self._size >= FLUSH_BYTES:
            self._drop()
            await asyncio.sleep(0)  # who always has more to say must not keep others from working

    async def flush(self) -> None:
        """Stores what has been collected. While Redis is away it is kept, the newest part of it."""
        async with self._lock:
            batches, self._parts, self._size = _joined(self._parts), deque(), 0
            if not batches or self._is_lost:
                return
            self._serial += -(-self._dropped // LOG_ENTRY_BYTES)
            self._dropped = 0
            try:
                if self._silent() * 1000 > LEASE_MS:
                    raise ConnectionError("the job may be another worker's now")
                await self._output.log(self._lease.id, self._lease.attempt, self._serial, batches)
            except UNREACHABLE:
                dropped = batches[:-KEPT_ENTRIES]
                self._serial += len(dropped)
                self._parts.extendleft(reversed(batches[-KEPT_ENTRIES:]))
                raise
            self._serial += len(batches)

    def lose(self) -> None:
        """The job is another worker's: nothing more is stored."""
        self._is_lost = True

    def _drop(self) -> None:
        """Forgets the oldest of a flood."""
        while self._size > FLOOD_BYTES and self._parts[0][0] == attach.STDERR and len(self._parts) > 1:
            size = len(self._parts.popleft()[1])
            self._size -= size
            self._dropped += size

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

    def __init__(self, leases: Leases, lease: Lease, kept: Log, is_lost: Callable[[], bool]) -> None:
        self._leases = leases
        self._lease = lease
        self._log = kept
        self._is_lost = is_lost

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
            if self._is_lost():
                raise LeaseLost
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


def _joined(parts: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Neighbours of one kind as one; nothing longer than an entry may be."""
    joined: list[tuple[bytes, bytes]] = []
    for kind, data in parts:
        if joined and joined[-1][0] == kind and len(joined[-1][1]) + len(data) <= LOG_ENTRY_BYTES:
            joined[-1] = (kind, joined[-1][1] + data)
        else:
            starts = range(0, len(data), LOG_ENTRY_BYTES)
            joined.extend((kind, data[start : start + LOG_ENTRY_BYTES]) for start in starts)
    return joined
