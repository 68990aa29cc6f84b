"""Runs the application under uvicorn (uvloop, httptools)."""

from __future__ import annotations

import socket
from types import FrameType

import uvicorn
from starlette.applications import Starlette

# A caller whose host has vanished without a word is noticed by the kernel after about 45 s. A caller that
# is merely stopped (SIGSTOP) is not: its kernel still answers.
KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 7, "TCP_USER_TIMEOUT": 45_000}
GRACE = 2  # seconds for open requests after SIGTERM


class CannotListen(OSError):
    """The address cannot be listened on."""


class Server(uvicorn.Server):
    """uvicorn's server, which tells the application that it is going away."""

    def __init__(self, config: uvicorn.Config, application: Starlette) -> None:
        super().__init__(config)
        self.application = application

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM or SIGINT: /readyz says so at once, attached callers are sent elsewhere."""
        self.application.state.draining = True
        super().handle_exit(sig, frame)


def serve(app: Starlette, host: str, port: int, quiet: bool = False) -> None:
    """Serves until SIGTERM or SIGINT. Raises CannotListen."""
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
        log_level="warning" if quiet else "info",
        server_header=False,
    )
    server = Server(config, app)
    server.run(sockets=[listen(host, port)])


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
