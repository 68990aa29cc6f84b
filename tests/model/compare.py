"""Is what the server holds what the model says, and are the hints in the streams true?"""

from __future__ import annotations

from collections import Counter
from typing import Any

from app.state.job import OWN
from app.state.keys import REAPER
from app.state.lifecycle import STATES
from tests.model.model import Job, Model
from tests.model.seen import KEYS, Seen, entry_order
from tests.model.subject import Subject


class Violation(AssertionError):
    """What must hold does not."""


def demand(what: str, found: Any, expected: Any) -> None:
    """Raises Violation unless they are equal."""
    if found != expected:
        raise Violation(f"{what}: found {found!r}, expected {expected!r}")


def compare(subject: Subject, model: Model, seen: Seen, torn: set[str]) -> None:
    """Raises Violation. The streams in `torn` have been damaged: only their live entries are looked at."""
    demand("jobs", set(seen.jobs), set(model.jobs))
    for job in model.jobs.values():
        _compare_job(subject, job, seen.jobs[job.id])
    _compare_indexes(model, seen)
    _compare_workers(model, seen)
    demand("events", Counter(seen.events), Counter(model.events))
    _compare_order(seen, model)
    demand("fallbacks", seen.fallbacks, model.fallbacks)
    _compare_hints(model, seen, torn)


def _compare_job(subject: Subject, job: Job, stored: dict[str, str]) -> None:
    public = subject.public(job.id, stored)
    expected = {
        "state": job.state,
        "lane": job.asked.lane,
        "owner": job.asked.owner,
        "cls": job.cls,
        "created": job.created / 1000,
        "started": job.started / 1000 if job.started else None,
        "finished": job.finished / 1000 if job.finished else None,
        "attempt": job.attempt,
        "losses": job.losses,
        "failures": job.failures,
        "worker": job.worker,
        "exit": job.ending.get("exit"),
        "signal": job.ending.get("signal"),
        "reason": job.ending.get("reason", ""),
        "cause": job.ending.get("cause", ""),
        "cancelling": bool(job.cancel) and not job.ended,
        "paused": job.paused and job.state == "running",
        "progress": job.progress,
        "due": job.due / 1000 if job.due and job.state == "waiting" else None,
    }
    demand(f"job {job.id}", {name: getattr(public, name) for name in expected}, expected)
    demand(f"attempts of {job.id}", public.attempts, [_attempt(*one) for one in sorted(job.attempts.items())])
    held = {"token": job.token, "boot": job.boot}
    demand(f"lease on {job.id}", {name: stored.get(name) for name in held}, held)
    demand(f"caller of {job.id}", stored.get("caller"), job.caller)
    demand(f"what {job.id} was about to publish", stored.get("published", ""), job.published)
    if job.held:
        demand(f"silence of {job.id}", stored.get("suspect"), str(job.suspect) if job.suspect else None)


def _attempt(number: int, ending: dict[str, Any]) -> dict[str, Any]:
    blank = {"number": number, "exit": None, "signal": None, "cause": "", "reason": ""}
    times = {"started": ending["started"] / 1000, "ended": ending["ended"] / 1000}
    return {**blank, **ending, **times}


def _compare_indexes(model: Model, seen: Seen) -> None:
    jobs = model.jobs.values()
    others = [job for job in jobs if not job.asked.owner.startswith(OWN)]
    indexes = {KEYS.jobs: {job.id: job.created for job in others}}
    for state in STATES:
        indexes[KEYS.state(state)] = {job.id: job.entered for job in others if job.state == state}
        indexes[KEYS.made_in(state)] = {job.id: job.created for job in others if job.state == state}
        indexes[KEYS.own + state] = {
            job.id: job.entered for job in jobs if job not in others and job.state == state
        }
    for owner in {job.asked.owner for job in jobs}:
        mine = {job.id: job.created for job in jobs if job.asked.owner == owner}
        indexes[KEYS.owned_by(owner)] = mine
    indexes[KEYS.callers] = {job.id: job.deadline for job in jobs if job.deadline is not None}
    indexes[KEYS.due] = {job.id: job.due for job in jobs if job.due is not None and job.listed}
    indexes[KEYS.litter] = model.litter
    indexes[KEYS.workers] = model.beats
    indexes[KEYS.classes_used] = model.classes
    for cls, able in model.capable.items():
        indexes[KEYS.capable_prefix + cls] = able
    for key, expected in indexes.items():
        demand(key, seen.members(key), expected)
    demand("sorted sets", {key for key in seen.sets if seen.sets[key]} - set(indexes), set())
    demand("classes", seen.classes, set(model.classes))
    known = {name: f"{job_id} {digest}" for name, (job_id, digest, _) in model.keys.items()}
    demand("clients' keys", seen.idempotency, known)


def _compare_workers(model: Model, seen: Seen) -> None:
    found = {name: {**one, "about": ""} for name, one in seen.workers.items() if "boot" in one}
    expected = {
        name: {"boot": one.boot, "beat": str(one.beat), "busy": str(one.busy), "about": ""}
        | ({"order": one.order} if one.order else {})
        for name, one in model.workers.items()
    }
    shown = ("boot", "beat", "busy", "about", "order")
    demand("workers", {n: {k: v for k, v in one.items() if k in shown} for n, one in found.items()}, expected)
    demand("inboxes that can be read", set(model.workers) - seen.readable, set())
    waiting = {name: messages for name, messages in seen.inboxes.items() if messages}
    demand("inboxes", waiting, {name: messages for name, messages in model.inboxes.items() if messages})


def _compare_order(seen: Seen, model: Model) -> None:
    """The events of one job come in the order in which they have happened."""
    for job_id in {event.job for event in model.events}:
        found = [event for event in seen.events if event.job == job_id]
        demand(f"order of events of {job_id}", found, [one for one in model.events if one.job == job_id])


def _compare_hints(model: Model, seen: Seen, torn: set[str]) -> None:
    live: dict[str, set[str]] = {}
    for job in model.jobs.values():
        if job.ended or job.state == "waiting":
            continue
        entry, queue = seen.jobs[job.id].get("msg", ""), seen.queue(job.stream)
        live.setdefault(job.stream, set()).add(entry)
        if job.stream in torn:
            continue
        demand(f"hints at {job.id}", [e for e, job_id in queue.entries.items() if job_id == job.id], [entry])
        if job.held:
            holder = REAPER if job.suspect is not None else job.worker
            demand(f"who holds the entry of {job.id}", queue.pending.get(entry), holder)
        elif entry not in queue.pending and entry_order(entry) <= entry_order(queue.last or "0-0"):
            raise Violation(f"nobody will ever look at {job.id}")
    for stream, queue in seen.queues.items():
        if stream not in torn:
            cls = stream.removeprefix(KEYS.queue_prefix).partition(":")[0]
            demand(f"class of {stream}", cls in model.classes, True)
            demand(f"entries of {stream}", set(queue.entries), live.get(stream, set()))
            demand(f"deliveries of nothing in {stream}", set(queue.pending) - set(queue.entries), set())
