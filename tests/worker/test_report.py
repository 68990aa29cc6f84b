"""What a job says: a log in batches, and numbered frames within a window, whatever Redis does meanwhile."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping

import pytest
from redis.exceptions import ConnectionError

from app.state.connect import stop
from app.state.job import LeaseLost
from app.state.leases import Lease, Leases
from app.state.output import Entry, Output
from app.state.store import Store
from app.state.workers import LEASE_MS
from app.wire import attach
from app.wire.attach import EXIT, STDERR, STDOUT, TAKEN, WINDOW_BYTES, Exit
from worker import report
from worker.outcome import Outcome
from worker.report import FLOOD_BYTES, FLUSH_BYTES, KEPT_ENTRIES, LOG_ENTRY_BYTES, Caller, LastWord, Log

LEASE = Lease("01M7ZSCJGFM87A34V23JR094QD", "token", 2, b"")
CHUNK = bytes(attach.CHUNK)
FULL = WINDOW_BYTES // len(CHUNK)  # chunks in a window


class Recorder(Output):
    """Remembers what is stored. `away` says how many of the next commands fail; it `hangs` until that is set."""

    def __init__(self) -> None:
        self.frames: list[tuple[int, bytes, bytes]] = []
        self.entries: list[tuple[int, bytes, bytes]] = []
        self.calls = 0
        self.freed = 0
        self.away = 0
        self.hangs: asyncio.Event | None = None

    async def log(
        self, job_id: str, attempt: int, serial: int, batches: Iterable[tuple[bytes, bytes]]
    ) -> None:
        await self._answer()
        assert (job_id, attempt) == (LEASE.id, LEASE.attempt)
        self.entries += [(number, kind, data) for number, (kind, data) in enumerate(batches, serial)]

    async def send(self, job_id: str, number: int, kind: bytes, data: bytes) -> None:
        """As Redis does it: a number that is not larger than the last one is there already."""
        await self._answer()
        if not self.frames or number > self.frames[-1][0]:
            self.frames.append((number, kind, data))

    async def free(self, job_id: str, number: int) -> None:
        self.freed = number

    async def _answer(self) -> None:
        self.calls += 1
        await asyncio.sleep(0)
        if self.hangs:
            await self.hangs.wait()
        if self.away > 0:
            self.away -= 1
            raise ConnectionError("away")

    def logged(self, kind: bytes = STDERR) -> bytes:
        """All that was logged of one kind."""
        return b"".join(data for _, one, data in self.entries if one == kind)


@pytest.fixture
def output(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    """Where it is stored; Redis is asked again at once."""
    monkeypatch.setattr(report, "RETRY", 0.001)
    return Recorder()


async def until(condition: Callable[[], object], within: float = 5.0) -> None:
    """Returns once the condition holds."""
    async with asyncio.timeout(within):
        while True:
            if condition():
                return
            await asyncio.sleep(0.002)


async def settle() -> None:
    """Lets everything that can go on go on."""
    for _ in range(50):
        await asyncio.sleep(0)


# The log


async def test_a_little_is_stored_a_little_later(output: Recorder) -> None:
    log = Log(output, LEASE)
    await log.write(STDERR, b"frame=1\n")
    assert output.entries == []

    await until(lambda: output.entries)

    assert output.entries == [(1, STDERR, b"frame=1\n")]


async def test_many_small_writes_are_one_entry(output: Recorder) -> None:
    log = Log(output, LEASE)
    for number in range(100):
        await log.write(STDERR, b"line %02d\n" % number)
    await log.close()

    assert output.calls == 1
    assert output.entries == [(1, STDERR, b"".join(b"line %02d\n" % number for number in range(100)))]


async def test_a_full_batch_of_stdout_is_stored_at_once(output: Recorder) -> None:
    log = Log(output, LEASE)
    await log.write(STDOUT, b"x" * FLUSH_BYTES)

    assert output.logged(STDOUT) == b"x" * FLUSH_BYTES
    await log.close()


async def test_what_is_said_on_stderr_does_not_wait_for_redis(output: Recorder) -> None:
    log, output.hangs = Log(output, LEASE), asyncio.Event()
    for number in range(3 * FLOOD_BYTES // 1000):
        await log.write(STDERR, b"%03d\n" % (number % 1000) * 250)
    await until(lambda: output.calls)
    output.hangs.set()
    await log.close()

    stored, last = output.logged(), number % 1000
    assert FLOOD_BYTES - 1000 < len(stored) <= FLOOD_BYTES
    assert stored.endswith(b"%03d\n" % last)


async def test_what_a_flood_has_washed_away_is_a_gap_in_the_numbers(output: Recorder) -> None:
    log = Log(output, LEASE)
    await log.write(STDERR, b"head\n")
    await until(lambda: output.entries)
    for _ in range(3):
        await log.write(STDERR, b"x" * FLOOD_BYTES)
    await log.close()

    serials = [serial for serial, _, _ in output.entries]
    whole = FLOOD_BYTES // LOG_ENTRY_BYTES
    assert serials == [1, *range(2 + 2 * whole, 2 + 3 * whole)]
    assert output.logged() == b"head\n" + b"x" * FLOOD_BYTES


async def test_a_flood_keeps_nobody_from_working(output: Recorder) -> None:
    log, turns = Log(output, LEASE), 0

    async def work() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    working = asyncio.create_task(work())
    for _ in range(100):
        await log.write(STDERR, b"x" * FLUSH_BYTES)
    await stop(working)
    await log.close()

    assert turns >= 100


async def test_two_streams_keep_their_order(output: Recorder) -> None:
    log = Log(output, LEASE)
    for kind, data in ((STDOUT, b"a"), (STDOUT, b"b"), (STDERR, b"c"), (STDOUT, b"d")):
        await log.write(kind, data)
    await log.close()

    assert output.entries == [(1, STDOUT, b"ab"), (2, STDERR, b"c"), (3, STDOUT, b"d")]


@pytest.mark.parametrize(
    "size", [1, LOG_ENTRY_BYTES - 1, LOG_ENTRY_BYTES, LOG_ENTRY_BYTES + 1, 65_536, 200_001]
)
async def test_no_entry_is_larger_than_it_may_be(output: Recorder, size: int) -> None:
    log, data = Log(output, LEASE), os.urandom(size)
    await log.write(STDERR, data)
    await log.close()

    assert output.logged() == data
    assert max(len(entry) for _, _, entry in output.entries) <= LOG_ENTRY_BYTES
    assert len(output.entries) == -(-size // LOG_ENTRY_BYTES)


async def test_whatever_is_written_is_logged_in_order_and_in_bounded_entries(output: Recorder) -> None:
    chance = random.Random(3)
    log, written = Log(output, LEASE), {STDOUT: bytearray(), STDERR: bytearray()}
    for _ in range(300):
        kind, data = chance.choice((STDOUT, STDERR)), chance.randbytes(chance.choice((1, 80, 3000, 20_000)))
        written[kind] += data
        await log.write(kind, data)
    await log.close()

    assert {kind: output.logged(kind) for kind in written} == written
    assert all(len(data) <= LOG_ENTRY_BYTES for _, _, data in output.entries)
    assert [serial for serial, _, _ in output.entries] == list(range(1, len(output.entries) + 1))


async def test_closing_stores_the_rest_and_leaves_no_task(output: Recorder) -> None:
    log = Log(output, LEASE)
    await log.write(STDERR, b"last words")
    before = len(asyncio.all_tasks())
    await log.close()

    assert output.logged() == b"last words"
    assert len(asyncio.all_tasks()) == before - 1


async def test_closing_what_is_empty_stores_nothing(output: Recorder) -> None:
    await Log(output, LEASE).close()

    assert output.calls == 0


async def test_what_could_not_be_stored_is_stored_later(output: Recorder) -> None:
    log = Log(output, LEASE)
    output.away = 2
    for number in range(3):
        try:
            await log.write(STDOUT, b"%d" % number * FLUSH_BYTES)
        except ConnectionError:
            continue
    await log.close()

    assert output.logged(STDOUT) == b"0" * FLUSH_BYTES + b"1" * FLUSH_BYTES + b"2" * FLUSH_BYTES
    assert [serial for serial, _, _ in output.entries] == list(range(1, len(output.entries) + 1))


async def test_what_is_stored_late_in_the_background_fails_for_nobody(output: Recorder) -> None:
    log = Log(output, LEASE)
    output.away = 1
    await log.write(STDERR, b"early ")
    await until(lambda: output.calls)
    await log.write(STDERR, b"late")
    await until(lambda: output.entries)

    assert output.logged() == b"early late"
    await log.close()


async def test_of_a_long_outage_the_newest_is_kept_and_the_gap_is_numbered(output: Recorder) -> None:
    log = Log(output, LEASE)
    output.away = 1_000_000
    kinds = [STDOUT, STDERR]
    for number in range(400):
        try:
            await log.write(kinds[number % 2], b"%04d" % number * 2000)
        except ConnectionError:
            continue
    output.away = 0
    await log.close()

    serials = [serial for serial, _, _ in output.entries]
    assert KEPT_ENTRIES <= len(serials) <= KEPT_ENTRIES + 1
    assert serials[0] > 300
    assert serials == list(range(serials[0], serials[0] + len(serials)))
    assert output.entries[-1][2] == b"0399" * 2000


async def test_who_was_not_heard_of_for_a_lease_stores_nothing_until_he_is(output: Recorder) -> None:
    silent = LEASE_MS / 1000 + 0.1
    log = Log(output, LEASE, lambda: silent)
    await log.write(STDERR, b"late words\n")
    with pytest.raises(ConnectionError):
        await log.close()
    assert output.calls == 0

    silent = 0.5
    await log.close()

    assert output.logged() == b"late words\n"


async def test_of_a_job_that_is_anothers_nothing_more_is_stored(output: Recorder) -> None:
    log = Log(output, LEASE)
    await log.write(STDERR, b"late words\n")
    log.lose()
    await log.write(STDERR, b"and later ones\n")
    await log.close()

    assert output.calls == 0


async def test_an_error_at_the_end_reaches_who_closes(output: Recorder) -> None:
    log = Log(output, LEASE)
    await log.write(STDERR, b"x")
    output.away = 1

    with pytest.raises(ConnectionError):
        await log.close()
    await log.close()

    assert output.logged() == b"x"


async def test_a_log_in_redis_is_read_as_it_was_written(store: Store) -> None:
    log = Log(store.output, LEASE)
    for kind, data in ((STDERR, b"one\n"), (STDOUT, b"\0\xff"), (STDERR, b"y" * 40_000)):
        await log.write(kind, data)
    await log.close()

    entries = await store.output.read_log(LEASE.id, "0-0")
    assert b"".join(entry.data for entry in entries if entry.kind == STDERR) == b"one\n" + b"y" * 40_000
    assert [entry.serial for entry in entries] == list(range(1, len(entries) + 1))
    assert {entry.attempt for entry in entries} == {2}


# The caller's stream


async def test_frames_are_numbered_from_one_on(output: Recorder) -> None:
    caller = Caller(output, LEASE)
    await caller.write(STDOUT, b"a")
    await caller.write(STDERR, b"")
    await caller.took(7)
    await caller.exit(Exit(3, None, "why"))

    assert output.frames == [
        (1, STDOUT, b"a"),
        (2, STDERR, b""),
        (3, TAKEN, attach.pack(7)),
        (4, EXIT, b"3,,why"),
    ]


async def test_the_job_waits_when_its_caller_is_a_window_behind(output: Recorder) -> None:
    caller = Caller(output, LEASE)
    for _ in range(FULL):
        await caller.write(STDOUT, CHUNK)
    blocked = asyncio.create_task(caller.write(STDOUT, b"one more"))
    await settle()
    assert not blocked.done()
    assert len(output.frames) == FULL

    await caller.consumed(1)

    await asyncio.wait_for(blocked, 5)
    assert output.frames[-1] == (FULL + 1, STDOUT, b"one more")
    assert output.freed == 1


async def test_a_caller_that_has_read_nothing_new_opens_nothing(output: Recorder) -> None:
    caller = Caller(output, LEASE)
    for _ in range(FULL):
        await caller.write(STDOUT, CHUNK)
    blocked = asyncio.create_task(caller.write(STDOUT, b"one more"))
    await caller.consumed(0)
    await settle()

    assert not blocked.done()
    blocked.cancel()


async def test_both_outputs_wait_and_both_go_on(output: Recorder) -> None:
    caller = Caller(output, LEASE)
    for _ in range(FULL):
        await caller.write(STDOUT, CHUNK)
    blocked = [asyncio.create_task(caller.write(kind, b"x")) for kind in (STDOUT, STDERR)]
    await settle()
    assert len(output.frames) == FULL

    await caller.consumed(FULL)

    await asyncio.wait_for(asyncio.gather(*blocked), 5)
    assert {kind for _, kind, _ in output.frames[FULL:]} == {STDOUT, STDERR}


@pytest.mark.parametrize("size", [1, 1000])
async def test_many_small_frames_fill_the_window_too(output: Recorder, size: int) -> None:
    caller, small = Caller(output, LEASE), bytes(size)
    writing = asyncio.create_task(_write_for_ever(caller, small))
    weight = attach.weight(small)
    await until(lambda: len(output.frames) * weight >= WINDOW_BYTES, within=20)
    await settle()
    stored = len(output.frames)
    await settle()

    assert len(output.frames) == stored
    assert stored * weight < WINDOW_BYTES + weight
    writing.cancel()


async def _write_for_ever(caller: Caller, data: bytes) -> None:
    while True:
        await caller.write(STDOUT, data)


async def test_what_is_not_data_never_waits_for_the_window(output: Recorder) -> None:
    caller = Caller(output, LEASE)
    for _ in range(FULL):
        await caller.write(STDOUT, CHUNK)

    await asyncio.wait_for(caller.took(1), 5)
    await asyncio.wait_for(caller.exit(Exit(0, None, "")), 5)

    assert [kind for _, kind, _ in output.frames[FULL:]] == [TAKEN, EXIT]


async def test_a_caller_may_say_more_than_it_can_have(output: Recorder) -> None:
    caller = Caller(output, LEASE)
    await caller.write(STDOUT, b"x")
    await caller.consumed(1 << 40)
    for _ in range(FULL):
        await caller.write(STDOUT, CHUNK)

    assert len(output.frames) == FULL + 1  # it gains one window, not the sky
    blocked = asyncio.create_task(caller.write(STDOUT, b"x"))
    await settle()
    assert not blocked.done()
    blocked.cancel()


@pytest.mark.parametrize("failures", [1, 5])
async def test_a_frame_is_sent_until_redis_has_it(output: Recorder, failures: int) -> None:
    caller = Caller(output, LEASE)
    output.away = failures
    await caller.write(STDOUT, b"a")
    await caller.write(STDOUT, b"b")

    assert output.frames == [(1, STDOUT, b"a"), (2, STDOUT, b"b")]
    assert output.calls == failures + 2


async def test_a_frame_that_has_to_be_sent_again_is_not_overtaken(output: Recorder) -> None:
    caller = Caller(output, LEASE)
    output.away = 1
    await asyncio.gather(caller.write(STDOUT, b"picture"), caller.write(STDERR, b"warning"), caller.took(1))

    assert [data for _, _, data in output.frames] == [b"picture", b"warning", attach.pack(1)]


async def test_two_outputs_at_once_lose_nothing_on_a_real_server(store: Store) -> None:
    caller, count = Caller(store.output, LEASE), 1500

    async def pump(kind: bytes) -> None:
        for number in range(count):
            await caller.write(kind, b"%d" % number)

    async def acknowledge() -> None:
        for number in range(count):
            await caller.took(number)

    await asyncio.gather(pump(STDOUT), pump(STDERR), acknowledge())

    entries = await received(lambda after: store.output.receive(LEASE.id, after, 0.0, count=1000))
    for kind in (STDOUT, STDERR):
        assert [int(entry.data) for entry in entries if entry.kind == kind] == list(range(count))
    assert [entry.number for entry in entries] == list(range(1, 3 * count + 1))


async def test_a_server_that_is_full_is_waited_for(store: Store) -> None:
    caller, redis = Caller(store.output, LEASE), store.redis
    await redis.config_set("maxmemory", 1)
    try:
        writing = asyncio.create_task(caller.write(STDERR, b"picture"))
        async with asyncio.timeout(5):
            while True:
                if "errorstat_OOM" in await redis.info("errorstats"):
                    break
                await asyncio.sleep(0.01)
    finally:
        await redis.config_set("maxmemory", 0)
    await asyncio.wait_for(writing, 5)
    await caller.write(STDERR, b"sound")

    entries = await store.output.receive(LEASE.id, "0-0", 0.0)
    assert [entry.data for entry in entries] == [b"picture", b"sound"]


async def received(read: Callable[[str], Awaitable[list[Entry]]]) -> list[Entry]:
    """All entries there are."""
    entries: list[Entry] = []
    while found := await read(entries[-1].id if entries else "0-0"):
        entries += found
    return entries


async def test_what_the_caller_has_is_freed_on_a_real_server(store: Store) -> None:
    caller = Caller(store.output, LEASE)
    for _ in range(10):
        await caller.write(STDOUT, CHUNK)
    await caller.consumed(7)

    entries = await store.output.receive(LEASE.id, "0-0", 0.0)
    assert [entry.number for entry in entries] == [8, 9, 10]


# The last word


class Ending(Leases):
    """Remembers what it is told. `away` says how many of the next words get no answer."""

    def __init__(self, away: int = 0) -> None:
        self.told: list[str] = []
        self.away = away

    async def litter(self, job_id: str) -> None:
        self.told.append("litter")

    async def release(self, lease: Lease) -> None:
        await self._hear("release")

    async def finish(
        self, lease: Lease, event: str, fields: Mapping[str, str | int], again: bool = False
    ) -> None:
        await self._hear(event)

    async def _hear(self, word: str) -> None:
        if self.away > 0:
            self.away -= 1
            raise ConnectionError("away")
        self.told.append(word)


@pytest.mark.parametrize("untidy", [False, True])
async def test_what_an_attempt_may_leave_is_told_before_its_end(output: Recorder, untidy: bool) -> None:
    leases = Ending()
    last_word = LastWord(leases, LEASE, Log(output, LEASE), lambda: False)

    await last_word.finish(Outcome("fail", 1), untidy)
    await last_word.release(untidy)

    before = ["litter"] if untidy else []
    assert leases.told == [*before, "fail", *before, "release"]


async def test_the_last_word_is_said_until_it_is_heard(output: Recorder) -> None:
    leases = Ending(away=3)
    kept = Log(output, LEASE)
    await kept.write(STDERR, b"the end")
    output.away = 2

    await LastWord(leases, LEASE, kept, lambda: False).finish(Outcome("succeed", 0), False)

    assert (leases.told, output.logged()) == (["succeed"], b"the end")


async def test_nothing_is_said_about_a_job_that_was_lost_meanwhile(output: Output) -> None:
    class Away(Leases):
        def __init__(self) -> None:
            self.asked = 0

        async def finish(self, *arguments: object) -> None:
            self.asked += 1
            raise ConnectionError("away")

    leases = Away()
    last_word = LastWord(leases, LEASE, Log(output, LEASE), lambda: leases.asked > 1)

    with pytest.raises(LeaseLost):
        await last_word.finish(Outcome("succeed", 0), False)

    assert leases.asked == 2
