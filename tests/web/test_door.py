"""The way in: signing in and out, roles, one-time links, what other sites send, and what every page forbids."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from app.state import passwords
from app.state.clients import Master
from app.state.connect import UNREACHABLE
from app.state.scripting import Scripts
from app.state.store import Store
from app.state.users import ROLES as RANKS
from app.web import pages
from app.web.dashboard import door, login
from app.web.main import create_app

MASTER = Master(bytes(32))
PASSWORD = "correct horse"
HASH = passwords.make(PASSWORD)
HERE = "http://localhost:8000"
HOSTILE = "<img src=x onerror=window.__pwned=1>'\"&\u202e\x1b\n"


@dataclass
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    cookies: list[str]
    text: str


@dataclass
class Browser:
    """Keeps cookies, and says where its forms come from, as a browser does."""

    app: Starlette
    host: str = "localhost:8000"
    peer: str = "127.0.0.1"
    cookies: dict[str, str] = field(default_factory=dict)
    more: tuple[tuple[str, str], ...] = ()

    async def get(self, path: str = "/", *headers: tuple[str, str], method: str = "GET") -> Answer:
        return await self.ask(method, path, headers)

    async def post(self, path: str, *headers: tuple[str, str], **fields: str) -> Answer:
        form = ("content-type", "application/x-www-form-urlencoded")
        told = headers or (("origin", f"http://{self.host}"),)
        return await self.ask("POST", path, (form, *told), urlencode(fields).encode())

    async def ask(self, method: str, path: str, headers: Any = (), body: bytes = b"") -> Answer:
        kept = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        sent = [("host", self.host), *self.more, *headers, *([("cookie", kept)] if kept else [])]
        answer = await ask(self.app, method, path, sent, body, self.peer)
        for cookie in answer.cookies:
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value.strip('"')
            if not self.cookies[name]:
                del self.cookies[name]
        return answer


async def ask(
    app: Starlette,
    method: str,
    target: str,
    headers: list[tuple[str, str]],
    body: bytes = b"",
    peer: str = "127.0.0.1",
) -> Answer:
    """One request, straight into the application."""
    sent: list[dict[str, Any]] = []
    received = iter([{"type": "http.request", "body": body, "more_body": False}])
    path, _, query = target.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "scheme": "http",
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers],
        "client": (peer, 5000),
        "server": ("127.0.0.1", 8000),
    }

    async def receive() -> dict[str, Any]:
        return next(received, None) or await asyncio.Future()

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    answered = [(name.decode(), value.decode()) for name, value in sent[0]["headers"]]
    cookies = [value for name, value in answered if name == "set-cookie"]
    text = b"".join(one.get("body", b"") for one in sent[1:]).decode()
    return Answer(sent[0]["status"], dict(answered), cookies, text)


@dataclass
class House:
    """Two processes on one Redis, and a user of each role."""

    apps: list[Starlette]
    store: Store

    async def signed_in(self, role: str, number: int = 0) -> Browser:
        browser = Browser(self.apps[number])
        user = await self.apps[number].state.users.get(role)
        browser.cookies["ffgrid"] = await self.apps[number].state.sessions.begin(user)
        return browser


@pytest.fixture
async def house(store: Store, redis_url: str) -> AsyncIterator[House]:
    apps = [create_app(redis_url, MASTER, 0, ["tower.example.net"], ["10.0.0.1"]) for _ in range(2)]
    for role in ("admin", "operator", "viewer"):
        await apps[0].state.users.add(role, role, HASH)
    yield House(apps, store)
    for app in apps:
        await app.state.store.close()


@pytest.fixture
async def empty(store: Store, redis_url: str) -> AsyncIterator[House]:
    """The same without a user."""
    app = create_app(redis_url, MASTER)
    yield House([app], store)
    await app.state.store.close()


# Routes and roles


def dashboard_routes(app: Starlette) -> list[Route]:
    """Every route that is neither the signed API, nor for load balancers, nor a static file."""
    apart = ("/v1/", "/livez", "/readyz", "/healthz", "/openapi.json", "/metrics")
    found = [route for route in app.routes if not isinstance(route, Mount)]
    return [route for route in found if not route.path.startswith(apart)]  # type: ignore[attr-defined, misc]


async def test_the_door_stands_before_every_page(house: House):
    routes = dashboard_routes(house.apps[0])

    assert len(routes) == len(door.ROLES)
    assert all(isinstance(route.app, door.Door) for route in routes)
    named = {
        f"{method} {route.path}" for route in routes for method in route.methods or () if method != "HEAD"
    }
    assert named == set(door.ROLES)
    assert set(door.ROLES.values()) <= {door.EVERYBODY, *RANKS}


async def nothing(request: Any) -> PlainTextResponse:
    return PlainTextResponse("in")


@pytest.mark.parametrize(
    "route",
    [Route("/new", nothing), Route("/users", nothing, methods=["DELETE"]), Mount("/mounted", app=nothing)],
)
def test_a_route_without_a_role_is_refused(route: Any):
    with pytest.raises(door.Unguarded):
        door.guarded([route])


@pytest.mark.parametrize("who", ["nobody", *RANKS])
async def test_each_role_may_what_the_table_says_and_no_more(house: House, who: str):
    browser = Browser(house.apps[0]) if who == "nobody" else await house.signed_in(who)
    for line, needed in door.ROLES.items():
        method, path = line.split(" ")
        path = path.replace("{name}", "nobody-here")
        if path == "/logout":
            continue
        kept = dict(browser.cookies)
        answer = await (browser.get(path) if method == "GET" else browser.post(path))
        browser.cookies = kept
        if needed == door.EVERYBODY or (who != "nobody" and RANKS.index(who) >= RANKS.index(needed)):
            assert answer.status in (200, 303, 403 if path in ("/login", "/setup") else 200, 404, 422), line
            assert "Not allowed" not in answer.text
        elif who == "nobody":
            assert answer.status == (303 if method == "GET" else 401), line
        else:
            assert (answer.status, "Not allowed" in answer.text) == (403, True), line


async def test_who_is_not_signed_in_sees_nothing(house: House):
    browser = Browser(house.apps[0])
    page = await browser.get("/users?a=b")
    refresh = await browser.get(
        "/live", ("hx-request", "true"), ("hx-current-url", f"{HERE}/jobs?state=failed")
    )
    abroad = await browser.get(
        "/live", ("hx-request", "true"), ("hx-current-url", "http://evil.test//evil.test")
    )
    stream = await browser.get("/live", ("accept", "text/event-stream"))

    assert (page.status, page.text, page.headers["location"]) == (303, "", "/login?next=/users%3Fa%3Db")
    assert (refresh.status, refresh.headers["hx-redirect"]) == (401, "/login?next=/jobs%3Fstate%3Dfailed")
    assert abroad.headers["hx-redirect"] == "/login?next=/"
    assert stream.status == 401
    assert (await browser.get("/")).headers["location"] == "/login"


async def test_a_head_is_a_get(house: House):
    assert (await Browser(house.apps[0]).get("/users", method="HEAD")).status == 303
    assert (await (await house.signed_in("viewer")).get("/users", method="HEAD")).status == 403
    assert (await (await house.signed_in("admin")).get("/users", method="HEAD")).status == 200


async def test_nothing_is_done_by_get(house: House):
    browser = await house.signed_in("admin")
    posts = [line.split(" ")[1] for line in door.ROLES if line.startswith("POST")]
    gets = [line.split(" ")[1] for line in door.ROLES if line.startswith("GET")]
    before = await everything(house.store)
    for path in posts:
        answer = await browser.get(path.replace("{name}", "viewer"))
        assert answer.status in ((200, 303, 403, 422) if path in gets else (405,)), path

    assert await everything(house.store) == before
    assert (await browser.get()).status == 200


async def everything(store: Store) -> dict[bytes, bytes]:
    """All that Redis holds; how long it stays is left out."""
    return {key: await store.redis.dump(key) for key in await store.redis.keys("*")}


# Signing in and out


async def test_a_name_and_its_password_open_the_door(house: House):
    browser = Browser(house.apps[0])
    form = await browser.get("/login?next=/users")
    answer = await browser.post("/login", name="admin", password=PASSWORD, next="/users")

    assert 'name="next" value="/users"' in form.text
    assert (answer.status, answer.headers["location"]) == (303, "/users")
    assert (await browser.get("/users")).status == 200
    assert (await browser.get("/login")).headers["location"] == "/"


async def test_a_cookie_is_for_us_alone(house: House):
    (cookie,) = (await Browser(house.apps[0]).post("/login", name="admin", password=PASSWORD)).cookies
    parts = [part.strip().lower() for part in cookie.split(";")]

    assert parts[0].startswith("ffgrid=")
    assert {"httponly", "path=/", "samesite=lax"} <= set(parts)
    assert "secure" not in parts
    assert not any(part.startswith("domain") for part in parts)


async def test_behind_tls_the_cookie_is_secure(house: House):
    more = (("x-forwarded-proto", "https"), ("x-forwarded-for", "203.0.113.9"))
    trusted = Browser(house.apps[0], "tower.example.net", "10.0.0.1", more=more)
    stranger = Browser(house.apps[0], "tower.example.net", "10.0.0.2", more=more)
    for browser in (trusted, stranger):
        await browser.post("/login", ("sec-fetch-site", "same-origin"), name="admin", password=PASSWORD)
        assert (await browser.get("/")).status == 200
    (cookie,) = (await trusted.post("/logout", ("sec-fetch-site", "same-origin"))).cookies

    assert list(stranger.cookies) == ["ffgrid"]
    assert cookie.startswith("__Host-ffgrid=")
    assert "; secure" in cookie.lower()
    assert "domain" not in cookie.lower()
    trusted.cookies["ffgrid"] = stranger.cookies["ffgrid"]  # what somebody on the way has set over plain HTTP
    assert (await trusted.get("/")).status == 303


async def test_a_wrong_password_and_an_unknown_name_are_told_the_same(house: House):
    answers = [
        await Browser(house.apps[0]).post("/login", name=name, password=password)
        for name, password in (
            ("admin", "wrong horse"),
            ("nobodi", PASSWORD),
            ("admin", ""),
            ("admin", "x" * 5000),
        )
    ]
    texts = {answer.text.replace("nobodi", "admin") for answer in answers}

    assert {answer.status for answer in answers} == {403}
    assert len(texts) == 1
    assert html.escape(login.WRONG) in texts.pop()
    assert not any(answer.cookies for answer in answers)


async def test_a_name_that_is_shown_again_is_only_text(house: House):
    text = (await Browser(house.apps[0]).post("/login", name=HOSTILE, password=PASSWORD)).text

    assert "&lt;img src=x onerror" in text
    assert "<img src=x" not in text
    assert not set(text) & {"\u202e", "\x1b"}


async def test_an_unknown_name_costs_a_hash_too(house: House, monkeypatch: pytest.MonkeyPatch):
    tried: list[str] = []
    matches = passwords.matches
    monkeypatch.setattr(
        passwords, "matches", lambda stored, given: tried.append(stored) or matches(stored, given)
    )
    await Browser(house.apps[0]).post("/login", name="nobodi", password=PASSWORD)
    await Browser(house.apps[0]).post("/login", name="admin", password="wrong horse")

    assert tried == ["", HASH]


async def test_tries_are_limited_over_all_processes(house: House):
    answers = [
        await Browser(house.apps[turn % 2]).post("/login", name="admin", password="wrong horse")
        for turn in range(6)
    ]
    right = await Browser(house.apps[1]).post("/login", name="admin", password=PASSWORD)
    elsewhere = await Browser(house.apps[1], peer="192.168.1.9").post(
        "/login", name="admin", password=PASSWORD
    )

    assert [answer.status for answer in answers] == [403] * 5 + [429]
    assert (right.status, elsewhere.status) == (429, 303)
    assert 0 < int(right.headers["retry-after"]) <= 60
    assert "Too many tries" in right.text


async def test_a_proxy_that_is_trusted_does_not_share_its_tries(house: House):
    def behind(address: str) -> Browser:
        return Browser(house.apps[0], "tower.example.net", "10.0.0.1", more=(("x-forwarded-for", address),))

    for _ in range(6):
        refused = await behind("203.0.113.9").post("/login", name="admin", password="wrong horse")
    other = await behind("203.0.113.10").post("/login", name="admin", password=PASSWORD)

    assert (refused.status, other.status) == (429, 303)


async def test_signing_out_holds_on_every_process(house: House):
    browser = await house.signed_in("viewer")
    stolen = dict(browser.cookies)
    answer = await browser.post("/logout")

    assert (answer.status, answer.headers["location"], browser.cookies) == (303, "/login", {})
    for app in house.apps:
        assert (await Browser(app, cookies=dict(stolen)).get()).status == 303


async def test_signing_in_makes_another_session_and_ends_the_one_before(house: House):
    browser = await house.signed_in("viewer")
    before = dict(browser.cookies)
    await browser.post("/login", name="admin", password=PASSWORD)

    assert browser.cookies != before
    assert (await browser.get("/users")).status == 200
    assert (await Browser(house.apps[1], cookies=before).get()).status == 303


async def test_a_cookie_that_somebody_else_has_planted_is_not_kept(house: House):
    browser = Browser(house.apps[0], cookies={"ffgrid": "planted"})
    await browser.post("/login", name="viewer", password=PASSWORD)

    assert browser.cookies["ffgrid"] != "planted"
    assert (await browser.get()).status == 200


ABROAD = [
    "//evil.test", "/\\evil.test", "///evil.test", "http://evil.test", "https:evil.test", "javascript:alert(1)",
    "\\\\evil.test", "/\t/evil.test", "/\n/evil.test", "\t//evil.test", " //evil.test", "evil.test", "",
    "/\x00/evil.test", "//evil.test/%2f..", "http:///evil.test", "/ä", "data:text/html,x", "?next=//evil.test",
    "/a b\\", "/\r\nSet-Cookie: a=b", "///", "//", "https://localhost:8000@evil.test/",
]  # fmt: skip


async def test_signing_in_leads_to_our_own_pages_only(house: House):
    browser = await house.signed_in("viewer")
    for back in ABROAD:
        answer = await browser.get(f"/login?next={quote(back)}")
        assert (answer.status, answer.headers["location"]) == (303, "/"), back
        assert door.own_path(back) == "/"


@pytest.mark.parametrize("back", ["/", "/jobs?state=failed&n=50", "/jobs/01M7", "/%5cevil", "/a//b"])
def test_our_own_paths_are_kept(back: str):
    assert door.own_path(back) == back


# Other sites


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ([("sec-fetch-site", "same-origin")], True),
        ([("sec-fetch-site", "none")], True),
        ([("sec-fetch-site", "same-origin"), ("origin", HERE)], True),
        ([("sec-fetch-site", "cross-site"), ("origin", HERE)], False),
        ([("sec-fetch-site", "same-site")], False),
        ([("sec-fetch-site", "")], False),
        ([("origin", HERE)], True),
        ([("origin", "http://localhost:8001")], False),
        ([("origin", "http://evil.test")], False),
        ([("origin", "null")], False),
        ([("origin", "")], False),
        ([("referer", HERE)], False),
    ],
)
async def test_only_our_own_pages_change_anything(
    house: House, headers: list[tuple[str, str]], allowed: bool
):
    browser = await house.signed_in("admin")
    answer = await browser.post("/users/viewer/role", *headers, role="operator")
    viewer = await house.apps[0].state.users.get("viewer")

    assert answer.status == (303 if allowed else 403)
    assert viewer.role == ("operator" if allowed else "viewer")
    assert allowed or "nothing was done" in answer.text


async def test_who_has_no_cookie_may_be_no_browser(house: House):
    answer = await Browser(house.apps[0]).post("/login", ("accept", "*/*"), name="admin", password=PASSWORD)
    abroad = await Browser(house.apps[0]).post(
        "/login", ("origin", "http://evil.test"), name="admin", password=PASSWORD
    )

    assert (answer.status, abroad.status, abroad.cookies) == (303, 403, [])


@pytest.mark.parametrize("path", ["/", "/live", "/login", "/setup?t=x", "/users"])
@pytest.mark.parametrize("host", ["evil.test", "localhost.evil.test", "", "<b>"])
async def test_a_host_that_is_not_ours_gets_nothing(house: House, path: str, host: str):
    browser = await house.signed_in("admin")
    browser.host = host
    answer = await browser.get(path)

    assert answer.status == 421
    assert "sign out" not in answer.text.lower()
    assert "<b>" not in answer.text
    assert (await browser.post("/users/viewer/remove")).status == 421
    assert await house.apps[0].state.users.get("viewer")


async def test_a_host_that_was_named_is_ours(house: House):
    browser = await house.signed_in("admin")
    for host in ("tower.example.net", "192.168.1.7:8000"):
        browser.host = host
        assert (await browser.get("/users")).status == 200
        assert (await browser.post("/users/viewer/role", role="viewer")).status == 303


async def test_the_api_knows_no_cookies(house: House):
    browser = await house.signed_in("admin")
    answers = [await browser.get("/v1/jobs"), await browser.post("/v1/jobs")]

    assert [answer.status for answer in answers] == [401, 401]


# Links


async def test_the_first_user_comes_by_a_link(empty: House):
    state = empty.apps[0].state
    told = await login.invitation(state.users, state.sessions, "http://tower:8000")
    link = told.split("\n  ")[1]
    assert link.startswith("http://tower:8000/setup?t=")
    path = link.removeprefix("http://tower:8000")
    browser, late = Browser(empty.apps[0]), Browser(empty.apps[0])
    form = await browser.get(path)
    (secret,) = re.findall(r'name="t" value="([^"]+)"', form.text)
    fields = {"t": secret, "name": "ada", "again": PASSWORD}
    short = await browser.post("/setup", **{**fields, "password": "short", "again": "short"})
    differ = await browser.post("/setup", **fields, password="another horse")
    nameless = await browser.post("/setup", **{**fields, "name": HOSTILE}, password=PASSWORD)
    made = await browser.post("/setup", **fields, password=PASSWORD)
    again = await late.post("/setup", **{**fields, "name": "eve"}, password=PASSWORD)

    assert [one.status for one in (form, short, differ, nameless)] == [200, 422, 422, 422]
    assert "<img" not in nameless.text.replace('<img src="/static', "")
    assert (made.status, (await browser.get("/users")).status) == (303, 200)
    assert (again.status, (await late.get(path)).status, late.cookies) == (403, 403, {})
    assert [(one.name, one.role) for one in await state.users.list()] == [("ada", "admin")]
    assert await login.invitation(state.users, state.sessions, "http://tower:8000") == ""
    assert (await late.post("/login", name="ada", password=PASSWORD)).status == 303


async def test_without_a_user_the_way_in_is_told(empty: House):
    browser = Browser(empty.apps[0])
    text = (await browser.get("/login")).text
    guess = await browser.post("/setup", t="guess", name="eve", password=PASSWORD, again=PASSWORD)

    assert "ffgrid users add NAME --role admin" in text
    assert (guess.status, await empty.apps[0].state.users.any()) == (403, False)


async def test_a_link_of_a_user_needs_a_click_and_works_once(house: House):
    path = f"/setup?t={await house.apps[0].state.sessions.link('viewer')}"
    browser, late = Browser(house.apps[0]), Browser(house.apps[1])
    pages_seen = [await browser.get(path), await browser.get(path)]
    answers = [await one.post("/setup", t=path.partition("=")[2]) for one in (browser, late)]

    assert all("Sign in as viewer" in page.text and not page.cookies for page in pages_seen)
    assert [answer.status for answer in answers] == [303, 403]
    assert "Sign out viewer" in (await browser.get()).text
    assert late.cookies == {}


# Users and keys


async def test_an_admin_adds_changes_and_removes_users(house: House):
    browser, state = await house.signed_in("admin"), house.apps[0].state
    added = await browser.post("/users", name="vera", role="viewer", password=PASSWORD)
    vera = await house.signed_in("vera")
    await browser.post("/users/vera/role", role="operator")
    shown = (await browser.get("/users")).text
    await browser.post("/users/vera/password", password="another horse")
    after = await vera.get()
    signed_in = await Browser(house.apps[1]).post("/login", name="vera", password="another horse")
    await browser.post("/users/vera/remove")

    assert (added.status, added.headers["location"]) == (303, "/users")
    assert '<tr id="user-vera">' in shown
    assert (after.status, signed_in.status) == (303, 303)
    assert await state.users.get("vera") is None


@pytest.mark.parametrize(
    ("path", "fields", "said"),
    [
        ("/users", {"name": HOSTILE, "role": "viewer", "password": PASSWORD}, "cannot name a user"),
        ("/users", {"name": "vera", "role": "root", "password": PASSWORD}, "there is no role"),
        ("/users", {"name": "vera", "role": "viewer", "password": "short"}, "10 to 1000 characters"),
        ("/users", {"name": "viewer", "role": "viewer", "password": PASSWORD}, "there is a user"),
        ("/users/admin/remove", {}, "last admin"),
        ("/users/admin/role", {"role": "viewer"}, "last admin"),
        ("/users/nobodi/role", {"role": "viewer"}, "there is no user"),
        ("/keys", {"name": HOSTILE, "role": "client"}, "cannot name a key"),
        ("/keys", {"name": "k", "role": "client", "networks": HOSTILE}, "cannot read the network"),
        ("/keys/nobody/rotate", {}, "there is no key"),
        ("/keys/nobody/revoke", {}, "there is no key"),
    ],
)
async def test_what_cannot_be_done_is_said(house: House, path: str, fields: dict[str, str], said: str):
    browser = await house.signed_in("admin")
    answer = await browser.post(path, **fields)

    assert (answer.status, said in html.unescape(answer.text)) == (422, True)
    assert "<img src=x" not in answer.text
    assert not set(answer.text) & {"\u202e", "\x1b"}
    assert (await browser.get("/users")).status == 200


async def test_an_admin_makes_and_revokes_keys_and_sees_each_once(house: House):
    browser = await house.signed_in("admin")
    made = await browser.post("/keys", name="tv", role="client", networks="10.0.0.0/8, 192.168.1.0/24")
    text = html.unescape(re.findall(r"<pre><code>(.*?)</code></pre>", made.text, re.S)[0])
    listed = (await browser.get("/users")).text
    rotated = await browser.post("/keys/tv/rotate")
    await browser.post("/keys/tv/revoke")
    tv = await house.store.clients.get("tv")

    assert MASTER.secret("tv", "client", 1).hex() in text or len(text.split()) >= 2
    assert "plain HTTP" in made.text
    assert '<tr id="key-tv">' in listed
    assert text not in html.unescape(listed)
    assert "version 2" in rotated.text
    assert tv
    assert (tv.version, tv.revoked, tv.networks) == (2, True, ("10.0.0.0/8", "192.168.1.0/24"))


# Forms


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ([("content-type", "text/plain")], b"name=admin", 415),
        ([("content-type", "application/json")], b"{}", 415),
        ([], b"name=admin", 415),
        ([("content-type", "application/x-www-form-urlencoded")], b"a=" + b"x" * 20_000, 413),
        (
            [("content-type", "application/x-www-form-urlencoded"), ("content-length", "99999999999")],
            b"",
            413,
        ),
        ([("content-type", "application/x-www-form-urlencoded")], b"\xff=\xff", 400),
        ([("content-type", "application/x-www-form-urlencoded")], b"name=%ff", 400),
        ([("content-type", "application/x-www-form-urlencoded")], b"a=1&" * 30, 400),
    ],
)
async def test_a_form_is_small_and_plain(
    house: House, headers: list[tuple[str, str]], body: bytes, status: int
):
    answer = await Browser(house.apps[0]).ask("POST", "/login", [("origin", HERE), *headers], body)

    assert (answer.status, answer.cookies) == (status, [])


# What every page forbids


async def test_every_answer_forbids_what_it_does_not_need(house: House):
    admin, viewer, nobody = (
        await house.signed_in("admin"),
        await house.signed_in("viewer"),
        Browser(house.apps[0]),
    )
    link = await house.apps[0].state.sessions.link("viewer")
    answers = [
        *[await admin.get(path) for path in ("/", "/live", "/users", f"/setup?t={link}", "/setup?t=x")],
        *[await nobody.get(path) for path in ("/", "/live", "/login", "/users")],
        await viewer.get("/users"),
        await viewer.post("/users", ("origin", "http://evil.test")),
        await nobody.post("/login", name="admin", password="x"),
        await nobody.post("/users"),
        await admin.post("/keys", name="k", role="worker"),
        await Browser(house.apps[0], "evil.test").get(),
        await admin.post("/users", name="", role="", password=""),
        await admin.post("/logout"),
    ]
    for answer in answers:
        headers = answer.headers
        assert headers["content-security-policy"] == pages.POLICY, answer
        assert (headers["cache-control"], headers["referrer-policy"]) == ("no-store", "same-origin")
        assert (headers["x-content-type-options"], headers["x-frame-options"]) == ("nosniff", "DENY")
        assert (
            headers["cross-origin-opener-policy"] == headers["cross-origin-resource-policy"] == "same-origin"
        )
        ids = re.findall(r'\bid="([^"]*)"', answer.text)
        assert len(ids) == len(set(ids))
    assert "unsafe" not in pages.POLICY
    assert "default-src 'none'" in pages.POLICY
    assert "form-action 'self'" in pages.POLICY
    assert "frame-ancestors 'none'" in pages.POLICY


# Outages


async def test_without_redis_nobody_is_recognised(house: House, monkeypatch: pytest.MonkeyPatch):
    browser, nobody = await house.signed_in("viewer"), Browser(house.apps[0])

    async def away(*ignored: Any) -> None:
        raise UNREACHABLE[0]("it does not answer")

    monkeypatch.setattr(Scripts, "run", away)
    answers = [
        await browser.get(),
        await browser.get("/live", ("hx-request", "true")),
        await browser.post("/logout"),
    ]
    attempt = await nobody.post("/login", name="admin", password=PASSWORD)

    assert [answer.status for answer in answers] == [503] * 3
    assert "asks again every 5 s" in answers[0].text
    assert '<meta http-equiv="refresh" content="5">' in answers[0].text
    assert answers[1].text == ""
    assert (attempt.status, attempt.cookies) == (503, [])
    assert (await nobody.get()).status == 303
    monkeypatch.undo()
    assert (await browser.get()).status == 200


async def test_an_answer_that_does_not_come_is_not_waited_for(house: House, monkeypatch: pytest.MonkeyPatch):
    async def silent(*ignored: Any) -> None:
        await asyncio.Future()

    monkeypatch.setattr(Scripts, "run", silent)
    monkeypatch.setattr(door, "PATIENCE", 0.05)

    assert (
        await (
            Browser(
                house.apps[0],
                cookies={"ffgrid": house.apps[0].state.sessions._cookies.dumps(["a", "b", "c"])},
            )
        ).get()
    ).status == 503
