"""The attached call: this process's standard streams and signals on one side, the job on the other.

When the connection is cut, the relay goes on at another coordinator process from the numbers both ends
know; what the job has not acknowledged is sent again.
"""

from __future__ import annotations

import _signal
import _socket
import posix
from _collections import deque
from select import POLLERR, POLLHUP, POLLIN, POLLOUT, poll
from time import monotonic, sleep

from app.wire import attach, messages, websocket
from shim.connection import Connection, Refused, Unreachable
from shim.sink import Sink
from shim.timers import Timers

TYPES = False
if TYPES:
    from typing import Any

    from shim.config import Config
    from shim.recording import Recording
    from shim.terminal import Terminal

RETURN_SECONDS = 45.0  # how long a cut connection is tried to be made again
WINDOW_EVERY = 1 << 20  # bytes consumed before the job is told
RELAYED = (
    *(_signal.SIGINT, _signal.SIGTERM, _signal.SIGQUIT, _signal.SIGHUP),
    *(_signal.SIGUSR1, _signal.SIGUSR2, _signal.SIGXCPU),
)
LOOK_MS = 300.0  # between two looks whether a terminal has become ours: a shell does not tell who runs
HARD = 123  # ffmpeg's exit status after the fourth signal
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
        self._come: deque[list[Any]] = deque()  # frames that are not given yet: kind, number, rest, weight
        self._full: set[bytes] = set()  # the kinds whose readers have no room
        self._after = 0  # the job's last frame that we have
        self._complete = False  # that was its exit
        self._given = 0  # the job's last frame that our readers have
        self._unread = 0  # what they took since we last told the job
        self._number = 0  # our own last frame
        self._unacknowledged: list[tuple[int, bytes]] = []
        self._waiting = 0  # bytes in them
        self.signal: int | None = None
        self._keys = keys  # single keys are commands to the job
        self._terminal: Terminal | None = None
        self._timers = Timers(config, job_id)
        self._cut_at = 0.0  # when the connection was last lost
        self._sinks: dict[bytes, Sink | None] = {attach.STDOUT: Sink(1), attach.STDERR: Sink(2)}
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
        try:
            ending = self._follow()
        except attach.BadFrame as bad:
            raise Lost(f"the coordinator sent {bad}") from None
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

    def _follow(self) -> attach.Exit:
        assert self._connection
        try:
            self._attach(self._connection)
        except Refused as refused:
            raise Lost(refused.sentence()) from None
        except (Unreachable, OSError, websocket.BadFrame):
            self._connection = None
        ending: attach.Exit | None = None
        while ending is None:
            if self._connection is None and not self._complete:
                self._come_back()
            ending = self._step()
        return ending

    def _attach(self, connection: Connection) -> None:
        rest = connection.upgrade(f"{messages.job_path(self._job_id, 'attach')}?after={self._after}")
        # Who answers is asked first, by the watcher too.
        self._config.urls.sort(key=lambda url: url != connection.url)
        self._decoder = websocket.Decoder()
        for _, frame in self._unacknowledged:
            _write(connection, frame)
        if self._given:
            self._say(attach.WINDOW, attach.pack(self._given))
        self._take(connection, rest)

    def _come_back(self) -> None:
        began, why = monotonic(), ""
        wait = 0.0 if began - self._cut_at > 1.0 else 0.1  # one that cuts again and again is not pestered
        self._cut_at = began
        while monotonic() < began + RETURN_SECONDS:
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

    def _step(self) -> attach.Exit | None:
        """Hands on what it can, then waits for one thing to happen and deals with it; the exit, if that was it."""
        try:
            return self._hand_on() or self._wait()
        except (OSError, Unreachable, websocket.BadFrame):
            self._hang_up()
        return None

    def _wait(self) -> attach.Exit | None:
        waiting, connection = poll(), self._connection
        waiting.register(self._woken.fileno(), POLLIN)
        if connection:  # read even while our readers stop: it is never more than the window
            waiting.register(connection.socket.fileno(), POLLIN)
        due = self._timers.due(heard=self._after > 0)
        if self._terminal and not self._terminal.may_be_read():  # reading would stop us
            due = LOOK_MS if due is None else min(due, LOOK_MS)
        elif connection and self._stdin and self._waiting < attach.STDIN_WINDOW_BYTES:
            waiting.register(0, POLLIN)
        for full in filter(None, map(self._sinks.get, self._full)):
            waiting.register(full.descriptor, POLLOUT)
        ready = dict(waiting.poll(due))
        if self._woken.fileno() in ready:
            self._pass_signals()
            if self._complete:  # nobody is left to obey it, and our readers have stopped
                return attach.Exit.decode(bytes(self._come[-1][2]))
        if ready.get(0, 0) & (POLLIN | POLLHUP | POLLERR):
            self._pass_stdin()
        if connection and connection.socket.fileno() in ready:
            self._take(connection, connection.socket.recv(1 << 18) or _cut())
        return None

    def _take(self, connection: Connection, data: bytes) -> None:
        for opcode, message in self._decoder.feed(data):
            if opcode == websocket.CLOSE:
                _cut()
            elif opcode == websocket.PING:
                connection.socket.sendall(websocket.encode(message, posix.urandom(4), websocket.PONG))
            elif opcode == websocket.BINARY:
                kind, self._after, payload = attach.decode(message)
                self._come.append([kind, self._after, memoryview(payload), attach.weight(payload)])
                if self.recording and kind in self._sinks:
                    self.recording.said(kind, payload)
                if kind == attach.TAKEN:
                    self._acknowledged(attach.unpack(payload))
                if kind == attach.EXIT:
                    self._complete = True
                    self._hang_up()
                    return

    def _hand_on(self) -> attach.Exit | None:
        """Gives our readers what has come, as far as each has room; the exit, if all is given."""
        self._full = set()
        for frame in self._come:
            kind, _, payload, _ = frame
            if payload and kind in self._sinks and kind not in self._full:
                frame[2] = self._print(kind, payload)
                if frame[2]:  # what the other reader gets does not wait for this one
                    self._full.add(kind)
            if len(self._full) == len(self._sinks):
                break
        while self._come:
            kind, number, payload, weight = self._come[0]
            if kind == attach.EXIT:
                return attach.Exit.decode(bytes(payload))
            if payload and kind in self._sinks:
                break
            self._come.popleft()
            self._given = number
            self._unread += weight
            if self._unread >= WINDOW_EVERY:
                self._unread = 0
                self._say(attach.WINDOW, attach.pack(number))
        last = attach.Exit.decode(bytes(self._come[-1][2])) if self._complete else None
        # Who is killed, or gives up, does not wait for a reader either.
        return last if last and (last.signal or last.code == HARD) else None

    def _print(self, kind: bytes, data: memoryview) -> memoryview:
        """What the reader has no room for. That a reader is gone the job hears."""
        while data and (sink := self._sinks[kind]):
            try:
                data = data[sink.write(data) :]
            except BlockingIOError:
                return data
            except OSError:
                self._sinks[kind] = None
                self._send(attach.CLOSED, kind)
        return data[:0]

    def _hang_up(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection = None

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
        """Says something and keeps it until the job has taken it."""
        if self.recording:
            self.recording.told(kind, payload)
        frame = attach.encode(kind, self._number + 1, payload)
        self._unacknowledged.append((self._number + 1, frame))
        self._waiting += len(frame)
        self._say(kind, payload)

    def _say(self, kind: bytes, payload: bytes) -> None:
        """Sends a frame. How far our readers are is only said: who comes back says it anew."""
        self._number += 1
        if self._connection:
            _write(self._connection, attach.encode(kind, self._number, payload))

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
