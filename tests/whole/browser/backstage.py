"""What happens in a farm though nobody does it on a page: jobs in bulk, and a worker that reports what it likes."""

from __future__ import annotations

import asyncio
import json
import secrets
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from app.state.clients import Master
from app.state.history import MINUTE
from app.state.jobs import Jobs, Submission
from app.state.leases import Lease
from app.state.requirements import class_id
from app.state.seal import Seal
from app.state.store import Store
from app.state.workers import BEAT
from app.web import schema, words
from app.web.preparing import prepare
from app.wire.attach import STDERR
from tests.farm import ROOT_NAME, Farm

ABOUT: dict[str, Any] = {
    "host": "attic",
    "slots": 2,
    "roots": [ROOT_NAME],
    "binaries": {"ffmpeg": "8.1", "ffprobe": "8.1"},
    "encoders": ["libx264", "hevc_nvenc"],
    "labels": {},
}
FLIGHT = 64  # submissions in the air
CADENCE = 0.05  # seconds between two reports

T = TypeVar("T")


@dataclass(frozen=True)
class Taken:
    """A job that a worker of ours has."""

    worker: str
    boot: str
    lease: Lease


@dataclass(frozen=True)
class Backstage:
    """The farm's Redis, by its own functions. Each call is a thread's, for Playwright's event loop runs in this one."""

    farm: Farm

    def queue(
        self, count: int, labels: Mapping[str, str], name: str = "film", lane: str = "normal"
    ) -> list[str]:
        """The ids of that many new jobs, the first first, which only a worker with these labels takes."""

        async def submit(jobs: Jobs, number: int) -> str:
            return (await jobs.submit(submission(f"{name}-{number:04}.mkv", labels, lane))).id

        async def work(store: Store, jobs: Jobs) -> list[str]:
            ids: list[str] = []
            for start in range(0, count, FLIGHT):
                some = range(start, min(start + FLIGHT, count))
                ids += await asyncio.gather(*(submit(jobs, number) for number in some))
            return ids

        return self._do(work)

    def take(self, worker: str, labels: Mapping[str, str], name: str = "film", **about: Any) -> Taken:
        """A job of its own that this worker has taken, which says this about itself and runs nothing."""

        async def work(store: Store, jobs: Jobs) -> Taken:
            leases = store.leases(worker, secrets.token_hex(6))
            await store.workers.register(
                worker, leases.boot, {**ABOUT, **about, "labels": dict(labels)}, True
            )
            wanted = submission(f"{name}.mkv", labels)
            job_id = (await jobs.submit(wanted)).id
            (lease,) = await leases.claim([store.keys.queue(class_id(wanted.needs), wanted.lane)], 1)
            assert lease.id == job_id
            return Taken(worker, leases.boot, lease)

        return self._do(work)

    @contextmanager
    def alive(self, taken: Taken) -> Iterator[None]:
        """The worker keeps saying that it is there, which else it does only with its reports."""
        over = threading.Event()

        async def beat(store: Store, jobs: Jobs) -> None:
            lease = taken.lease
            await store.leases(taken.worker, taken.boot).beat(1, [], {lease.id: lease.token})

        def work() -> None:
            while not over.wait(BEAT):
                self._do(beat)

        beating = threading.Thread(target=work)
        beating.start()
        try:
            yield
        finally:
            over.set()
            beating.join()

    def report(self, taken: Taken, progress: Sequence[Mapping[str, Any]], log: Sequence[bytes] = ()) -> None:
        """The worker says how far it is, again and again, and what the job has printed."""

        async def work(store: Store, jobs: Jobs) -> None:
            lease, leases = taken.lease, store.leases(taken.worker, taken.boot)
            for start in range(0, len(log), FLIGHT):
                lines = [(STDERR, line) for line in log[start : start + FLIGHT]]
                await store.output.log(lease.id, lease.attempt, start, lines)
            for one in progress:
                await leases.progress(lease, dict(one))
                await leases.beat(1, [], {lease.id: lease.token})
                await asyncio.sleep(CADENCE)

        self._do(work)

    def end(self, taken: Taken, event: str, **fields: str | int) -> None:
        """The worker says how the job ended."""
        self._do(
            lambda store, jobs: store.leases(taken.worker, taken.boot).finish(taken.lease, event, fields)
        )

    def cancel(self, job_id: str, reason: str) -> None:
        """Ends a queued job for that reason."""
        self._do(lambda store, jobs: jobs.cancel(job_id, reason=reason))

    def forget(self, worker: str) -> None:
        """A worker is remembered no more."""

        async def work(store: Store, jobs: Jobs) -> None:
            await store.redis.zrem(store.keys.workers, worker)
            await store.redis.delete(store.keys.worker(worker))

        self._do(work)

    def waiting(self) -> str:
        """How many jobs are queued, as pages write it."""
        return words.number(self._do(lambda store, jobs: jobs.counts())["queued"])

    def remember(self, samples: Iterable[Mapping[str, int]]) -> None:
        """The farm has a past: a sample a minute, up to now."""

        async def work(store: Store, jobs: Jobs) -> None:
            known = [{name: int(value) for name, value in one.items()} for one in samples]
            now = int((await store.redis.time())[0]) // MINUTE
            async with store.redis.pipeline(transaction=True) as pipe:  # nobody else takes one meanwhile
                pipe.delete(store.keys.history)
                for ago, one in zip(range(len(known), 0, -1), known, strict=True):
                    pipe.xadd(store.keys.history, one, id=f"{(now - ago) * MINUTE * 1000}-0")
                await pipe.execute()
            await store.redis.hset(
                store.keys.totals, mapping={k: v for k, v in known[-1].items() if ":" in k}
            )

        self._do(work)

    def link(self, name: str = "ada") -> str:
        """What signs this user in, once."""
        self.farm.signed_in(name, "admin")

        async def work(store: Store, jobs: Jobs) -> str:
            master = Master.load(self.farm.folder / "master")
            return await store.sessions(master, store.users(master)).link(name)

        return self._do(work)

    def _do(self, work: Callable[[Store, Jobs], Awaitable[T]]) -> T:
        async def run() -> T:
            store, master = Store(self.farm.redis_url), Master.load(self.farm.folder / "master")
            try:
                return await work(store, store.jobs(Seal(master.seal_key())))
            finally:
                await store.close()

        with ThreadPoolExecutor(1) as pool:
            return pool.submit(asyncio.run, run()).result()


def submission(name: str, labels: Mapping[str, str], lane: str = "normal") -> Submission:
    """A small transcode, as a coordinator would store it."""
    root = {"root": ROOT_NAME}
    body = {
        "key": secrets.token_hex(16),
        "binary": "ffmpeg",
        "args": ["-y", "-i", [root, f"/{name}"], "-c:v", "libx264", [root, f"/{name}.mp4"]],
        "labels": dict(labels),
        "lane": lane,
    }
    return prepare(schema.decode(json.dumps(body).encode(), schema.Submission), "cli")
