"""Pages kept current: what one process reads and renders for all its tabs, and what a tab is told, by any process."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.applications import Starlette

from app.state.connect import UNREACHABLE
from app.state.events import Event, Events, Place
from app.state.sessions import Sessions
from app.state.store import Store
from app.web import main
from app.web.dashboard import hub
from app.web.dashboard.topics import Feed, Frame, Message, Rows, Topic
from app.web.main import create_app
from tests.web.test_dashboard import MASTER, Site, ask


class Board(Topic):
    """What a test says."""

    texts: Mapping[str, str] = {"a": "<p id=a>1</p>", "b": "<p id=b>1</p>"}
    period = 0.0
    looks = 0
    renderings = 0

    def touched(self, event: Event) -> bool:
        return False

    async def look(self) -> Mapping[str, str]:
        Board.looks += 1
        if isinstance(self.texts, Exception):
            raise self.texts
        return self.texts

    def render(self, seen: Mapping[str, str], acts: bool) -> Mapping[str, str]:
        Board.renderings += 1
        return {**seen, "c": "<p id=c>act</p>"} if acts else seen


class Jobs(Rows):
    """A row for each job that moves."""

    period = 1e6

    def __init__(self) -> None:
        self.moved: dict[str, str] = {}

    def touched(self, event: Event) -> bool:
        self.moved[event.job] = event.event
        return True

    def row(self, event: Event) -> str:
        return f"job-{event.job}"

    async def look(self) -> Mapping[str, str]:
        moved, self.moved = self.moved, {}
        return moved

    def render(self, seen: Mapping[str, str], acts: bool) -> Mapping[str, str]:
        return {f"job-{job}": f"<tr id=job-{job}>{event}</tr>" for job, event in seen.items()}


class Lines(Feed):
    """A hundred lines."""

    target = "log"
    count = 100

    async def read(self, after: str) -> Sequence[tuple[str, str]]:
        first = int(after.partition("-")[0]) + 1
        return [
            (f"{number}-0", f"<i>{number}</i>") for number in range(first, min(first + 30, self.count + 1))
        ]


@pytest.fixture
async def site(store: Store, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    """A web process with topics of the tests' own."""
    made = {"summary": Board, "rows": Jobs, "lines": Lines}
    monkeypatch.setattr(main, "TOPICS", {name: lambda *_, one=one: one() for name, one in made.items()})
    monkeypatch.setattr(hub, "BEAT", 0.02)
    monkeypatch.setattr(hub, "PAUSE", 0.0)
    monkeypatch.setattr(Board, "texts", dict(Board.texts))
    async with process(redis_url) as app:
        viewer = await app.state.users.add("vera", "viewer", "no hash")
        yield Site(app, store, await app.state.sessions.begin(viewer))


@pytest.fixture
async def other(site: Site, redis_url: str) -> AsyncIterator[Starlette]:
    """A second process."""
    async with process(redis_url) as app:
        yield app


@asynccontextmanager
async def process(redis_url: str) -> AsyncIterator[Starlette]:
    app = create_app(redis_url, MASTER)
    yield app
    await app.state.hub.close()
    await settled(app)
    await app.state.store.close()


async def settled(app: Starlette) -> None:
    """What is done beside requests has been done."""
    if app.state.tasks:
        await asyncio.wait(app.state.tasks)


class Stream:
    """A tab's stream, read event by event."""

    def __init__(self, app: Starlette, cookie: Any, query: str, mark: str = "") -> None:
        self._parts: asyncio.Queue[bytes] = asyncio.Queue()
        self._gone = asyncio.Event()
        self.status = 0
        self.mark = mark
        headers = [*cookie, *([("last-event-id", mark)] if mark else [])]
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/events",
            "raw_path": b"/events",
            "query_string": query.encode(),
            "root_path": "",
            "scheme": "http",
            "headers": [(name.encode(), value.encode()) for name, value in headers],
            "client": ("127.0.0.1", 5000),
            "server": ("127.0.0.1", 8000),
        }
        self.task = asyncio.create_task(app(scope, self._receive, self._send))

    async def __aenter__(self) -> Stream:
        return self

    async def __aexit__(self, *_: Any) -> None:
        self._gone.set()
        await asyncio.wait_for(self.task, 5)

    async def _receive(self) -> Any:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Any) -> None:
        self.status = message.get("status", self.status)
        for part in re.findall(rb".*?\n\n", message.get("body", b""), re.S):
            self._parts.put_nowait(part)

    async def next(self, within: float = 5.0) -> str:
        """The next event that says something: its name, or its data."""
        async with asyncio.timeout(within):
            while True:
                text = (await self._parts.get()).decode()
                fields = re.findall(r"^(\w+): ?(.*)$", text, re.M)
                self.mark = dict(fields).get("id", self.mark)
                name = dict(fields).get("event", "")
                data = "\n".join(value for field, value in fields if field == "data")
                if name not in ("", "beat"):
                    return f"{name} {data}".strip()
                if data:
                    return data

    async def rest(self) -> str:
        """All that has come and comes within a moment."""
        texts = []
        try:
            async with asyncio.timeout(0.4):
                while True:
                    texts.append(await self.next())
        except TimeoutError:
            return "\n".join(texts)


def stream(site: Site, query: str, mark: str = "", app: Starlette | None = None) -> Stream:
    return Stream(app or site.app, site.signed_in, f"tab=t1&{query}", mark)


def cookie(site: Site) -> str:
    return dict(site.signed_in)["cookie"].partition("=")[2]


def signed_in(cookie: str) -> list[tuple[str, str]]:
    return [("host", "localhost:8000"), ("cookie", f"ffgrid={cookie}")]


def regions(text: str) -> list[str]:
    return re.findall(r'hx-target="#([\w-]+)"', text)


async def test_a_tab_is_told_what_it_lacks_and_then_only_what_has_changed(site: Site):
    async with stream(site, "t=summary") as tab:
        assert regions(await tab.next()) == ["a", "b"]
        site.app.state.hub.show("summary").topic.texts = {**Board.texts, "b": "<p id=b>2\r\n2</p>"}
        told = await tab.next()

        assert regions(told) == ["b"]
        assert "<p id=b>2\n2</p>" in told
        assert await tab.rest() == ""


async def test_how_long_ago_something_was_is_no_news(site: Site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Board, "texts", {"a": '<p id=a><time datetime="x">now</time></p>'})
    async with stream(site, "t=summary") as tab:
        await tab.next()
        monkeypatch.setattr(Board, "texts", {"a": '<p id=a><time datetime="x">9 s ago</time></p>'})
        assert await tab.rest() == ""
        assert "9 s ago" in (await site.get("/live?t=summary")).text


async def test_another_process_goes_on_where_the_first_one_ended(site: Site, other: Starlette):
    async with stream(site, "t=summary,rows") as tab:
        await tab.next()
        first = await site.submit(number=1)
        assert regions(await tab.next()) == [f"job-{first}"]
    second = await site.submit(number=2)
    async with stream(site, "t=summary,rows", tab.mark, other) as tab:
        assert regions(await tab.rest()) == [f"job-{second}"]


async def test_who_missed_too_much_reads_his_lists_again(site: Site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("app.state.events.COUNT", 3)
    async with stream(site, "t=summary,rows") as tab:
        await tab.next()
    for number in range(5):
        await site.submit(number=number)
    async with stream(site, "t=summary,rows", tab.mark) as tab:
        assert await tab.next() == "resync lists"
        assert await tab.rest() == ""


async def test_a_log_is_neither_lost_nor_repeated(site: Site):
    seen: list[str] = []
    mark = "0-0~~5-0"
    while len(seen) < 95:
        async with stream(site, "t=summary&f=lines", mark) as tab:
            seen += re.findall(r"<i>(\d+)</i>", await tab.next())
            mark = tab.mark

    assert seen == [str(number) for number in range(6, 101)]


async def test_two_followers_of_one_log_get_it_each_from_his_own_place(site: Site):
    async with stream(site, "t=summary&f=lines", "0-0~~90-0") as ahead:
        assert "<i>91</i>" in await ahead.rest()
        async with Stream(site.app, site.signed_in, "tab=t2&t=summary&f=lines", "0-0~~0-0") as behind:
            told = re.findall(r"<i>(\d+)</i>", await behind.rest())

    assert told == [str(number) for number in range(1, 101)]


async def test_a_session_holds_few_streams_and_a_tab_may_come_back(site: Site):
    held = [Stream(site.app, site.signed_in, f"t=summary&tab=tab{number}") for number in range(4)]
    for one in held:
        await one.next()
    fifth = await site.get("/events?t=summary&tab=tab5")
    again = Stream(site.app, site.signed_in, "t=summary&tab=tab2")
    assert regions(await again.next()) == ["a", "b"]
    await held.pop(2).__aexit__()  # which had that tab's place before
    await settled(site.app)
    async with asyncio.timeout(5):  # a stream would not end
        then = await site.get("/events?t=summary&tab=tab5")
    for one in (*held, again):
        await one.__aexit__()

    assert (fifth.status, fifth.text) == (then.status, then.text) == (204, "")
    async with stream(site, "t=summary") as tab:
        assert await tab.next()


async def test_a_stream_ends_when_its_session_is_too_old(site: Site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hub, "ASK_EVERY", 1)
    monkeypatch.setattr(hub, "ALIVE", 0.05)
    async with stream(site, "t=summary") as tab:
        await tab.next()
        assert await tab.rest() == ""
        session, *_ = site.app.state.sessions.claimed(cookie(site))
        await site.store.redis.delete(site.store.keys.session(session))
        assert await tab.next() == "logout"
        await asyncio.wait_for(tab.task, 5)


ENDS: dict[str, Callable[[Any, str], Awaitable[Any]]] = {
    "signed out": lambda state, cookie: state.sessions.end(cookie),
    "removed": lambda state, _: state.users.remove("vera"),
    "another role": lambda state, _: state.users.set_role("vera", "operator"),
    "another password": lambda state, _: state.users.set_password("vera", "another hash"),
}


@pytest.mark.parametrize("how", ENDS)
async def test_what_ends_a_session_at_one_process_ends_its_streams_at_the_others(
    site: Site, other: Starlette, how: str
):
    state = site.app.state
    eve = await state.sessions.begin(await state.users.add("eve", "viewer", "no hash"))
    async with (
        stream(site, "t=summary", app=other) as tab,
        Stream(other, signed_in(eve), "t=summary&tab=t2") as hers,
    ):
        await tab.next()
        await hers.next()
        await ENDS[how](state, cookie(site))
        assert await tab.next() == "logout"
        await asyncio.wait_for(tab.task, 5)
        assert await hers.rest() == ""


async def test_a_stream_ends_when_its_tab_has_another_one(
    site: Site, other: Starlette, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(hub, "ASK_EVERY", 1)
    monkeypatch.setattr(hub, "ALIVE", 0.05)
    async with stream(site, "t=summary") as left, stream(site, "t=summary", app=other) as tab:
        await tab.next()
        await asyncio.wait_for(left.task, 5)
        assert await tab.rest() == ""
        assert not tab.task.done()


async def test_a_session_that_ends_before_its_tab_is_known_is_noticed(
    site: Site, monkeypatch: pytest.MonkeyPatch
):
    """Nobody is told of that: the hub reads already what happens, and knows only the tabs that it has."""
    state = site.app.state
    hold = Sessions.hold

    async def hold_late(sessions: Sessions, cookie: str, tab: str) -> str:
        held = await hold(sessions, cookie, tab)
        await sessions.end(cookie)
        return held

    eve = await state.sessions.begin(await state.users.add("eve", "viewer", "no hash"))
    async with Stream(site.app, signed_in(eve), "t=summary&tab=t2") as first:
        await first.next()
        monkeypatch.setattr(Sessions, "hold", hold_late)
        async with stream(site, "t=summary") as tab:
            assert await tab.next() == "logout"


async def test_a_session_that_ends_before_anybody_reads_of_it_is_noticed(
    site: Site, monkeypatch: pytest.MonkeyPatch
):
    begun, here = asyncio.Event(), Events.here

    async def here_late(events: Events) -> Place:
        await begun.wait()
        await site.app.state.sessions.end(cookie(site))
        return await here(events)

    monkeypatch.setattr(Events, "here", here_late)
    async with stream(site, "t=summary") as tab:
        await tab.next()
        begun.set()
        assert await tab.next() == "logout"


async def test_an_outage_is_told_and_what_is_shown_stays(site: Site):
    async with stream(site, "t=summary") as tab:
        await tab.next()
        topic: Any = site.app.state.hub.show("summary").topic
        before, topic.texts = topic.texts, UNREACHABLE[0]("away")
        assert await tab.next() == "queue away"
        topic.texts = before
        assert await tab.next() == "queue back"
        assert await tab.rest() == ""


async def test_a_topic_that_is_broken_takes_no_other_with_it(site: Site):
    async with stream(site, "t=summary,rows") as tab:
        await tab.next()
        site.app.state.hub.show("summary").topic.texts = ZeroDivisionError("a fault of ours")
        job = await site.submit()
        assert regions(await tab.next()) == [f"job-{job}"]


async def test_a_process_that_goes_away_ends_its_streams(site: Site):
    async with stream(site, "t=summary") as tab:
        await tab.next()
        site.app.state.leaving.begin()
        await asyncio.wait_for(tab.task, 5)


async def test_without_tabs_nothing_is_looked_at(site: Site):
    async with stream(site, "t=summary") as tab:
        await tab.next()
    await asyncio.sleep(0.1)
    looks = Board.looks
    await asyncio.sleep(0.2)

    assert Board.looks == looks


async def test_what_is_as_it_was_is_not_rendered_again(site: Site):
    async with stream(site, "t=summary") as tab:
        await tab.next()
        looks, renderings = Board.looks, Board.renderings
        await tab.rest()

        assert Board.looks > looks
        assert Board.renderings == renderings


async def test_who_may_act_gets_what_he_acts_with_and_nobody_else(site: Site):
    operator = await site.app.state.users.add("olga", "operator", "no hash")
    cookie = await site.app.state.sessions.begin(operator)
    async with (
        stream(site, "t=summary") as tab,
        Stream(site.app, signed_in(cookie), "t=summary&tab=x") as other,
    ):
        assert regions(await tab.next()) == ["a", "b"]
        assert regions(await other.next()) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("t=nonsense&tab=a", 404),
        ("t=summary&f=nonsense&tab=a", 404),
        ("t=summary:x&tab=a", 404),
        ("tab=a", 422),
        ("t=summary", 422),
        ("t=summary&tab=%20", 422),
        ("t=1,2,3,4,5,6,7&tab=a", 422),
    ],
)
async def test_what_cannot_be_shown_is_said(site: Site, query: str, status: int):
    assert (await site.get(f"/events?{query}")).status == status


async def test_a_mark_that_is_none_gets_everything(site: Site):
    for mark in ("rubbish", "1~2", "-~~", "1-2~" + "a" * 300 + "~1-1"):
        async with stream(site, "t=summary", mark) as tab:
            assert regions(await tab.next()) == ["a", "b"], mark


def test_a_frame_forgets_rows_that_have_not_changed_for_long(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("app.web.dashboard.topics.ROWS", 3)
    frame = Frame(keeps=True)
    for number in range(5):
        frame.update({f"r{number}": "x"})

    assert list(frame.regions) == ["r2", "r3", "r4"]
    assert regions(frame.since(0).text) == ["r2", "r3", "r4"]


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_no_line_end_gets_out_of_its_event(end: str):
    lines = Message(f"a{end}{end}event: logout{end}data: b").lines

    assert lines == b"data: a\ndata: \ndata: event: logout\ndata: data: b\n"


async def test_polls_know_where_they_are(site: Site):
    first = await ask(site.app, "/live?t=summary,rows", site.signed_in)
    mark = first.headers["hx-ptag"]
    same = await ask(site.app, "/live?t=summary,rows", [*site.signed_in, ("hx-ptag", mark)])
    job = await site.submit()
    then = await ask(site.app, "/live?t=summary,rows", [*site.signed_in, ("hx-ptag", mark)])

    assert regions(first.text) == ["a", "b"]
    assert same.status == 304
    assert regions(then.text) == [f"job-{job}"]
