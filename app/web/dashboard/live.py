"""What keeps a page current: its first paint, and then one stream for each tab, or polls where streams do not pass.

/events?t=summary,jobs&f=log:ID     the stream (Server-Sent Events): partials as they change
/live?t=...                         the same by asking again and again: 304 while nothing has changed

    id: <mark>      data: <hx-partial> ...      what has changed; a tab that comes back names the mark, to any process
    event: queue    data: away | back           Redis; what is shown stays
    event: resync                               too much was missed: lists are to be read again
    event: logout                               the session is over
    event: beat                                 nothing has changed for a while, and the stream is alive
"""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from app.web import pages
from app.web.dashboard import door
from app.web.dashboard.door import AWAY
from app.web.dashboard.hub import Hub, Tab, Unknown
from app.web.parts import beside, sessions
from app.web.problems import Problem

ALWAYS = "summary"  # the topic that every page shows
MOST = 6  # that one page may show
_MARK = re.compile(r"(\d{1,20}-\d{1,20})?~[0-9a-f.]{0,200}~(\d{1,20}-\d{1,20})?")
_TAB = re.compile(r"[A-Za-z0-9_-]{1,32}")


@dataclass(frozen=True)
class Shown:
    """A page's regions, and the addresses that keep them current."""

    regions: dict[str, Markup] = field(default_factory=dict)
    events: str = ""
    poll: str = ""
    mark: str = ""


async def show(request: Request, *topics: str, feed: str = "", position: str = "") -> Shown:
    """The regions of these topics and of the summary, as they are now. Raises one of AWAY.

    `feed` names what the page follows from `position` on.
    """
    names = [ALWAYS, *topics]
    async with hub(request).tab(names, "", _acts(request), f"~~{position}") as tab:
        await tab.begin()
        found: dict[str, Markup] = {}
        for one in tab.shows:
            regions = one.frames[_acts(request)].regions.items()
            found.update({name: Markup(text) for name, text in regions})  # noqa: S704 - rendered by a template
        mark = tab.mark
    asked = {"t": ",".join(names), **({"f": feed} if feed else {})}
    stream = {**asked, "tab": secrets.token_urlsafe(6), "mark": mark}
    return Shown(found, f"/events?{urlencode(stream)}", f"/live?{urlencode(asked)}", mark)


@door.reachable
async def events(request: Request) -> Response:
    """The stream. 204 where this session holds enough of them: that tab asks again and again."""
    topics, feed = _asked(request)
    tab_name = request.query_params.get("tab", "")
    if not _TAB.fullmatch(tab_name):
        raise Problem(422, "invalid", "tab: expected 1 to 32 letters, digits, '-' or '_'")
    held = await sessions(request).hold(request.state.cookie, tab_name)
    if not held:
        return pages.empty(204)
    mark = _mark(request.headers.get("last-event-id", "") or request.query_params.get("mark", ""))
    stream = _stream(request, topics, feed, mark, held)
    headers = {**pages.HEADERS, "X-Accel-Buffering": "no"}
    return StreamingResponse(stream, media_type="text/event-stream", headers=headers)


@door.reachable
async def live(request: Request) -> Response:
    """What has changed since the page saw `HX-PTag`."""
    topics, feed = _asked(request)
    mark = _mark(request.headers.get("hx-ptag", ""))
    async with hub(request).tab(topics, feed, _acts(request), mark) as tab:
        text = "".join(message.text for message in await tab.begin())
        return pages.fragment(text, tab.mark) if text else pages.empty(304)


async def _stream(
    request: Request, topics: list[str], feed: str, mark: str, held: str
) -> AsyncIterator[bytes]:
    try:
        async with hub(request).tab(topics, feed, _acts(request), mark) as tab:
            async for event in _events(request, tab, held):
                yield event
    finally:
        beside(request, _quietly(sessions(request).let_go(request.state.cookie, held)))


async def _events(request: Request, tab: Tab, held: str) -> AsyncIterator[bytes]:
    shared, is_away, begun = hub(request), False, False
    yield b"retry: 500\n: ffgrid\n\n"
    shared.keep(tab, request.state.user.name)
    while not shared.is_over:
        try:
            while tab.in_doubt:
                last_word = await _last_word(request, tab, held)
                if last_word is not None:
                    yield last_word
                    return
            if begun:
                messages = await tab.next()
            else:
                messages, begun = await tab.begin(), True
            if tab.is_lost:
                tab.is_lost = False
                yield b"event: resync\ndata: lists\n\n"
            yield tab.event(messages) or b"event: beat\ndata: \n\n"
        except AWAY:
            shared.is_away = True
        if is_away != shared.is_away:
            is_away = shared.is_away
            yield b"event: queue\ndata: " + (b"away" if is_away else b"back") + b"\n\n"
        await tab.wake.wait()


async def _last_word(request: Request, tab: Tab, held: str) -> bytes | None:
    """None while session and user are as they were, and this is its tab's newest stream. Raises one of AWAY."""
    tab.in_doubt = False
    try:
        if await sessions(request).user(request.state.cookie) != door.user(request):
            return b"event: logout\ndata: \n\n"
        return None if await sessions(request).hold_on(request.state.cookie, held) else b": another\n\n"
    except AWAY:
        tab.in_doubt = True
        raise


async def _quietly(work: Coroutine[Any, Any, None]) -> None:
    """Without Redis it is not done."""
    with suppress(*AWAY):
        await work


def hub(request: Request) -> Hub:
    """What this process shows."""
    found: Hub = request.app.state.hub
    return found


def _acts(request: Request) -> bool:
    found = door.user(request)
    return found is not None and found.may("operator")


def _asked(request: Request) -> tuple[list[str], str]:
    topics = [name for name in dict.fromkeys(request.query_params.get("t", "").split(",")) if name]
    if not 1 <= len(topics) <= MOST:
        raise Problem(422, "invalid", f"t: expected 1 to {MOST} topics, got {len(topics)}")
    feed = request.query_params.get("f", "")
    try:
        hub(request).check(topics, feed)
    except Unknown as error:
        raise Problem(404, "no-such-topic", f"there is no topic {error.args[0]!r}") from None
    return topics, feed


def _mark(text: str) -> str:
    """The mark, or "" for what is none: everything is sent then."""
    return text if _MARK.fullmatch(text) else ""


ROUTES: list[BaseRoute] = [Route("/events", events), Route("/live", live)]
