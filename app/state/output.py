"""What a job prints and what it is sent: the bulk streams.

log     for everybody, bounded, kept: stderr (and stdout of a job without a caller) in small batches
out     for the attached caller, lossless: the window bounds it, the reader's position frees it
in      from the attached caller: stdin, signals, window; deleted as it is taken
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from redis.exceptions import ResponseError

from app.state.connect import FULL, UNREACHABLE, Connection
from app.state.keys import Keys
from app.state.scripting import Scripts

LOG_ENTRIES = 2_000  # how many batches of a job's log are kept, about
FULL_ENTRIES = 100  # the same while Redis is full: a talkative job gives memory back
LOG_DAYS_MS = 86_400_000
BULK_MS = 600_000  # how long the streams of an attached job outlive it
IDLE_MS = 7 * 86_400_000  # the longest that a bulk stream lives when nobody ends it


@dataclass(frozen=True)
class Entry:
    """One entry of a bulk stream: its id, what it is, and its bytes; in a log, its number in its attempt."""

    id: str
    kind: bytes
    data: bytes
    attempt: int = 0
    serial: int = 0

    @property
    def number(self) -> int:
        """The number of a frame to or from a caller."""
        return int(self.id.partition("-")[0])


class Output:
    """The bulk streams of jobs. `blocking` must be a client that waits for long reads.

    They grow on a full server too: what runs must be able to end, and a caller gets every byte. Frames from and to
    a caller are `replicated` (see `Store`): with replicas, none is missing after a failover when the next one comes.
    """

    def __init__(
        self, redis: Connection, blocking: Connection, keys: Keys, scripts: Scripts, replicated: Connection
    ) -> None:
        self._redis = redis
        self._replicated = replicated
        self._blocking = blocking
        self._keys = keys
        self._scripts = scripts

    async def log(
        self, job_id: str, attempt: int, serial: int, batches: Iterable[tuple[bytes, bytes]]
    ) -> None:
        """Appends (kind, bytes) batches to the job's log; the first is this attempt's entry number `serial`."""
        key = self._keys.log(job_id)
        entries = [
            (b"k", kind, b"a", attempt, b"n", number, b"d", data)
            for number, (kind, data) in enumerate(batches, serial)
        ]
        async with self._redis.pipeline(transaction=False) as pipe:
            for entry in entries:
                pipe.execute_command("XADD", key, "MAXLEN", "~", LOG_ENTRIES, "*", *entry)
            pipe.pexpire(key, IDLE_MS)
            answers = await pipe.execute(raise_on_error=False)
        for entry, answer in zip(entries, answers, strict=False):
            if isinstance(answer, FULL):
                await self._scripts.run("append", [key], ["*", FULL_ENTRIES, *entry])
            elif isinstance(answer, Exception):
                raise answer

    async def read_log(self, job_id: str, after: str, wait: float = 0.0, count: int = 500) -> list[Entry]:
        """Entries of the log after that id; waits up to `wait` seconds when there is none."""
        return await self._read(self._keys.log(job_id), after, wait, count)

    async def log_before(self, job_id: str, before: str = "", count: int = 100) -> list[Entry]:
        """The last entries of the log, or the last before that id; the oldest of them first."""
        found = await self._redis.xrevrange(
            self._keys.log(job_id), f"({before}" if before else "+", "-", count=count
        )
        return _parsed(reversed(found))

    async def log_size(self, job_id: str) -> tuple[int, int]:
        """How many entries of the log are there, and how many were dropped at its beginning to bound it."""
        there = int(await self._stream(self._keys.log(job_id), "length"))
        return there, await self._added(self._keys.log(job_id)) - there

    async def send(self, job_id: str, number: int, kind: bytes, data: bytes) -> None:
        """Appends the frame with this number (from 1) to what the caller gets. Sending it twice is harmless."""
        await self._append(self._keys.output(job_id), number, kind, data)

    async def receive(self, job_id: str, after: str, wait: float, count: int = 32) -> list[Entry]:
        """What the caller gets after that id; waits up to `wait` seconds."""
        return await self._read(self._keys.output(job_id), after, wait, count)

    async def was_used(self, job_id: str) -> bool:
        """Whether an earlier attempt has sent anything to the caller, or taken anything from it."""
        sent = await self._added(self._keys.output(job_id))
        taken = await self._added(self._keys.input(job_id)) - await self._redis.xlen(self._keys.input(job_id))
        return sent > 0 or taken > 0

    async def has_lost(self, job_id: str, number: int) -> bool:
        """Whether Redis does not know of this frame, which a caller got from it: it has lost data since."""
        return (
            int((await self._stream(self._keys.output(job_id), "last-generated-id")).split("-")[0]) < number
        )

    async def free(self, job_id: str, number: int) -> None:
        """Deletes what the caller has consumed, up to and with that frame."""
        await self._redis.xtrim(self._keys.output(job_id), minid=f"{number + 1}-0", approximate=False)

    async def send_in(self, job_id: str, number: int, kind: bytes, data: bytes) -> None:
        """Appends the caller's frame with this number (from 1). Sending it twice is harmless."""
        await self._append(self._keys.input(job_id), number, kind, data)

    async def wake(self, job_id: str) -> None:
        """Ends a blocking `receive` for a job that has ended without a last frame."""
        await self._add(self._keys.output(job_id), "*", b"k", b"")
        await self._redis.pexpire(self._keys.output(job_id), BULK_MS)

    async def wake_in(self, job_id: str) -> None:
        """Ends a blocking `receive_in` of a job that has ended; no frame can follow."""
        await self._add(self._keys.input(job_id), "*", b"k", b"")

    async def _read(self, key: str, after: str, wait: float, count: int) -> list[Entry]:
        if wait <= 0:
            return _entries(await self._redis.xread({key: after}, count=count))
        # A block of 0 ms would be one for ever.
        return _entries(await self._blocking.xread({key: after}, count=count, block=max(1, int(wait * 1000))))

    async def _append(self, key: str, number: int, kind: bytes, data: bytes) -> None:
        """The stream's ids are our own numbers, so Redis refuses a frame that it has."""
        try:
            await self._add(key, f"{number}-0", b"k", kind, b"d", data)
        except ResponseError as error:
            if "equal or smaller" not in str(error):
                raise
        if number == 1:
            await self._redis.pexpire(key, IDLE_MS)

    async def _add(self, key: str, entry: str, *fields: bytes) -> None:
        try:
            await self._replicated.execute_command("XADD", key, entry, *fields)
        except FULL:
            await self._scripts.run("append", [key], [entry, 0, *fields])

    async def receive_in(self, job_id: str, after: str, wait: float) -> list[Entry]:
        """What the caller has sent after that id; waits up to `wait` seconds."""
        return await self._read(self._keys.input(job_id), after, wait, 64)

    async def took(self, job_id: str, entries: Iterable[Entry]) -> None:
        """Deletes what the job has taken from the caller."""
        await self._redis.xdel(self._keys.input(job_id), *(entry.id for entry in entries))

    async def _added(self, key: str) -> int:
        return int(await self._stream(key, "entries-added"))

    async def _stream(self, key: str, name: str) -> str:
        """What Redis says about a stream; "0" where there is none."""
        try:
            found = (await self._redis.xinfo_stream(key))[name]
        except ResponseError as error:
            if isinstance(error, UNREACHABLE):
                raise
            return "0"
        return found.decode() if isinstance(found, bytes) else str(found)

    async def end(self, job_id: str, *, attached: bool) -> None:
        """The job has ended: wakes who follows its log, and lets its streams go after a while."""
        log = self._keys.log(job_id)
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.xadd(log, {"k": b""}, maxlen=LOG_ENTRIES, approximate=True)
            pipe.pexpire(log, LOG_DAYS_MS)
            if attached:
                pipe.pexpire(self._keys.output(job_id), BULK_MS)
                pipe.pexpire(self._keys.input(job_id), BULK_MS)
            answers = await pipe.execute(raise_on_error=False)
        for answer in answers:  # on a full server nobody is woken: who follows the log looks again by himself
            if isinstance(answer, Exception) and not isinstance(answer, FULL):
                raise answer


def _entries(reply: list[tuple[bytes, list[tuple[bytes, dict[bytes, bytes]]]]]) -> list[Entry]:
    return _parsed(reply[0][1]) if reply else []


def _parsed(entries: Iterable[tuple[bytes, dict[bytes, bytes]]]) -> list[Entry]:
    return [
        Entry(
            entry.decode(),
            fields[b"k"],
            fields.get(b"d", b""),
            int(fields.get(b"a", b"0")),
            int(fields.get(b"n", b"0")),
        )
        for entry, fields in entries
    ]
