"""What a page keeps current: topics, each some regions of HTML that are rendered once for all who look.

    Topic   a few regions: a look at Redis, rendered whole; what has changed is sent
    Rows    rows of a list: those are looked at that something has happened to; who does not show one, skips it
    Feed    what is only ever appended to, such as a log

A region is one element with an id. Its page shows first the very text that is sent later.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from app.state.events import Event

ROWS = 500  # rows of a list that are kept, those that have changed last
_TIME = re.compile(r"(<time\b[^>]*>)[^<]*")


class Topic:
    """One subject. `period` is the seconds after which it is looked at though nothing has happened."""

    period = 2.0

    def touched(self, event: Event) -> bool:
        """Whether this changes what is shown."""
        return True

    async def look(self) -> Any:
        """What there is to show. Raises a RedisError."""
        raise NotImplementedError

    def render(self, seen: Any, acts: bool) -> Mapping[str, str]:
        """The regions, by the ids of their elements. `acts`: for those who may do something, else for viewers.

        The same every time for what is equal: then it is not asked again.
        """
        raise NotImplementedError


class Rows(Topic):
    """A list's rows. Such a topic remembers in `touched` what it will look at."""

    def row(self, event: Event) -> str:
        """The id of the region that this changes."""
        raise NotImplementedError


class Feed:
    """Something that grows, shown in the element `target` (an id)."""

    target = ""

    async def read(self, after: str) -> Sequence[tuple[str, str]]:
        """What follows the position `after` (a stream's id), a bounded part: (position, HTML) each."""
        raise NotImplementedError


class Frame:
    """A topic's regions as they are, and since when: `version` counts, `tag` names their content."""

    def __init__(self, keeps: bool) -> None:
        """With `keeps`, regions stay that are not told again."""
        self._keeps = keeps
        self._changed: dict[str, int] = {}  # the last one changed last
        self._content: dict[str, str] = {}
        self._messages: dict[int, Message] = {}
        self.regions: dict[str, str] = {}
        self.version = 0
        self.tag = ""

    def update(self, regions: Mapping[str, str]) -> bool:
        """Takes these regions; whether any has changed. What a <time> reads is no change: pages tell it themselves."""
        contents = {name: _TIME.sub(r"\1", text) for name, text in regions.items()}
        changed = [name for name, content in contents.items() if self._content.get(name) != content]
        self.regions = {**self.regions, **regions} if self._keeps else dict(regions)
        self._messages.clear()
        if not changed:
            return False
        self.version += 1
        for name in changed:
            self._content[name] = contents[name]
            self._changed.pop(name, None)
            self._changed[name] = self.version
        while len(self._changed) > ROWS:
            self._forget(next(iter(self._changed)))
        if not self._keeps:
            self.tag = sha256("\0".join(contents.values()).encode()).hexdigest()[:10]
        return True

    def since(self, version: int) -> Message:
        """What has changed since that version, made once for all who ask."""
        if version not in self._messages:
            names = [name for name, at in self._changed.items() if at > version and name in self.regions]
            self._messages[version] = self.only(names)
        return self._messages[version]

    def only(self, names: Sequence[str]) -> Message:
        """These regions."""
        return Message("".join(partial(name, self.regions[name]) for name in names if name in self.regions))

    def _forget(self, name: str) -> None:
        for known in (self._changed, self._content, self.regions):
            known.pop(name, None)


class Message:
    """A batch of partials: as text, and as the lines of an event of a stream."""

    def __init__(self, text: str) -> None:
        self.text = text
        lines = re.split(r"\r\n|\r|\n", text.rstrip()) if text else []
        self.lines = "".join(f"data: {line}\n" for line in lines).encode()


def partial(name: str, text: str, swap: str = "outerMorph") -> str:
    """What has htmx put the text in the place of the element with that id."""
    return f'<hx-partial hx-target="#{name}" hx-swap="{swap}">{text}</hx-partial>\n'
