"""Runs the application under uvicorn (uvloop, httptools)."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Iterable
from contextlib import suppress
from itertools import count
from types import FrameType

import uvicorn
from starlette.applications import Starlette

from app.web.leaving import Leaving

# A caller whose host has vanished without a word is noticed by the kernel after about 45 s when there is nothing
# to send it, and by `end_silent` when there is. TCP_USER_TIMEOUT would take a caller that is merely stopped
# (SIGSTOP) for one that has vanished: its kernel answers, but has no room.
KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 7}
SILENT_MS = 45_000
TICK, HURRY = 1.0, 0.1  # seconds between two looks whether all is well, and while this process goes away
SILENT_TICKS = 5  # between two looks for hosts that have vanished
TCP_INFO_BYTES = 104  # of Linux's struct tcp_info
LAST_ACK_RECV = 56  # where in it the ms since an ACK came are
GRACE = 1  # seconds for open requests once connections are closed


class CannotListen(OSError):
    """The address cannot be listened on."""


class Server(uvicorn.Server):
    """uvicorn's server, which leaves step by step: see `app.web.leaving`."""

    def __init__(self, config: uvicorn.Config, leaving: Leaving) -> None:
        super().__init__(config)
        self._leaving = leaving
        self._loop: asyncio.AbstractEventLoop | None = None
        self._signalled = asyncio.Event()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM or SIGINT."""
        self._leaving.announce()
        super().handle_exit(sig, frame)
        if self._loop:
            self._loop.call_soon_threadsafe(self._signalled.set)

    async def main_loop(self) -> None:
        """In the place of uvicorn's, which looks ten times a second: half of all for which an idle process woke up."""
        self._loop = asyncio.get_running_loop()
        for tick in count():
            if await self.on_tick(tick):
                return
            if self.should_exit:
                await asyncio.sleep(HURRY)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK):
                    await self._signalled.wait()

    async def on_tick(self, counter: int) -> bool:
        """Whether to close all connections and end. Looks for hosts that have vanished."""
        if counter % SILENT_TICKS == 0:
            end_silent([connection.transport for connection in self.server_state.connections])
        self.should_exit = self.should_exit or self._leaving.refused is not None
        is_asked = await super().on_tick(0)  # which tells the time once in ten times
        return is_asked and (self._leaving.proceed() or self.force_exit)


def end_silent(transports: Iterable[asyncio.Transport | None]) -> None:
    """Ends those whose peers have not acknowledged anything for long, however often they were asked (Linux)."""
    if not hasattr(socket, "TCP_INFO"):
        return
    for transport in transports:
        if transport is None or transport.is_closing():
            continue
        peer = transport.get_extra_info("socket")
        if is_silent(peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_BYTES)):
            transport.abort()


def is_silent(info: bytes) -> bool:
    """What TCP_INFO says of a peer that has vanished. One that has no room answers each question for it."""
    retransmits, probes, (last_ack,) = info[2], info[3], struct.unpack_from("=I", info, LAST_ACK_RECV)
    return (retransmits > 0 or probes > 1) and last_ack >= SILENT_MS


def serve(app: Starlette, host: str, port: int, quiet: bool = False) -> None:
    """Serves until SIGTERM or SIGINT. Raises CannotListen, and why it must not serve if that shows later."""
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        ws_ping_interval=None,
        ws_max_size=1 << 20,
        timeout_graceful_shutdown=GRACE,
        timeout_keep_alive=30,
        access_log=False,
        proxy_headers=False,  # whoever connects is the peer: a header cannot say otherwise
        log_config=None,  # what it logs goes where all the rest goes, see app/logs.py
        log_level="warning" if quiet else "info",
        server_header=False,
    )
    leaving: Leaving = app.state.leaving
    Server(config, leaving).run(sockets=[listen(host, port)])
    if leaving.refused:
        raise leaving.refused


def listen(host: str, port: int) -> socket.socket:
    """A listening socket whose connections notice that a peer is gone. Raises CannotListen."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        if hasattr(socket, name):
            listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    try:
        listener.bind((host, port))
    except OSError as error:
        raise CannotListen(f"cannot listen on {host}:{port}: {error.strerror}") from None
    listener.listen(2048)
    return listener
