"""Who only looks while faults happen, and at the end: the queue's record of events, coordinators, the files."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from contextlib import suppress

from app.cli.errors import Failure
from app.state.connect import RedisError
from app.state.job import Job
from app.state.store import Store
from app.wire.messages import LANES
from tests.chaos import facts, media
from tests.chaos.journal import Journal
from tests.chaos.plan import Work
from tests.chaos.world import SMALL, World

LOOK = 1.0  # seconds between two looks through a coordinator
BLOCK = 0.5


class Watch:
    """Reads from `begin` to `end`."""

    def __init__(self, world: World, journal: Journal) -> None:
        self._world, self._journal = world, journal
        self._over = threading.Event()
        self._last = "0-0"
        self._threads = [
            threading.Thread(target=self._follow, daemon=True),
            threading.Thread(target=self._look, daemon=True),
        ]

    def begin(self) -> None:
        """From now on."""
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Until what there is has been read."""
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _follow(self) -> None:
        """The record of events, from its beginning, over all that happens to Redis."""
        while not self._over.is_set():
            with suppress(RedisError, OSError):
                self._world.ask(self._read)
            self._over.wait(0.05)
        self._world.ask(self._read)

    async def _read(self, store: Store) -> None:
        while True:
            reply = await store.redis.xread({store.keys.events: self._last}, count=1000)
            for entry, fields in reply[0][1] if reply else []:
                self._last = entry.decode()
                event = facts.parse(entry, fields)
                if event.name not in ("progress", "pause", "resume"):
                    self._journal.note("event", **{**event._asdict(), "event": event.name})
            if not reply:
                if self._over.is_set():
                    return
                await asyncio.sleep(0.1)

    def _look(self) -> None:
        client = self._world.client(self._world.proxy)
        while not self._over.wait(LOOK):
            with suppress(Failure):
                for job in client.get("/v1/jobs?limit=200")["jobs"]:
                    self._journal.note("seen", job=job["id"], state=job["state"], attempt=job["attempt"])


def survey(world: World, journal: Journal, works: Iterable[Work]) -> None:
    """What there is in the end."""
    for job, entries in world.ask(lambda store: _jobs(world, store)):
        journal.note(
            "job",
            name=title(job),
            job=job.id,
            state=job.state,
            losses=job.losses,
            attempt=job.attempt,
            cause=job.cause,
            reason=job.reason,
            max_attempts=job.spec["max_attempts"],
        )
        journal.note("log", job=job.id, entries=entries)
    paths = {
        work.name: world.movies / (SMALL if work.kind == "small" else "") / f"{work.name}.mkv"
        for work in works
    }
    there = {name: path for name, path in paths.items() if path.exists()}
    found = media.frames(list(there.values()))
    for name, path in there.items():
        journal.note("file", name=name, frames=found[path])
    for path in world.movies.rglob(".ffgrid-*"):
        journal.note("left", path=path.name)
    journal.note("queued", count=world.ask(_queued))


def title(job: Job) -> str:
    """The name of the work that this job is."""
    return next(str(arg).removeprefix("title=") for arg in job.spec["args"] if str(arg).startswith("title="))


async def _jobs(world: World, store: Store) -> list[tuple[Job, list[tuple[int, int]]]]:
    """Each job, and the numbers in its log."""
    found, cursor = [], ""
    while True:
        page, cursor = await world.jobs(store).page(200, cursor)
        for job in page:
            log = await store.output.read_log(job.id, "0-0", count=5000)
            found.append((job, [(entry.attempt, entry.serial) for entry in log if entry.kind]))
        if not cursor:
            return found


async def _queued(store: Store) -> int:
    """How many entries there are in all queues."""
    streams = [store.keys.queue(cls, lane) for cls in await store.workers.classes() for lane in LANES]
    return sum([await store.redis.xlen(stream) for stream in streams])
