"""R25: Redis is full (maxmemory, nothing is evicted) while jobs run and others wait.

What runs ends well, what waits is run, what is submitted is refused with "try again later" and leaves nothing half
made. When there is room again all goes on.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator

from app.cli.errors import TRY_AGAIN, Failure
from app.state import lifecycle
from app.state.store import Store
from tests.chaos import media
from tests.chaos.row import Row, Settings, none
from tests.chaos.scene import Scene, film, submission

RUNNING, WAITING, REFUSED = 8, 4, 30
LENGTH, SHORT_LENGTH = 8, 4  # seconds of film


def run(settings: Settings, wanted: Collection[str]) -> Iterator[Row]:
    """The row."""
    length = SHORT_LENGTH if settings.short else LENGTH
    with Scene() as scene:
        client = scene.client(scene.web())
        scene.hire_all(["a", "b"], RUNNING // 2)
        count = RUNNING + WAITING
        jobs = scene.submit_all(film(f"{number}.mkv", length) for number in range(count))
        scene.until_working(jobs[:RUNNING])
        scene.command("CONFIG", "SET", "maxmemory", "1mb")
        accepted = odd = 0
        for number in range(REFUSED):
            try:
                client.post("/v1/jobs", json.loads(submission(film(f"no-{number}.mkv", 1))))
                accepted += 1
            except Failure as failure:
                odd += failure.status != TRY_AGAIN
        scene.until_states(jobs, lifecycle.FINAL, within=6 * length)
        done = sum(scene.job(job).state == "done" for job in jobs)
        whole = media.frames([scene.movies / f"{number}.mkv" for number in range(count)])
        torn = scene.ask(_torn)
        scene.command("CONFIG", "SET", "maxmemory", "0")
        late = scene.submit_all([film("late.mkv", 1)])
        scene.until_states(late, ["done"])
        share = 100 * done / count
        what = f"of {RUNNING} running and {WAITING} waiting jobs end well, Redis full"
        yield Row("R25", what, share, 100, "%", at_least=True)
        yield none("R25", "outputs of them that are not whole", sum(n != 25 * length for n in whole.values()))
        yield none("R25", f"of {REFUSED} submissions taken, or not answered 'later'", accepted + odd)
        yield none("R25", "torn jobs", torn)


async def _torn(store: Store) -> int:
    """How many jobs lack a part: a field of their hash, a place in a list, an entry that points at them."""
    torn = len(await store.reaper.audit(10_000))
    listed = {job.decode() for job in await store.redis.zrange(store.keys.jobs, 0, -1)}
    prefix = store.keys.job("")
    async for key in store.redis.scan_iter(match=f"{prefix}*", count=1000):
        job_id = key.decode().removeprefix(prefix)
        state, spec, created = await store.redis.hmget(key, ["state", "spec", "created"])
        placed = state and await store.redis.zscore(store.keys.state(state.decode()), job_id) is not None
        torn += not (spec and created and placed and job_id in listed)
        listed.discard(job_id)
    return torn + len(listed)
