"""11. Text from elsewhere that arrives in pages that are open, or that comes back from what was asked for."""

from __future__ import annotations

import re
from itertools import cycle
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from tests.farm import Farm
from tests.whole.browser.backstage import Backstage
from tests.whole.browser.routes import PAGES, Guarded, name
from tests.whole.browser.scene import CORPUS, MARK, Scene, hostile
from tests.whole.browser.tabs import Tabs, is_current

# What a page may be asked with, or would be if it knew it.
ASKED = "q state lane worker label owner by since before after n page next t f tab mark error said back queue".split()


def is_untouched(page: Page) -> None:
    """Nothing of it ran, became an element, or took another part of the page away."""
    assert page.evaluate("window.__pwned") is None
    assert page.locator(f"[{MARK}], script:not([src]), main img").count() == 0
    assert page.locator("#summary, #main, #live").count() == 3


def test_what_arrives_in_an_open_page_is_text(farm: Farm, tabs: Tabs, backstage: Backstage, scene: Scene):
    """11."""
    pages = [
        tabs.open(path)
        for path in sorted({route.path for route in PAGES if route.role == "viewer"})
        if "{" not in path
    ]
    for page in pages:
        if page.locator("#live").count():
            is_current(page, "live", "poll")
    jobs = hostile(farm, backstage)
    overview = next(page for page in pages if page.url == f"{tabs.url}/")
    for job_id in jobs.values():
        expect(overview.locator(f"#job-{job_id}")).to_have_count(1)
    shown = overview.locator(f"#job-{jobs['hostile done']} .command").inner_text().replace("\n", "")

    assert "<img src=x data-pwned onerror=window.__pwned=1>" in shown
    assert "\\u202e\\x1b\\x0a.mkv" in shown
    for page in pages:
        is_untouched(page)


@pytest.mark.parametrize("route", PAGES, ids=name)
def test_what_was_asked_for_comes_back_as_text(tabs: Tabs, scene: Scene, route: Guarded):
    """11. Whatever the answer is, it is none that nobody foresaw."""
    tabs.expects("status of 4..")
    context = tabs.visitor(route.role)
    page = context.new_page()
    for shift, text in enumerate(CORPUS if "{" in route.path else CORPUS[:2]):
        path = re.sub(r"{\w+}", quote(text, safe=""), route.path)
        given = zip(ASKED, cycle([*CORPUS[shift:], *CORPUS[:shift]]), strict=False)
        answer = page.goto(
            f"{tabs.url}{path}?" + "&".join(f"{one}={quote(what, safe='')}" for one, what in given)
        )

        assert answer
        assert answer.status < 500, answer.url
        assert page.evaluate("window.__pwned") is None
        assert page.locator(f"[{MARK}]").count() == 0
