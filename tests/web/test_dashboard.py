"""The dashboard's pages as an HTTP client gets them: who may, what is in them, what is not sent again."""

from __future__ import annotations

import asyncio
import base64
import html
import re
import shlex
import time
import tomllib
from collections.abc import AsyncIterator
from hashlib import sha384
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from starlette.applications import Starlette

from app.cli.main import build
from app.state.clients import Master
from app.state.connect import UNREACHABLE
from app.state.fallbacks import Fallback
from app.state.jobs import Jobs, Submission
from app.state.leases import Leases
from app.state.requirements import class_id, requirement
from app.state.seal import Seal
from app.state.store import Store
from app.web import pages
from app.web.dashboard import present, shows
from app.web.dashboard.overview import overview
from app.web.main import create_app

MASTER = Master(bytes(32))
NEEDS = requirement("ffmpeg", ["Movies"], {}, [])
ABOUT = {
    "host": "den",
    "slots": 2,
    "roots": ["Movies"],
    "binaries": {"ffmpeg": "7.1"},
    "encoders": [],
    "labels": {},
}
LIVE = "/live?t=summary,alerts,running,overview,charts"
PARTS = {"summary", "news", "alerts", "running", "charts", "failures", "workers", "jobs"}
HOSTILE = "<img src=x onerror=window.__pwned=1>'\"&\u202e</hx-partial>\x1b\n.mkv"


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    text: str


class Site:
    """One web process's application, asked without a network; its page's tabs share nothing for longer."""

    def __init__(self, app: Starlette, store: Store, cookie: str) -> None:
        self.app = app
        self.signed_in = [("host", "localhost:8000"), ("cookie", f"ffgrid={cookie}")]
        self.store = store
        self.jobs: Jobs = store.jobs(Seal(MASTER.seal_key()))

    async def get(self, path: str = "/", **more: Any) -> Answer:
        return await ask(self.app, path, self.signed_in, **more)

    async def submit(self, name: str = "a.mkv", number: int = 1, lane: str = "normal") -> str:
        spec = {"binary": "ffmpeg", "args": ["-i", [{"root": "Movies"}, f"/{name}"], "-f", "null", "-"]}
        key = f"key-{number}-{name.encode().hex()[:32]}"
        return (await self.jobs.submit(Submission(key, "d", "jellyfin", spec, NEEDS, lane, "none"))).id

    async def worker(self, name: str = "den") -> Leases:
        await self.store.workers.register(name, f"boot-{name}", ABOUT)
        return self.store.leases(name, f"boot-{name}")


async def ask(
    app: Starlette,
    path: str,
    headers: list[tuple[str, str]],
    peer: str | None = "127.0.0.1",
    method: str = "GET",
) -> Answer:
    """One request, straight into the application."""
    path, _, query = path.partition("?")
    sent: list[dict[str, Any]] = []
    received = iter([{"type": "http.request", "body": b"", "more_body": False}])
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "scheme": "http",
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers],
        "client": (peer, 5000) if peer else None,
        "server": ("127.0.0.1", 8000),
    }

    async def receive() -> dict[str, Any]:
        return next(received, None) or await asyncio.Future()  # a client that stays

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    answered = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], answered, b"".join(one.get("body", b"") for one in sent[1:]).decode())


@pytest.fixture
async def site(store: Store, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    """A web process on an empty store, whose looks at Redis are not shared."""
    monkeypatch.setattr(shows, "SHARE", 0.0)
    app = create_app(redis_url, MASTER)
    viewer = await app.state.users.add("vera", "viewer", "no hash")
    yield Site(app, store, await app.state.sessions.begin(viewer))
    await app.state.store.close()


# Access


async def test_calls_that_ran_on_their_own_hosts_are_one_line(site: Site):
    assert "own host" not in (await site.get()).text
    told = [Fallback(time.time() - 60, "ffmpeg", 12, "<b>no</b> worker", "tv")]
    await site.store.fallbacks.note("tv", told)

    text = html.unescape((await site.get()).text)

    assert "12 calls ran on their own host in the last hour; last reason: <b>no</b> worker" in text
    assert "&lt;b&gt;" in (await site.get(LIVE)).text


@pytest.mark.parametrize("path", ["/", LIVE])
async def test_there_is_nothing_to_send_to(site: Site, path: str):
    assert [(await site.get(path, method=one)).status for one in ("POST", "PUT", "DELETE", "PATCH")] == [
        405
    ] * 4
    assert (await site.get(path, method="HEAD")).status == 200


async def test_there_is_no_control_on_the_page_but_the_way_out(site: Site):
    lease = await running(site)
    text = (await site.get()).text

    assert lease.id in text
    assert re.findall(r"<(form|button|input|select|textarea|iframe|object)\b", text) == [
        "button",
        "form",
        "button",
        "form",  # which closes the list of keys, and sends nothing
        "button",
    ]
    assert '<form method="dialog"><button>Close</button></form>' in text
    assert '<form method="post" action="/logout"><button class="plain">Sign out vera</button></form>' in text


# Content


async def test_an_empty_farm_says_what_to_do_next(site: Site):
    text = html.unescape((await site.get()).text)
    commands = [line for line in text_of_examples(text) if line.startswith("ffgrid ")]

    assert len(commands) >= 4
    for command in commands:
        assert build().parse_args(shlex.split(command)[1:]).function, command


async def test_a_running_job_has_a_bar(site: Site):
    lease = await running(site)
    before = (await site.get()).text
    den = site.store.leases("den", "boot-den")
    await den.progress(lease, {"fraction": 0.25, "fps": 30.0, "speed": 1.5, "left": 61.0})
    text = (await site.get()).text

    assert '<progress max="1" aria-label' in before
    assert '<progress max="1" value="0.2500"' in text
    assert all(word in text for word in ("25 %", "30 fps", "1.50×", "2 min left"))  # noqa: RUF001 - as shown


async def test_jobs_and_workers_are_listed_with_their_states(site: Site):
    queued, lease = await site.submit("queued.mkv", lane="low"), await running(site)
    await site.store.leases("den", "boot-den").finish(lease, "fail", {"exit": 1, "reason": "exit status 1"})
    text = (await site.get()).text

    assert words_of(row(text, f"job-{queued}"))[:1] == ["○ queued"]
    assert words_of(row(text, f"job-{lease.id}"))[:1] == ["✕ failed"]
    assert {"den", "exit status 1", "1"} <= set(words_of(row(text, f"job-{lease.id}")))
    assert words_of(row(text, "worker-den"))[:2] == ["✓ online", "den"]


async def test_every_process_shows_the_same(site: Site, redis_url: str):
    await running(site)
    other = create_app(redis_url, MASTER)
    shown = [(await ask(app, LIVE, site.signed_in)).text for app in (site.app, other)]
    await other.state.store.close()

    assert sorted(rows_of(shown[0])) == sorted(rows_of(shown[1])) != []


async def test_a_hostile_name_is_only_text(site: Site):
    lease = await running(site, HOSTILE)
    await site.store.leases("den", "boot-den").finish(lease, "fail", {"exit": 1, "reason": HOSTILE})
    await running(site, HOSTILE, 2)
    for text in ((await site.get("/")).text, (await site.get(LIVE)).text):
        assert "<img src=x" not in text
        assert text.count("</hx-partial>") in (0, len(PARTS))
        assert "\u202e" not in text
        assert "\x1b" not in text
        assert "\\u202e" in text
        assert "&lt;img src=x onerror=window.__pwned=1&gt;" in text


async def test_a_table_can_be_heard(site: Site):
    await running(site)
    text = (await site.get()).text
    tables = re.findall(r"<table>.*?</table>", text, re.S)

    assert len(tables) == 3
    assert all("<caption" in table and "<th>" not in table for table in tables)
    assert text.count('scope="col"') == len(re.findall("<th .*?>", text)) - text.count('scope="row"')
    assert '<html lang="en">' in text
    assert '<a class="skip" href="#main">' in text
    assert 'role="status"' in text


async def test_ids_are_unique(site: Site):
    await running(site)
    await site.submit(number=9)
    ids = re.findall(r'\bid="([^"]*)"', (await site.get()).text)

    assert len(ids) == len(set(ids)) > 8


async def test_without_javascript_the_page_is_renewed_by_itself(site: Site):
    assert '<noscript><meta http-equiv="refresh"' in (await site.get()).text


# Refreshes


async def test_a_page_that_is_up_to_date_gets_nothing_again(site: Site):
    first = await site.get(LIVE)
    page = await site.get("/")
    again = await tagged(site, first.headers["hx-ptag"])

    assert f'hx-ptag="{first.headers["hx-ptag"]}"' in page.text
    assert (again.status, again.text) == (304, "")


async def test_whatever_happens_to_a_job_is_news(site: Site):
    tags = [(await site.get(LIVE)).headers["hx-ptag"]]
    lease = await running(site)
    den = site.store.leases("den", "boot-den")
    for step in (den.progress(lease, {"fraction": 0.5}), den.finish(lease, "succeed", {"exit": 0})):
        tags.append((await tagged(site, tags[-1])).headers["hx-ptag"])
        await step
    tags.append((await tagged(site, tags[-1])).headers["hx-ptag"])

    assert len(set(tags)) == 4


async def test_many_tabs_cost_one_look(site: Site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shows, "SHARE", 60.0)
    looks = []
    look = overview.Overview.look

    async def counted(topic: overview.Overview) -> present.Overview:
        looks.append(1)
        return await look(topic)

    monkeypatch.setattr(overview.Overview, "look", counted)
    answers = await asyncio.gather(*(site.get(path) for path in [LIVE] * 40 + ["/"]))

    assert {answer.status for answer in answers} == {200}
    assert len(looks) == 1


async def test_the_partials_are_those_of_the_page(site: Site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shows, "SHARE", 60.0)
    await running(site)
    batch, page = (await site.get(LIVE)).text, (await site.get("/")).text
    partials = dict(
        re.findall(r'<hx-partial hx-target="#(\w+)" hx-swap="outerMorph">(.*?)\n?</hx-partial>', batch, re.S)
    )

    assert set(partials) == PARTS
    for name, part in partials.items():
        assert f'id="{name}"' in part
        assert part.strip() in page, name


# Outages


async def test_a_page_that_is_opened_without_redis_says_so_and_asks_on(
    site: Site, monkeypatch: pytest.MonkeyPatch
):
    async def away(jobs: Jobs) -> tuple[str, float]:
        raise UNREACHABLE[0]("it does not answer")

    monkeypatch.setattr(Jobs, "revision", away)
    page, refresh = await site.get(), await tagged(site, "")

    assert (page.status, refresh.status, refresh.text) == (503, 503, "")
    assert 'data-link="queue"' in page.text
    assert '<meta http-equiv="refresh" content="5">' in page.text
    assert "No worker" not in page.text
    assert refresh.headers["content-security-policy"] == pages.POLICY


# Files


def test_vendored_files_are_what_they_are_said_to_be():
    folder = pages.asset_dir("static") / "vendor"
    packages = tomllib.loads((folder / "VENDOR.toml").read_text("utf-8"))["package"]
    files = {name: facts for package in packages for name, facts in package["files"].items()}

    assert {path.name for path in folder.iterdir()} == {*files, "VENDOR.toml"}
    for name, facts in files.items():
        assert base64.b64encode(sha384((folder / name).read_bytes()).digest()).decode() == facts["sha384"], (
            name
        )
    assert all(package["name"] and package["version"] and package["licence"] for package in packages)


async def test_every_file_that_a_page_names_is_served(site: Site):
    names = re.findall(r'(?:src|href)="(/static/[^"]*)"', (await site.get()).text)
    answers = {name: await site.get(name.partition("?")[0]) for name in names}

    assert len(answers) == 9
    assert {answer.status for answer in answers.values()} == {200}
    assert all("?v=" in name for name in names)


def test_an_address_changes_with_its_files_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pages, "asset_dir", lambda name: tmp_path)
    addresses = []
    for content in ("a", "b", "a"):
        (tmp_path / "app.css").write_text(content)
        addresses.append(pages.static.__wrapped__("app.css"))

    assert addresses[0] == addresses[2] != addresses[1]


BANNED = {
    "code in an attribute": r"\shx-on|\son\w+=|js:|javascript:|hx-trigger=\"[^\"]*\[",
    "style in an attribute": r"\sstyle=|<style",
    "a script without a file": r"<script(?![^>]*\ssrc=)",
    "text that is not escaped": r"\|\s*safe|autoescape|Markup",
    "a quote that is escaped: write {% if %} around it": r"\{\{\s*'[^']*=\"",
    "a foreign host": r"https?://(?!localhost)",
}


@pytest.mark.parametrize(
    "path", sorted(pages.asset_dir("templates").glob("*.html")), ids=lambda path: path.name
)
@pytest.mark.parametrize("what", BANNED)
def test_no_template_has(path: Path, what: str):
    assert re.search(BANNED[what], path.read_text("utf-8")) is None


@pytest.mark.parametrize("path", sorted(pages.asset_dir("static").glob("*.js")), ids=lambda path: path.name)
def test_our_own_scripts_are_small_and_are_javascript(path: Path):
    assert path.stat().st_size <= 3 * 1024
    assert re.search(r"\beval\b|Function\(|innerHTML|setTimeout\(\"", path.read_text("utf-8")) is None


# Reading answers


async def running(site: Site, name: str = "a.mkv", number: int = 1) -> Any:
    """The lease on a new job that a worker named den has started."""
    den = await site.worker()
    await site.submit(name, number)
    (lease,) = await den.claim([site.store.keys.queue(class_id(NEEDS), "normal")], 1)
    return lease


async def tagged(site: Site, tag: str) -> Answer:
    return await ask(site.app, LIVE, [*site.signed_in, ("hx-ptag", tag), ("hx-request", "true")])


def row(text: str, name: str) -> str:
    found = re.search(rf'<tr id="{re.escape(name)}">.*?</tr>', text, re.S)
    assert found, name
    return found[0]


def rows_of(text: str) -> list[str]:
    return re.findall(r'<tr id="([^"]*)"', text)


def words_of(text: str) -> list[str]:
    """What each cell of a row says."""
    cells = re.findall(r"<t[dh]\b.*?</t[dh]>", text, re.S)
    return [html.unescape(" ".join(re.sub(r"<[^>]*>", "", cell).split())) for cell in cells]


def text_of_examples(text: str) -> list[str]:
    return "\n".join(re.findall(r"<pre><code>(.*?)</code></pre>", text, re.S)).splitlines()
