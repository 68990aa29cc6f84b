"""R9: what a worker can still write about a job that has been given to another one.

Workers are frozen in the middle of a job each. Once another worker has all the jobs they are let go on, and may try
what they like. Then everything that a worker can say about a job is said once more with each old token.
"""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator
from typing import Any

from app.state.job import LeaseLost
from app.state.leases import Lease, Leases
from app.state.lifecycle import ENDINGS
from app.state.store import Store
from tests.bench.timing import Broken
from tests.chaos import facts
from tests.chaos.row import Row, Settings, none
from tests.chaos.scene import Scene, film

TRIALS, SHORT_TRIALS = 12, 4
ENDLESS = 120.0
# What a method of a worker's side is called with, by the names of its parameters.
WORDS: dict[str, list[Any]] = {
    "event": list(ENDINGS),
    "fields": [{"exit": 0, "reason": "stale"}],
    "progress": [{"frame": 999_999}],
    "outputs": ['{"stem": ".ffgrid-stale-", "files": []}'],
}
READS = ("is_called",)  # these change nothing, and may be asked by anybody


def run(settings: Settings, wanted: Collection[str]) -> Iterator[Row]:
    """The row."""
    count = SHORT_TRIALS if settings.short else TRIALS
    with Scene() as scene:
        crew = scene.hire_all(f"a{number}" for number in range(count))
        names = {member.name for member in crew}
        jobs = scene.submit_all(film(f"{number}.mkv", ENDLESS, more=["-stats"]) for number in range(count))
        scene.until_working(jobs)
        old = {job: scene.ask(lambda store, job=job: _held(store, job)) for job in jobs}
        scene.hire("heir", count)
        for member in crew:
            member.freeze()
        scene.until_again(jobs)
        taken, moment = len(scene.ask(facts.events)), scene.ask(_redis_ms)
        before = {job: scene.ask(lambda store, job=job: _stored(store, job)) for job in jobs}
        for member in crew:
            member.thaw()
        scene.until_free(names)
        late = sum(scene.ask(lambda store, job=job: _late_words(store, job, moment)) for job in jobs)
        told = sum(event.worker in names for event in scene.ask(facts.events)[taken:])
        changed = sum(scene.ask(lambda store, job=job: _stored(store, job)) != before[job] for job in jobs)
        what = f"stale writes accepted from {count} frozen workers that go on"
        yield none("R9", what, told + changed)
        yield none("R9", "... of what they print, stored in the jobs' logs", late)
        tried, accepted = scene.ask(lambda store: _try_all(store, old))
        yield none("R9", f"... of {tried} calls with an old token", accepted)


async def _held(store: Store, job: str) -> tuple[str, Lease]:
    """The worker's boot and its right to write about the job, as an attacker would have copied them."""
    boot, worker, token, attempt = await store.redis.hmget(
        store.keys.job(job), ["boot", "worker", "token", "attempt"]
    )
    return f"{worker.decode()} {boot.decode()}", Lease(job, token.decode(), int(attempt), b"")


async def _stored(store: Store, job: str) -> dict[bytes, bytes]:
    """What the job's hash says, without what its present worker says again and again."""
    stored: dict[bytes, bytes] = await store.redis.hgetall(store.keys.job(job))
    return {name: value for name, value in stored.items() if name != b"progress"}


async def _redis_ms(store: Store) -> int:
    """The clock that makes the ids of entries."""
    seconds, microseconds = await store.redis.time()
    return int(seconds * 1000 + microseconds // 1000)


async def _late_words(store: Store, job: str, moment: int) -> int:
    """How many entries of the first attempt came into the log after that moment."""
    after = f"{moment}-0"
    return sum(entry.attempt == 1 for entry in await store.output.read_log(job, after, count=5000))


async def _try_all(store: Store, old: dict[str, tuple[str, Lease]]) -> tuple[int, int]:
    """How many calls were made, and how many were accepted or changed something."""
    tried = accepted = 0
    for job, (holder, lease) in old.items():
        worker, boot = holder.split()
        leases = store.leases(worker, boot)
        for name, arguments in _calls(lease):
            before = await _stored(store, job)
            try:
                await getattr(leases, name)(**arguments)
                accepted += 1
            except LeaseLost:
                accepted += await _stored(store, job) != before
            tried += 1
        beat = await leases.beat(1, [], {job: lease.token})
        tried, accepted = tried + 1, accepted + (beat.lost != [job])
    return tried, accepted


def _calls(lease: Lease) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each method of a worker's side that is about one lease, with each set of arguments."""
    for name, method in inspect.getmembers(Leases, inspect.iscoroutinefunction):
        parameters = [one for one in inspect.signature(method).parameters.values() if one.name != "self"]
        if name.startswith("_") or name in READS or not any(one.name == "lease" for one in parameters):
            continue
        needed = [
            one.name for one in parameters if one.default is inspect.Parameter.empty and one.name != "lease"
        ]
        if unknown := set(needed) - WORDS.keys():
            raise Broken(f"Leases.{name} takes {sorted(unknown)}: say in WORDS what it is called with")
        longest = max([len(WORDS[one]) for one in needed], default=1)
        for turn in range(longest):
            yield name, {"lease": lease, **{one: WORDS[one][turn % len(WORDS[one])] for one in needed}}
