"""What must hold of workers, submissions and the housekeeping: the other half of the model."""

from __future__ import annotations

from typing import Any, NamedTuple

from app.state.jobs import ATTACH_MS, Submission
from app.state.leases import TIDY_MS
from app.state.reaper import CALLER_GRACE_MS, HICCUP_GRACE_MS, HICCUP_MS, OUTAGE_MS, TICK
from app.state.requirements import class_id, missing
from app.state.workers import HELD_MS, LEASE_MS, LIVE_MS, PROOF_MS
from tests.model.model import Job, Model, Worker
from tests.model.seen import KEYS, Seen

DAY = 86_400_000


class Beat(NamedTuple):
    """What a heartbeat is answered."""

    standing: str
    lost: list[str]
    cancelled: dict[str, str]
    order: str
    paused: list[str]
    litter: bool


# Submitting


def submit(model: Model, job_id: str, asked: Submission) -> tuple[str, str]:
    """The verdict (new, same, conflict or refused) and the job's id."""
    name = f"{asked.owner}:{asked.key}"
    if name in model.keys:
        known, digest, _ = model.keys[name]
        return ("same" if digest == asked.digest else "conflict"), known
    cls = class_id(asked.needs)
    _look_who_is_able(model, cls, asked)
    if asked.require_worker and not qualified(model, cls):
        return "refused", job_id
    model.keys[name] = (job_id, asked.digest, model.now + DAY)
    model.classes[cls] = model.now
    job = Job(job_id, asked, cls, created=model.now, entered=model.now)
    job.deadline = model.now + ATTACH_MS if asked.attach else None
    model.jobs[job_id] = job
    model.say(job, "submit")
    return "new", job_id


def _look_who_is_able(model: Model, cls: str, asked: Submission) -> None:
    """A new class, or one that nobody seems to serve: those who could serve it are counted at once."""
    is_new = cls not in model.classes
    if not is_new and (not asked.require_worker or qualified(model, cls)):
        return
    if is_new:
        model.classes[cls] = model.now
        for name, beat in model.beats.items():
            if beat >= model.now - LIVE_MS:
                model.tell(name, do="class")
    for name, worker in model.workers.items():
        heard = name in model.beats and model.now - model.beats[name] < LIVE_MS
        if heard and not worker.order and not missing(asked.needs, worker.about):
            model.capable.setdefault(cls, {})[name] = model.now


def qualified(model: Model, cls: str) -> int:
    """How many live workers serve this class."""
    return sum(beat >= model.now - LIVE_MS for beat in model.capable.get(cls, {}).values())


# A worker's life


def register(
    model: Model, seen: Seen, name: str, boot: str, about: dict[str, Any], proof: bool
) -> int | None:
    """None: the process gets the name. Else the ms since the one that has it was heard of.

    With proof that the one before is dead, what it held is given back at once.
    """
    before = model.workers.get(name)
    replaces = before is not None and before.boot != boot
    if before and replaces and not proof and model.now - before.beat < HELD_MS:
        before.beat = min(before.beat, model.now)  # a time to come says nothing: waited for from now on
        return model.now - before.beat
    if before and replaces and proof:
        for job in list(model.jobs.values()):
            entry = seen.jobs.get(job.id, {}).get("msg", "")
            pending = entry in seen.queue(job.stream).pending and model.live(seen, job.stream, entry)
            if (
                job.held
                and job.worker == name
                and job.boot == before.boot
                and pending
                and job.cls in seen.classes
            ):
                model.lose(job)
    if not before or replaces:
        fenced = before.boot if before and proof else before.fenced if before else ""
        claimed = before.claimed if before else []
        model.workers[name] = Worker(boot, about, model.now, model.now + DAY, fenced=fenced, claimed=claimed)
        model.inboxes[name] = []
    worker = model.workers[name]
    worker.about, worker.beat, worker.busy, worker.until = about, model.now, 0, model.now + DAY
    model.beats[name] = model.now
    return None


def beat(model: Model, name: str, boot: str, busy: int, classes: list[str], held: dict[str, str]) -> Beat:
    """A heartbeat's answer."""
    worker = model.workers.get(name)
    if not worker or worker.boot != boot:
        return Beat("replaced" if worker else "unknown", [], {}, "", [], False)
    worker.busy, worker.beat, worker.until = busy, model.now, model.now + DAY
    model.beats[name] = model.now
    for cls in [] if worker.order else classes:
        model.capable.setdefault(cls, {})[name] = model.now
    mine = {job_id: job for job_id, token in held.items() if (job := model.may_write(job_id, token))}
    for job in mine.values():
        job.heard, job.suspect = model.true, None
    return Beat(
        "ok",
        [job_id for job_id in held if job_id not in mine],
        {job_id: job.cancel for job_id, job in mine.items() if job.cancel},
        worker.order,
        [job_id for job_id, job in mine.items() if job.paused],
        any(at <= model.now for at in model.litter.values()),
    )


def retire(model: Model, name: str, boot: str) -> bool:
    """Whether the process leaves; a later one of its name is left alone."""
    worker = model.workers.get(name)
    leaves = worker is not None and worker.boot == boot
    if leaves:
        forget(model, name)
    return leaves


def forget(model: Model, name: str) -> None:
    """Nothing names the worker any more."""
    model.workers.pop(name, None)
    model.beats.pop(name, None)
    model.inboxes.pop(name, None)
    for cls in model.classes:
        model.capable.get(cls, {}).pop(name, None)


def order(model: Model, name: str, what: str) -> bool:
    """Whether there is such a worker; it counts for nothing new, until it is told to resume and beats."""
    if name not in model.workers:
        return False
    model.workers[name].order = "" if what == "resume" else what
    for cls in model.classes if what != "resume" else ():
        model.capable.get(cls, {}).pop(name, None)
    model.tell(name, do=what)
    return True


# Housekeeping


def tick(model: Model, seen: Seen) -> list[tuple[str, str]] | None:
    """What a tick does, as (job, what was done); None: somebody has just ticked."""
    last, model_gap = model.last_tick, model.now - (model.last_tick or 0)
    if last is not None and 0 <= model_gap < TICK * 800:
        return None
    stepped_back = last is not None and model_gap < 0
    if last is None or stepped_back or model_gap > OUTAGE_MS:
        model.grace, model.grace_callers = model.now + LEASE_MS, model.now + CALLER_GRACE_MS
        model.broken_off = model.now
    elif model_gap > HICCUP_MS:
        model.grace = max(model.grace, model.now + HICCUP_GRACE_MS)
    model.last_tick = model.now
    done = _look_for_silence(model, seen) if model.now >= model.grace else []
    for job in model.jobs.values():
        if job.due is not None and job.listed and job.due <= model.now and model.move(job, "due"):
            job.due = None
            done.append((job.id, "queued"))
    if model.now >= model.grace_callers:
        gone = [job for job in model.jobs.values() if job.deadline is not None and job.deadline <= model.now]
        for job in sorted(gone, key=lambda job: (job.deadline, job.id)):
            job.deadline = None
            done.append((job.id, model.cancel(job, "kill", "its caller is gone")))
    return done


def _look_for_silence(model: Model, seen: Seen) -> list[tuple[str, str]]:
    done = []
    for stream, queue in seen.queues.items():
        if stream.removeprefix(KEYS.queue_prefix).partition(":")[0] not in seen.classes:
            continue
        for entry in queue.pending:
            job = model.live(seen, stream, entry)
            if model.now - seen.signs[f"{stream} {entry}"] < LEASE_MS:
                continue
            if not job or not (job.held or job.state == "queued"):
                model.gone.add((stream, entry))
                continue
            if job.state == "queued":
                done.append((job.id, "requeued"))
            elif may_redo(model, job):
                done.append((job.id, model.lose(job)))
    return done


def may_redo(model: Model, job: Job) -> bool:
    """Whether a silent worker's job may be taken from it now."""
    if job.asked.redo == "suspected" or job.cancel:
        return True
    worker = model.workers.get(job.worker or "")
    if worker and worker.fenced == job.boot:
        return True
    if job.suspect is None or not model.broken_off <= job.suspect <= model.now:
        job.suspect = model.now
    return model.now - job.suspect >= PROOF_MS - LEASE_MS


def audit(model: Model, seen: Seen, count: int) -> list[str]:
    """The jobs that nothing points at, among the next few of each state."""
    found = []
    states = ("queued", "waiting", "running", "publishing")
    for index in (prefix + state for state in states for prefix in (KEYS.states, KEYS.own)):
        at = model.cursors.get(index, 0)
        ids = list(seen.members(index))[at : at + count]
        model.cursors[index] = at + count if len(ids) == count else 0
        found += [job_id for job_id in ids if _is_lost(seen, model.jobs[job_id])]
    for job_id in found:
        model.jobs[job_id].listed = True
    return found


def _is_lost(seen: Seen, job: Job) -> bool:
    if job.state == "waiting":
        return job.id not in seen.members(KEYS.due)
    entry, queue = seen.jobs[job.id].get("msg"), seen.queue(job.stream)
    return entry not in queue.entries or (job.held and entry not in queue.pending)


def expire(
    model: Model, seen: Seen, keep: int, keep_idle: int, gone: list[str]
) -> tuple[list[str], list[str]]:
    """Forgets the jobs `gone`, and workers and classes. Which jobs could have gone, and which workers have."""
    old = [job.id for job in model.jobs.values() if job.ended and job.entered <= model.now - keep]
    for job_id in gone:
        del model.jobs[job_id]
        model.litter.pop(job_id, None)
    workers = [name for name, at in model.beats.items() if at <= model.now - keep_idle]
    for name in workers:
        forget(model, name)
    for cls in [cls for cls, used in model.classes.items() if used <= model.now - keep_idle]:
        if not any(queue.entries for stream, queue in seen.queues.items() if f":{cls}:" in stream):
            del model.classes[cls]
            model.capable.pop(cls, None)
    return old, workers


def tidy(model: Model, able: list[str], looked_after: list[str]) -> list[str]:
    """The ended jobs whose files one worker should look for."""
    for job_id in looked_after:
        job = model.jobs.get(job_id)
        last = (job.finished or 0) + PROOF_MS if job else 0
        if last > model.now:
            model.litter[job_id] = last
        else:
            model.litter.pop(job_id, None)
    found = []
    for job_id, due in [(job_id, at) for job_id, at in model.litter.items() if at <= model.now]:
        job = model.jobs.get(job_id)
        if not job:
            del model.litter[job_id]
        elif not job.ended:
            model.litter[job_id] = model.now + PROOF_MS
        elif job.cls in able:
            found.append(job_id)
            model.litter[job_id] = model.now + TIDY_MS
        elif model.now - due >= TIDY_MS:  # nobody who could serve it has come for long
            model.litter[job_id] = model.now + 10 * TIDY_MS
    return found


def pass_time(model: Model) -> None:
    """What is gone by now, by itself."""
    model.keys = {name: known for name, known in model.keys.items() if known[2] > model.now}
    model.workers = {name: one for name, one in model.workers.items() if one.until > model.now}
    if model.fallbacks_until <= model.now:
        model.fallbacks = []
