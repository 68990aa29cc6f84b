"""The bulk streams: logs for everybody, and a lossless stream each way for an attached caller."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from app.state.job import new_id
from app.state.output import BULK_MS, IDLE_MS, LOG_DAYS_MS, LOG_ENTRIES, Entry, Output
from app.wire.attach import EXIT, SIGNAL, STDERR, STDIN, STDOUT, TAKEN

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
    await output.log(JOB, 1, [(STDERR, b"one"), (STDOUT, BYTES)])
    await output.log(JOB, 2, [(STDERR, b"")])

    entries = await output.read_log(JOB, "0-0")

    assert contents(entries) == [(STDERR, b"one"), (STDOUT, BYTES), (STDERR, b"")]
    assert [entry.attempt for entry in entries] == [1, 1, 2]


async def test_a_log_is_read_on_from_where_one_was(output: Output) -> None:
    await output.log(JOB, 1, [(STDERR, str(number).encode()) for number in range(10)])
    read, after = [], "0-0"

    while entries := await output.read_log(JOB, after, count=3):
        read.append([entry.data for entry in entries])
        after = entries[-1].id

    assert read == [[b"0", b"1", b"2"], [b"3", b"4", b"5"], [b"6", b"7", b"8"], [b"9"]]


async def test_a_log_that_does_not_exist_is_empty(output: Output) -> None:
    assert await output.read_log(JOB, "0-0") == []
    assert await output.read_log(JOB, "0-0", wait=0.01) == []


async def test_more_of_a_log_can_be_waited_for(scene: Scene, output: Output, until: Until) -> None:
    await output.log(JOB, 1, [(STDERR, b"old")])
    (old,) = await output.read_log(JOB, "0-0")
    reading = asyncio.create_task(output.read_log(JOB, old.id, wait=5))
    await until(lambda: is_blocked(scene))

    await output.log(JOB, 1, [(STDERR, b"new")])

    assert contents(await reading) == [(STDERR, b"new")]


async def is_blocked(scene: Scene) -> bool:
    """Whether some client waits in a blocking read."""
    return int((await scene.redis.info("clients"))["blocked_clients"]) == 1


async def test_a_log_is_bounded_and_keeps_its_end(output: Output) -> None:
    for _ in range(3):
        await output.log(JOB, 1, [(STDERR, b"old")] * 1_000)
    await output.log(JOB, 1, [(STDERR, b"last")])

    entries = await output.read_log(JOB, "0-0", count=10_000)

    assert LOG_ENTRIES <= len(entries) < LOG_ENTRIES * 1.2
    assert entries[-1].data == b"last"


# To the caller


async def test_a_caller_gets_every_byte_in_order(output: Output) -> None:
    sent = [(STDOUT, BYTES), (STDERR, b"hm"), (STDOUT, b""), (EXIT, b"0,,")]
    ids = [await output.send(JOB, kind, data) for kind, data in sent]

    entries = await output.receive(JOB, "0-0", wait=1)

    assert contents(entries) == sent
    assert [entry.id for entry in entries] == ids


async def test_a_caller_gets_a_few_at_a_time_and_nothing_twice(output: Output) -> None:
    for number in range(10):
        await output.send(JOB, STDOUT, b"%d" % number)
    read, after = [], "0-0"

    for _ in range(4):
        entries = await output.receive(JOB, after, wait=1, count=3)
        read.append(b"".join(entry.data for entry in entries))
        after = entries[-1].id

    assert read == [b"012", b"345", b"678", b"9"]


async def test_a_number_goes_with_what_is_sent(output: Output) -> None:
    await output.send(JOB, TAKEN, b"", number=7)
    await output.send(JOB, STDOUT, b"x")

    assert [entry.number for entry in await output.receive(JOB, "0-0", wait=1)] == [7, 0]


async def test_a_caller_is_woken_by_what_is_sent(scene: Scene, output: Output, until: Until) -> None:
    receiving = asyncio.create_task(output.receive(JOB, "0-0", wait=5))
    await until(lambda: is_blocked(scene))

    await output.send(JOB, STDOUT, b"x")

    assert contents(await receiving) == [(STDOUT, b"x")]


@pytest.mark.parametrize("wait", [0.0, 0.0004, 0.01])
async def test_nobody_waits_longer_than_asked_for(output: Output, wait: float) -> None:
    async with asyncio.timeout(0.5):
        assert await output.read_log(JOB, "0-0", wait=wait) == []
        assert await output.receive(JOB, "0-0", wait=wait) == []
        assert await output.receive_in(JOB, "0-0", wait=wait) == []


async def test_what_the_caller_has_consumed_is_freed(scene: Scene, output: Output) -> None:
    ids = [await output.send(JOB, STDOUT, b"%d" % number) for number in range(5)]

    await output.free(JOB, ids[2])

    assert contents(await output.receive(JOB, "0-0", wait=1)) == [(STDOUT, b"3"), (STDOUT, b"4")]
    await output.free(JOB, ids[1])
    assert await scene.redis.xlen(scene.keys.output(JOB)) == 2
    await output.free(JOB, ids[4])
    assert await scene.redis.xlen(scene.keys.output(JOB)) == 0


async def test_what_was_sent_in_one_millisecond_is_freed_one_by_one(scene: Scene, output: Output) -> None:
    for sequence in range(3):
        await scene.redis.xadd(
            scene.keys.output(JOB), {"k": STDOUT, "d": b"%d" % sequence}, id=f"5-{sequence}"
        )

    await output.free(JOB, "5-1")

    assert [entry.id for entry in await output.receive(JOB, "0-0", wait=1)] == ["5-2"]


async def test_freeing_what_was_never_sent_frees_nothing(scene: Scene, output: Output) -> None:
    await output.free(JOB, "5-0")
    assert await scene.everything() == {}
    await output.send(JOB, STDOUT, b"x")

    await output.free(JOB, "0-0")

    assert await scene.redis.xlen(scene.keys.output(JOB)) == 1


# From the caller


async def test_a_job_gets_what_its_caller_sends_in_order(output: Output) -> None:
    await output.send_in(JOB, [(STDIN, 1, BYTES), (SIGNAL, 2, b"\x0f")])
    await output.send_in(JOB, [(STDIN, 3, b"")])

    entries = await output.receive_in(JOB, "0-0", wait=1)

    assert contents(entries) == [(STDIN, BYTES), (SIGNAL, b"\x0f"), (STDIN, b"")]
    assert [entry.number for entry in entries] == [1, 2, 3]


async def test_what_a_job_has_taken_is_gone(scene: Scene, output: Output) -> None:
    await output.send_in(JOB, [(STDIN, number, b"x") for number in range(1, 4)])
    entries = await output.receive_in(JOB, "0-0", wait=1)

    await output.took(JOB, entries[:2])

    assert [entry.number for entry in await output.receive_in(JOB, "0-0", wait=1)] == [3]
    assert await output.receive_in(JOB, entries[-1].id, wait=0.01) == []


async def test_a_job_is_woken_by_its_caller(scene: Scene, output: Output, until: Until) -> None:
    receiving = asyncio.create_task(output.receive_in(JOB, "0-0", wait=5))
    await until(lambda: is_blocked(scene))

    await output.send_in(JOB, [(STDIN, 1, b"x")])

    assert contents(await receiving) == [(STDIN, b"x")]


# Whether an attempt has left traces


async def test_a_job_that_said_and_took_nothing_was_not_used(output: Output) -> None:
    assert not await output.was_used(JOB)

    await output.log(JOB, 1, [(STDERR, b"for everybody")])
    await output.send_in(JOB, [(STDIN, 1, b"waits")])

    assert not await output.was_used(JOB)


async def test_a_job_that_sent_something_was_used_though_it_is_freed(output: Output) -> None:
    sent = await output.send(JOB, STDOUT, b"x")
    assert await output.was_used(JOB)

    await output.free(JOB, sent)

    assert await output.was_used(JOB)


async def test_a_job_that_took_something_was_used(output: Output) -> None:
    await output.send_in(JOB, [(STDIN, 1, b"x"), (STDIN, 2, b"y")])
    entries = await output.receive_in(JOB, "0-0", wait=1)
    assert not await output.was_used(JOB)

    await output.took(JOB, entries[:1])

    assert await output.was_used(JOB)


# The end


async def test_the_streams_of_an_ended_job_go_after_a_while(scene: Scene, output: Output) -> None:
    await output.log(JOB, 1, [(STDERR, b"x")])
    await output.send(JOB, EXIT, b"0,,")
    await output.send_in(JOB, [(STDIN, 1, b"x")])

    await output.end(JOB)

    expected = {
        scene.keys.log(JOB): LOG_DAYS_MS,
        scene.keys.output(JOB): BULK_MS,
        scene.keys.input(JOB): BULK_MS,
    }
    for key, milliseconds in expected.items():
        assert milliseconds - 5_000 < await scene.redis.pttl(key) <= milliseconds
    assert contents(await output.receive(JOB, "0-0", wait=1)) == [(EXIT, b"0,,")]


async def test_a_job_without_streams_can_end(scene: Scene, output: Output) -> None:
    await output.end(JOB)

    assert await scene.everything() == {}


@pytest.mark.parametrize("stream", ["log", "output", "input"])
async def test_a_stream_that_nobody_ends_does_not_stay_for_ever(
    scene: Scene, output: Output, stream: str
) -> None:
    """A job that the reaper fails, or that is cancelled before a worker ends it, has nobody to end its streams."""
    await output.log(JOB, 1, [(STDERR, b"x")])
    await output.send(JOB, STDOUT, b"x")
    await output.send_in(JOB, [(STDIN, 1, b"x")])

    left = await scene.redis.pttl(getattr(scene.keys, stream)(JOB))

    assert 0 < left <= IDLE_MS


async def test_the_streams_of_a_job_share_a_slot_and_those_of_others_spread(scene: Scene) -> None:
    streams = [scene.keys.log(JOB), scene.keys.output(JOB), scene.keys.input(JOB)]

    assert {stream.split("{")[1].split("}")[0] for stream in streams} == {JOB}
