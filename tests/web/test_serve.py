"""Connections to hosts that have vanished are ended; those to callers that are merely stopped are not."""

from __future__ import annotations

import asyncio
import fcntl
import signal
import socket
import sys
import termios
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import cast

import pytest
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from app.web import serve
from app.web.leaving import Leaving
from tests.cutter import vanish


class Ends(asyncio.Protocol):
    """The server's end of a connection: sends more than the peer has room for."""

    def __init__(self, made: asyncio.Queue[Ends]) -> None:
        self.lost = asyncio.Event()
        self._made = made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._made.put_nowait(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.lost.set()


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Iterator[asyncio.Runner]:
    """The event loop that coordinators run on. Silence begins early."""
    monkeypatch.setattr(serve, "SILENT_MS", 300)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield runner


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[Ends, socket.socket]]:
    """A connection as coordinators accept it, and the caller's end of it, which nobody reads."""
    made = asyncio.Queue[Ends]()
    listener = serve.listen("127.0.0.1", 0)
    server = await asyncio.get_running_loop().create_server(lambda: Ends(made), sock=listener)
    with socket.create_connection(listener.getsockname()) as caller:
        end = await asyncio.wait_for(made.get(), 5)
        yield end, caller
        end.transport.abort()
        await end.lost.wait()
    server.close()


async def is_ended(end: Ends, within: float) -> bool:
    """Whether somebody who looks for silent peers ends the connection in that time."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline and not end.lost.is_set():
        serve.end_silent([None, end.transport])
        await asyncio.sleep(0.02)
    return end.lost.is_set()


def waiting(caller: socket.socket) -> int:
    """How many bytes its kernel has for it."""
    return int.from_bytes(fcntl.ioctl(caller, termios.FIONREAD, bytes(4)), sys.byteorder)


def test_a_host_that_has_vanished_is_noticed(loop: asyncio.Runner) -> None:
    async def look() -> None:
        async with connected() as (end, caller):
            vanish(caller)
            end.transport.write(b"are you there")

            assert await is_ended(end, within=20)

    loop.run(look())


def test_a_host_that_vanishes_when_it_has_no_room_is_noticed(loop: asyncio.Runner) -> None:
    async def look() -> None:
        async with connected() as (end, caller):
            end.transport.write(bytes(32 << 20))
            held, before = waiting(caller), -1
            while held != before:  # until its kernel takes no more
                await asyncio.sleep(0.1)
                held, before = waiting(caller), held
            vanish(caller)

            assert await is_ended(end, within=20)

    loop.run(look())


def test_a_caller_that_is_stopped_is_not_taken_for_one_that_has_vanished(loop: asyncio.Runner) -> None:
    async def look() -> None:
        async with connected() as (end, _):
            end.transport.write(bytes(32 << 20))

            assert not await is_ended(end, within=10 * serve.SILENT_MS / 1000)

    loop.run(look())


def test_the_kernel_does_not_end_a_connection_because_its_caller_is_stopped(loop: asyncio.Runner) -> None:
    async def look() -> None:
        async with connected() as (end, _):
            accepted = end.transport.get_extra_info("socket")

            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 0
            assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1

    loop.run(look())


def test_a_server_looks_for_hosts_that_have_vanished(
    loop: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "SILENT_TICKS", 1)
    app = Starlette(routes=[Route("/", lambda request: PlainTextResponse("here"))])
    config = uvicorn.Config(
        app, lifespan="off", log_config=None, timeout_keep_alive=60, timeout_graceful_shutdown=1
    )
    server, listener = serve.Server(config, Leaving()), serve.listen("127.0.0.1", 0)
    known = server.server_state.connections

    async def until(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while True:
                if condition():
                    return
                await asyncio.sleep(0.02)

    async def look() -> None:
        serving = asyncio.create_task(server.serve([listener]))
        try:
            with socket.create_connection(listener.getsockname()) as caller:
                await until(lambda: bool(known))
                vanish(caller)
                caller.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")  # its answer is never acknowledged

                await until(lambda: not known)
        finally:
            server.should_exit = True
            await serving

    loop.run(look())


def test_a_signal_is_not_waited_for(loop: asyncio.Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "TICK", 1e6)
    config = uvicorn.Config(Starlette(), lifespan="off", log_config=None)
    config.load()
    server = serve.Server(config, Leaving())

    async def look() -> None:
        looking = asyncio.create_task(server.main_loop())
        await asyncio.sleep(0)
        server.handle_exit(signal.SIGTERM, None)
        await asyncio.wait_for(looking, 20)

    loop.run(look())
