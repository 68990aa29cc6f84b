"""Processes and servers go away and come back, and the tabs that were open go on."""

from __future__ import annotations

import signal

from playwright.sync_api import Page, expect

from tests.farm import Farm, until
from tests.whole.browser.backstage import Backstage
from tests.whole.browser.scene import NOWHERE, Scene
from tests.whole.browser.tabs import CUT, Tabs, is_current, queued

# What a console says of a connection that ends, or of an answer that is 502 or 503.
AT_ONCE = 8.0  # seconds after which a process that was asked to end is killed


def everybody_hears(backstage: Backstage, pages: list[Page]) -> None:
    """A new job is on all pages, and none of them was loaded again."""
    backstage.queue(1, NOWHERE)
    for page in pages:
        expect(queued(page)).to_have_text(backstage.waiting())
        is_current(page)
        assert page.evaluate("performance.getEntriesByType('navigation').length") == 1
        assert page.evaluate("window.__marker")


def watching(tabs: Tabs, count: int) -> list[Page]:
    """That many pages that are up to date."""
    pages = [tabs.open("/") for _ in range(count)]
    for page in pages:
        is_current(page)
        page.evaluate("window.__marker = true")
    return pages


def test_who_watches_a_process_that_is_told_to_end_goes_on_at_the_other(
    farm: Farm, tabs: Tabs, backstage: Backstage, scene: Scene
):
    """8. Both are told in turn, so that each tab has been at one of them."""
    tabs.expects(*CUT)
    pages = watching(tabs, 3)
    for number in range(2):
        status = farm.webs[number].end(AT_ONCE)
        everybody_hears(backstage, pages)
        farm.restart_web(number)

        assert status in (0, -signal.SIGTERM, 128 + signal.SIGTERM)


def test_who_watches_a_process_that_dies_goes_on_at_the_other(
    farm: Farm, tabs: Tabs, backstage: Backstage, scene: Scene
):
    """7."""
    tabs.expects(*CUT)
    pages = watching(tabs, 3)
    for number in range(2):
        farm.webs[number].kill()
        everybody_hears(backstage, pages)
        farm.restart_web(number)


def test_without_the_queue_a_page_keeps_what_it_has_and_says_so(
    farm: Farm, tabs: Tabs, backstage: Backstage, scene: Scene
):
    """9. It recovers by itself."""
    tabs.expects(*CUT)
    pages = watching(tabs, 2)
    shown = [page.locator("main").inner_text() for page in pages]
    rows = [page.locator("main tr").count() for page in pages]
    assert farm.redis
    farm.redis.kill()
    for page in pages:
        expect(page.locator(".banner[data-link=queue]")).to_be_visible()
        assert page.locator("main tr").count() == rows[pages.index(page)], shown
    farm.restart_redis()
    until(
        lambda: all(worker["state"] != "offline" for worker in farm.known_workers() if worker["id"] == "w1")
    )

    everybody_hears(backstage, pages)


def test_a_page_that_is_asked_for_without_the_queue_fills_itself(farm: Farm, tabs: Tabs, scene: Scene):
    """9. It has no sign of who asks, so it shows nothing until it can know."""
    tabs.expects(*CUT)
    tabs.cookie("viewer")
    assert farm.redis
    farm.redis.kill()
    page = tabs.open("/")
    expect(page.locator(".banner[data-link=queue]")).to_be_visible()
    empty = page.locator("main").inner_text().split()
    farm.restart_redis()

    assert empty == ["No", "queue"]
    expect(page.locator("#worker-w1")).to_be_visible()
    is_current(page)
