"""A network between caller and coordinator that does as it is told."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from types import TracebackType
from typing import Self

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing a connection resets it


class Proxy:
    """Forwards connections to a port of this host. `with Proxy(port) as proxy`; its own port is `proxy.port`.

    With `patience` it gives up a caller that has taken nothing for so many seconds, as kernels do (a closed
    window counts for TCP_USER_TIMEOUT), and load balancers.
    """

    def __init__(self, target: int, patience: float = 0.0) -> None:
        self._target = target
        self._patience = round(patience * 1000)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._passing = threading.Event()
        self._passing.set()
        self._refusing = False
        self._open: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._serve, daemon=True)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.go_on()
        self.cut()
        for thread in self._threads:
            thread.join(5)

    def hold(self) -> None:
        """Nothing passes any more; connections stay open, new ones are made and are silent."""
        self._passing.clear()

    def go_on(self) -> None:
        """All that was held passes, and what comes after it."""
        self._passing.set()

    def cut(self) -> None:
        """Resets every connection; new ones are welcome."""
        for one in list(self._open):
            with contextlib.suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def refuse(self) -> None:
        """Resets every connection, and every new one."""
        self._refusing = True
        self.cut()

    def accept(self) -> None:
        """New connections are welcome again."""
        self._refusing = False

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self._refusing:
                near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                near.close()
                continue
            try:
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                near.close()
                continue
            near.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, self._patience)
            self._open |= {near, far}
            self._threads += [
                threading.Thread(target=self._pass, args=pair, daemon=True)
                for pair in ((near, far), (far, near))
            ]
            for thread in self._threads[-2:]:
                thread.start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                self._passing.wait()
                sink.sendall(data)
        for one in (source, sink):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
            self._open.discard(one)
