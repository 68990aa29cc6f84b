"""The attached call: this process's standard streams and signals on one side, the job on the other.

When the connection is cut, the relay goes on at another coordinator process from the numbers both ends
know; what the job has not acknowledged is sent again.
"""

from __future__ import annotations

import _signal
import _socket
import posix
from select import POLLERR, POLLHUP, POLLIN, POLLOUT, poll
from time import monotonic, sleep

from app.wire import attach, messages, websocket
from shim.connection import Connection, Refused, Unreachable
from shim.timers import Timers

TYPES = False
if TYPES:
    from shim.config import Config
    from shim.recording import Recording
    from shim.terminal import Terminal

RETURN_SECONDS = 45.0  # how long a cut connection is tried to be made again
WINDOW_EVERY = 1 << 18  # bytes consumed before the job is told
RELAYED = (_signal.SIGINT, _signal.SIGTERM, _signal.SIGQUIT, _signal.SIGHUP, _signal.SIGUSR1, _signal.SIGUSR2)
SINKS = {attach.STDOUT: 1, attach.STDERR: 2}
LOOK_MS = 300.0  # between two looks whether a terminal has become ours: a shell does not tell who runs
FINAL = (401, 403, 404, 409, 422)  # answers that another try will not change


class Lost(Exception):
    """The job cannot be followed any more; the text says why."""


class Withdrawn(Exception):
    """No worker has taken the job, and none will: it is to be run here. `data` was read for it, to the `ended`."""

    def __init__(self, data: bytes, ended: bool, wait: float | None) -> None:
        super().__init__(f"no worker was free within {wait:g} s" if wait else "the job was withdrawn")
        self.data = data
        self.ended = ended


class Relay:
    """One job's relay. `run` returns how it ended; `signal` is the last one that the caller has sent."""

    def __init__(
        self, connection: Connection, config: Config, job_id: str, reads_stdin: bool, keys: bool = False
    ) -> None:
        self._connection: Connection | None = connection
        self._config = config
        self._job_id = job_id
        self._decoder = websocket.Decoder()
        self._stdin = reads_stdin
        self.recording: Recording | None = None  # hears what both sides say
        self._after = 0  # the job's last frame that we have
        self._unread = 0  # bytes since we last told the job what we have
        self._number = 0  # our own last frame
        self._unacknowledged: list[tuple[int, bytes]] = []
        self._waiting = 0  # bytes in them
        self.signal: int | None = None
        self._keys = keys  # single keys are commands to the job
        self._terminal: Terminal | None = None
        self._timers = Timers(config, job_id)
        self._open = {attach.STDOUT: True, attach.STDERR: True}
        self._woken, self._wake = _socket.socketpair()

    def run(self) -> attach.Exit:
        """Relays until the job has ended. Raises Lost, Withdrawn."""
        self._catch_signals()
        if self._keys and posix.isatty(0):
            from shim.terminal import Terminal

            self._terminal = Terminal()
        try:
            return self._run()
        finally:
            self._timers.end()
            if self._terminal:
                self._terminal.close()

    def _run(self) -> attach.Exit:
        assert self._connection
        ending: attach.Exit | None = None
        try:
            ending = self._attach(self._connection)
        except Refused as refused:
            raise Lost(refused.sentence()) from None
        except (Unreachable, OSError, websocket.BadFrame):
            self._connection = None
        while ending is None:
            ending = self._step(self._connection) if self._connection else self._come_back()
        if (
            ending.code is None and ending.signal is None
        ):  # it never ran: our signal ended it, if there was one
            if self.signal is None and ending.reason == messages.WITHDRAWN and self._config.local:
                raise self._withdrawn()
            ending.signal = self.signal
        return ending

    def let_signals_act(self) -> None:
        """After the end: signals act on this process again, and so does one that came too late for the job."""
        for number in RELAYED:
            if _signal.getsignal(number) == _noted:
                _signal.signal(number, _signal.SIG_DFL)
        _signal.set_wakeup_fd(-1)
        self._wake.close()
        for number in self._woken.recv(64):
            if number in RELAYED:
                posix.kill(posix.getpid(), number)

    def _attach(self, connection: Connection) -> attach.Exit | None:
        rest = connection.upgrade(f"{messages.job_path(self._job_id, 'attach')}?after={self._after}")
        # Who answers is asked first, by the watcher too.
        self._config.urls.sort(key=lambda url: url != connection.url)
        self._decoder = websocket.Decoder()
        for _, frame in self._unacknowledged:
            _write(connection, frame)
        return self._take(connection, rest)

    def _come_back(self) -> attach.Exit | None:
        deadline, wait, why = monotonic() + RETURN_SECONDS, 0.0, ""
        while monotonic() < deadline:
            sleep(wait)
            wait = min(1.0, wait + 0.05)
            for url in self._config.urls:
                try:
                    connection = Connection(url, self._config.key)
                    self._connection = connection
                    return self._attach(connection)
                except (Unreachable, OSError, websocket.BadFrame) as error:
                    why = str(error)
                except Refused as refused:
                    why = refused.sentence()
                    if refused.status in FINAL:
                        raise Lost(why) from None
                self._connection = None
        raise Lost(why)

    def _step(self, connection: Connection) -> attach.Exit | None:
        """Waits for one thing to happen and deals with it; the exit, if that was it."""
        waiting = poll()
        waiting.register(connection.socket.fileno(), POLLIN)
        waiting.register(self._woken.fileno(), POLLIN)
        due = self._timers.due(heard=self._after > 0)
        if self._terminal and not self._terminal.may_be_read():  # reading would stop us
            due = LOOK_MS if due is None else min(due, LOOK_MS)
        elif self._stdin and self._waiting < attach.STDIN_WINDOW_BYTES:
            waiting.register(0, POLLIN)
        try:
            ready = dict(waiting.poll(due))
            if self._woken.fileno() in ready:
                self._pass_signals()
            if ready.get(0, 0) & (POLLIN | POLLHUP | POLLERR):
                self._pass_stdin()
            if connection.socket.fileno() in ready:
                return self._take(connection, connection.socket.recv(1 << 18) or _cut())
        except (OSError, Unreachable, websocket.BadFrame):
            connection.close()
            self._connection = None
        return None

    def _take(self, connection: Connection, data: bytes) -> attach.Exit | None:
        for opcode, message in self._decoder.feed(data):
            if opcode == websocket.CLOSE:
                _cut()
            elif opcode == websocket.PING:
                connection.socket.sendall(websocket.encode(message, posix.urandom(4), websocket.PONG))
            elif opcode == websocket.BINARY:
                ending = self._obey(*attach.decode(message))
                if ending:
                    return ending
        return None

    def _obey(self, kind: bytes, number: int, payload: bytes) -> attach.Exit | None:
        self._after = number
        if kind in SINKS:
            self._print(kind, payload)
            if self.recording:
                self.recording.said(kind, payload)
            self._unread += len(payload)
        elif kind == attach.TAKEN:
            self._acknowledged(attach.unpack(payload))
        elif kind == attach.EXIT:
            return attach.Exit.decode(payload)
        if self._unread >= WINDOW_EVERY:
            self._unread = 0
            self._send(attach.WINDOW, attach.pack(number))
        return None

    def _print(self, kind: bytes, data: bytes) -> None:
        """Writes everything. A reader that stops makes us wait; one that is gone the job hears of."""
        view = memoryview(data)
        while view and self._open[kind]:
            try:
                view = view[posix.write(SINKS[kind], view) :]
            except BlockingIOError:
                _wait_writable(SINKS[kind])
            except OSError:
                self._open[kind] = False
                self._send(attach.CLOSED, kind)

    def _pass_stdin(self) -> None:
        try:
            data = posix.read(0, attach.CHUNK)
        except OSError:
            data = b""
        self._stdin = bool(data)
        self._send(attach.STDIN if data else attach.EOF, data)

    def _pass_signals(self) -> None:
        for number in self._woken.recv(64):
            if number in RELAYED:  # the terminal's are dealt with
                self.signal = number
                self._send(attach.SIGNAL, bytes((number,)))

    def _send(self, kind: bytes, payload: bytes) -> None:
        """Sends a frame and keeps it until the job has taken it."""
        if self.recording:
            self.recording.told(kind, payload)
        self._number += 1
        frame = attach.encode(kind, self._number, payload)
        self._unacknowledged.append((self._number, frame))
        self._waiting += len(frame)
        if self._connection:
            _write(self._connection, frame)

    def _acknowledged(self, number: int) -> None:
        while self._unacknowledged and self._unacknowledged[0][0] <= number:
            self._waiting -= len(self._unacknowledged.pop(0)[1])

    def _withdrawn(self) -> Withdrawn:
        frames = [attach.decode(frame) for _, frame in self._unacknowledged]
        data = b"".join(payload for kind, _, payload in frames if kind == attach.STDIN)
        return Withdrawn(data, any(kind == attach.EOF for kind, _, _ in frames), self._config.wait)

    def _catch_signals(self) -> None:
        self._wake.setblocking(False)
        _signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        for number in RELAYED:
            if _signal.getsignal(number) != _signal.SIG_IGN:
                _signal.signal(number, _noted)


def _noted(number: int, frame: object) -> None:
    """The wake-up descriptor has told the loop already."""


def _write(connection: Connection, frame: bytes) -> None:
    connection.socket.sendall(websocket.encode(frame, posix.urandom(4)))


def _cut() -> bytes:
    raise Unreachable("the connection was cut")


def _wait_writable(descriptor: int) -> None:
    waiting = poll()
    waiting.register(descriptor, POLLOUT)
    waiting.poll()
