"""The checker objects to what must not be, and to nothing else: whole histories with one thing wrong in each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from tests.chaos.checker import RULES, check

Note = dict[str, Any]

FILM, CALL, SMALL, WRONG = "file-1", "call-1", "small-1", "wrong-1"


def event(serial: int, job: str, name: str, state: str, worker: str = "w0", attempt: int = 1) -> Note:
    return {
        "what": "event",
        "id": f"{1000 + serial}-0",
        "job": job,
        "event": name,
        "state": state,
        "worker": worker,
        "attempt": attempt,
    }


def asked(name: str, frames: int = 25) -> Note:
    return {"what": "asked", "name": name, "kind": name.partition("-")[0], "frames": frames, "retries": 0}


def job(name: str, state: str, **facts: Any) -> Note:
    usual = {"losses": 0, "max_attempts": 3, "cause": "", "attempt": 1}
    return {"what": "job", "name": name, "job": f"J-{name}", "state": state, **usual, **facts}


def call(**facts: Any) -> Note:
    right = {"sha": "a", "size": 9, "expected_sha": "a", "expected_size": 9, "prefix": True}
    return {"what": "call", "name": CALL, "status": 0, **right, **facts}


def good() -> list[Note]:
    """A film that was lost once and done then, a call, a film for which there was no room, a wrong command."""
    return [
        asked(FILM),
        {"what": "acked", "name": FILM, "job": f"J-{FILM}"},
        event(1, f"J-{FILM}", "submit", "queued", "", 0),
        event(2, f"J-{FILM}", "start", "running"),
        event(3, f"J-{FILM}", "lose", "queued"),
        event(4, f"J-{FILM}", "start", "running", "w1", 2),
        event(5, f"J-{FILM}", "publish", "publishing", "w1", 2),
        event(6, f"J-{FILM}", "succeed", "done", "w1", 2),
        {"what": "seen", "job": f"J-{FILM}", "state": "running", "attempt": 1},
        {"what": "seen", "job": f"J-{FILM}", "state": "queued", "attempt": 1},
        {"what": "seen", "job": f"J-{FILM}", "state": "done", "attempt": 2},
        job(FILM, "done", losses=1, attempt=2),
        {"what": "log", "job": f"J-{FILM}", "entries": [[1, 1], [1, 2], [2, 1], [2, 2]]},
        {"what": "file", "name": FILM, "frames": 25},
        asked(CALL),
        event(7, f"J-{CALL}", "submit", "queued", "", 0),
        event(8, f"J-{CALL}", "start", "running"),
        event(9, f"J-{CALL}", "succeed", "done"),
        call(),
        job(CALL, "done"),
        asked(SMALL),
        event(10, f"J-{SMALL}", "start", "running"),
        event(11, f"J-{SMALL}", "defer", "waiting"),
        event(12, f"J-{SMALL}", "due", "queued"),
        event(13, f"J-{SMALL}", "start", "running", "w0", 2),
        event(14, f"J-{SMALL}", "fail", "failed", "w0", 2),
        job(SMALL, "failed", cause="disk_full"),
        asked(WRONG),
        {"what": "acked", "name": WRONG, "job": f"J-{WRONG}"},
        {"what": "cancel", "job": f"J-{WRONG}"},
        event(15, f"J-{WRONG}", "cancel", "cancelled", "", 0),
        job(WRONG, "cancelled", cause="cancelled"),
        {"what": "queued", "count": 0},
    ]


def without(keep: Callable[[Note], bool]) -> list[Note]:
    return [note for note in good() if keep(note)]


def changed(what: str, name: str, **facts: Any) -> list[Note]:
    """The good history with other facts in a note."""
    return [
        {**note, **facts} if note["what"] == what and note.get("name", note.get("job")) == name else note
        for note in good()
    ]


def moved(job_id: str, name: str, **facts: Any) -> list[Note]:
    """The good history with another event."""
    return [
        {**note, **facts}
        if note["what"] == "event" and (note["job"], note["event"]) == (job_id, name)
        else note
        for note in good()
    ]


BROKEN: dict[str, tuple[str, Iterable[Note]]] = {
    "two endings": ("ending", [*good(), event(20, f"J-{FILM}", "fail", "failed", "w1", 2)]),
    "something after the ending": ("ending", [*good(), event(20, f"J-{FILM}", "lose", "queued", "w1", 2)]),
    "no ending": (
        "ending",
        without(lambda note: note.get("event") != "succeed" or note["job"] != f"J-{CALL}"),
    ),
    "an ending that the hash does not know": ("ending", changed("job", FILM, state="cancelled")),
    "acknowledged, and not ended": ("lost", without(lambda note: note.get("event") != "succeed")),
    "acknowledged, and unknown": ("lost", [*good(), {"what": "acked", "name": "file-9", "job": "J-9"}]),
    "two jobs for one submission": ("doubled", [*good(), {"what": "acked", "name": FILM, "job": "J-other"}]),
    "a second start while it runs": ("attempts", without(lambda note: note.get("event") != "lose")),
    "a number left out": ("attempts", moved(f"J-{CALL}", "start", attempt=2)),
    "the loser of a lease ends it": ("attempts", moved(f"J-{FILM}", "succeed", worker="w0", attempt=1)),
    "an ended job that runs again": (
        "seen",
        [*good(), {"what": "seen", "job": f"J-{FILM}", "state": "running", "attempt": 2}],
    ),
    "an attempt that goes back": (
        "seen",
        [*good(), {"what": "seen", "job": f"J-{FILM}", "state": "done", "attempt": 1}],
    ),
    "an event read twice": ("positions", [*good(), event(3, f"J-{FILM}", "lose", "queued")]),
    "an entry of a log twice": ("positions", changed("log", f"J-{FILM}", entries=[[1, 1], [1, 2], [1, 2]])),
    "a good command that failed": ("outcome", changed("job", FILM, state="failed", cause="exit")),
    "cancelled by nobody": ("outcome", changed("job", FILM, state="cancelled", cause="cancelled")),
    "dead after one loss": ("outcome", changed("job", FILM, state="dead", cause="lost")),
    "no room, it says": ("outcome", changed("job", SMALL, cause="exit")),
    "a wrong command that is done": ("outcome", changed("job", WRONG, state="done")),
    "half a film": ("files", changed("file", FILM, frames=24)),
    "a film that does not decode": ("files", changed("file", FILM, frames=None)),
    "a film that is not there": ("files", without(lambda note: note["what"] != "file")),
    "half a film of a job that failed": ("files", [*good(), {"what": "file", "name": SMALL, "frames": 3}]),
    "status 0 with other bytes": ("calls", changed("call", CALL, sha="b")),
    "status 0 with fewer bytes": ("calls", changed("call", CALL, sha="b", size=8)),
    "other bytes, and an error": ("calls", changed("call", CALL, status=1, sha="b", prefix=False)),
    "an error, but the job is done": ("calls", changed("call", CALL, status=1)),
    "a call that does not end": ("calls", without(lambda note: note["what"] != "call")),
    "an unfinished file": ("litter", [*good(), {"what": "left", "path": ".ffgrid-1"}]),
    "an entry in a queue": ("litter", [*good(), {"what": "queued", "count": 1}]),
}


def test_a_good_history_is_not_objected_to() -> None:
    assert check(good()) == []


@pytest.mark.parametrize("name", BROKEN)
def test_it_objects_to(name: str) -> None:
    rule, history = BROKEN[name]

    assert rule in {violation.rule for violation in check(history)}


@pytest.mark.parametrize("taken_out", RULES, ids=lambda rule: rule.__name__)
def test_each_rule_is_needed(taken_out: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.chaos.checker.RULES", tuple(rule for rule in RULES if rule is not taken_out))

    missed = [
        name
        for name, (rule, history) in BROKEN.items()
        if rule not in {found.rule for found in check(history)}
    ]

    assert missed


@pytest.mark.parametrize(
    "history",
    [
        pytest.param(changed("job", FILM, state="dead", losses=3), id="lost three times"),
        pytest.param(changed("call", CALL, status=1, size=3, sha="b"), id="half a call"),
    ],
)
def test_what_may_be_is_judged_by_the_rest_of_the_history(history: list[Note]) -> None:
    rules = {violation.rule for violation in check(history)}

    assert "outcome" not in rules
