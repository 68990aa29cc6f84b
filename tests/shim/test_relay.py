"""The stand-in while its job runs: a coordinator of the test's own on one side, real pipes on the other.

What is printed goes on when the reader does; signals and the connection never wait for a reader.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from app.wire import attach as frames
from tests.farm import until
from tests.shim.conftest import Place, answer, upgraded

ID = "01M7ZSCJGFM87A34V23JR094QD"
ARGS = ("-nostdin", "-i", "a.mkv", "-f", "null", "-")
BLOCK = 1 << 18
WAIT = 20  # seconds after which something has gone wrong


class Peer:
    """The coordinator's end of one call: it takes the submission as the job `job_id`, and the caller attaches.

    `body` is what was submitted, `target` where the caller has attached; `after` what it said that it has. With
    `refusal` it is not attached, but told that.
    """

    def __init__(self, listener: socket.socket, job_id: str = ID, refusal: bytes = b"") -> None:
        self.body, head = b"", self._accept(listener)
        if head.startswith("POST"):
            length = int(head.lower().partition("content-length: ")[2].partition("\r\n")[0])
            self.body = self._exactly(length)
            said = {"id": job_id, "qualified": 1, "new": True}
            self._socket.sendall(answer(201, said, Location=f"/v1/jobs/{job_id}"))
            head = self._head()
        if not head:  # it attaches over another connection
            self._socket.close()
            head = self._accept(listener)
        found = re.match(r"GET /v1/jobs/(\w+)/attach\?after=(\d+) ", head)
        assert found, head
        self.target, self.after = found[1], int(found[2])
        self._socket.sendall(refusal or upgraded()(head))
        if refusal:
            self._socket.close()

    def say(self, kind: bytes, number: int, payload: bytes = b"") -> None:
        """Sends one frame."""
        frame = frames.encode(kind, number, payload)
        self._socket.sendall(b"\x82\x7f" + len(frame).to_bytes(8, "big") + frame)

    def say_nonsense(self) -> None:
        """Sends a message that is no frame."""
        self._socket.sendall(b"\x82\x03abc")

    def print(self, *blocks: bytes, first: int = 1, kind: bytes = frames.STDOUT) -> None:
        """Sends these as standard output, numbered."""
        for number, block in enumerate(blocks, first):
            self.say(kind, number, block)

    def end(self, number: int, code: int = 0) -> None:
        """Sends the last word."""
        self.say(frames.EXIT, number, frames.Exit(code, None, "").encode())

    def hear(self) -> tuple[bytes, int, bytes]:
        """The caller's next frame."""
        head = self._exactly(2)
        assert head[0] == 0x82
        size = head[1] & 0x7F
        if size >= 126:
            size = int.from_bytes(self._exactly(2 if size == 126 else 8), "big")
        mask, data = self._exactly(4), self._exactly(size)
        return frames.decode(bytes(byte ^ mask[at % 4] for at, byte in enumerate(data)))

    def hears_nothing(self) -> bool:
        """Whether the caller says nothing for a moment."""
        self._socket.settimeout(0.3)
        try:
            return not self._socket.recv(1)
        except TimeoutError:
            return True
        finally:
            self._socket.settimeout(WAIT)

    def is_left(self) -> bool:
        """Waits until the caller closes the connection; whether it said nothing before."""
        return self._socket.recv(1) == b""

    def cut(self) -> None:
        """Resets the connection."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    def close(self) -> None:
        """Closes it, if it is open."""
        self._socket.close()

    def _accept(self, listener: socket.socket) -> str:
        self._socket, _ = listener.accept()
        self._socket.settimeout(WAIT)
        return self._head()

    def _head(self) -> str:
        """A request's head; "" when the caller has closed the connection."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            more = self._socket.recv(1)
            if not more:
                return ""
            head += more
        return head.decode()

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self._socket.recv(size - len(data))
            assert more, "the caller has closed the connection"
            data += more
        return data


class Call:
    """A call of the stand-in, and the coordinators that it meets one after the other."""

    def __init__(
        self, place: Place, listener: socket.socket, args: Sequence[str] = ARGS, **options: object
    ) -> None:
        program = place.install(url=f"http://127.0.0.1:{listener.getsockname()[1]}")
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        command = [program, *args]
        self._listener = listener
        self.process = subprocess.Popen(command, cwd=place.root, env={}, **{**pipes, **options})  # type: ignore[call-overload]
        self._peers: list[Peer] = []

    def peer(self, job_id: str = ID, refusal: bytes = b"") -> Peer:
        """The next coordinator that it attaches to."""
        self._peers.append(Peer(self._listener, job_id, refusal))
        return self._peers[-1]

    def close(self) -> None:
        """Ends all of it."""
        for peer in self._peers:
            peer.close()
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Where the calls connect to."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(WAIT)
        yield server


@pytest.fixture
def start(place: Place, listener: socket.socket) -> Iterator[Callable[..., Call]]:
    """Starts a call; what is not said otherwise is a pipe that nobody reads before the test does."""
    started: list[Call] = []

    def make(**options: Any) -> Call:
        started.append(Call(place, listener, **options))
        return started[-1]

    yield make
    for call in started:
        call.close()


@pytest.fixture
def call(start: Callable[..., Call]) -> Call:
    """A call that has been started."""
    return start()


def blocks(count: int) -> list[bytes]:
    """More than a pipe holds."""
    return [os.urandom(BLOCK) for _ in range(count)]


# A reader that stops


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_passed_on_while_nobody_reads(call: Call, number: signal.Signals) -> None:
    peer, flood = call.peer(), blocks(4)
    peer.print(*flood)
    assert peer.hears_nothing()

    call.process.send_signal(number)

    assert peer.hear() == (frames.SIGNAL, 1, bytes((number,)))
    peer.end(5, code=255)
    assert call.process.communicate(timeout=WAIT) == (b"".join(flood), b"")
    assert call.process.returncode == 255


def test_a_call_whose_connection_is_cut_while_nobody_reads_comes_back(call: Call) -> None:
    peer, flood = call.peer(), blocks(6)
    peer.print(*flood[:4])
    assert peer.hears_nothing()
    peer.cut()

    again = call.peer()

    assert again.after == 4
    again.print(*flood[4:], first=5)
    again.end(7)
    assert call.process.communicate(timeout=WAIT) == (b"".join(flood), b"")


def test_what_nobody_reads_is_not_acknowledged(call: Call) -> None:
    peer, flood = call.peer(), blocks(frames.WINDOW_BYTES // BLOCK)
    peer.print(*flood)
    assert peer.hears_nothing()
    assert call.process.stdout

    got = call.process.stdout.read(frames.WINDOW_BYTES // 2)

    kind, _, payload = peer.hear()
    assert kind == frames.WINDOW
    assert 0 < frames.unpack(payload) * BLOCK <= len(got) + (1 << 16)  # and what a pipe holds


def test_a_call_whose_job_has_ended_while_nobody_reads_waits_for_its_reader(call: Call) -> None:
    peer, flood = call.peer(), blocks(4)
    peer.print(*flood)
    peer.end(5, code=3)
    assert peer.is_left()

    assert call.process.poll() is None
    assert call.process.communicate(timeout=WAIT) == (b"".join(flood), b"")
    assert call.process.returncode == 3


def test_a_call_whose_job_has_ended_can_be_ended_by_a_signal_while_nobody_reads(call: Call) -> None:
    peer = call.peer()
    peer.print(*blocks(4))
    peer.end(5, code=123)
    assert peer.is_left()

    call.process.send_signal(signal.SIGTERM)

    assert call.process.wait(WAIT) == 123


def test_a_reader_that_goes_away_is_told_to_the_job(call: Call) -> None:
    peer = call.peer()
    peer.print(*blocks(4))
    assert call.process.stdout
    call.process.stdout.close()

    assert peer.hear() == (frames.CLOSED, 1, frames.STDOUT)

    peer.say(frames.STDERR, 5, b"Broken pipe\n")
    peer.end(6, code=1)
    assert call.process.stderr
    assert call.process.stderr.read() == b"Broken pipe\n"
    assert call.process.wait(WAIT) == 1


# What the caller's streams are


def test_the_callers_own_end_of_a_pipe_stays_as_it_is(start: Callable[..., Call]) -> None:
    reader, writer = os.pipe()
    call = start(stdout=writer)
    peer, flood = call.peer(), blocks(2)
    peer.print(*flood)
    assert peer.hears_nothing()

    assert os.get_blocking(writer)

    os.close(writer)
    peer.end(3)
    with open(reader, "rb") as file:
        assert file.read() == b"".join(flood)


def test_a_socket_is_written_as_a_pipe_is(start: Callable[..., Call]) -> None:
    ours, theirs = socket.socketpair()
    call = start(stdout=theirs)
    theirs.close()
    peer, flood = call.peer(), blocks(4)
    peer.print(*flood)
    call.process.send_signal(signal.SIGTERM)
    assert peer.hear()[0] == frames.SIGNAL
    peer.end(5)

    with ours, ours.makefile("rb") as file:
        assert file.read() == b"".join(flood)


def test_a_file_is_written_where_the_caller_has_stopped(start: Callable[..., Call], tmp_path: Path) -> None:
    path, flood = tmp_path / "out", blocks(2)
    path.write_bytes(b"before\n, and what is written over")
    with path.open("r+b") as file:
        file.seek(7)
        call = start(stdout=file)
        peer = call.peer()
        peer.print(*flood)
        peer.end(3)
        assert call.process.wait(WAIT) == 0

    assert path.read_bytes() == b"before\n" + b"".join(flood)


# What the job hears of how far its caller is


def test_who_comes_back_says_how_far_it_is_and_nothing_older(call: Call) -> None:
    peer, flood = call.peer(), blocks(12)
    peer.print(*flood)
    assert call.process.stdout
    assert call.process.stdout.read(12 * BLOCK) == b"".join(flood)
    acknowledged = 0
    while acknowledged < 8:
        kind, last, payload = peer.hear()
        assert kind == frames.WINDOW
        acknowledged = frames.unpack(payload)
    peer.cut()

    again = call.peer()

    kind, number, payload = again.hear()
    assert (kind, frames.unpack(payload)) == (frames.WINDOW, 12)
    assert number > last
    assert again.hears_nothing()
    again.end(13)
    assert call.process.wait(WAIT) == 0


def test_acknowledgements_alone_do_not_fill_the_window_for_ever(call: Call) -> None:
    """A call that is fed for hours and prints nothing gets one for each piece of its input."""
    peer = call.peer()
    count = frames.WINDOW_BYTES // frames.weight(frames.pack(1))
    for number in range(1, count + 1):
        peer.say(frames.TAKEN, number, frames.pack(1))

    kind, _, payload = peer.hear()

    assert kind == frames.WINDOW
    assert frames.unpack(payload) > 0


def test_a_signal_that_was_not_taken_is_sent_again(call: Call) -> None:
    peer = call.peer()
    call.process.send_signal(signal.SIGINT)
    sent = peer.hear()
    peer.cut()

    again = call.peer()

    assert again.hear() == sent
    again.say(frames.TAKEN, 1, frames.pack(1))
    again.end(2)
    until(lambda: call.process.poll() == 0, within=WAIT)


def test_a_coordinator_that_talks_nonsense_is_said_in_one_sentence(call: Call) -> None:
    call.peer().say_nonsense()

    out, err = call.process.communicate(timeout=WAIT)

    assert (call.process.returncode, out) == (1, b"")
    assert err == (
        b"ffmpeg (ffgrid): the job was lost: the coordinator sent a message of 3 bytes, "
        b"shorter than a frame's head\n"
    )
