"""The attached call: this process's standard streams and signals on one side, the job on the other.

When the connection is cut, the relay goes on at another coordinator process from the numbers both ends
know; what the job has not acknowledged is sent again. A job that the queue has forgotten is submitted again, as
long as nobody could tell.
"""

from __future__ import annotations

import posix
from _collections import deque
from select import POLLERR, POLLHUP, POLLIN, POLLOUT, poll

from app.wire import attach, messages, websocket
from shim.connection import Connection, Refused, Unreachable
from shim.outbox import Outbox
from shim.signals import Signals
from shim.sink import Sink
from shim.timers import Timers

TYPES = False
if TYPES:
    from collections.abc import Callable
    from typing import Any

    from shim.comeback import Comeback
    from shim.config import Config
    from shim.recording import Recording
    from shim.terminal import Terminal

WINDOW_EVERY = 1 << 20  # bytes consumed before the job is told
LOOK_MS = 300.0  # between two looks whether a terminal has become ours: a shell does not tell who runs
HARD = 123  # ffmpeg's exit status after the fourth signal
CUT = (Unreachable, OSError, websocket.BadFrame)  # what a connection that was cut raises


class Lost(Exception):
    """The job cannot be followed any more; the text says why."""


class Withdrawn(Exception):
    """No worker has taken the job, and none will: it is to be run here. `data` was read for it, to the `ended`."""

    def __init__(self, data: bytes, ended: bool, wait: float | None) -> None:
        super().__init__(f"no worker was free within {wait:g} s" if wait else "the job was withdrawn")
        self.data = data
        self.ended = ended


class Relay:
    """One job's relay. `run` returns how it ended; `signal` is the last one that the caller has sent.

    `again` submits the same once more: a connection and a job's id. Raises Unreachable, Refused.
    """

    def __init__(
        self, connection: Connection, config: Config, job_id: str, reads_stdin: bool, keys: bool = False
    ) -> None:
        self._connection: Connection | None = connection
        self.again: Callable[[], tuple[Connection, str]] | None = None
        self._config = config
        self._job_id = job_id
        self._decoder = websocket.Decoder()
        self._stdin = reads_stdin
        self.recording: Recording | None = None  # hears what both sides say
        self._comeback: Comeback | None = None  # once there was a cut
        self._come: deque[list[Any]] = deque()  # frames that are not given yet: kind, number, rest, weight
        self._full: set[bytes] = set()  # the kinds whose readers have no room
        self._after = 0  # the job's last frame that we have
        self._complete = False  # that was its exit
        self._given = 0  # the job's last frame that our readers have
        self._unread = 0  # what they took since we last told the job
        self._gave = False  # our readers have something that cannot be taken back
        self._outbox = Outbox()
        self.signal: int | None = None
        self._keys = keys  # single keys are commands to the job
        self._terminal: Terminal | None = None
        self._timers = Timers(config, job_id)
        self._sinks: dict[bytes, Sink | None] = {attach.STDOUT: Sink(1), attach.STDERR: Sink(2)}
        self.signals = Signals()

    def run(self) -> attach.Exit:
        """Relays until the job has ended. Raises Lost, Withdrawn."""
        self.signals.catch()
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
        if ending.code is None and ending.signal is None:
            # It never ran: our signal ended it, if there was one.
            if self.signal is None and ending.reason == messages.WITHDRAWN and self._config.local:
                raise self._withdrawn()
            ending.signal = self.signal
        return ending

    def _follow(self) -> attach.Exit:
        assert self._connection
        try:
            self._attach(self._connection)
        except Refused as refused:
            self._come_back(refused)
        except CUT:
            self._hang_up()
        ending: attach.Exit | None = None
        while ending is None:
            if self._connection is None and not self._complete:
                self._come_back()
            ending = self._step()
        return ending

    def _attach(self, connection: Connection) -> None:
        """Raises Refused, or one of CUT."""
        rest = connection.upgrade(f"{messages.job_path(self._job_id, 'attach')}?after={self._after}")
        self._connection = connection
        # Who answers is asked first, by the watcher too.
        self._config.urls.sort(key=lambda url: url != connection.url)
        self._decoder = websocket.Decoder()
        for frame in self._outbox.frames():
            _write(connection, frame)
        if self._given:
            self._say(attach.WINDOW, attach.pack(self._given))
        self._take(connection, rest)

    def _come_back(self, refused: Refused | None = None) -> None:
        from shim.comeback import Comeback  # most calls are never cut

        self._hang_up()
        if self._comeback is None:
            self._comeback = Comeback(self._config, self._attach, self.again)
        found = self._comeback.attach(refused)
        while not found:
            self._hang_up()
            self._begin_anew(self._comeback.submit(self._why_not_anew()))
            found = self._comeback.attach()

    def _why_not_anew(self) -> str:
        """Why the job cannot be run from its beginning as if nothing had been; "" if it can."""
        if self._gave:
            return "a part of what it printed has been read"
        if self._outbox.gave_input:
            return "it had taken input already"
        return "it had been sent a signal" if self.signal else ""

    def _begin_anew(self, job_id: str) -> None:
        self._job_id = job_id
        self._timers.end()
        self._timers = Timers(self._config, job_id)
        self.recording = None
        self._come.clear()
        self._after = self._given = self._unread = 0
        self._outbox.begin_anew()
        for kind, sink in self._sinks.items():
            if sink is None:
                self._send(attach.CLOSED, kind)

    def _step(self) -> attach.Exit | None:
        """Hands on what it can, then waits for one thing to happen and deals with it; the exit, if that was it."""
        try:
            return self._hand_on() or self._wait()
        except (OSError, Unreachable, websocket.BadFrame):
            self._hang_up()
        return None

    def _wait(self) -> attach.Exit | None:
        waiting, connection = poll(), self._connection
        waiting.register(self.signals.descriptor, POLLIN)
        if connection:  # read even while our readers stop: it is never more than the window
            waiting.register(connection.socket.fileno(), POLLIN)
        due = self._timers.due(heard=self._after > 0)
        if self._terminal and not self._terminal.may_be_read():  # reading would stop us
            due = LOOK_MS if due is None else min(due, LOOK_MS)
        elif connection and self._stdin and self._outbox.waiting < attach.STDIN_WINDOW_BYTES:
            waiting.register(0, POLLIN)
        for full in filter(None, map(self._sinks.get, self._full)):
            waiting.register(full.descriptor, POLLOUT)
        ready = dict(waiting.poll(due))
        if self.signals.descriptor in ready:
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
                    self._outbox.taken(attach.unpack(payload))
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
                self._gave = True
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
        for number in self.signals.read():
            self.signal = number
            self._send(attach.SIGNAL, bytes((number,)))

    def _send(self, kind: bytes, payload: bytes) -> None:
        """Says something and keeps it until the job has taken it."""
        if self.recording:
            self.recording.told(kind, payload)
        self._write(self._outbox.keep(kind, payload))

    def _say(self, kind: bytes, payload: bytes) -> None:
        """Says how far our readers are: only once, since who comes back says it anew."""
        self._write(self._outbox.number(kind, payload))

    def _write(self, frame: bytes) -> None:
        if self._connection:
            _write(self._connection, frame)

    def _withdrawn(self) -> Withdrawn:
        data, ended = self._outbox.input()
        return Withdrawn(data, ended, self._config.wait)


def _write(connection: Connection, frame: bytes) -> None:
    connection.socket.sendall(websocket.encode(frame, posix.urandom(4)))


def _cut() -> bytes:
    raise Unreachable("the connection was cut")
