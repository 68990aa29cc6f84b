"""The bulk streams: logs for everybody, and a lossless stream each way for an attached caller."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from app.state.connect import stop
from app.state.job import new_id
from app.state.output import BULK_MS, IDLE_MS, LOG_DAYS_MS, LOG_ENTRIES, Entry, Output
from app.wire.attach import EOF, EXIT, SIGNAL, STDERR, STDIN, STDOUT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.state.conftest import Scene

    Until = Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]

JOB = new_id()
BYTES = bytes(range(256)) * 3


@pytest.fixture
def output(scene: Scene) -> Output:
    return scene.store.output


def contents(entries: list[Entry]) -> list[tuple[bytes, bytes]]:
    return [(entry.kind, entry.data) for entry in entries]


# The log


async def test_what_is_logged_is_read_in_order(output: Output) -> None:
    await output.log(JOB, 1, 1, [(STDERR, b"one"), (STDOUT, BYTES)])
    await output.log(JOB, 1, 3, [(STDERR, b"three")])
    await output.log(JOB, 2, 1, [(STDERR, b"")])

    entries = await output.read_log(JOB, "0-0")

    assert contents(entries) == [(STDERR, b"one"), (STDOUT, BYTES), (STDERR, b"three"), (STDERR, b"")]
    assert [(entry.attempt, entry.serial) for entry in entries] == [(1, 1), (1, 2), (1, 3), (2, 1)]


async def test_a_log_is_read_on_from_where_one_was(output: Output) -> None:
    await output.log(JOB, 1, 1, [(STDERR, str(number).encode()) for number in range(10)])
    read, after = [], "0-0"

    while entries := await output.read_log(JOB, after, count=3):
        read.append([entry.data for entry in entries])
        after = entries[-1].id

    assert read == [[b"0", b"1", b"2"], [b"3", b"4", b"5"], [b"6", b"7", b"8"], [b"9"]]


async def test_a_log_that_does_not_exist_is_empty(output: Output) -> None:
    assert await output.read_log(JOB, "0-0") == []
    assert await output.read_log(JOB, "0-0", wait=0.01) == []


async def test_more_of_a_log_can_be_waited_for(scene: Scene, output: Output, until: Until) -> None:
    await output.log(JOB, 1, 1, [(STDERR, b"old")])
    (old,) = await output.read_log(JOB, "0-0")
    reading = asyncio.create_task(output.read_log(JOB, old.id, wait=5))
    await until(lambda: is_blocked(scene))

    await output.log(JOB, 1, 1, [(STDERR, b"new")])

    assert contents(await reading) == [(STDERR, b"new")]


async def is_blocked(scene: Scene) -> bool:
    """Whether some client waits in a blocking read."""
    return int((await scene.redis.info("clients"))["blocked_clients"]) == 1


async def test_a_log_is_bounded_and_keeps_its_end(output: Output) -> None:
    for serial in (1, 1_001, 2_001):
        await output.log(JOB, 1, serial, [(STDERR, b"old")] * 1_000)
    await output.log(JOB, 1, 3_001, [(STDERR, b"last")])

    entries = await output.read_log(JOB, "0-0", count=10_000)

    assert LOG_ENTRIES <= len(entries) < LOG_ENTRIES * 1.2
    assert entries[-1].data == b"last"
    assert [entry.serial for entry in entries] == list(range(entries[0].serial, 3_002))


# To the caller


async def test_a_caller_gets_every_byte_in_order(output: Output) -> None:
    sent = [(STDOUT, BYTES), (STDERR, b"hm"), (STDOUT, b""), (EXIT, b"0,,")]
    for number, (kind, data) in enumerate(sent, 1):
        await output.send(JOB, number, kind, data)

    entries = await output.receive(JOB, "0-0", wait=1)

    assert contents(entries) == sent
    assert [entry.number for entry in entries] == [1, 2, 3, 4]


async def test_a_caller_gets_a_few_at_a_time_and_nothing_twice(output: Output) -> None:
    for number in range(1, 10):
        await output.send(JOB, number, STDOUT, b"%d" % number)
    read, after = [], "0-0"

    for _ in range(3):
        entries = await output.receive(JOB, after, wait=1, count=4)
        read.append(b"".join(entry.data for entry in entries))
        after = entries[-1].id

    assert read == [b"1234", b"5678", b"9"]


async def test_a_caller_that_was_cut_off_goes_on_after_the_number_that_it_has(output: Output) -> None:
    for number in range(1, 5):
        await output.send(JOB, number, STDOUT, b"%d" % number)

    assert [entry.number for entry in await output.receive(JOB, "2", wait=1)] == [3, 4]


@pytest.mark.parametrize("number", [1, 2])
async def test_a_frame_that_is_sent_again_is_stored_once(output: Output, number: int) -> None:
    await output.send(JOB, 1, STDOUT, b"one")
    await output.send(JOB, 2, STDOUT, b"two")

    await output.send(JOB, number, STDOUT, b"again")

    assert contents(await output.receive(JOB, "0-0", wait=1)) == [(STDOUT, b"one"), (STDOUT, b"two")]


async def test_a_frame_that_is_sent_again_after_it_was_consumed_does_not_come_back(output: Output) -> None:
    await output.send(JOB, 1, STDOUT, b"one")
    await output.free(JOB, 1)

    await output.send(JOB, 1, STDOUT, b"one")
    await output.send(JOB, 2, STDOUT, b"two")

    assert contents(await output.receive(JOB, "0-0", wait=1)) == [(STDOUT, b"two")]


async def test_a_caller_is_woken_by_what_is_sent(scene: Scene, output: Output, until: Until) -> None:
    receiving = asyncio.create_task(output.receive(JOB, "0-0", wait=5))
    await until(lambda: is_blocked(scene))

    await output.send(JOB, 1, STDOUT, b"x")

    assert contents(await receiving) == [(STDOUT, b"x")]


@pytest.mark.parametrize("wait", [0.0, 0.0004, 0.01])
@pytest.mark.parametrize("read", ["read_log", "receive", "receive_in"])
async def test_nobody_waits_longer_than_asked_for(output: Output, read: str, wait: float) -> None:
    reading = asyncio.create_task(getattr(output, read)(JOB, "0-0", wait=wait))

    done, _ = await asyncio.wait([reading], timeout=0.3)
    await stop(reading)

    assert done == {reading}
    assert reading.result() == []


async def test_what_the_caller_has_consumed_is_freed(scene: Scene, output: Output) -> None:
    for number in range(1, 6):
        await output.send(JOB, number, STDOUT, b"%d" % number)

    await output.free(JOB, 3)

    assert contents(await output.receive(JOB, "0-0", wait=1)) == [(STDOUT, b"4"), (STDOUT, b"5")]
    await output.free(JOB, 2)
    assert await scene.redis.xlen(scene.keys.output(JOB)) == 2
    await output.free(JOB, 5)
    assert await scene.redis.xlen(scene.keys.output(JOB)) == 0


async def test_freeing_what_was_never_sent_frees_nothing(scene: Scene, output: Output) -> None:
    await output.free(JOB, 5)
    assert await scene.everything() == {}
    await output.send(JOB, 1, STDOUT, b"x")

    await output.free(JOB, 0)

    assert await scene.redis.xlen(scene.keys.output(JOB)) == 1


# From the caller


async def test_a_job_gets_what_its_caller_sends_in_order(output: Output) -> None:
    sent = [(STDIN, BYTES), (SIGNAL, b"\x0f"), (EOF, b"")]
    for number, (kind, data) in enumerate(sent, 1):
        await output.send_in(JOB, number, kind, data)

    entries = await output.receive_in(JOB, "0-0", wait=1)

    assert contents(entries) == sent
    assert [entry.number for entry in entries] == [1, 2, 3]


async def test_what_a_caller_sends_again_is_stored_once(output: Output) -> None:
    await output.send_in(JOB, 1, STDIN, b"one")
    taken = await output.receive_in(JOB, "0-0", wait=1)
    await output.took(JOB, taken)

    for number in (1, 2, 2, 1):
        await output.send_in(JOB, number, STDIN, b"again %d" % number)

    assert contents(await output.receive_in(JOB, "0-0", wait=1)) == [(STDIN, b"again 2")]


async def test_what_a_job_has_taken_is_gone(output: Output) -> None:
    for number in range(1, 4):
        await output.send_in(JOB, number, STDIN, b"x")
    entries = await output.receive_in(JOB, "0-0", wait=1)

    await output.took(JOB, entries[:2])

    assert [entry.number for entry in await output.receive_in(JOB, "0-0", wait=1)] == [3]
    assert await output.receive_in(JOB, entries[-1].id, wait=0.01) == []


async def test_a_job_is_woken_by_its_caller(scene: Scene, output: Output, until: Until) -> None:
    receiving = asyncio.create_task(output.receive_in(JOB, "0-0", wait=5))
    await until(lambda: is_blocked(scene))

    await output.send_in(JOB, 1, STDIN, b"x")

    assert contents(await receiving) == [(STDIN, b"x")]


@pytest.mark.parametrize("frames", [0, 1])
async def test_a_job_that_waits_for_its_caller_can_be_woken(
    scene: Scene, output: Output, until: Until, frames: int
) -> None:
    for number in range(1, frames + 1):
        await output.send_in(JOB, number, STDIN, b"x")
    receiving = asyncio.create_task(output.receive_in(JOB, str(frames), wait=5))
    await until(lambda: is_blocked(scene))

    await output.wake_in(JOB)

    assert [entry.kind for entry in await receiving] == [b""]


async def test_a_job_that_was_woken_leaves_nothing_for_ever(scene: Scene, output: Output) -> None:
    await output.wake_in(JOB)
    await output.end(JOB, attached=True)

    assert [key for key in await scene.everything() if await scene.redis.pttl(key) < 0] == []


# Whether an attempt has left traces


async def test_a_job_that_said_and_took_nothing_was_not_used(output: Output) -> None:
    assert not await output.was_used(JOB)

    await output.log(JOB, 1, 1, [(STDERR, b"for everybody")])
    await output.send_in(JOB, 1, STDIN, b"waits")

    assert not await output.was_used(JOB)


async def test_a_job_that_sent_something_was_used_though_it_is_freed(output: Output) -> None:
    await output.send(JOB, 1, STDOUT, b"x")
    assert await output.was_used(JOB)

    await output.free(JOB, 1)

    assert await output.was_used(JOB)


async def test_a_job_that_took_something_was_used(output: Output) -> None:
    for number in (1, 2):
        await output.send_in(JOB, number, STDIN, b"x")
    entries = await output.receive_in(JOB, "0-0", wait=1)
    assert not await output.was_used(JOB)

    await output.took(JOB, entries[:1])

    assert await output.was_used(JOB)


# The end


@pytest.mark.parametrize("attached", [False, True])
async def test_the_streams_of_an_ended_job_go_after_a_while(
    scene: Scene, output: Output, attached: bool
) -> None:
    await output.log(JOB, 1, 1, [(STDERR, b"x")])
    if attached:
        await output.send(JOB, 1, EXIT, b"0,,")
        await output.send_in(JOB, 1, STDIN, b"x")

    await output.end(JOB, attached=attached)

    expected = {scene.keys.log(JOB): LOG_DAYS_MS}
    if attached:
        expected |= {scene.keys.output(JOB): BULK_MS, scene.keys.input(JOB): BULK_MS}
    for key, milliseconds in expected.items():
        assert milliseconds - 5_000 < await scene.redis.pttl(key) <= milliseconds


async def test_the_last_word_can_be_read_after_the_end(output: Output) -> None:
    await output.send(JOB, 1, EXIT, b"0,,")

    await output.end(JOB, attached=True)

    assert contents(await output.receive(JOB, "0-0", wait=1)) == [(EXIT, b"0,,")]


async def test_whoever_follows_a_log_is_woken_by_the_end(scene: Scene, output: Output, until: Until) -> None:
    await output.log(JOB, 1, 1, [(STDERR, b"x")])
    (entry,) = await output.read_log(JOB, "0-0")
    following = asyncio.create_task(output.read_log(JOB, entry.id, wait=5))
    await until(lambda: is_blocked(scene))

    await output.end(JOB, attached=False)

    assert contents(await following) == [(b"", b"")]


async def test_a_job_without_streams_can_end(scene: Scene, output: Output) -> None:
    await output.end(JOB, attached=True)

    assert [key for key in await scene.everything() if await scene.redis.pttl(key) < 0] == []


@pytest.mark.parametrize("stream", ["log", "output", "input"])
async def test_a_stream_that_nobody_ends_does_not_stay_for_ever(
    scene: Scene, output: Output, stream: str
) -> None:
    """A job that the reaper fails, or that is cancelled before a worker ends it, has nobody to end its streams."""
    await output.log(JOB, 1, 1, [(STDERR, b"x")])
    await output.send(JOB, 1, STDOUT, b"x")
    await output.send_in(JOB, 1, STDIN, b"x")

    left = await scene.redis.pttl(getattr(scene.keys, stream)(JOB))

    assert 0 < left <= IDLE_MS


async def test_the_streams_of_a_job_share_a_slot_and_those_of_others_spread(scene: Scene) -> None:
    streams = [scene.keys.log(JOB), scene.keys.output(JOB), scene.keys.input(JOB)]

    assert {stream.split("{")[1].split("}")[0] for stream in streams} == {JOB}
