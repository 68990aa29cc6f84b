"""How a run ended: what the queue is told, and what the caller."""

from __future__ import annotations

import errno
import os
import signal

import pytest

from app.state.lifecycle import ENDINGS
from app.wire.attach import Exit
from app.wire.messages import CAUSES
from worker.outcome import Outcome, lacks_room, no_file, no_room, of_status, overdue, refused, stuck

TABLE = [
    # status, cancelled -> event, exit, signal, reason, cause
    (0, False, Outcome("succeed", 0)),
    (1, False, Outcome("fail", 1, None, "exit status 1", "exit", again=True)),
    (255, False, Outcome("fail", 255, None, "exit status 255", "exit", again=True)),
    (-signal.SIGSEGV, False, Outcome("fail", None, 11, "ended by signal 11", "signal", again=True)),
    (-signal.SIGKILL, False, Outcome("fail", None, 9, "ended by signal 9", "signal", again=True)),
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


def test_a_kill_when_memory_was_short_is_the_kernels() -> None:
    ended = of_status(-signal.SIGKILL, False, b"", memory_was_short=True)

    assert (ended.cause, ended.signal, ended.again) == ("oom", 9, True)
    assert of_status(-signal.SIGTERM, False, b"", memory_was_short=True).cause == "signal"
    assert of_status(1, False, b"", memory_was_short=True).cause == "exit"


@pytest.mark.parametrize(
    "said", [b"av_interleaved_write_frame(): No space left on device\n", b"x: Disk quota exceeded"]
)
def test_a_full_disk_is_told_from_what_was_printed(said: bytes) -> None:
    assert of_status(1, False, said).cause == "disk_full"
    assert of_status(0, False, said).cause == ""  # a caller gets what ffmpeg says
    assert lacks_room(said)
    assert no_room(0).cause == "disk_full"


@pytest.mark.parametrize(
    ("number", "cause", "again"),
    [(errno.ENOSPC, "disk_full", True), (errno.EDQUOT, "disk_full", True), (errno.EACCES, "refused", False)],
)
def test_a_file_that_cannot_be_written_says_why(number: int, cause: str, again: bool) -> None:
    ended = no_file(OSError(number, os.strerror(number), "/m/b.mkv"), "publish")

    assert (ended.event, ended.cause, ended.again) == ("fail", cause, again)
    assert ended.reason == f"cannot publish /m/b.mkv: {os.strerror(number)}"


@pytest.mark.parametrize("cause", ["timeout", "stalled"])
def test_a_limit_says_which_and_how_long(cause: str) -> None:
    ended = overdue(cause, -9, 12.5)

    assert (ended.event, ended.signal, ended.cause, ended.again) == ("fail", 9, cause, True)
    assert "12.5 s" in ended.reason


def test_every_cause_is_explained() -> None:
    ended = [of_status(1, False), of_status(-9, False), of_status(0, True), refused("x"), stuck("x", False)]

    assert {one.cause for one in ended} <= CAUSES.keys()
