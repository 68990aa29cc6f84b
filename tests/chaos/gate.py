"""The network between one worker and Redis: a socket of its own that passes on, until it is shut.

worker  <-->  Gate  <-->  Redis          both on unix sockets

A shut gate loses nothing and says nothing: bytes wait at either end, new connections are never answered. That is
what a partition looks like. When it is opened again, all of it arrives.
"""

from __future__ import annotations

import selectors
import socket
import threading
from pathlib import Path
from types import TracebackType

CHUNK = 1 << 16
TICK = 0.05  # seconds after which it looks whether it was shut or opened


class Gate:
    """Listens at `path` and passes on to `target`. A context; `url` is what a worker is told."""

    def __init__(self, path: Path, target: Path) -> None:
        self._target = str(target)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(64)
        self._listener.setblocking(False)
        self._peers: dict[socket.socket, socket.socket] = {}
        self._unsent: dict[socket.socket, bytes] = {}
        self._open, self._ended = threading.Event(), threading.Event()
        self._open.set()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.url = f"unix://{path}"

    def __enter__(self) -> Gate:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._open.set()
        self._thread.join()

    def shut(self) -> None:
        """Nothing passes from now on."""
        self._open.clear()

    def open(self) -> None:
        """What has waited passes, and all that follows."""
        self._open.set()

    def _run(self) -> None:
        with self._listener:
            while not self._ended.is_set():
                if self._open.wait(TICK):
                    self._pass()
        for end in list(self._peers):
            end.close()

    def _pass(self) -> None:
        """Moves what can be moved. Nothing is read for a peer that does not take what it was sent."""
        with selectors.DefaultSelector() as ready:
            ready.register(self._listener, selectors.EVENT_READ)
            for end, peer in self._peers.items():
                wanted = selectors.EVENT_WRITE if self._unsent[end] else 0
                wanted |= 0 if self._unsent[peer] else selectors.EVENT_READ
                if wanted:
                    ready.register(end, wanted)
            for key, events in ready.select(TICK):
                if key.fileobj is self._listener:
                    self._accept()
                elif isinstance(key.fileobj, socket.socket):
                    self._move(key.fileobj, events)

    def _accept(self) -> None:
        near, _ = self._listener.accept()
        far = socket.socket(socket.AF_UNIX)
        try:
            far.connect(self._target)
        except OSError:
            near.close()
            far.close()
            return
        for end, peer in ((near, far), (far, near)):
            end.setblocking(False)
            self._peers[end], self._unsent[end] = peer, b""

    def _move(self, end: socket.socket, events: int) -> None:
        if end not in self._peers:  # its peer has ended a moment ago
            return
        try:
            if events & selectors.EVENT_WRITE:
                self._unsent[end] = self._unsent[end][end.send(self._unsent[end]) :]
            if events & selectors.EVENT_READ:
                data = end.recv(CHUNK)
                self._unsent[self._peers[end]] += data
                if not data:
                    self._end(end)
        except BlockingIOError:
            return
        except OSError:
            self._end(end)

    def _end(self, end: socket.socket) -> None:
        for one in (end, self._peers[end]):
            del self._peers[one], self._unsent[one]
            one.close()
