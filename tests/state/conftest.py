"""Scenes: jobs and workers in a store, brought there through the doors that the program uses."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from app.state.jobs import Jobs, Submission
from app.state.keys import GROUP, REAPER
from app.state.leases import Lease, Leases
from app.state.lifecycle import FINAL, HELD, STATES
from app.state.requirements import Requirement, class_id, requirement
from app.state.seal import Seal
from app.state.store import Store

NEEDS = requirement("ffmpeg", ["Movies"], {}, [])
ABOUT = {
    "host": "den",
    "slots": 2,
    "roots": ["Movies", "TV"],
    "binaries": {"ffmpeg": "7.1", "ffprobe": "7.1"},
    "encoders": ["libx264"],
    "labels": {},
}


class Scene:
    """A store, and short ways to fill it, to look into it and to let its time pass."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.redis = store.redis
        self.keys = store.keys
        self.seal = Seal(bytes(32))
        self.jobs: Jobs = store.jobs(self.seal)
        self._numbers = itertools.count(1)
        self._mark = secrets.token_hex(4)

    # Making

    def submission(self, **changes: Any) -> Submission:
        """One that differs from every other, unless told."""
        number = next(self._numbers)
        usual = Submission(
            key=f"key-{self._mark}-{number}",
            digest=f"digest-{self._mark}-{number}",
            owner="jellyfin",
            spec={"binary": "ffmpeg", "args": ["-i", [{"root": "Movies"}, f"/{number}.mkv"]]},
            needs=NEEDS,
            lane="normal",
            redo="suspected",
        )
        return replace(usual, **changes)

    async def submit(self, **changes: Any) -> str:
        """The id of a new job."""
        return (await self.jobs.submit(self.submission(**changes))).id

    async def worker(self, name: str = "w1", boot: str = "", take_over: bool = False, **about: Any) -> Leases:
        """A registered worker."""
        boot = boot or f"boot-{next(self._numbers)}"
        await self.store.workers.register(name, boot, {**ABOUT, **about}, take_over)
        return self.store.leases(name, boot)

    async def idle_worker(self, name: str = "w1") -> Leases:
        """A worker with an empty inbox, beside a class and streams that are known already."""
        await self.ended(await self.worker("first"))
        return await self.worker(name)

    async def claim(self, worker: Leases, job_id: str) -> Lease:
        """The lease on a queued job that is the first of its stream."""
        (lease,) = await worker.claim([await self.stream_of(job_id)], 1)
        assert lease.id == job_id
        return lease

    async def running(self, worker: Leases, **changes: Any) -> Lease:
        """The lease on a new job."""
        return await self.claim(worker, await self.submit(**changes))

    async def ended(self, worker: Leases, event: str = "succeed", **changes: Any) -> str:
        """The id of a new job that has ended."""
        lease = await self.running(worker, **changes)
        await worker.finish(lease, event, {"exit": 0})
        return lease.id

    def stream(self, needs: Requirement = NEEDS, lane: str = "normal") -> str:
        """The stream of these jobs."""
        return self.keys.queue(class_id(needs), lane)

    async def stream_of(self, job_id: str) -> str:
        """The stream that this job is or was in."""
        job = await self.raw(job_id)
        return self.keys.queue(job["cls"], job["lane"])

    async def deliver(self, worker: Leases, stream: str) -> list[tuple[str, str]]:
        """What a blocking read would have given this worker, as (entry, job id)."""
        reply = await self.redis.xreadgroup(GROUP, worker.worker, {stream: ">"})
        return [(entry.decode(), fields[b"job"].decode()) for _, rows in reply for entry, fields in rows]

    # Letting time pass

    async def now(self) -> int:
        """The server's clock in ms."""
        seconds, microseconds = await self.redis.time()
        return int(seconds) * 1000 + int(microseconds) // 1000

    async def age(self, job_id: str, milliseconds: int = 60_000) -> None:
        """As if nobody had said a word about this delivered entry for so long."""
        entry, stream = (await self.raw(job_id))["msg"], await self.stream_of(job_id)
        consumer = (await self.pending(stream))[entry]
        await self.redis.xclaim(stream, GROUP, consumer, 0, [entry], idle=milliseconds, justid=True)

    async def silence(self, worker: str, milliseconds: int) -> None:
        """As if this worker's last beat had been so long ago."""
        at = await self.now() - milliseconds
        await self.redis.hset(self.keys.worker(worker), "beat", at)
        async for key in self.redis.scan_iter(self.keys.capable_prefix + "*"):
            await self.redis.zadd(key, {worker: at}, xx=True)
        await self.redis.zadd(self.keys.workers, {worker: at}, xx=True)

    async def tick(self) -> dict[str, str]:
        """One tick of the reaper at once: job id -> what was done."""
        await self.allow_tick()
        return dict(await self.store.reaper.reap() or [])

    async def allow_tick(self) -> None:
        """As if nobody had ticked for a moment."""
        at, last = await self.now(), int(await self.redis.hget(self.keys.reaper, "last") or 0)
        if not last or at - 600 < last <= at:
            set_last = "#!lua flags=allow-oom\nreturn redis.call('HSET', KEYS[1], 'last', ARGV[1])"
            await self.redis.eval(set_last, 1, self.keys.reaper, at - 600)

    async def lose(self, job_id: str) -> dict[str, str]:
        """As if the job's worker had died a while ago: what the reaper does about it."""
        await self.age(job_id)
        return await self.tick()

    # Looking

    async def raw(self, job_id: str) -> dict[str, str]:
        """The job's hash without its spec."""
        stored = await self.redis.hgetall(self.keys.job(job_id))
        return {name.decode(): value.decode() for name, value in stored.items() if name != b"spec"}

    async def state(self, job_id: str) -> str:
        """The job's state."""
        return (await self.raw(job_id))["state"]

    async def queue(self, stream: str) -> dict[str, str]:
        """What the stream holds: entry -> job id."""
        rows = await self.redis.xrange(stream)
        return {entry.decode(): fields[b"job"].decode() for entry, fields in rows}

    async def pending(self, stream: str) -> dict[str, str]:
        """What is delivered and not acknowledged: entry -> consumer."""
        return {entry: row[0] for entry, row in (await self.deliveries(stream)).items()}

    async def deliveries(self, stream: str) -> dict[str, tuple[str, int, int]]:
        """What is delivered and not acknowledged: entry -> consumer, idle ms, times delivered."""
        rows = await self.redis.xpending_range(stream, GROUP, "-", "+", 5000)
        return {
            row["message_id"].decode(): (
                row["consumer"].decode(),
                row["time_since_delivered"],
                row["times_delivered"],
            )
            for row in rows
        }

    async def events(self, job_id: str) -> list[str]:
        """What has happened to the job, in order."""
        rows = await self.redis.xrange(self.keys.events)
        return [fields[b"event"].decode() for _, fields in rows if fields[b"job"].decode() == job_id]

    async def endings(self, job_id: str) -> list[str]:
        """The job's terminal events: one, or none before its end."""
        rows = await self.redis.xrange(self.keys.events)
        states = [fields[b"state"].decode() for _, fields in rows if fields[b"job"].decode() == job_id]
        return [state for state in states if state in FINAL]

    async def indexes(self, job_id: str) -> list[str]:
        """The states whose index holds the job."""
        found = [await self.redis.zscore(self.keys.states + state, job_id) for state in STATES]
        return [state for state, score in zip(STATES, found, strict=True) if score is not None]

    async def inbox(self, worker: str) -> list[dict[str, str]]:
        """The messages that wait for a worker."""
        rows = await self.redis.xrange(self.keys.inbox(worker))
        return [{name.decode(): value.decode() for name, value in fields.items()} for _, fields in rows]

    async def everything(self) -> dict[str, Any]:
        """Every key and what it holds."""
        found = sorted([key async for key in self.redis.scan_iter("*", count=1000)])
        return {key.decode(): await self._content(key) for key in found}

    async def _content(self, key: bytes) -> Any:
        match await self.redis.type(key):
            case b"hash":
                return await self.redis.hgetall(key)
            case b"zset":
                return await self.redis.zrange(key, 0, -1, withscores=True)
            case b"stream":
                groups = [group["name"] for group in await self.redis.xinfo_groups(key)]
                return await self.redis.xrange(key), await self.pending(key.decode()) if groups else {}
            case kind:
                assert kind == b"string"
                return await self.redis.get(key)

    async def mentions(self, word: str) -> list[str]:
        """The keys that have the word in their name, or as a member of a set, or as a field of a hash."""
        found = []
        async for key in self.redis.scan_iter("*", count=1000):
            kind = await self.redis.type(key)
            members: list[bytes] = []
            if kind == b"zset":
                members = await self.redis.zrange(key, 0, -1)
            elif kind == b"hash":
                members = await self.redis.hkeys(key)
            elif kind == b"stream" and not key.endswith(self.keys.events.encode()):
                members = [fields.get(b"job", b"") for _, fields in await self.redis.xrange(key)]
            if word.encode() in key or word.encode() in members:
                found.append(key.decode())
        return sorted(found)

    async def assert_queue_is_true(self, stream: str) -> None:
        """Each job that lives has one entry, which its hash names; each that runs has it delivered."""
        entries, pending = await self.queue(stream), await self.pending(stream)
        jobs = {job_id: await self.raw(job_id) for job_id in set(entries.values())}
        alive = (
            await self.redis.zcard(self.keys.states + "queued"),
            *[await self.redis.zcard(self.keys.states + state) for state in HELD],
        )

        assert len(entries) == len(jobs) == sum(alive)
        assert {job["msg"] for job in jobs.values()} == set(entries)
        assert {entries[entry] for entry in pending} == {i for i, job in jobs.items() if job["state"] in HELD}
        assert REAPER not in pending.values()


@pytest.fixture
def scene(store: Store) -> Scene:
    """An empty scene on a real server."""
    return Scene(store)


@pytest.fixture
async def other(scene: Scene, redis_url: str) -> AsyncIterator[Scene]:
    """The same store as another process sees it."""
    store = Store(redis_url)
    yield Scene(store)
    await store.close()


@pytest.fixture
def until() -> Callable[[Callable[[], Awaitable[bool]]], Awaitable[None]]:
    """Waits for a condition, ten seconds at most."""

    async def wait(condition: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(10):
            while not await condition():  # noqa: ASYNC110 - a server tells nobody when a client blocks
                await asyncio.sleep(0.002)

    return wait
