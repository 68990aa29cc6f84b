"""Bad networks: TCP proxies on the loopback.

caller  <-->  Cutter  <-->  coordinator   resets every connection again and again: both ends get a RST, at any byte
              Shears                      ends each of many connections within what the coordinator says first
              Hole                        loses every packet, in both directions, for as long as one likes
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import select
import socket
import struct
import threading
import time
from random import Random
from types import TracebackType

CHUNK = 1 << 16
TICK = 0.02  # seconds after which it looks at its clock
SO_ATTACH_FILTER, SO_DETACH_FILTER = 26, 27


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
        self._begin(near, far)

    def _begin(self, near: socket.socket, far: socket.socket) -> None:
        """A caller has come (`near`), and is connected with the coordinator (`far`)."""

    def _passed(self, end: socket.socket, data: bytes) -> bytes:
        """What of the data goes to this end."""
        return data

    def _move(self, end: socket.socket, peer: socket.socket) -> None:
        try:
            data = end.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self._unsent[peer] = self._passed(peer, data)
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


class Shears(Cutter):
    """Ends connections within the first `within` bytes that the coordinator says, so many of them as `share` says.

    Half of them with a RST, the others as a process does that ends. `cuts` counts them.
    """

    def __init__(self, target: int, lot: Random, within: int = 500, share: float = 0.5) -> None:
        super().__init__(target, math.inf)
        self._lot = lot
        self._within = within
        self._share = share
        self._left: dict[socket.socket, int] = {}

    def _begin(self, near: socket.socket, far: socket.socket) -> None:
        if self._lot.random() < self._share:
            self._left[near] = self._lot.randrange(self._within)

    def _passed(self, end: socket.socket, data: bytes) -> bytes:
        if end not in self._left:
            return data
        data = data[: self._left[end]]
        self._left[end] -= len(data)
        return data

    def _send(self, end: socket.socket) -> None:
        super()._send(end)
        if self._left.get(end) == 0 and end in self._peers:
            self.cuts += 1
            if self._lot.random() < 0.5:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            self._cut(end, self._peers[end])

    def _cut(self, *ends: socket.socket) -> None:
        super()._cut(*ends)
        for end in ends:
            self._left.pop(end, None)


class Hole(Cutter):
    """Passes everything on, until `vanish` and after `appear`: its kernel drops what comes in, and answers nothing."""

    def __init__(self, target: int) -> None:
        super().__init__(target, math.inf)
        self._lost = False
        self._listener.setblocking(False)

    def vanish(self) -> None:
        """From now on every packet to it is lost; one that wants to connect is never answered."""
        self._lost = True
        for end in [self._listener, *self._peers]:
            vanish(end)

    def appear(self) -> None:
        """The network is back."""
        self._lost = False
        for end in [self._listener, *self._peers]:
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)

    def _begin(self, near: socket.socket, far: socket.socket) -> None:
        if self._lost:
            vanish(near)
            vanish(far)


def vanish(end: socket.socket) -> None:
    """From now on its kernel hears nothing on it and says nothing, as if its host had lost power."""
    nothing = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))  # BPF: accept 0 bytes of it
    program = struct.pack("HP", 1, ctypes.addressof(nothing))
    end.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
