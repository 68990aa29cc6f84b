"""Tabs of the system's chromium, in which nothing may go wrong unless a test says so.

What counts: whatever the policy was violated by, what the console has to complain of, errors in scripts, and requests
to any host but ours.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import (
    Browser,
    BrowserContext,
    Locator,
    Page,
    Request,
    Response,
    expect,
    sync_playwright,
)

from tests.farm import Farm

# The system's browser, without anything that would ask the network for something; and names that only it knows.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP lab.local 127.0.0.1, MAP evil.test 127.0.0.1",
]
OURS = ("127.0.0.1", "lab.local")
# What a browser has to say of a coordinator that is gone, or of a proxy without one.
CUT = ("net::ERR_", "Failed to fetch", "network error", "status (of )?50[23]")
PEOPLE = {"viewer": "vera", "operator": "otto", "admin": "ada"}
STREAM = "text/event-stream"
# A headless browser hides no page by itself, so pages are told what to believe.
WATCH = """
    addEventListener("securitypolicyviolation", (event) =>
        console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
    Object.defineProperty(document, "hidden", { get: () => window.__hidden === true });
    Object.defineProperty(document, "visibilityState", { get: () => window.__hidden ? "hidden" : "visible" });
"""
SHOW = """(hidden) => {
    window.__hidden = hidden;
    document.dispatchEvent(new Event("visibilitychange"));
}"""

expect.set_options(timeout=20_000)  # a busy machine


@contextmanager
def chromium() -> Iterator[Browser]:
    """Debian's chromium; Playwright's own browsers are never installed."""
    path = shutil.which("chromium")
    assert path, "chromium is not installed: run `make test`, which installs it"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


class Tabs:
    """Opens pages as somebody, and remembers what went wrong in them."""

    def __init__(self, browser: Browser, farm: Farm) -> None:
        self._browser, self._farm = browser, farm
        self._cookies: dict[str, str] = {}  # by role
        self._contexts: list[BrowserContext] = []
        self._complaints: list[str] = []
        self._expected: list[str] = []
        self.streams: list[Request] = []  # every stream of events that was asked for
        self._over: set[Request] = set()

    @property
    def url(self) -> str:
        """Where all of it is: the proxy."""
        return self._farm.urls.split()[0]

    def cookie(self, role: str) -> str:
        """Of the session of whoever has this role here."""
        if role not in self._cookies:
            self._cookies[role] = self._farm.signed_in(PEOPLE[role], role)
        return self._cookies[role]

    def visitor(
        self, role: str = "", scheme: str = "light", width: int = 1280, height: int = 800, **more: Any
    ) -> BrowserContext:
        """A browser of somebody of that role; "" is nobody yet."""
        options = {"viewport": {"width": width, "height": height}, "color_scheme": scheme, **more}
        context = self._browser.new_context(**options)
        if role:
            hosts = [f"http://{host}" for host in OURS]  # cookies know no ports
            context.add_cookies(
                [{"name": "ffgrid", "value": self.cookie(role), "url": host} for host in hosts]
            )
        context.add_init_script(WATCH)
        context.on("console", lambda said: self._heard(said.type, said.text))
        context.on("weberror", lambda error: self._heard("error", f"{error.error}"))
        context.on("request", self._asked)
        context.on("requestfinished", self._ended)
        context.on("requestfailed", self._ended)
        self._contexts.append(context)
        return context

    def open(self, path: str, role: str = "viewer", at: str = "", **more: Any) -> Page:
        """The page at that path in a browser of its own. `at` is another address than the proxy's."""
        page = self.visitor(role, **more).new_page()
        page.goto((at or self.url) + path)
        return page

    def expects(self, *patterns: str) -> None:
        """Complaints that match are what a test is about."""
        self._expected += patterns

    @property
    def open_streams(self) -> list[Request]:
        """The streams of events that are still open."""
        return [one for one in self.streams if one not in self._over]

    @property
    def complaints(self) -> list[str]:
        """All that went wrong and was not expected."""
        return [one for one in self._complaints if not any(re.search(like, one) for like in self._expected)]

    def close(self) -> None:
        for context in self._contexts:
            context.close()
        self._contexts.clear()

    def _heard(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self._complaints.append(text)

    def _asked(self, request: Request) -> None:
        place = urlsplit(request.url)
        if place.scheme not in ("data", "blob") and place.hostname not in OURS:
            self._complaints.append(f"asked a foreign host: {request.url}")
        if place.path == "/events":
            self.streams.append(request)

    def _ended(self, request: Request) -> None:
        self._over.add(request)


def hide(page: Page, hidden: bool) -> None:
    """The tab is looked at no more, or again."""
    page.evaluate(SHOW, hidden)


def queued(page: Page) -> Locator:
    """How many jobs wait, as the head of every page says."""
    return page.locator("#summary div", has=page.locator("dt", has_text="queued")).locator("dd")


def is_current(page: Page, *ways: str) -> None:
    """Waits until the page says that it is kept current: by its stream, or in one of these ways."""
    said = ", ".join(f".link [data-link={way}]:visible" for way in ways or ("live",))
    expect(page.locator(said)).to_have_count(1)
    expect(page.locator(".banner:visible")).to_have_count(0)


def policy(response: Response | None) -> dict[str, str]:
    """The response's Content-Security-Policy: directive -> what it allows."""
    assert response
    told = response.headers.get("content-security-policy", "")
    return {name: allowed for name, _, allowed in (part.strip().partition(" ") for part in told.split(";"))}
