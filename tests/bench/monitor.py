"""When Redis ran what: MONITOR, which gives each command its microsecond, also those within scripts."""

from __future__ import annotations

import socket
import threading
import time
from types import TracebackType

from tests.bench.timing import Broken

WAIT = 2.0  # seconds for a line to arrive


class Monitor:
    """Keeps what MONITOR of a server on a unix socket says. A context."""

    def __init__(self, url: str) -> None:
        self._path = url.removeprefix("unix://")
        self._socket = socket.socket(socket.AF_UNIX)
        self._heard = b""
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Monitor:
        self._socket.connect(self._path)
        self._socket.sendall(b"MONITOR\r\n")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def moment(self, job_id: str, event: str) -> float:
        """The Unix time at which this event of this job was written. Raises Broken."""
        wanted = f'"job" "{job_id}" "event" "{event}"'.encode()
        deadline = time.monotonic() + WAIT
        while time.monotonic() < deadline:
            at = self._heard.rfind(wanted)
            if at >= 0:
                start = self._heard.rfind(b"\n", 0, at) + 1
                return float(self._heard[start:at].partition(b" ")[0].lstrip(b"+"))
            time.sleep(0.002)
        raise Broken(f"Redis has not said when job {job_id} had the event {event!r}")

    def _listen(self) -> None:
        while data := self._socket.recv(1 << 16):
            self._heard = (self._heard + data)[-(1 << 23) :]
