"""A bad network: a TCP proxy on the loopback that resets every connection through it, again and again.

caller  <-->  Cutter  <-->  coordinator          both ends get a RST (SO_LINGER 0), at any byte
"""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
from types import TracebackType

CHUNK = 1 << 16
TICK = 0.02  # seconds after which it looks at its clock


class Cutter:
    """Passes on to that port of the loopback. A context; `port` is its own, `cuts` what it has reset so far."""

    def __init__(self, target: int, every: float) -> None:
        self._target = target
        self._every = every
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._peers: dict[socket.socket, socket.socket] = {}
        self._unsent: dict[socket.socket, bytes] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.port: int = self._listener.getsockname()[1]
        self.cuts = 0

    def __enter__(self) -> Cutter:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        next_cut = time.monotonic() + self._every
        with self._listener:
            while not self._ended.is_set():
                self._pass()
                if time.monotonic() >= next_cut:
                    self.cuts += len(self._peers) // 2
                    self._cut(*self._peers)
                    next_cut = time.monotonic() + self._every
        self._cut(*self._peers)

    def _pass(self) -> None:
        """Moves what can be moved. Nothing is read for a peer that does not take what it was sent."""
        readers = [end for end, peer in self._peers.items() if not self._unsent[peer]]
        writers = [end for end, data in self._unsent.items() if data]
        readable, writable, _ = select.select([self._listener, *readers], writers, [], TICK)
        for end in readable:
            if end is self._listener:
                self._accept()
            elif end in self._peers:
                self._move(end, self._peers[end])
        for end in writable:
            if end in self._peers:
                self._send(end)

    def _accept(self) -> None:
        near, _ = self._listener.accept()
        try:
            far = socket.create_connection(("127.0.0.1", self._target), timeout=2)
        except OSError:
            near.close()
            return
        for end, peer in ((near, far), (far, near)):
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._peers[end], self._unsent[end] = peer, b""

    def _move(self, end: socket.socket, peer: socket.socket) -> None:
        try:
            data = end.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._unsent[peer] = data
            self._send(peer)
        else:
            self._cut(end, peer)

    def _send(self, end: socket.socket) -> None:
        try:
            self._unsent[end] = self._unsent[end][end.send(self._unsent[end]) :]
        except BlockingIOError:
            return
        except OSError:
            self._cut(end, self._peers[end])

    def _cut(self, *ends: socket.socket) -> None:
        for end in ends:
            del self._peers[end], self._unsent[end]
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            end.close()
