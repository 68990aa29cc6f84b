"""The dashboard in a real browser, on real processes: live, literal, quiet, and the same on every process."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.farm import Farm

# The system's browser, without anything that would ask the network for something.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WATCH = """
    window.__violations = [];
    addEventListener("securitypolicyviolation", (event) => window.__violations.push(event.violatedDirective));
    Object.defineProperty(document, "hidden", { get: () => window.__hidden === true });
"""
LOOK = """() => {
    const at = performance.now();
    window.__hidden = false;
    document.dispatchEvent(new Event("visibilitychange"));
    return at;
}"""
FIRST_ASKED = (
    "(at) => performance.getEntriesByType('resource').map((one) => one.startTime - at).find((ms) => ms >= 0)"
)
KEPT = ("--appendonly", "yes", "--appendfsync", "always")  # of a server that will be killed
HOSTILE = "<img src=x onerror=window.__pwned=1>'\"&\u202e\x1b\n.mkv"

Open = Callable[..., Page]

expect.set_options(timeout=20_000)  # a busy machine


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """Two coordinators and a worker."""
    with Farm.start(tmp_path_factory.mktemp("farm")) as started:
        yield started


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's chromium; Playwright's own browsers are never installed."""
    chromium = shutil.which("chromium")
    assert chromium, "chromium is not installed: run `make test`, which installs it"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


class Tabs:
    """Opens pages and remembers what their consoles said."""

    def __init__(self, browser: Browser, farm: Farm) -> None:
        self._browser = browser
        self._farm = farm
        self._contexts: list[BrowserContext] = []
        self.pages: list[Page] = []
        self.complaints: list[str] = []

    def open(
        self, url: str, scheme: str = "light", width: int = 1280, javascript: bool = True, cookie: str = ""
    ) -> Page:
        context = self._browser.new_context(
            color_scheme="dark" if scheme == "dark" else "light",
            viewport={"width": width, "height": 800},
            java_script_enabled=javascript,
        )
        context.add_cookies([{"name": "ffgrid", "value": cookie or self._farm.signed_in(), "url": url}])
        context.add_init_script(WATCH)
        page = context.new_page()
        page.on("console", lambda said: self._heard(said.type, said.text))
        page.on("pageerror", lambda error: self._heard("error", str(error)))
        page.goto(url)
        self._contexts.append(context)
        if javascript:
            self.pages.append(page)
        return page

    def close(self) -> list[str]:
        """Everything that went wrong."""
        for page in self.pages:
            self.complaints += page.evaluate("window.__violations")
        for context in self._contexts:
            context.close()
        return self.complaints

    def _heard(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(text)


@pytest.fixture
def tabs(browser: Browser, farm: Farm) -> Iterator[Tabs]:
    """Pages of somebody signed in. Consoles must be silent at the end and the policy must not have been violated."""
    tabs = Tabs(browser, farm)
    yield tabs
    assert tabs.close() == []


def submit(farm: Farm, *args: str | Path) -> str:
    """The id of a new job."""
    done = farm.ffgrid("submit", "--", "ffmpeg", *args)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def picture(farm: Farm, name: str, seconds: float = 0.2) -> str:
    """The id of a new job that takes that many seconds."""
    source = ["-re", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25"]
    return submit(farm, *source, "-t", str(seconds), "-c:v", "mpeg4", "-y", farm.client_root / name)


def badge(page: Page, job_id: str) -> str:
    found = page.locator(f"#job-{job_id} .badge")
    return found.inner_text() if found.count() else ""


def bar(page: Page, job_id: str) -> float | None:
    found = page.locator(f"#run-{job_id} progress[value]")
    return (
        page.evaluate(f"document.querySelector('#run-{job_id} progress')?.value") if found.count() else None
    )


def rows(page: Page, what: str) -> list[str]:
    return page.evaluate(f"[...document.querySelectorAll('#{what} tbody tr')].map((row) => row.id)")


def test_a_job_moves_on_the_page_without_a_reload_while_the_other_process_dies(farm: Farm, tabs: Tabs):
    page = tabs.open(farm.webs[0].url)
    page.evaluate("window.__marker = 'still here'")
    job_id = picture(farm, "live.mkv", 8)
    page.wait_for_selector(f"#run-{job_id}")
    row = page.query_selector(f"#run-{job_id}")
    assert row
    values: list[float] = []
    deadline = time.monotonic() + 40
    while "done" not in badge(page, job_id):
        value = bar(page, job_id)
        if value is not None and value not in values:
            values.append(value)
            assert row.evaluate("(row) => row.isConnected") or not bar(page, job_id)
        if len(values) == 2:
            farm.webs[1].kill()
        assert time.monotonic() < deadline, values
        page.wait_for_timeout(50)

    assert len(values) >= 4
    assert values == sorted(values)
    assert page.evaluate("window.__marker") == "still here"
    assert page.evaluate("performance.getEntriesByType('navigation').length") == 1
    assert page.locator(f"#run-{job_id}").count() == 0
    assert page.locator(f"#job-{job_id}").get_by_text("exit 0").count() == 1
    expect(page.locator("[data-link=live]")).to_be_visible()
    farm.restart_web(1)


def test_either_process_shows_the_same(farm: Farm, tabs: Tabs):
    job_id = picture(farm, "either.mkv")
    pages = [tabs.open(web.url) for web in farm.webs[:2]]
    for page in pages:
        expect(page.locator(f"#job-{job_id} .badge")).to_contain_text("done")

    assert rows(pages[0], "jobs") == rows(pages[1], "jobs")
    assert f"job-{job_id}" in rows(pages[0], "jobs")
    assert rows(pages[0], "workers") == rows(pages[1], "workers") == ["worker-w1"]


def test_a_hostile_name_is_shown_literally(farm: Farm, tabs: Tabs):
    page = tabs.open(farm.webs[0].url)
    job_id = picture(farm, HOSTILE)
    page.wait_for_selector(f"#job-{job_id}")
    page.wait_for_timeout(1500)
    shown = page.locator(f"#job-{job_id} .command").inner_text().replace("\n", "")
    page.reload()

    assert "<img src=x onerror=window.__pwned=1>" in shown
    assert "\\u202e\\x1b\\x0a.mkv" in shown
    assert page.evaluate("window.__pwned") is None
    assert page.locator("main img").count() == 0


def test_a_page_that_is_up_to_date_is_not_sent_again(farm: Farm, tabs: Tabs):
    page = tabs.open(farm.webs[0].url)
    answers: list[int] = []
    page.on("response", lambda answer: answers.append(answer.status) if "/live" in answer.url else None)
    began = time.monotonic()
    while len(answers) < 5:
        page.wait_for_timeout(50)
        assert time.monotonic() - began < 20, answers

    assert time.monotonic() - began > 3.5  # it asks once a second
    assert set(answers) == {200, 304}


def test_a_hidden_page_asks_for_nothing_and_is_up_to_date_when_it_is_looked_at(farm: Farm, tabs: Tabs):
    page = tabs.open(farm.webs[0].url)
    expect(page.locator("[data-link=live]")).to_be_visible()
    page.evaluate("window.__hidden = true")
    page.wait_for_timeout(300)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    job_id = picture(farm, "hidden.mkv")
    page.wait_for_timeout(2500)
    before = list(asked)
    at = page.evaluate(LOOK)
    page.wait_for_selector(f"#job-{job_id}")

    assert before == []
    assert page.evaluate(FIRST_ASKED, at) < 200  # ms: at once, and not when the next second has passed


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_needs_no_sideways_scrolling(farm: Farm, tabs: Tabs, scheme: str):
    job_id = picture(farm, "a-name-that-does-not-fit-on-any-phone-" * 5 + ".mkv", 3)
    page = tabs.open(farm.webs[0].url, scheme, width=360)
    page.wait_for_selector(f"#run-{job_id} progress")

    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert page.locator(f"#run-{job_id} .tail").is_visible()
    ground = re.findall(r"\d+", page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert (int(ground[0]) < 128) == (scheme == "dark")
    expect(page.locator(f"#job-{job_id} .badge")).to_contain_text("done", timeout=20_000)


def test_the_keyboard_finds_the_content_first(farm: Farm, tabs: Tabs):
    page = tabs.open(farm.webs[0].url)
    page.keyboard.press("Tab")
    first = page.evaluate("document.activeElement.className")
    page.keyboard.press("Enter")

    assert first == "skip"
    assert page.evaluate("document.activeElement.id") == "main"


def test_without_javascript_everything_is_there(farm: Farm, tabs: Tabs):
    job_id = picture(farm, "plain.mkv")
    page = tabs.open(farm.webs[0].url, javascript=False)

    assert page.locator(f"#job-{job_id}").count() == 1
    assert page.locator("#worker-w1").count() == 1
    assert page.locator(".banner:visible").count() == 0
    assert "renewed every 5 s" in page.locator(".link").inner_text()


def test_an_outage_of_redis_or_of_the_process_is_said_and_survived(tmp_path: Path, browser: Browser):
    with Farm.start(tmp_path, webs=1, options=KEPT) as farm:
        assert farm.redis
        job_id = picture(farm, "before.mkv")
        tabs = Tabs(browser, farm)
        page = tabs.open(farm.webs[0].url)
        expect(page.locator(f"#job-{job_id} .badge")).to_contain_text("done")
        shown = [rows(page, "jobs")]
        for kill, again, name in (
            (farm.redis.kill, farm.restart_redis, "queue"),
            (farm.webs[0].kill, lambda: farm.restart_web(0), "web"),
        ):
            kill()
            expect(page.locator(f".banner[data-link={name}]")).to_be_visible(timeout=20_000)
            page.wait_for_timeout(1200)
            shown.append(rows(page, "jobs"))
            again()
            expect(page.locator(".banner:visible")).to_have_count(0, timeout=20_000)
            expect(page.locator(".link [data-link=live]")).to_be_visible()
            shown.append(rows(page, "jobs"))
        after = picture(farm, "after.mkv")
        expect(page.locator(f"#job-{after} .badge")).to_contain_text("done")
        tabs.close()

    assert shown == [[f"job-{job_id}"]] * 5


def test_a_page_that_is_opened_during_an_outage_fills_itself(tmp_path: Path, browser: Browser):
    with Farm.start(tmp_path, webs=1, options=KEPT) as farm:
        assert farm.redis
        job_id = picture(farm, "before.mkv")
        cookie = farm.signed_in()
        farm.redis.kill()
        farm.restart_web(0)  # it has seen nothing
        tabs = Tabs(browser, farm)
        page = tabs.open(farm.webs[0].url, cookie=cookie)
        expect(page.locator(".banner[data-link=queue]")).to_be_visible()
        empty = page.locator("main").inner_text().split()
        farm.restart_redis()
        expect(page.locator(f"#job-{job_id}")).to_be_visible(timeout=20_000)
        expect(page.locator("#running h2")).to_be_visible()
        expect(page.locator(".banner:visible")).to_have_count(0)
        tabs.close()

    assert empty == ["No", "queue"]
