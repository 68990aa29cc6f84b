"""How one topic, or one feed, is read and rendered for all tabs of a process that show it."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence

from app.state.events import number
from app.web.dashboard.door import PATIENCE
from app.web.dashboard.topics import Feed, Frame, Rows, Topic

SHARE = 0.25  # seconds for which one look is good enough for everybody
BUFFER = 1_000  # entries of a feed that are kept for tabs that are slow


class Show:
    """One topic as this process shows it, to those who may act and to others."""

    def __init__(self, topic: Topic) -> None:
        self.topic = topic
        self.tabs = 0
        self.dirty = True
        self.frames: dict[bool, Frame] = {}
        self._looked = float("-inf")
        self._seen: object = self  # what the last look has found; nothing yet
        self._looking: asyncio.Task[None] | None = None

    @property
    def is_due(self) -> bool:
        """Whether somebody should look again."""
        return self.dirty or time.monotonic() - self._looked >= self.topic.period

    async def frame(self, acts: bool) -> Frame:
        """The regions now. Raises one of AWAY."""
        if acts not in self.frames:
            self.frames[acts] = Frame(isinstance(self.topic, Rows))
            self.dirty = True
        for _ in range(2):  # what is being looked at may be older than what has made it dirty
            if self.dirty or self._is_looking or time.monotonic() - self._looked >= SHARE:
                await self.refresh()
        return self.frames[acts]

    @property
    def _is_looking(self) -> bool:
        return self._looking is not None and not self._looking.done()

    async def refresh(self) -> bool:
        """Looks again; whether anything has changed. Raises one of AWAY."""
        before = [frame.version for frame in self.frames.values()]
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look())
        await asyncio.wait_for(asyncio.shield(self._looking), PATIENCE)
        return [frame.version for frame in self.frames.values()] != before

    async def _look(self) -> None:
        self.dirty, self._looked = False, time.monotonic()
        try:
            seen = await self.topic.look()
        except BaseException:
            self.dirty = True
            raise
        is_news = seen != self._seen
        for acts, frame in self.frames.items():
            if is_news or not frame.version:
                frame.update(self.topic.render(seen, acts))
        self._seen = seen


class Growth:
    """One feed as this process reads it, for all who follow it."""

    def __init__(self, feed: Feed, position: str) -> None:
        self.feed = feed
        self.tabs = 0
        self._start = self.end = position
        self._kept: deque[tuple[str, str]] = deque()

    async def refresh(self) -> bool:
        """Reads on; whether there was anything. Raises one of AWAY."""
        found = await asyncio.wait_for(self.feed.read(self.end), PATIENCE)
        self._kept.extend(found)
        if found:
            self.end = found[-1][0]
        while len(self._kept) > BUFFER:
            self._start = self._kept.popleft()[0]
        return bool(found)

    async def after(self, position: str) -> Sequence[tuple[str, str]]:
        """What follows that position. Raises one of AWAY."""
        if number(position) < number(self._start):
            return await asyncio.wait_for(self.feed.read(position), PATIENCE)
        return [one for one in self._kept if number(one[0]) > number(position)]
