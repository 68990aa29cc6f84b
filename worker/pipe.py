"""Pipes between the event loop and a child process, as plain descriptors: bytes in, bytes out, no lines."""

from __future__ import annotations

import asyncio
import fcntl
import os
from contextlib import suppress

from app.wire import attach


async def read(descriptor: int, size: int = attach.CHUNK) -> bytes:
    """What there is to read, up to `size` bytes; b"" at the end. The descriptor must not block."""
    while True:
        try:
            return os.read(descriptor, size)
        except BlockingIOError:
            await readable(descriptor)


async def write(descriptor: int, data: bytes) -> None:
    """Writes everything. Raises BrokenPipeError when nobody reads."""
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(descriptor, view) :]
        except BlockingIOError:
            await _ready(descriptor, for_writing=True)


async def readable(descriptor: int) -> None:
    """Returns once there is something to read, or the end."""
    await _ready(descriptor, for_writing=False)


async def _ready(descriptor: int, *, for_writing: bool) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()
    add, remove = (
        (loop.add_writer, loop.remove_writer) if for_writing else (loop.add_reader, loop.remove_reader)
    )
    add(descriptor, _resolve, ready)
    try:
        await ready
    finally:
        remove(descriptor)


def _resolve(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


def pair(ours_reads: bool, size: int = 0) -> tuple[int, int]:
    """A pipe as (our end, the child's end) that holds `size` bytes, where the system allows it.

    Ours does not block and is not inherited.
    """
    reader, writer = os.pipe()
    ours, theirs = (reader, writer) if ours_reads else (writer, reader)
    os.set_blocking(ours, False)
    if size and hasattr(fcntl, "F_SETPIPE_SZ"):  # Linux; there are limits for each user
        with suppress(OSError):
            fcntl.fcntl(ours, fcntl.F_SETPIPE_SZ, size)
    return ours, theirs


def close(descriptor: int | None) -> None:
    """Closes it if it is one."""
    if descriptor is not None:
        os.close(descriptor)
