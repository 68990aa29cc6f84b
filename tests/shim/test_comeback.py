"""A call whose job the queue has forgotten: another job takes its place, unless somebody could tell."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable

import pytest

from app.wire import attach as frames
from app.wire import keyfile
from shim import comeback as module
from shim.comeback import RENEWALS, Comeback
from shim.config import Config
from shim.connection import Connection, Refused, Unreachable
from shim.relay import Lost
from tests.ports import free_port
from tests.shim.conftest import answer, problem
from tests.shim.test_relay import ID, WAIT, Call, call, listener, start

__all__ = ["call", "listener", "start"]

OTHER = "01M7ZSCJGFM87A34V23JR0OTHER"[:26]
UNKNOWN = problem(404, f"there is no job {ID}")


def lost(process: subprocess.Popen[bytes]) -> str:
    """The one sentence with which a call has ended."""
    out, err = process.communicate(timeout=WAIT)
    assert (process.returncode, out) == (1, b"")
    return err.decode().removeprefix("ffmpeg (ffgrid): the job was lost: ").rstrip("\n")


# Another job


def test_a_job_that_is_not_known_any_more_is_submitted_again(call: Call) -> None:
    first = call.peer()
    first.cut()
    call.peer(refusal=UNKNOWN)

    second = call.peer(OTHER)
    second.print(b"picture")
    second.end(2, code=7)

    assert second.body == first.body  # its key too: if it is known after all there is no second job
    assert (second.target, second.after) == (OTHER, 0)
    assert call.process.communicate(timeout=WAIT) == (b"picture", b"")
    assert call.process.returncode == 7


def test_a_job_that_is_not_known_at_once_is_submitted_again(call: Call) -> None:
    call.peer(refusal=UNKNOWN)

    second = call.peer(OTHER)
    second.end(1, code=7)

    assert second.target == OTHER
    assert call.process.wait(WAIT) == 7


def test_what_the_first_job_has_not_taken_the_second_gets(start: Callable[..., Call]) -> None:
    call = start(args=["-i", "-", "-f", "null", "-"], stdin=subprocess.PIPE)
    first = call.peer()
    assert call.process.stdin
    call.process.stdin.write(b"film")
    call.process.stdin.close()
    call.process.stdin = None
    assert [first.hear()[0] for _ in range(2)] == [frames.STDIN, frames.EOF]
    first.cut()
    call.peer(refusal=UNKNOWN)

    second = call.peer(OTHER)

    assert second.hear() == (frames.STDIN, 1, b"film")
    assert second.hear() == (frames.EOF, 2, b"")
    second.end(1)
    assert call.process.wait(WAIT) == 0


def test_that_nobody_reads_the_second_job_is_told_too(call: Call) -> None:
    first = call.peer()
    assert call.process.stdout
    call.process.stdout.close()
    call.process.stdout = None
    first.print(b"picture")
    assert first.hear() == (frames.CLOSED, 1, frames.STDOUT)
    first.say(frames.TAKEN, 2, frames.pack(1))
    first.cut()
    call.peer(refusal=UNKNOWN)

    second = call.peer(OTHER)

    assert second.hear() == (frames.CLOSED, 1, frames.STDOUT)
    second.end(1)
    assert call.process.wait(WAIT) == 0


# No other job


def test_a_job_whose_output_was_read_is_lost(call: Call) -> None:
    peer = call.peer()
    peer.print(b"picture")
    assert call.process.stdout
    assert call.process.stdout.read(7) == b"picture"
    peer.cut()
    call.peer(refusal=UNKNOWN)

    assert lost(call.process) == "the queue has forgotten it, and a part of what it printed has been read"


def test_a_job_that_has_taken_input_is_lost(start: Callable[..., Call]) -> None:
    call = start(args=["-i", "-", "-f", "null", "-"], stdin=subprocess.PIPE)
    peer = call.peer()
    assert call.process.stdin
    call.process.stdin.write(b"film")
    call.process.stdin.flush()
    assert peer.hear() == (frames.STDIN, 1, b"film")
    peer.say(frames.TAKEN, 1, frames.pack(1))
    assert peer.hears_nothing()
    peer.cut()
    call.peer(refusal=UNKNOWN)

    assert lost(call.process) == "the queue has forgotten it, and it had taken input already"


def test_a_job_that_was_to_end_is_not_begun_again(call: Call) -> None:
    peer = call.peer()
    call.process.send_signal(signal.SIGTERM)
    assert peer.hear()[0] == frames.SIGNAL
    peer.cut()
    call.peer(refusal=UNKNOWN)

    assert lost(call.process) == "the queue has forgotten it, and it had been sent a signal"


def test_a_page_that_is_not_there_is_no_forgotten_job(call: Call) -> None:
    call.peer(refusal=answer(404, b"<html>Welcome to nginx</html>"))

    assert lost(call.process) == "the coordinator answered with status 404"


# How long and how often


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds + 0.001


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "sleep", clock.sleep)
    monkeypatch.setattr(module, "monotonic", lambda: clock.now)
    return clock


def comeback(again: Callable[[], tuple[Connection, str]] | None, url: str = "http://x") -> Comeback:
    config = Config([url], keyfile.Key("tester", bytes(32), b""), {}, "", "live")
    return Comeback(config, lambda connection: None, again)


def refused(status: int) -> Refused:
    return Refused(status, problem(status, "no, because").partition(b"\r\n\r\n")[2], "", 0.0)


@pytest.mark.parametrize("error", [refused(503), refused(500), Unreachable("no, because")], ids=repr)
def test_who_cannot_take_it_again_is_asked_for_a_while(clock: Clock, error: Exception) -> None:
    asked: list[float] = []

    def again() -> tuple[Connection, str]:
        asked.append(clock.now)
        raise error

    with pytest.raises(Lost, match=r"^the queue has forgotten it, and no, because$"):
        comeback(again).submit("")

    assert asked[0] >= 1000 + module.FENCED_SECONDS  # by then the worker knows too
    assert len(asked) > 20
    assert clock.now < 1000 + 60


def test_who_will_not_take_it_again_is_asked_once(clock: Clock) -> None:
    asked: list[float] = []

    def again() -> tuple[Connection, str]:
        asked.append(clock.now)
        raise refused(403)

    with pytest.raises(Lost, match="no, because"):
        comeback(again).submit("")

    assert len(asked) == 1


def test_a_call_is_not_submitted_for_ever(clock: Clock) -> None:
    class Closed:
        def close(self) -> None:
            return

    one = comeback(lambda: (Closed(), OTHER))  # type: ignore[arg-type, return-value]

    assert [one.submit("") for _ in range(RENEWALS)] == [OTHER] * RENEWALS
    with pytest.raises(Lost, match="so it has others before it"):
        one.submit("")


def test_nobody_is_asked_for_longer_than_the_job_lives(clock: Clock) -> None:
    one = comeback(None, f"http://127.0.0.1:{free_port()}")

    with pytest.raises(Lost, match="Connection refused"):
        one.attach()

    assert 45 <= clock.now - 1000 < 50
