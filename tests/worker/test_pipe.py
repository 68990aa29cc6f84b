"""Pipes in the event loop: bytes in, bytes out, and nobody waits for anybody else."""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Iterator

import pytest

from worker import pipe

LARGE = os.urandom(3_000_000)  # far more than a pipe holds


@pytest.fixture
def ends() -> Iterator[tuple[int, int]]:
    """A pipe, both ends as the event loop uses them: (to read, to write)."""
    reader, writer = pipe.pair(ours_reads=True)
    os.set_blocking(writer, False)
    open_ends = [reader, writer]
    yield reader, writer
    for end in open_ends:
        try:
            os.close(end)
        except OSError:
            continue


@pytest.mark.parametrize("ours_reads", [True, False])
def test_only_our_end_does_not_block_and_none_is_inherited(ours_reads: bool) -> None:
    ours, theirs = pipe.pair(ours_reads)
    try:
        modes = [fcntl.fcntl(end, fcntl.F_GETFL) & os.O_ACCMODE for end in (ours, theirs)]

        assert modes == ([os.O_RDONLY, os.O_WRONLY] if ours_reads else [os.O_WRONLY, os.O_RDONLY])
        assert [os.get_blocking(end) for end in (ours, theirs)] == [False, True]
        assert [os.get_inheritable(end) for end in (ours, theirs)] == [False, False]
    finally:
        pipe.close(ours)
        pipe.close(theirs)


async def test_what_is_written_is_read(ends: tuple[int, int]) -> None:
    reader, writer = ends
    await pipe.write(writer, b"\0\xff\r\n")

    assert await pipe.read(reader) == b"\0\xff\r\n"


async def test_reading_waits_for_bytes(ends: tuple[int, int]) -> None:
    reader, writer = ends
    reading = asyncio.create_task(pipe.read(reader))
    await asyncio.sleep(0)
    assert not reading.done()

    os.write(writer, b"late")

    assert await asyncio.wait_for(reading, 5) == b"late"


async def test_the_end_is_no_bytes(ends: tuple[int, int]) -> None:
    reader, writer = ends
    os.write(writer, b"last")
    os.close(writer)

    assert [await pipe.read(reader) for _ in range(3)] == [b"last", b"", b""]


async def test_the_end_wakes_who_waits(ends: tuple[int, int]) -> None:
    reader, writer = ends
    reading = asyncio.create_task(pipe.read(reader))
    await asyncio.sleep(0)
    os.close(writer)

    assert await asyncio.wait_for(reading, 5) == b""


async def test_no_more_is_read_than_is_asked_for(ends: tuple[int, int]) -> None:
    reader, writer = ends
    os.write(writer, b"abcdef")

    assert [await pipe.read(reader, 4), await pipe.read(reader, 4)] == [b"abcd", b"ef"]


async def test_more_than_a_pipe_holds_is_written_while_somebody_reads(ends: tuple[int, int]) -> None:
    reader, writer = ends
    writing = asyncio.create_task(pipe.write(writer, LARGE))
    received = bytearray()
    while len(received) < len(LARGE):
        received += await pipe.read(reader)
    await asyncio.wait_for(writing, 5)

    assert received == LARGE


async def test_writing_waits_while_nobody_reads(ends: tuple[int, int]) -> None:
    _, writer = ends
    writing = asyncio.create_task(pipe.write(writer, LARGE))
    for _ in range(20):
        await asyncio.sleep(0)

    assert not writing.done()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing


async def test_a_pipe_that_nobody_reads_any_more_is_broken(ends: tuple[int, int]) -> None:
    reader, writer = ends
    os.close(reader)

    with pytest.raises(BrokenPipeError):
        await pipe.write(writer, b"x")


async def test_a_pipe_that_breaks_wakes_who_writes(ends: tuple[int, int]) -> None:
    reader, writer = ends
    writing = asyncio.create_task(pipe.write(writer, LARGE))
    await asyncio.sleep(0)
    os.close(reader)

    with pytest.raises(BrokenPipeError):
        await asyncio.wait_for(writing, 5)


async def test_reading_can_be_given_up_and_taken_up_again(ends: tuple[int, int]) -> None:
    reader, writer = ends
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(pipe.read(reader), 0.01)
    os.write(writer, b"here")

    assert await asyncio.wait_for(pipe.read(reader), 5) == b"here"


async def test_nothing_written_is_no_write(ends: tuple[int, int]) -> None:
    reader, writer = ends
    os.close(reader)

    await pipe.write(writer, b"")


def test_what_is_no_descriptor_needs_no_closing() -> None:
    pipe.close(None)
