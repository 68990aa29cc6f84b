"""What all tabs of this process share: one reader of the events, one look and one rendering for all of them.

    Redis  --events-->  Hub  marks topics  --four times a second-->  looks, renders, wakes  -->  Tab, Tab, Tab

A tab that is slow misses versions and never queues them. Without tabs nothing is read.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import TypeVar

from app.state.connect import stop
from app.state.events import START, Event, Events, Place, number
from app.web.dashboard.door import AWAY
from app.web.dashboard.shows import Growth, Show
from app.web.dashboard.topics import Feed, Message, Rows, Topic, partial
from app.web.leaving import Leaving

BEAT = 0.25  # seconds between two renderings: what happens meanwhile is one change
# Seconds after which a tab is woken though nothing has changed: its stream says that it is alive.
ALIVE = 15.0
ASK_EVERY = 4  # times of that after which a tab asks whether its session still is
PAUSE = 0.05  # seconds between two readings of events, of which each takes some hundred
LARGE = 48_000  # characters of a feed in one message

T = TypeVar("T")

log = logging.getLogger("ffgrid.live")


class Unknown(LookupError):
    """There is no such topic."""


class Tab:
    """What one page shows, and how far it has been told. Its `mark` says that to any process: event~tags~position."""

    def __init__(self, hub: Hub, shows: list[Show], growth: Growth | None, acts: bool, mark: str) -> None:
        event, tags, position = _parts(mark)
        self.wake = asyncio.Event()
        self.shows = shows
        self.growth = growth
        self.user = ""
        self.in_doubt = True  # whether this is still who has opened it, is to be asked
        self.is_lost = False  # too much has happened since its mark: lists must be read anew
        self._hub = hub
        self._acts = acts
        self._tags = [*tags.split("."), *[""] * len(shows)]
        self._versions: dict[Show, int] = {}
        self._event = event
        self._position = position or START

    async def begin(self) -> list[Message]:
        """What the page has missed. Raises one of AWAY."""
        events = await self._hub.since(self._event) if self._event else []
        self.is_lost = events is None
        self._event = await self._hub.last()
        messages = []
        for show, tag in zip(self.shows, self._tags, strict=False):
            for event in events or ():
                show.dirty = show.topic.touched(event) or show.dirty
            frame = await show.frame(self._acts)
            self._versions[show] = frame.version
            if isinstance(show.topic, Rows):
                messages.append(frame.only([show.topic.row(event) for event in events or ()]))
            elif frame.tag != tag:
                messages.append(frame.since(0))
        return [*messages, *await self._growth()]

    async def next(self) -> list[Message]:
        """What has changed since. Raises one of AWAY."""
        self.wake.clear()
        self._event = self._hub.shown or self._event
        return [*self._changes(), *await self._growth()]

    @property
    def mark(self) -> str:
        """How far it has been told."""
        tags = ".".join(show.frames[self._acts].tag for show in self.shows)
        return f"{self._event}~{tags}~{self._position}"

    def event(self, messages: Iterable[Message]) -> bytes:
        """These as one event of the stream; b"" where they say nothing."""
        lines = b"".join(message.lines for message in messages)
        return b"id: " + self.mark.encode() + b"\n" + lines + b"\n" if lines else b""

    def _changes(self) -> Iterable[Message]:
        for show in self.shows:
            frame, version = show.frames[self._acts], self._versions[show]
            if frame.version != version:
                self._versions[show] = frame.version
                yield frame.since(version)

    async def _growth(self) -> list[Message]:
        if self.growth is None:
            return []
        text, length = [], 0
        for position, line in await self.growth.after(self._position):
            self._position = position
            text.append(line)
            length += len(line)
            if length > LARGE:
                break
        if number(self._position) < number(self.growth.end):
            self.wake.set()  # and soon the rest
        return [Message(partial(self.growth.feed.target, "".join(text), "beforeend"))] if text else []


class Hub:
    """The topics that this process shows. `make` gives the topic or feed of a name, or None."""

    def __init__(self, events: Events, make: Callable[[str], Topic | Feed | None], leaving: Leaving) -> None:
        self._events = events
        self._make = make
        self._leaving = leaving
        self._shows: dict[str, Show] = {}
        self._growths: dict[str, Growth] = {}
        self._running: asyncio.Task[None] | None = None
        self._place = Place(START, START)  # how far has been read ...
        self.shown = ""  # ... and the last event that all frames have in them; "" while nobody reads
        self.tabs: set[Tab] = set()
        self.is_away = False

    @property
    def is_over(self) -> bool:
        """Whether its process is going away."""
        return self._leaving.begun

    def show(self, name: str) -> Show:
        """The topic of that name. Raises Unknown."""
        if name in self._shows:
            return self._shows[name]
        topic = self._make(name)
        if not isinstance(topic, Topic):
            raise Unknown(name)
        return Show(topic)

    def check(self, names: Iterable[str], feed: str) -> None:
        """Raises Unknown where there is no such topic, or no such feed."""
        for name in names:
            self.show(name)
        if feed:
            self._growth(feed, "")

    def touch(self) -> None:
        """Something has been done here: what was seen before is old."""
        for show in self._shows.values():
            show.dirty = True

    async def last(self) -> str:
        """The last event that what is looked at now has in it. Raises one of AWAY."""
        return self.shown or await self._events.last()

    async def since(self, event: str) -> list[Event] | None:
        """The events since that one, or None. Raises one of AWAY."""
        return await self._events.since(event)

    @asynccontextmanager
    async def tab(self, names: Iterable[str], feed: str, acts: bool, mark: str) -> AsyncIterator[Tab]:
        """A page that shows these topics and follows that feed, while the context lasts. Raises Unknown."""
        shows = {name: self.show(name) for name in names}
        growths = {feed: self._growth(feed, mark)} if feed else {}
        self._shows.update(shows)
        self._growths.update(growths)
        tab = Tab(self, list(shows.values()), growths.get(feed), acts, mark)
        parts: list[Show | Growth] = [*shows.values(), *growths.values()]
        for part in parts:
            part.tabs += 1
        try:
            yield tab
        finally:
            self.tabs.discard(tab)
            for part in parts:
                part.tabs -= 1
            self._drop()

    def keep(self, tab: Tab, user: str) -> None:
        """Has the tab of that user woken when something has changed."""
        tab.user = user
        self.tabs.add(tab)
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())

    async def close(self) -> None:
        """Ends with the process."""
        if self._running:
            await stop(self._running)

    def _growth(self, name: str, mark: str) -> Growth:
        if name in self._growths:
            return self._growths[name]
        feed = self._make(name)
        if not isinstance(feed, Feed):
            raise Unknown(name)
        return Growth(feed, _parts(mark)[2] or START)

    def _drop(self) -> None:
        """Forgets what is about one thing (job:ID) and is watched by nobody."""
        self._shows = {name: show for name, show in self._shows.items() if show.tabs or ":" not in name}
        self._growths = {name: growth for name, growth in self._growths.items() if growth.tabs}

    async def _run(self) -> None:
        living = asyncio.create_task(self._live())
        try:
            while self._has_tabs:  # asked anew after the end: a tab may have come meanwhile
                await self._watch()
        finally:
            living.cancel()
            self._wake()

    @property
    def _has_tabs(self) -> bool:
        return bool(self.tabs) and not self._leaving.begun

    async def _live(self) -> None:
        """Apart from what waits for Redis. One clock for all: a timeout in each tab would cost more than its event."""
        for beat in count(1):
            await asyncio.sleep(ALIVE)
            if beat % ASK_EVERY == 0:
                self._doubt(self.tabs)
            self._wake()

    async def _watch(self) -> None:
        self._place = await _patiently(self._events.here)
        self._doubt(self.tabs)  # what was before that, nobody has read
        reading = asyncio.create_task(self._read())
        try:
            while self._has_tabs:
                await self._beat()
                await asyncio.sleep(BEAT)
        finally:
            self.shown = ""
            await stop(reading)

    async def _beat(self) -> None:
        read_to = self._place.event
        due: list[Show | Growth] = [show for show in self._shows.values() if show.tabs and show.is_due]
        due += self._growths.values()
        results = await asyncio.gather(*(part.refresh() for part in due), return_exceptions=True)
        failed = [one for one in results if isinstance(one, BaseException)]
        for error in failed:
            if not isinstance(error, AWAY):  # one topic that is broken takes no other with it
                log.error("a topic cannot be shown", exc_info=error)
        if not failed:
            self.shown = read_to
        is_away = any(isinstance(error, AWAY) for error in failed)
        if is_away != self.is_away or True in results:
            self.is_away = is_away
            self._wake()

    async def _read(self) -> None:
        while True:
            news = await _patiently(lambda: self._events.wait(self._place))
            for event in news.events:
                for show in self._shows.values():
                    show.dirty = show.topic.touched(event) or show.dirty
            self._doubt(tab for tab in self.tabs if tab.user in news.users)
            self._place = news.place
            await asyncio.sleep(PAUSE)

    def _wake(self) -> None:
        for tab in self.tabs:
            tab.wake.set()

    @staticmethod
    def _doubt(tabs: Iterable[Tab]) -> None:
        for tab in tabs:
            tab.in_doubt = True
            tab.wake.set()


def _parts(mark: str) -> tuple[str, str, str]:
    event, tags, position, *_ = (*mark.split("~"), "", "")
    return event, tags, position


async def _patiently(ask: Callable[[], Awaitable[T]]) -> T:
    """The answer, once Redis gives one."""
    while True:
        with suppress(*AWAY):
            return await ask()
        await asyncio.sleep(BEAT)
