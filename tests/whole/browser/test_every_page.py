"""What holds for every page that there is, and for the next one too: `routes` has them from the door's own table."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.whole.browser.routes import PAGES, Guarded, name
from tests.whole.browser.scene import MARK, Scene
from tests.whole.browser.tabs import Tabs, policy

every_page = pytest.mark.parametrize("route", PAGES, ids=name)

PHONE = {"width": 360, "height": 740}
COLD = 60 << 10  # bytes
BELONGS = """() => performance.getEntriesByType("resource").map((one) => one.name)
    .filter((one) => new URL(one).pathname.startsWith("/static/"))"""
SERIOUS = ("serious", "critical")
INLINE = "[style], [onclick], [onload], [onerror], [hx-on], style, script:not([src])"
HIDING = re.compile("[\u202a-\u202e\u2066-\u2069\x1b\x07]")
# Elements that make the page wider than it may be.
WIDE = """() => document.documentElement.scrollWidth <= innerWidth ? [] :
    [...document.querySelectorAll("body *")].filter((one) => one.getBoundingClientRect().right > innerWidth + 1)
        .map((one) => one.cloneNode().outerHTML.slice(0, 160))"""
# What can be done, if only one who hovers with a pointer sees it.
FAINT = """() => [...document.querySelectorAll("main :is(button, a[href], summary, input, select)")]
    .filter((one) => !one.closest("details:not([open]) > :not(summary)") && one.type !== "hidden")
    .filter((one) => !one.checkVisibility({ opacityProperty: true, visibilityProperty: true }))
    .filter((one) => !one.closest("[hidden], .unseen"))
    .map((one) => one.outerHTML.slice(0, 160))"""


def visits(
    tabs: Tabs, route: Guarded, scene: Scene, most: int = 4, **more: Any
) -> Iterator[tuple[Page, dict[str, str]]]:
    """The page for all that may stand in its path, as somebody who may see it; and its policy."""
    context = tabs.visitor(route.role, **more)
    for address in route.addresses(scene.places)[:most]:
        page = context.new_page()
        told = policy(page.goto(tabs.url + address))
        yield page, told
        page.close()


@every_page
def test_a_page_is_sound(tabs: Tabs, scene: Scene, route: Guarded):
    """10, 11, 19. The fixture sees to the rest: no violation, nothing in the console, no request to another host."""
    for page, told in visits(tabs, route, scene):
        found = {
            "policy": loose(told),
            "inline": [one.evaluate("(one) => one.outerHTML") for one in page.locator(INLINE).all()],
            "foreign text": foreign(page),
            "in light": serious(page),
        }
        page.emulate_media(color_scheme="dark")
        found["in dark"] = serious(page, ["color-contrast", "link-in-text-block"])
        page.set_viewport_size(PHONE)  # type: ignore[arg-type]
        found["wider than a phone"] = page.evaluate(WIDE)
        found["not seen on a phone"] = page.evaluate(FAINT)
        found["on a phone"] = serious(page, ["target-size", "scrollable-region-focusable"])

        assert {what: faults for what, faults in found.items() if faults} == {}, page.url


@every_page
def test_without_scripts_a_page_has_as_much_to_say(tabs: Tabs, scene: Scene, route: Guarded):
    """18."""
    for page, _ in visits(tabs, route, scene, 2, java_script_enabled=False):
        assert page.locator("main").inner_text().strip(), page.url
        assert page.locator(".banner:visible").count() == 0, page.url
        assert page.locator("h1").count() == 1, page.url


@every_page
def test_a_page_is_light(tabs: Tabs, scene: Scene, route: Guarded):
    """20. With all that belongs to it, to a browser that has never been here, and compressed as a proxy would."""
    for page, _ in visits(tabs, route, scene, 1):
        loaded = [page.url, *page.evaluate(BELONGS)]
        bodies = [page.request.get(url).body() for url in loaded]

        assert sum(len(gzip.compress(body)) for body in bodies) <= COLD, loaded


def loose(told: dict[str, str]) -> list[str]:
    """What a policy allows though nothing needs it."""
    strict = {"default-src": "'none'", "script-src": "'self'", "style-src": "'self'", "base-uri": "'none'"}
    missing = [one for one, allowed in strict.items() if told.get(one) != allowed]
    return missing + [one for one, allowed in told.items() if re.search("unsafe|http|[*]", allowed)]


def foreign(page: Page) -> list[str]:
    """What came from elsewhere and is more than text."""
    made = [one.evaluate("(one) => one.outerHTML") for one in page.locator(f"[{MARK}]").all()]
    ran = ["a script"] if page.evaluate("window.__pwned") else []
    return made + ran + HIDING.findall(page.locator("html").inner_text())


def serious(page: Page, rules: list[str] | None = None) -> list[str]:
    """What axe finds, of these rules or of all."""
    options = {"resultTypes": ["violations"], **({"runOnly": rules} if rules else {})}
    found = Axe().run(page, options=options).response["violations"]
    return [
        f"{one['id']}: {node['html'][:200]} {node['failureSummary'][:300]}"
        for one in found
        if one["impact"] in SERIOUS
        for node in one["nodes"]
    ]
