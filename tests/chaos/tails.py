"""R24: acknowledged submissions that are lost when Redis loses the end of its file, and when a replica takes over.

the end of the file   the server is killed in the middle of its work and starts on a file that lacks its last bytes.
                      Who submits asks again under his key, as the stand-in does: each submission becomes one job that
                      ends once. What was forgotten meanwhile is not visible to him.
a failover            submissions wait for one replica (FFGRID_REPLICAS=1). The replica is cut off, the master goes on
                      for a moment and is killed; the replica becomes the master.
"""

from __future__ import annotations

import asyncio
import secrets
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

from redis import Redis

from app.state.connect import UNREACHABLE, stop
from app.state.jobs import Submission
from app.state.keys import Keys
from app.state.seal import Seal
from app.state.store import Store
from app.web import schema
from app.web.preparing import prepare
from tests.bench.timing import Broken
from tests.chaos import facts
from tests.chaos.row import Row, Settings, none
from tests.chaos.scene import Scene, film, submission
from tests.replication import Replication

JOBS, SHORT_JOBS = 60, 20
SHARE = (0.1, 0.5)  # of the file's bytes, that are gone
ENOUGH, SHORT_ENOUGH = 500, 100  # submissions before the replica is cut off
CUT_OFF = 0.3  # seconds in which the master goes on alone
SUBMITTERS = 8


def run(settings: Settings, wanted: Collection[str]) -> Iterator[Row]:
    """The row."""
    with Scene() as scene:
        count = SHORT_JOBS if settings.short else JOBS
        gone, forgotten, wrong = _cut(scene, count, settings.random("tails"))
        what = f"of {count} submissions, {forgotten} of them forgotten with {gone} bytes, not ended once"
        yield none("R24", what, wrong)
    with tempfile.TemporaryDirectory(prefix="ffgrid-bench-") as folder:
        with Replication(Path(folder), "redis", watched=True) as servers:
            told, lost = asyncio.run(_fail_over(servers, SHORT_ENOUGH if settings.short else ENOUGH))
    yield none("R24", f"of {told} acknowledged submissions, lost in a failover", lost)


def _cut(scene: Scene, count: int, lot: Random) -> tuple[int, int, int]:
    """Bytes that were cut off, jobs that were not known any more, submissions that are not one job that ended once."""
    asked = [_asked(film(f"{number}.mkv", 0.4, pace=False)) for number in range(count)]
    early = _submit(scene, asked[: count // 2])
    member = scene.hire("w", 2)
    scene.until_states(early[: count // 4], ["done"])
    first = early + _submit(scene, asked[count // 2 :])
    scene.kill_redis()
    scene.stop(member.process)
    (file,) = scene.folder.rglob("*.incr.aof")
    gone = int(file.stat().st_size * lot.uniform(*SHARE))
    with file.open("r+b") as opened:
        opened.truncate(file.stat().st_size - gone)
    scene.start_redis()
    scene.key("w", "worker")
    second = _submit(scene, asked)
    scene.restart("w")
    with suppress(Broken):
        scene.until_states(second, ["done"], within=60)
    ends = Counter(event.job for event in scene.ask(facts.events) if event.ends)
    wrong = sum(ends[job] != 1 or scene.job(job).state != "done" for job in second)
    return gone, sum(one != other for one, other in zip(first, second, strict=True)), wrong


def _asked(args: list[object]) -> Submission:
    """A submission that can be made again."""
    return prepare(schema.decode(submission(args), schema.Submission), "chaos")


def _submit(scene: Scene, asked: list[Submission]) -> list[str]:
    async def run(store: Store) -> list[str]:
        return [(await scene.jobs(store).submit(one)).id for one in asked]

    return scene.ask(run)


async def _fail_over(servers: Replication, enough: int) -> tuple[int, int]:
    """How many submissions were acknowledged, and how many of their jobs the new master does not know."""
    store, told, ready = Store(servers.url, replicas=1), set[str](), asyncio.Event()
    jobs = store.jobs(Seal(secrets.token_bytes(32)))

    async def submit() -> None:
        while True:
            with suppress(*UNREACHABLE):
                told.add((await jobs.submit(_asked(film("x.mkv", 1)))).id)
            if len(told) >= enough:
                ready.set()
            await asyncio.sleep(0)

    submitting = [asyncio.create_task(submit()) for _ in range(SUBMITTERS)]
    try:
        async with asyncio.timeout(60):
            await ready.wait()
        servers.replicas[0].freeze()
        servers.master.ask("CLIENT", "KILL", "TYPE", "replica")
        await asyncio.sleep(CUT_OFF)
        servers.master.kill()
        servers.replicas[0].thaw()
        new = await asyncio.to_thread(servers.successor)
    finally:
        await stop(*submitting)
        await store.close()
    with Redis(port=new.port) as client:
        known = {member.decode() for member in client.zrange(Keys().jobs, 0, -1)}
    return len(told), len(told - known)
