"""Lists of jobs, the newest first: what a filter lets through, page by page, counted, or all of it.

Every index that is walked holds jobs by their creation, which never changes. So a cursor `<ms>-<id>`, the place of a
job, means the same in all of them: nothing is repeated or skipped, whatever comes or moves meanwhile.
Walks are bounded in time. One that was cut short says back to when it has looked, and goes on from there.
"""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import NamedTuple

from app.state.connect import Connection
from app.state.job import OWN, Job
from app.state.jobs import command_line
from app.state.keys import Keys
from app.state.reading import read
from app.state.scripting import Scripts

BUDGET = 0.15  # seconds that a page or a count may take
STEP = 500  # jobs looked at in one script: Redis does nothing else meanwhile
CHUNK = 200  # jobs held at a time by what reads all of them
_PLAIN = re.compile(r"[A-Za-z0-9._]+")  # what looks the same in a command and in its specification


@dataclass(frozen=True)
class Filter:
    """Which jobs. Empty: all. Times are Unix ms of the creation, `until` is not among them."""

    state: str = ""
    lane: str = ""
    worker: str = ""
    owner: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    text: str = ""  # stands in the command or the id, in whatever case
    since: int | None = None
    until: int | None = None

    @property
    def fields(self) -> dict[str, str]:
        """What a job's hash must hold."""
        named = {"state": self.state, "lane": self.lane, "worker": self.worker, "owner": self.owner}
        return {name: value for name, value in named.items() if value} | {
            f"label:{name}": value for name, value in self.labels
        }

    @property
    def plain(self) -> str:
        """The longest part of the text that the stored specification holds as it is, in lower case."""
        return max(_PLAIN.findall(self.text), key=len, default="").lower()

    def admits(self, job: Job) -> bool:
        """Whether the text is in the job; the rest is looked at by Redis."""
        wanted = self.text.lower()
        return not wanted or wanted in command_line(job.spec).lower() or wanted in job.id.lower()


class Row(NamedTuple):
    """A job's place in every list."""

    ms: int
    id: str

    @property
    def cursor(self) -> str:
        """The place as text."""
        return f"{self.ms}-{self.id}"


Placed = tuple[Row, Job]
END = Row(10**15, "")  # newer than any job


@dataclass(frozen=True)
class Page:
    """Jobs, the newest first. `older` and `newer` are the cursors of what lies beyond, "" where nothing does.

    `first` is the place of the newest, "" without any.
    `searched` is how far back was looked, in Unix ms, if the time was over before the page was full.
    """

    jobs: list[Job]
    older: str
    newer: str
    searched: int | None = None
    first: str = ""


@dataclass(frozen=True)
class Count:
    """How many jobs, or how many at least."""

    number: int
    exact: bool = True


def row(cursor: str) -> Row:
    """The place that a cursor names."""
    ms, _, job_id = cursor.partition("-")
    return Row(int(ms), job_id)


class Listing:
    """Lists of the jobs of one namespace."""

    def __init__(self, redis: Connection, keys: Keys, scripts: Scripts) -> None:
        self._redis = redis
        self._keys = keys
        self._scripts = scripts

    async def page(self, which: Filter, count: int, before: str = "", after: str = "") -> Page:
        """At most `count` jobs older than the cursor `before` or newer than `after`; without one, the newest."""
        walk, found = _Walk(self, which, after or before, is_newer=bool(after)), list[Placed]()
        ends = time.monotonic() + BUDGET
        while len(found) <= count and not walk.over:  # one more than asked, to know whether there is more
            found += await walk.step(count + 1 - len(found))
            if time.monotonic() > ends:
                break
        is_full, found = len(found) > count, found[:count]
        beyond = found[-1][0].cursor if is_full else walk.cursor
        edge = found[0][0].cursor if found else after or before
        searched = row(beyond).ms if beyond and len(found) < count else None
        jobs = [job for _, job in found]
        if after:
            first = found[-1][0].cursor if found else ""
            return Page(jobs[::-1], edge, beyond, searched, first)
        return Page(jobs, beyond, edge if before else "", searched, edge if found else "")

    async def every(self, which: Filter) -> AsyncIterator[list[Job]]:
        """All of them, a handful at a time; however long that takes."""
        walk = _Walk(self, which)
        while not walk.over:
            yield [job for _, job in await walk.step(CHUNK)]

    async def some(self, which: Filter, place: str, count: int = CHUNK) -> tuple[list[Job], str]:
        """Some more of them, older than the place, and the place that was reached; "" at the end."""
        walk = _Walk(self, which, place)
        return [job for _, job in await walk.step(count)], walk.cursor

    async def count(self, which: Filter, budget: float = BUDGET) -> Count:
        """How many they are; how many at least when the time was over."""
        if not which.text and (which.fields.keys() <= {"state"} or which.fields.keys() == {"owner"}):
            return Count(await self._redis.zcount(await self.index(which), *_bounds(which)))
        walk, number, ends = _Walk(self, which), 0, time.monotonic() + budget
        while not walk.over:
            if time.monotonic() > ends:
                return Count(number, exact=False)
            number += len(await walk.step(STEP) if which.text else await walk.rows(STEP))
        return Count(number)

    async def counts(self, states: tuple[str, ...]) -> dict[str, int]:
        """How many jobs are in each of these states."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for state in states:
                pipe.zcard(self._keys.made_in(state))
            return dict(zip(states, await pipe.execute(), strict=True))

    async def read(self, job_ids: list[str]) -> list[Job]:
        """These jobs."""
        return await read(self._redis, self._keys, job_ids)

    async def now(self) -> int:
        """Redis' clock, in Unix ms."""
        seconds, microseconds = await self._redis.time()
        return int(seconds) * 1000 + int(microseconds) // 1000

    async def index(self, which: Filter) -> str:
        """The smallest of the indexes that hold all of them."""
        if which.owner.startswith(OWN):  # in no other index
            return self._keys.owned_by(which.owner)
        names = [self._keys.made_in(which.state)] if which.state else []
        if which.owner:
            names.append(self._keys.owned_by(which.owner))
        if len(names) < 2:
            return (names or [self._keys.jobs])[0]
        async with self._redis.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.zcard(name)
            sizes = await pipe.execute()
        return min(zip(sizes, names, strict=True))[1]

    async def sift(
        self, index: str, which: Filter, place: Row | None, count: int, is_newer: bool
    ) -> tuple[list[Row], Row | None]:
        """Picks at most `count` of the next jobs behind the place; the place reached, None at the end."""
        oldest, newest = _bounds(which)
        fields, way = which.fields, ["newer", newest] if is_newer else ["older", oldest]
        start = _start(which, place, is_newer)
        arguments = [way[0], start.ms, start.id, way[1], STEP, count]
        pairs = [word for pair in fields.items() for word in pair]
        found = await self._scripts.run("sift", [index], [*arguments, which.plain, len(fields), *pairs])
        at, last, *picked = [word.decode() for word in found]
        rows = [Row(int(ms), job_id) for job_id, ms in zip(picked[::2], picked[1::2], strict=True)]
        return rows, Row(int(at), last) if last else None


class _Walk:
    """A way through the matching jobs, step by step; `place` is how far it has come."""

    def __init__(self, listing: Listing, which: Filter, cursor: str = "", is_newer: bool = False) -> None:
        self._listing = listing
        self._which = which
        self._is_newer = is_newer
        self._index = ""
        self.place = row(cursor) if cursor else None
        self.over = False

    @property
    def cursor(self) -> str:
        """How far it has come, as text; "" at its end."""
        return "" if self.over or self.place is None else self.place.cursor

    async def step(self, count: int) -> list[Placed]:
        """At most `count` jobs of the next that are looked at."""
        rows = await self.rows(count)
        jobs = await self._listing.read([one.id for one in rows])
        places = {one.id: one for one in rows}
        return [(places[job.id], job) for job in jobs if self._which.admits(job)]

    async def rows(self, count: int) -> list[Row]:
        """The same as places, whatever their text."""
        self._index = self._index or await self._listing.index(self._which)
        rows, place = await self._listing.sift(self._index, self._which, self.place, count, self._is_newer)
        self.over, self.place = place is None, place or self.place
        return rows


def _start(which: Filter, place: Row | None, is_newer: bool) -> Row:
    """Where to begin: behind the place, within the filter's times. A place without an id is before all of its ms."""
    if is_newer:
        return max(place or Row(0, ""), Row(which.since or 0, ""))
    return min(place or END, END if which.until is None else Row(which.until, ""))


def _bounds(which: Filter) -> tuple[str, str]:
    """The first and the last ms, as Redis writes them; the last is not among them."""
    since = "-inf" if which.since is None else str(which.since)
    return since, "+inf" if which.until is None else f"({which.until}"
