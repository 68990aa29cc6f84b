"""The system under test: the program's own classes and scripts on a real server, with a clock that the test sets."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from hashlib import sha1
from pathlib import Path
from typing import Any
from unittest.mock import patch

from redis.exceptions import ConnectionError as RedisConnectionError

from app.state import jobs, scripting
from app.state.job import Job
from app.state.keys import GROUP, Keys
from app.state.leases import Leases
from app.state.seal import Seal
from app.state.store import Store
from app.state.workers import Workers
from tests.model.seen import KEYS, Seen, parse

HERE = Path(__file__).parent
CLOCK = (HERE / "clock.lua").read_bytes()
LOOK, PASS = ((HERE / f"{name}.lua").read_bytes() for name in ("look", "pass"))
NOW = b'return { math.floor(redis.call("GET", "test:clock") / 1000), redis.call("GET", "test:clock") % 1000 * 1000 }'
READ = b'return redis.call("XREADGROUP", "GROUP", ARGV[1], ARGV[2], "COUNT", 1, "STREAMS", KEYS[1], ">")'

# The answers of scripts that the program takes for a yes unless they are a no.
WORDS = {
    "finish": (b"ok", b"same", b"lost"),
    "publish": (b"ok", b"lost", b"cancel", b"kill"),
    "progress": (b"ok", b"lost"),
    "release": (b"ok", b"lost"),
    "retire": (b"ok", b"replaced"),
    "orphan": (b"alive", b"cancelled", b"cancelling", b"late", b"ended", b"unknown"),
}

Change = Callable[[str, bytes], bytes]  # a script's name and text -> the text to be used


def unchanged(name: str, text: bytes) -> bytes:
    """No change."""
    return text


class Subject:
    """A store whose scripts take the time from the test. `change` makes other scripts of them."""

    def __init__(self, url: str, change: Change = unchanged) -> None:
        original = scripting.source

        def source(name: str, keys: Keys) -> bytes:
            return with_clock(change(name, original(name, keys)))

        with patch.object(scripting, "source", source):
            self.store = Store(url)
        self.twice = False  # whether the reply of calls is lost, and they are made again
        self.lost = False  # whether there is never a reply
        self.called: set[str] = set()  # the scripts that have been used
        self._run = self.store.scripts.run
        self.store.scripts.run = self._run_once_or_twice
        self.workers = Workers(_Timed(self.store.redis), KEYS, self.store.scripts)
        self.seal = Seal(bytes(32))
        self.jobs = jobs.Jobs(self.store.redis, KEYS, self.store.scripts, self.seal, self.workers)
        self._numbers = itertools.count(1)

    async def empty(self, now: int) -> Seen:
        """An empty server at that time, with numbers that begin anew."""
        await self.store.redis.flushall()
        await self.set_clock(now)
        self._numbers = itertools.count(1)
        return await self.look("0-0")

    async def close(self) -> None:
        """Closes the connections."""
        await self.store.close()

    def leases(self, worker: str, boot: str) -> Leases:
        """What a worker's process uses; its tokens are numbered."""
        leases = self.store.leases(worker, boot)
        leases._token = lambda: f"{boot}:{self.number():08x}"
        return leases

    def number(self) -> int:
        """A fresh number."""
        return next(self._numbers)

    async def submit(self, submission: jobs.Submission) -> jobs.Submitted:
        """Submits under an id that is a number: ids have the order in which they were made."""
        with patch.object(jobs, "new_id", lambda: f"J{self.number():05}"):
            return await self.jobs.submit(submission)

    async def set_clock(self, now: int) -> None:
        """Sets the clock; what has expired is gone."""
        await self._eval(PASS, [], [now])

    async def look(self, last_event: str) -> Seen:
        """All that there is now, and the events after that one."""
        return parse(await self._eval(LOOK, [], [KEYS.events, last_event, GROUP]), last_event)

    async def deliver(self, worker: str, stream: str) -> list[tuple[str, str]]:
        """What a blocking read of one stream would give this worker, as (entry, job id)."""
        reply = await self._eval(with_clock(b"#!lua\n" + READ), [stream], [GROUP, worker])
        return [(entry.decode(), fields[1].decode()) for _, rows in reply or [] for entry, fields in rows]

    async def consumers(self, stream: str) -> set[str]:
        """Who reads the stream."""
        return {one["name"].decode() for one in await self.store.redis.xinfo_consumers(stream, GROUP)}

    def public(self, job_id: str, stored: dict[str, str]) -> Job:
        """A job as the rest of the program sees it."""
        encoded = {name.encode(): value.encode() for name, value in stored.items()}
        return Job.from_hash(job_id, encoded, {})

    async def _run_once_or_twice(self, name: str, keys: Sequence[str], arguments: Sequence[Any] = ()) -> Any:
        self.called.add(name)
        for _ in range(1 + self.twice):
            answer = await self._run(name, keys, arguments)
            if name in WORDS and answer not in WORDS[name]:
                raise AssertionError(f"{name} answers {answer!r}")
        if self.lost:
            raise RedisConnectionError("the reply is lost")
        return answer

    async def _eval(self, text: bytes, keys: Sequence[str], arguments: Sequence[Any]) -> Any:
        command = (len(keys), *keys, *arguments)
        try:
            return await self.store.redis.execute_command("EVALSHA", sha1(text).hexdigest(), *command)
        except scripting.NoScriptError:
            return await self.store.redis.execute_command("EVAL", text, *command)


class _Timed:
    """A client whose pipelines take the time from the test."""

    def __init__(self, redis: Any) -> None:
        self._redis = redis

    def __getattr__(self, name: str) -> Any:
        return getattr(self._redis, name)

    def pipeline(self, **options: Any) -> Any:
        pipe = self._redis.pipeline(**options)
        pipe.time = lambda: pipe.eval(NOW, 0)
        return pipe


def with_clock(text: bytes) -> bytes:
    """A script with the test's clock behind its first line."""
    first, _, rest = text.partition(b"\n")
    return first + b"\n" + CLOCK + rest
