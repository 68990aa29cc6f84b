"""Judges a run under faults from its journal alone: `python -m tests.chaos.checker JOURNAL`.

What the notes say:

    asked    name kind frames retries     somebody will want this job
    acked    name job                     a coordinator has said that it has it
    cancel   job                          somebody wants its end
    event    id job event state worker attempt      the queue's own record, read as it grew
    seen     job state attempt            what a coordinator said about the job
    call     name status sha size expected_sha expected_size prefix
                                          what the caller got; `prefix`: all of it is how the right bytes begin
    job      name job state losses max_attempts cause       what Redis says of it in the end
    file     name frames                  pictures of the film, null if it does not decode
    log      job entries                  (attempt, serial) of each entry of its log
    left     path                         an unfinished file
    queued   count                        entries in queues in the end

Each rule yields violations. Pure.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from app.state import lifecycle
from tests.chaos.journal import Note, read


class Violation(NamedTuple):
    """What must not be, whom it is about and why."""

    rule: str
    who: str
    why: str


@dataclass
class History:
    """The notes by what they are about."""

    asked: dict[str, Note] = field(default_factory=dict)  # by name
    acked: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))  # name -> ids of jobs
    cancels: set[str] = field(default_factory=set)
    events: dict[str, list[Note]] = field(default_factory=lambda: defaultdict(list))  # by job
    order: list[str] = field(default_factory=list)  # ids of events as they were read
    seen: dict[str, list[Note]] = field(default_factory=lambda: defaultdict(list))
    calls: dict[str, Note] = field(default_factory=dict)
    jobs: dict[str, Note] = field(default_factory=dict)  # by job
    files: dict[str, Note] = field(default_factory=dict)  # by name
    logs: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)
    queued: int = 0

    @classmethod
    def of(cls, notes: Iterable[Note]) -> History:
        """Sorts them."""
        history = cls()
        for note in notes:
            history._take(note)
        return history

    def _take(self, note: Note) -> None:
        what = note["what"]
        if what == "asked":
            self.asked[note["name"]] = note
        elif what == "acked":
            self.acked[note["name"]].add(note["job"])
        elif what == "cancel":
            self.cancels.add(note["job"])
        elif what == "event":
            self.events[note["job"]].append(note)
            self.order.append(note["id"])
        elif what == "seen":
            self.seen[note["job"]].append(note)
        elif what == "call":
            self.calls[note["name"]] = note
        elif what == "job":
            self.jobs[note["job"]] = note
        elif what == "file":
            self.files[note["name"]] = note
        elif what == "log":
            self.logs[note["job"]] = [(attempt, serial) for attempt, serial in note["entries"]]
        elif what == "left":
            self.left.append(note["path"])
        elif what == "queued":
            self.queued += note["count"]

    def names(self) -> dict[str, set[str]]:
        """The jobs that each name has, as clients were told and as Redis has them."""
        found = {name: set(jobs) for name, jobs in self.acked.items()}
        for job, note in self.jobs.items():
            found.setdefault(note["name"], set()).add(job)
        return found


Rule = Callable[[History], Iterator[Violation]]


def check(notes: Iterable[Note]) -> list[Violation]:
    """All that must not be."""
    history = History.of(notes)
    return [violation for rule in RULES for violation in rule(history)]


def one_ending(history: History) -> Iterator[Violation]:
    """Each job has one event that ends it, it is the last one, and its state is the job's."""
    for job, told in history.events.items():
        ends = [note for note in told if note["state"] in lifecycle.FINAL]
        if len(ends) != 1:
            yield Violation("ending", job, f"{len(ends)} endings: {[note['event'] for note in ends]}")
        elif told[-1] is not ends[0]:
            yield Violation("ending", job, f"{told[-1]['event']} after {ends[0]['event']}")
        elif job in history.jobs and history.jobs[job]["state"] != ends[0]["state"]:
            state = history.jobs[job]["state"]
            yield Violation("ending", job, f"its last event says {ends[0]['state']}, its hash {state}")


def nothing_lost(history: History) -> Iterator[Violation]:
    """Each job that a coordinator has acknowledged has ended."""
    for name, jobs in history.acked.items():
        for job in jobs:
            if not any(note["state"] in lifecycle.FINAL for note in history.events.get(job, ())):
                state = history.jobs.get(job, {}).get("state", "unknown")
                yield Violation("lost", job, f"{name} was acknowledged and has not ended: it is {state}")


def one_job_each(history: History) -> Iterator[Violation]:
    """Asking twice under one key makes one job."""
    for name, jobs in history.names().items():
        if len(jobs) > 1:
            yield Violation("doubled", name, f"became {len(jobs)} jobs: {sorted(jobs)}")


def one_attempt_at_a_time(history: History) -> Iterator[Violation]:
    """An attempt starts when the one before has ended, under the next number, and only its worker speaks of it."""
    for job, told in history.events.items():
        number, holder = 0, ""
        for note in told:
            if note["event"] == "start":
                if holder:
                    yield Violation("attempts", job, f"started on {note['worker']} while {holder} has it")
                if note["attempt"] != number + 1:
                    yield Violation("attempts", job, f"attempt {note['attempt']} after {number}")
                number, holder = note["attempt"], note["worker"]
            elif holder and (note["worker"], note["attempt"]) != (holder, number):
                who = f"attempt {note['attempt']} on {note['worker']}"
                yield Violation(
                    "attempts", job, f"{note['event']} of {who}, but {holder} has attempt {number}"
                )
            if note["state"] not in (*lifecycle.HELD,):
                holder = ""


def seen_to_go_forward(history: History) -> Iterator[Violation]:
    """What clients are told never goes back: an ended job stays as it is, attempts only increase."""
    for job, told in history.seen.items():
        for before, after in pairwise(told):
            if before["state"] in lifecycle.FINAL and after["state"] != before["state"]:
                yield Violation("seen", job, f"seen as {after['state']} after {before['state']}")
            if after["attempt"] < before["attempt"]:
                yield Violation("seen", job, f"attempt {after['attempt']} after {before['attempt']}")


def events_in_order(history: History) -> Iterator[Violation]:
    """The record of events only grows at its end."""
    numbers = [tuple(map(int, event.split("-"))) for event in history.order]
    for before, after in pairwise(numbers):
        if after <= before:
            yield Violation("positions", "events", f"{after} was read after {before}")


def logs_in_order(history: History) -> Iterator[Violation]:
    """Within an attempt the entries of a log come in their order, none twice."""
    for job, entries in history.logs.items():
        last: dict[int, int] = {}
        for attempt, serial in entries:
            if serial <= last.get(attempt, 0):
                yield Violation(
                    "positions", job, f"entry {serial} after {last[attempt]} of attempt {attempt}"
                )
            last[attempt] = serial


def ends_as_it_should(history: History) -> Iterator[Violation]:
    """A job ends well, unless there is a reason that this run knows."""
    for job, note in history.jobs.items():
        kind = history.asked[note["name"]]["kind"]
        allowed = {"wrong": {"failed"}, "small": {"done", "failed"}}.get(kind, {"done"})
        if job in history.cancels or (kind == "call" and note["cause"] == "cancelled"):
            allowed = allowed | {"cancelled"}
        if note["losses"] >= note["max_attempts"]:
            allowed = allowed | {"dead", "failed"}
        if kind == "call" and note["losses"]:  # what it has sent cannot be taken back
            allowed = allowed | {"failed", "dead"}
        if note["state"] not in allowed:
            yield Violation("outcome", job, f"{note['name']} is {note['state']} ({note['cause']})")
        if kind == "small" and note["state"] == "failed" and note["cause"] != "disk_full":
            yield Violation("outcome", job, f"{note['name']} failed because of {note['cause']!r}")


def films_are_whole(history: History) -> Iterator[Violation]:
    """A file that is there is whole, whatever became of its job; that of a job that is done is there."""
    done = {note["name"] for note in history.jobs.values() if note["state"] == "done"}
    for name, asked in history.asked.items():
        if asked["kind"] not in ("file", "small", "wrong"):
            continue
        found = history.files.get(name)
        if found is None and name in done:
            yield Violation("files", name, "its job is done, and it is not there")
        elif found and found["frames"] != asked["frames"]:
            yield Violation("files", name, f"{found['frames']} pictures instead of {asked['frames']}")


def callers_get_what_is_right(history: History) -> Iterator[Violation]:
    """A call that ends with 0 has printed all of the right bytes; any other one some, in their order."""
    states = {note["name"]: note["state"] for note in history.jobs.values()}
    for name, call in history.calls.items():
        whole = (call["sha"], call["size"]) == (call["expected_sha"], call["expected_size"])
        if call["status"] == 0 and not whole:
            yield Violation("calls", name, f"status 0 with {call['size']} of {call['expected_size']} bytes")
        elif not call["prefix"]:
            yield Violation("calls", name, "its bytes are not those that ffmpeg prints")
        elif call["status"] != 0 and states.get(name) == "done":
            yield Violation(
                "calls", name, f"status {call['status']}, but its job is done: {call.get('said')}"
            )
    for name, asked in history.asked.items():
        if asked["kind"] == "call" and name not in history.calls:
            yield Violation("calls", name, "it has not ended")


def nothing_left(history: History) -> Iterator[Violation]:
    """No unfinished file, no entry of a queue."""
    for path in history.left:
        yield Violation("litter", path, "it was left")
    if history.queued:
        yield Violation("litter", "queues", f"{history.queued} entries were left")


RULES: tuple[Rule, ...] = (
    one_ending,
    nothing_lost,
    one_job_each,
    one_attempt_at_a_time,
    seen_to_go_forward,
    events_in_order,
    logs_in_order,
    ends_as_it_should,
    films_are_whole,
    callers_get_what_is_right,
    nothing_left,
)


if __name__ == "__main__":
    violations = check(read(Path(sys.argv[1])))
    for violation in violations:
        print(f"{violation.rule:<10} {violation.who}  {violation.why}")
    counted = Counter(violation.rule for violation in violations)
    print(", ".join(f"{rule}: {count}" for rule, count in counted.items()) or "nothing to object to")
    sys.exit(bool(violations))
