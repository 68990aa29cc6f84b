"""One job as its page shows it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from app.state.job import Job
from app.state.position import Position
from app.web.dashboard.job.attempts import history, signal_name
from app.web.dashboard.job.jobview import actions, head, outputs, progress, why

SPEC: dict[str, Any] = {
    "binary": "ffmpeg",
    "args": ["-i", [{"root": "Movies"}, "/a.mkv"], [{"root": "Movies"}, "/new/b\x1b.mkv"]],
    "labels": {"gpu": "nvidia"},
}
QUEUED = Job("01M7", "queued", SPEC, "low", "user:ada", "cls", 1000.0)
RUNNING = replace(QUEUED, state="running", started=1010.0, attempt=1, worker="den")
ENDED = {"number": 1, "worker": "den", "started": 1010.0, "ended": 1015.0, "exit": None, "signal": None}
LOST = {**ENDED, "event": "lose", "cause": "lost", "reason": "its worker den was lost"}
FAILED = {**ENDED, "event": "fail", "exit": 8, "cause": "exit", "reason": "exit status 8: no\x1b file"}


def test_a_job_is_called_like_its_output():
    assert outputs(QUEUED) == "b\\x1b.mkv"
    assert outputs(replace(QUEUED, spec={**SPEC, "args": ["-version"]})) == "ffmpeg"
    assert outputs(replace(QUEUED, spec={**SPEC, "args": [[{"root": "Movies"}]]})) == "ffmpeg"


@pytest.mark.parametrize(
    ("job", "place", "nobody", "said"),
    [
        (QUEUED, Position(14, 2341), "", "Position 14 of 2\u202f341 that need the same"),
        (QUEUED, Position(1, 1), "", "Position 1 of 1: the only job that waits for this"),
        (
            QUEUED,
            Position(1001, 5000, exact=False),
            "",
            "Position at least 1\u202f001 of 5\u202f000 that need the same",
        ),
        (QUEUED, None, "no worker is alive", "It waits: no worker is alive"),
        (replace(QUEUED, losses=2), None, "", "It lost its worker twice"),
        (
            replace(QUEUED, state="waiting", reason="exit 1"),
            None,
            "",
            "exit 1. It is tried again after a while",
        ),
        (RUNNING, None, "", ""),
        (replace(RUNNING, cancelling=True, reason="ada"), None, "", "Its worker was told to end it: ada"),
        (replace(QUEUED, state="done"), None, "", ""),
        (replace(QUEUED, state="failed", cause="oom", reason="killed"), None, "", "because memory was short"),
        (replace(QUEUED, state="failed", reason="exit 1"), None, "", "exit 1"),
    ],
)
def test_what_keeps_a_job_and_how_it_ended(job: Job, place: Position | None, nobody: str, said: str):
    assert said in why(job, place, nobody)
    assert bool(why(job, place, nobody)) == bool(said)


@pytest.mark.parametrize(
    ("job", "can"),
    [
        (QUEUED, ("cancel",)),
        (replace(QUEUED, state="waiting"), ("cancel",)),
        (RUNNING, ("pause", "cancel")),
        (replace(RUNNING, paused=True), ("resume", "cancel")),
        (replace(RUNNING, cancelling=True), ()),
        (replace(RUNNING, state="publishing"), ()),
        (replace(RUNNING, state="dead"), ("retry",)),
    ],
)
def test_what_can_be_done_to_it(job: Job, can: tuple[str, ...]):
    assert actions(job) == can


def test_its_history_is_each_attempt_and_what_is_now():
    again = replace(RUNNING, attempt=2, attempts=[LOST], started=1020.0)
    steps = history(again, 1030.0)

    assert [(one.badge.label, one.label, one.worker, one.took) for one in steps] == [
        ("queued", "submitted by user:ada", "", "waited 10 s"),
        ("failed", "attempt 1: worker lost", "den", "5.0 s"),
        ("running", "attempt 2", "den", "10 s"),
    ]
    assert (steps[1].ended, steps[1].reason) == ("lost", "its worker den was lost")
    failed = history(replace(RUNNING, state="failed", finished=1015.0, attempts=[FAILED]), 1030.0)
    assert [(one.label, one.ended, one.reason) for one in failed[1:]] == [
        ("attempt 1: failed", "exit 8", "exit status 8: no\\x1b file")
    ]


def test_what_was_cancelled_before_anybody_took_it_says_when():
    steps = history(
        replace(QUEUED, state="cancelled", finished=1002.0, reason="cancelled by user ada"), 1030.0
    )

    assert [(one.label, one.reason) for one in steps[1:]] == [("cancelled", "cancelled by user ada")]


def test_a_signal_has_its_name_and_attempts_that_are_not_kept_are_counted():
    killed = {**FAILED, "number": 24, "exit": None, "signal": 9, "cause": "oom"}
    steps = history(replace(RUNNING, state="failed", finished=1015.0, attempts=[killed]), 1030.0)

    assert [one.label for one in steps] == [
        "submitted by user:ada",
        "23 attempts before, not kept",
        "attempt 24: failed",
    ]
    assert steps[-1].ended == "SIGKILL, oom"
    assert signal_name(99) == "signal 99"


def test_a_job_that_waits_to_be_tried_again_says_when():
    waiting = replace(RUNNING, state="waiting", due=1040.0, attempts=[{**FAILED, "event": "defer"}])

    assert [one.label for one in history(waiting, 1030.0)[1:]] == [
        "attempt 1: failed, tried again",
        "attempt 2 is due in 10 s",
    ]


def test_how_far_it_is():
    told = {"fraction": 0.25, "fps": 50.0, "speed": 2.0, "out_time": 62.5, "expected": 250.0, "left": 94.0}
    shown = progress(replace(RUNNING, progress={**told, "frame": 1500, "drop": 0, "dup": 3}), 1029.0, 1030.0)

    assert shown
    assert (shown.bar, shown.percent, shown.moving) == ("0.2500", "25 %", True)
    facts = {fact.name: fact.value for fact in shown.facts}
    assert facts["media time"] == "0:01:02.5 of 0:04:10.0"
    assert facts["left"] == "2 min left"
    assert facts["frames doubled"] == "3"
    assert "frames dropped" not in facts
    assert shown.told
    assert shown.told.ago == "now"


def test_a_job_that_has_said_nothing_has_no_bar_and_one_that_is_done_a_full_one():
    assert progress(RUNNING, None, 1030.0) is None
    assert progress(replace(QUEUED, progress={"fraction": 0.5}), None, 1030.0) is None
    done = progress(replace(RUNNING, state="done", progress={"fraction": None, "left": 3.0}), 1.0, 1030.0)
    assert done
    assert (done.percent, done.moving, done.told) == ("100 %", False, None)
    assert "left" not in {fact.name for fact in done.facts}


def test_the_head_names_what_it_is_linked_with():
    shown = head(replace(QUEUED, spec={**SPEC, "retry_of": "01OLD"}), "01NEW", None, (), "no worker is alive")

    assert (shown.retry_of, shown.again, shown.tone) == ("01OLD", "01NEW", "bad")
    assert {fact.name: fact.value for fact in shown.facts} == {
        "lane": "low",
        "labels": "gpu=nvidia",
        "owner": "user:ada",
    }


def test_the_head_names_who_can_run_it():
    shown = head(QUEUED, "", None, [f"w{number}" for number in range(7)])

    assert {fact.name: fact.value for fact in shown.facts}["can be run by"] == "w0, w1, w2, w3, w4 and 2 more"
    assert shown.tone == "wait"
