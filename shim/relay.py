"""The attached call: this process's standard streams and signals on one side, the job on the other.

When the connection is cut, the relay goes on at another coordinator process from the positions both ends
know; what the job has not acknowledged is sent again.
"""

from __future__ import annotations

import _signal
import _socket
import posix
from select import POLLERR, POLLHUP, POLLIN, poll
from time import monotonic, sleep

from app.wire import attach, messages, websocket
from shim.config import Config
from shim.http import Connection, Refused, Unreachable

RETURN_SECONDS = 45.0  # how long a cut connection is tried to be made again
WINDOW_EVERY = 1 << 18  # bytes consumed before the job is told
RELAYED = (_signal.SIGINT, _signal.SIGTERM, _signal.SIGQUIT, _signal.SIGHUP, _signal.SIGUSR1, _signal.SIGUSR2)
SINKS = {attach.STDOUT: 1, attach.STDERR: 2}


class Lost(Exception):
    """The job cannot be followed any more; the text says why."""


class Relay:
    """One job's relay. `run` returns how it ended."""

    def __init__(self, connection: Connection, config: Config, job_id: str, reads_stdin: bool) -> None:
        self._connection: Connection | None = connection
        self._config = config
        self._job_id = job_id
        self._stdin = reads_stdin
        self._decoder = websocket.Decoder()
        self._after = attach.START
        self._unread = 0
        self._number = 0
        self._unacknowledged: list[tuple[int, bytes]] = []
        self._waiting = 0
        self._open = {attach.STDOUT: True, attach.STDERR: True}
        self._woken, self._wake = _socket.socketpair()

    def run(self) -> attach.Exit:
        """Relays until the job has ended. Raises Lost."""
        self._catch_signals()
        ending = None
        try:
            ending = self._attach(self._connection)
        except (Unreachable, OSError, websocket.BadFrame):
            self._connection = None
        while ending is None:
            if self._connection is None:
                ending = self._come_back()
            else:
                ending = self._step(self._connection)
        return ending

    def _attach(self, connection: Connection | None) -> attach.Exit | None:
        assert connection
        after = attach.entry_id(self._after)
        rest = connection.upgrade(f"{messages.job_path(self._job_id, 'attach')}?after={after}")
        self._decoder = websocket.Decoder()
        for number, frame in self._unacknowledged:
            self._write(connection, frame)
            self._number = max(self._number, number)
        return self._take(rest)

    def _come_back(self) -> attach.Exit | None:
        deadline, wait = monotonic() + RETURN_SECONDS, 0.0
        why = "the connection was cut"
        while monotonic() < deadline:
            sleep(wait)
            wait = min(1.0, wait + 0.05)
            for url in self._config.urls:
                try:
                    self._connection = Connection(url, self._config.key)
                    return self._attach(self._connection)
                except (Unreachable, OSError, websocket.BadFrame) as error:
                    why = str(error)
                except Refused as refused:
                    why = refused.sentence()
                    if refused.status in (401, 403, 404, 409, 422):
                        raise Lost(why) from None
                self._connection = None
        raise Lost(why)

    def _step(self, connection: Connection) -> attach.Exit | None:
        """Waits for one thing to happen and deals with it; the exit, if that was it."""
        waiting = poll()
        waiting.register(connection.socket.fileno(), POLLIN)
        waiting.register(self._woken.fileno(), POLLIN)
        if self._stdin and self._waiting < attach.STDIN_WINDOW_BYTES:
            waiting.register(0, POLLIN)
        try:
            ready = dict(waiting.poll())
            if self._woken.fileno() in ready:
                self._pass_signals(connection)
            if 0 in ready and ready[0] & (POLLIN | POLLHUP | POLLERR):
                self._pass_stdin(connection)
            if connection.socket.fileno() in ready:
                data = connection.socket.recv(1 << 18)
                if not data:
                    raise Unreachable("the connection was cut")
                return self._take(data)
        except (OSError, Unreachable, websocket.BadFrame):
            connection.close()
            self._connection = None
        return None

    def _take(self, data: bytes) -> attach.Exit | None:
        connection = self._connection
        assert connection
        for opcode, message in self._decoder.feed(data):
            if opcode == websocket.CLOSE:
                raise Unreachable("the coordinator closed the connection")
            if opcode == websocket.PING:
                connection.socket.sendall(websocket.encode(message, posix.urandom(4), websocket.PONG))
            if opcode == websocket.BINARY:
                ending = self._obey(connection, *attach.decode(message))
                if ending:
                    return ending
        return None

    def _obey(
        self, connection: Connection, kind: bytes, position: bytes, payload: bytes
    ) -> attach.Exit | None:
        if kind in SINKS:
            self._print(kind, payload)
            self._unread += len(payload) + attach.HEAD
        elif kind == attach.TAKEN:
            self._acknowledged(attach.number(payload))
        elif kind == attach.EXIT:
            return attach.Exit.decode(payload)
        self._after = position
        if self._unread >= WINDOW_EVERY:
            self._unread = 0
            self._write(connection, attach.encode(attach.WINDOW, position))
        return None

    def _print(self, kind: bytes, data: bytes) -> None:
        """Writes everything; a reader that stops makes us wait, one that is gone loses what it did not want."""
        view = memoryview(data)
        while view and self._open[kind]:
            try:
                view = view[posix.write(SINKS[kind], view) :]
            except BlockingIOError:
                _wait_writable(SINKS[kind])
            except OSError:
                self._open[kind] = False
                if kind == attach.STDOUT:
                    self._frame(attach.SIGNAL, bytes((_signal.SIGPIPE,)))

    def _pass_stdin(self, connection: Connection) -> None:
        try:
            data = posix.read(0, attach.CHUNK)
        except OSError:
            data = b""
        if data:
            self._frame(attach.STDIN, data)
        else:
            self._stdin = False
            self._frame(attach.EOF, b"")

    def _pass_signals(self, connection: Connection) -> None:
        for number in self._woken.recv(64):
            if number in RELAYED:
                self._frame(attach.SIGNAL, bytes((number,)))

    def _frame(self, kind: bytes, payload: bytes) -> None:
        """Sends a numbered frame and keeps it until the job has taken it."""
        self._number += 1
        frame = attach.encode(kind, attach.numbered(self._number), payload)
        self._unacknowledged.append((self._number, frame))
        self._waiting += len(frame)
        if self._connection:
            self._write(self._connection, frame)

    def _acknowledged(self, number: int) -> None:
        while self._unacknowledged and self._unacknowledged[0][0] <= number:
            self._waiting -= len(self._unacknowledged.pop(0)[1])

    def _write(self, connection: Connection, frame: bytes) -> None:
        connection.socket.sendall(websocket.encode(frame, posix.urandom(4)))

    def _catch_signals(self) -> None:
        self._wake.setblocking(False)
        self._woken.setblocking(True)
        _signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        for number in RELAYED:
            if _signal.getsignal(number) != _signal.SIG_IGN:
                _signal.signal(number, _noted)


def _noted(number: int, frame: object) -> None:
    """The wake-up descriptor has told the loop already."""


def _wait_writable(descriptor: int) -> None:
    from select import POLLOUT

    waiting = poll()
    waiting.register(descriptor, POLLOUT)
    waiting.poll()
