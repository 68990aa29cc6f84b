"""What somebody should look at, the worst first: for the first page. Pure.

An alert is a sentence, where to look, and what to do about it. Nothing is said of what mends itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from app.state.fallbacks import Fallback
from app.state.queues import Glance
from app.state.verdicts import BAD, GOOD, Verdict
from app.state.workers import Worker
from app.web import coverage, words
from app.web.words import shortened, visible

SHARE = 0.2  # of the jobs of an hour: from here on so many failures are worth a word ...
FEWEST = 3  # ... if they are at least so many
MOST = 5  # alerts of one kind
HOUR = 3600.0


@dataclass(frozen=True)
class Alert:
    """`tone` is "bad" (something does not go on) or "wait" (it soon may not). `do` may be a command."""

    tone: str
    said: str
    link: str
    do: str


def alerts(
    workers: Sequence[Worker],
    seen: Glance,
    fallbacks: Sequence[Fallback] = (),
    verdicts: Sequence[Verdict] = (),
    outage: str = "",
) -> list[Alert]:
    """What is to be said. `outage` is what is wrong with Redis now, or ""; the rest is as it was last seen then."""
    if outage:
        return [
            Alert(
                "bad", outage, "/about", "Start it again; nothing is lost, and this page goes on by itself."
            )
        ]
    found = [
        *_nobody(workers, seen),
        *_unserved(workers, seen),
        *_lost(workers),
        *_silent_roots(workers),
        *_dead(seen),
        *_failing(seen),
        *_settings(verdicts),
        *_elsewhere(fallbacks, seen.now),
    ]
    return sorted(found, key=lambda one: one.tone != "bad")


def _nobody(workers: Sequence[Worker], seen: Glance) -> Iterator[Alert]:
    if any(worker.takes for worker in workers):
        return
    waiting = _jobs(sum(queue.queued for queue in seen.queues), "waits", "wait")
    resting = [worker for worker in workers if worker.live]
    if resting:
        said = "No worker takes new jobs: " + ", ".join(
            f"{visible(one.id)} is {one.state}" for one in resting[:MOST]
        )
        yield Alert("bad", f"{said}{waiting}.", "/workers", "Resume one.")
    else:
        yield Alert("bad", f"No worker is online{waiting}.", "/workers#add", "Start one with ffgrid worker.")


def _unserved(workers: Sequence[Worker], seen: Glance) -> Iterator[Alert]:
    """Queues that nobody serves, where there are workers for others."""
    if not any(worker.takes for worker in workers):
        return
    stuck = [
        (queue, why) for queue in seen.queues if queue.queued and (why := coverage.why(queue.needs, workers))
    ]
    for queue, why in stuck[:MOST]:
        jobs = words.number(queue.queued) + (" job waits" if queue.queued == 1 else " jobs wait")
        said = f"{jobs} and nobody can serve {'it' if queue.queued == 1 else 'them'}: {visible(shortened(why, 200))}."
        yield Alert("bad", said, f"/queues#{queue.cls}", "Give a worker what is missing, or cancel the jobs.")


def _lost(workers: Iterable[Worker]) -> Iterator[Alert]:
    """Who went silent with jobs in hand. Who stops as he should takes himself off the list."""
    for worker in [one for one in workers if not one.live and one.busy][:MOST]:
        jobs = "a job" if worker.busy == 1 else f"{worker.busy} jobs"
        said = f"{visible(worker.id)} was lost {words.ago(worker.silent)} while it ran {jobs}."
        yield Alert(
            "bad", said, f"/workers/{worker.id}", "Look at its host and its log; its jobs go to others."
        )


def _silent_roots(workers: Iterable[Worker]) -> Iterator[Alert]:
    mute = [(one, root) for one in workers if one.live for root in one.about.get("silent_roots", ())]
    for worker, root in mute[:MOST]:
        said = f"The root {visible(str(root))} does not answer on {visible(worker.id)}: its jobs wait for others."
        yield Alert("bad", said, f"/workers/{worker.id}", "Look at the mount on that host.")


def _dead(seen: Glance) -> Iterator[Alert]:
    if seen.dead:
        jobs = (
            "1 job is dead: it has"
            if seen.dead == 1
            else f"{words.number(seen.dead)} jobs are dead: they have"
        )
        yield Alert(
            "wait", f"{jobs} lost too many workers.", "/jobs?state=dead", "Read why, then retry them."
        )


def _failing(seen: Glance) -> Iterator[Alert]:
    failed, ended = seen.hour.get("failed", 0) + seen.hour.get("dead", 0), sum(seen.hour.values())
    if failed >= FEWEST and failed >= SHARE * ended:
        said = (
            f"{words.number(failed)} of {words.number(ended)} jobs that ended in the last hour have failed."
        )
        yield Alert("bad" if failed * 2 > ended else "wait", said, "/jobs?state=failed", "Read the reasons.")


def _settings(verdicts: Iterable[Verdict]) -> Iterator[Alert]:
    for one in verdicts:
        if one.tone != GOOD and one.mend:
            yield Alert("bad" if one.tone == BAD else "wait", f"Redis: {one.sentence}.", "/about", one.mend)


def _elsewhere(fallbacks: Iterable[Fallback], now: float) -> Iterator[Alert]:
    recent = [one for one in fallbacks if one.at > now - HOUR]
    if count := sum(one.count for one in recent):
        last = visible(shortened(max(recent, key=lambda one: one.at).reason, 160))
        calls = "1 call ran on its" if count == 1 else f"{words.number(count)} calls ran on their"
        said = f"{calls} own host in the last hour; last reason: {last}"
        yield Alert("wait", said, "/workers", "ffgrid fallbacks lists them.")


def _jobs(count: int, one: str, many: str) -> str:
    """ ", and 3 jobs wait"; "" for none."""
    return (
        ""
        if not count
        else f", and 1 job {one}"
        if count == 1
        else f", and {words.number(count)} jobs {many}"
    )
