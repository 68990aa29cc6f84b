"""A job parsed from its hash, and the ids of jobs."""

from __future__ import annotations

import pytest

from app.state.job import Job, is_id, new_id
from app.state.lifecycle import FINAL, STATES

QUEUED = {
    b"state": b"queued",
    b"spec": b"\xff sealed",
    b"cls": b"8f77164f0d",
    b"lane": b"normal",
    b"owner": b"jellyfin",
    b"created": b"1760000000123",
    b"attempt": b"0",
    b"losses": b"0",
}


def test_a_queued_job_has_little_to_tell() -> None:
    job = Job.from_hash("id", QUEUED, {"binary": "ffmpeg"})

    assert job == Job(
        "id", "queued", {"binary": "ffmpeg"}, "normal", "jellyfin", "8f77164f0d", 1_760_000_000.123
    )


def test_an_ended_job_tells_everything() -> None:
    stored = {
        **QUEUED,
        b"state": b"failed",
        b"started": b"1760000001000",
        b"finished": b"1760000002500",
        b"attempt": b"2",
        b"losses": b"1",
        b"worker": b"w1",
        b"exit": b"1",
        b"signal": b"9",
        b"reason": "kein Platz für mehr".encode(),
        b"cause": b"exit",
        b"progress": b'{"percent": 12.5}',
    }

    job = Job.from_hash("id", stored, {})

    assert (job.started, job.finished) == (1_760_000_001.0, 1_760_000_002.5)
    assert (job.attempt, job.losses, job.worker) == (2, 1, "w1")
    assert (job.exit, job.signal, job.reason, job.cause) == (1, 9, "kein Platz für mehr", "exit")
    assert job.progress == {"percent": 12.5}


def test_an_exit_of_zero_is_an_exit() -> None:
    assert Job.from_hash("id", {**QUEUED, b"exit": b"0"}, {}).exit == 0
    assert Job.from_hash("id", {**QUEUED, b"exit": b""}, {}).exit is None


@pytest.mark.parametrize("state", STATES)
def test_a_job_has_ended_in_a_final_state(state: str) -> None:
    job = Job.from_hash("id", {**QUEUED, b"state": state.encode()}, {})

    assert job.ended is (state in FINAL)


@pytest.mark.parametrize("state", STATES)
def test_a_job_is_being_cancelled_until_it_has_ended(state: str) -> None:
    job = Job.from_hash("id", {**QUEUED, b"state": state.encode(), b"cancel": b"kill"}, {})

    assert job.cancelling is (state not in FINAL)


def test_no_two_ids_are_alike() -> None:
    assert len({new_id() for _ in range(5_000)}) == 5_000


def test_an_id_has_the_form_of_an_id() -> None:
    assert all(is_id(new_id()) for _ in range(1_000))


def test_ids_are_ordered_by_the_time_of_their_making(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    for second in (0, 1, 1.5, 1_760_000_000, 1_760_000_000.25, 281_474_976_710.5):
        monkeypatch.setattr("app.state.job.time.time", lambda second=second: second)
        made.append(new_id())

    assert made == sorted(made)
    assert all(is_id(one) for one in made)


@pytest.mark.parametrize(
    "text",
    ["", "0" * 25, "0" * 27, "0" * 25 + "I", "0" * 25 + "L", "0" * 25 + "O", "0" * 25 + "U", "0" * 25 + "a",
     "0" * 25 + "*", "0" * 25 + " ", "0" * 25 + "\n", "0" * 25 + "é", "0" * 25 + ":", "0" * 25 + "}"],
)  # fmt: skip
def test_what_could_not_be_made_is_no_id(text: str) -> None:
    assert not is_id(text)
