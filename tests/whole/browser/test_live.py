"""A page that is open shows what happens, without being loaded again, at little cost and wherever it is served."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.farm import Farm, until
from tests.whole.browser.backstage import Backstage
from tests.whole.browser.routes import PAGES
from tests.whole.browser.scene import NOWHERE, SOURCE, Scene, submit
from tests.whole.browser.tabs import Tabs, hide, is_current, queued

STREAMS = 4  # that a session holds
# Notes every value that a bar takes.
NOTE = """(id) => {
    const bar = () => document.querySelector(`#${id} progress`)?.value;
    window.__values = [bar()];
    new MutationObserver(() => { if (bar() !== window.__values.at(-1)) window.__values.push(bar()); })
        .observe(document.body, { subtree: true, childList: true, attributes: true });
}"""


def waits(backstage: Backstage, *pages: Page) -> None:
    """One more job waits, and these pages say so."""
    backstage.queue(1, NOWHERE)
    for page in pages:
        expect(queued(page)).to_have_text(backstage.waiting())


def streams(page: Page) -> bool:
    """Whether it has a stream."""
    return page.locator(".link [data-link=live]").is_visible()


def test_a_job_moves_on_a_page_that_is_not_loaded_again(farm: Farm, tabs: Tabs):
    """1."""
    page = tabs.open("/")
    page.evaluate("window.__marker = 'still here'")
    job_id = submit(farm, "-re", *SOURCE, "-t", "8", "-c:v", "mpeg4", "-y", farm.client_root / "live.mkv")
    expect(page.locator(f"#run-{job_id}")).to_be_visible()
    row = page.query_selector(f"#run-{job_id}")
    page.evaluate(NOTE, f"run-{job_id}")
    expect(page.locator(f"#job-{job_id} .badge")).to_contain_text("done")
    values = [one for one in page.evaluate("window.__values") if one is not None]

    assert len(set(values)) >= 5
    assert values == sorted(values)
    assert row
    assert not row.evaluate("(row) => row.isConnected")  # it runs no more
    assert page.evaluate("window.__marker") == "still here"
    assert page.evaluate("performance.getEntriesByType('navigation').length") == 1


def test_what_a_worker_reports_arrives_in_order_at_every_process(
    farm: Farm, tabs: Tabs, backstage: Backstage
):
    """2. How soon is measured by `make bench`."""
    pages = [tabs.open("/", at=web.url) for web in farm.webs]
    for page in pages:
        is_current(page)
    taken = backstage.take("reporter", {"trap": "reports"})
    row = f"run-{taken.lease.id}"
    with backstage.alive(taken):
        for page in pages:
            expect(page.locator(f"#{row}")).to_be_visible()
            page.evaluate(NOTE, row)
        backstage.report(taken, [{"fraction": step / 100} for step in range(1, 76)])
        for page in pages:
            until(lambda page=page: page.evaluate("window.__values.at(-1)") == 0.75)  # type: ignore[misc]
            values = [one for one in page.evaluate("window.__values") if one is not None]

            assert len(values) >= 5
            assert values == sorted(values)
    backstage.end(taken, "succeed", exit=0)
    for page in pages:
        expect(page.locator(f"#{row}")).to_have_count(0)


def test_a_tab_holds_one_stream_however_many_pages_it_has_shown(tabs: Tabs, scene: Scene):
    """4."""
    page = tabs.visitor("admin").new_page()
    for route in [one for one in PAGES if one.role] * 2:
        before = len(tabs.streams)
        page.goto(tabs.url + route.addresses(scene.places)[0])
        if page.locator("#live").count() == 0:
            continue
        is_current(page)

        assert len(tabs.streams) == before + 1
        until(lambda: page.evaluate("1") and len(tabs.open_streams) == 1)
    expect(page.locator("#live")).to_have_count(1)


def test_a_hidden_tab_costs_nothing_and_is_current_when_it_is_looked_at(
    tabs: Tabs, backstage: Backstage, scene: Scene
):
    """5."""
    page = tabs.open("/")
    is_current(page)
    waits(backstage, page)
    shown = queued(page).inner_text()
    hide(page, True)
    until(lambda: page.evaluate("1") and not tabs.open_streams)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    waits(backstage)
    page.wait_for_timeout(3500)  # as long as any of its timers takes

    assert asked == []
    assert queued(page).inner_text() == shown
    hide(page, False)
    waits(backstage, page)
    assert len(asked) == 1
    assert tabs.open_streams[-1].headers["last-event-id"]
    is_current(page)


def test_more_tabs_than_a_browser_has_connections_are_all_current(
    tabs: Tabs, backstage: Backstage, scene: Scene
):
    """6. Over HTTP/1.1 six connections are all that a browser opens to one address."""
    context = tabs.visitor("viewer")
    pages = []
    for _ in range(8):
        pages.append(context.new_page())
        pages[-1].goto(tabs.url)
    for page in pages:
        is_current(page, "live", "poll")

    assert len(tabs.open_streams) == STREAMS
    waits(backstage, *pages)
    next(page for page in pages if streams(page)).close()
    until(
        lambda: sum(streams(page) for page in pages if not page.is_closed()) == STREAMS
    )  # its place is another's


def test_where_no_stream_passes_a_page_asks_again_and_again(tabs: Tabs, backstage: Backstage, scene: Scene):
    """6."""
    page = tabs.visitor("viewer").new_page()
    page.route("**/events?*", lambda route: route.fulfill(status=204))
    page.goto(tabs.url)
    is_current(page, "poll")
    waits(backstage, page)


def test_either_process_shows_the_same(farm: Farm, tabs: Tabs, scene: Scene):
    """2. Whichever the proxy gives a tab."""
    rows = "[...document.querySelectorAll('main tbody tr')].map((row) => row.id)"
    shown = [tabs.open("/", at=web.url).evaluate(rows) for web in farm.webs]

    assert shown[0] == shown[1]
    assert {f"run-{scene.jobs['running']}", "worker-w1"} <= set(shown[0])
