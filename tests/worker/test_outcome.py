"""How a run ended: what the queue is told, and what the caller."""

from __future__ import annotations

import signal

import pytest

from app.state.lifecycle import ENDINGS
from app.wire.attach import Exit
from worker.outcome import Outcome, of_status, refused

TABLE = [
    # status, cancelled -> event, exit, signal, reason, cause
    (0, False, Outcome("succeed", 0)),
    (1, False, Outcome("fail", 1, None, "exit status 1", "exit")),
    (255, False, Outcome("fail", 255, None, "exit status 255", "exit")),
    (-signal.SIGSEGV, False, Outcome("fail", None, 11, "ended by signal 11", "signal")),
    (-signal.SIGKILL, False, Outcome("fail", None, 9, "ended by signal 9", "signal")),
    (0, True, Outcome("cancel", 0, None, "", "cancelled")),
    (255, True, Outcome("cancel", 255, None, "", "cancelled")),
    (-signal.SIGTERM, True, Outcome("cancel", None, 15, "", "cancelled")),
]


@pytest.mark.parametrize(("status", "cancelled", "expected"), TABLE)
def test_a_status_means_one_ending(status: int, cancelled: bool, expected: Outcome) -> None:
    assert of_status(status, cancelled) == expected


@pytest.mark.parametrize("outcome", [expected for _, _, expected in TABLE] + [refused("no")])
def test_every_ending_is_one_that_a_worker_may_report(outcome: Outcome) -> None:
    assert outcome.event in ENDINGS


def test_a_refusal_has_neither_status_nor_signal() -> None:
    outcome = refused("this worker has no root 'TV'")

    assert outcome == Outcome("fail", None, None, "this worker has no root 'TV'", "refused")
    assert outcome.fields() == {"reason": "this worker has no root 'TV'", "cause": "refused"}


def test_fields_hold_what_there_is() -> None:
    assert of_status(0, False).fields() == {"exit": 0, "reason": "", "cause": ""}
    assert of_status(3, False).fields() == {"exit": 3, "reason": "exit status 3", "cause": "exit"}
    assert of_status(-9, False).fields() == {"signal": 9, "reason": "ended by signal 9", "cause": "signal"}


def test_who_cancelled_a_job_is_not_written_over() -> None:
    assert "reason" not in of_status(-15, True).fields()


@pytest.mark.parametrize("outcome", [expected for _, _, expected in TABLE])
def test_the_caller_is_told_the_same(outcome: Outcome) -> None:
    frame = Exit.decode(outcome.frame().encode())

    assert (frame.code, frame.signal, frame.reason) == (outcome.exit, outcome.signal, outcome.reason)
