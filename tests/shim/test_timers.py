"""When a call asks for its job back, by a clock of the test's own."""

from __future__ import annotations

import pytest

from app.wire.keyfile import Key
from shim import timers
from shim.config import Config
from shim.timers import Timers


class Clock:
    """A clock that stands, and a coordinator that answers every question with `status`."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.status = 200
        self.asked: list[float] = []

    def tell(self, config: Config, target: str) -> int:
        assert target == "/v1/jobs/J/cancel?if=queued"
        self.asked.append(self.now - 1000.0)
        return self.status

    def run(self, call: Timers, seconds: float, heard: bool = False) -> None:
        """Lets the time pass, a quarter of a second at a time."""
        for _ in range(int(seconds * 4)):
            self.now += 0.25
            call.due(heard)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(timers, "monotonic", lambda: clock.now)
    monkeypatch.setattr(timers, "tell", clock.tell)
    monkeypatch.setattr(timers, "WATCHED_AFTER", timers.NEVER)
    return clock


def timed(wait: float | None, local: str = "/bin/ffmpeg") -> Timers:
    return Timers(Config(["http://x"], Key("k", bytes(32), b""), {}, local, "live", wait), "J")


def test_a_job_that_says_nothing_is_asked_back_until_that_is_answered(clock: Clock) -> None:
    clock.run(timed(5), 20)

    assert clock.asked == [5, 10, 15, 20]


def test_a_job_that_runs_is_asked_back_less_and_less_often(clock: Clock) -> None:
    clock.status = 409
    clock.run(timed(5), 100)

    assert clock.asked == [5, 15, 35, 75]


def test_a_job_that_has_said_something_is_never_asked_back(clock: Clock) -> None:
    call = timed(5)
    clock.run(call, 4)
    clock.run(call, 60, heard=True)

    assert clock.asked == []
    assert call.due(heard=True) is None


@pytest.mark.parametrize(("wait", "local"), [(None, "/bin/ffmpeg"), (5.0, "")])
def test_who_cannot_or_must_not_run_it_waits(clock: Clock, wait: float | None, local: str) -> None:
    call = timed(wait, local)
    clock.run(call, 60)

    assert clock.asked == []
    assert call.due(heard=False) is None


def test_it_says_how_long_nothing_will_be_due(clock: Clock) -> None:
    call = timed(5)
    clock.now += 1.5

    assert call.due(heard=False) == 3500
