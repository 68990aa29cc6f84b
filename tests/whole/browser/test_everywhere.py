"""What people do on one page while others look at theirs: what is heard, what stays as it is, what is seen where."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.whole.browser.backstage import Backstage, Taken
from tests.whole.browser.routes import PAGES, Guarded, name
from tests.whole.browser.scene import NOWHERE, Scene
from tests.whole.browser.tabs import Tabs, is_current, queued

# Everything that is said aloud, as it is said.
LISTEN = """() => {
    window.__said = [];
    const said = () => [...document.querySelectorAll("[role=status], [role=alert], [aria-live]:not([aria-live=off])")]
        .map((one) => [one, one.innerText.trim()]);
    let before = new Map(said());
    new MutationObserver(() => {
        const now = new Map(said());
        for (const [one, text] of now) if (text && text !== before.get(one)) window.__said.push(text);
        before = now;
    }).observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true });
}"""
# Remembers nodes, and tells later which of them are others now.
KEEP = "(selectors) => { window.__kept = selectors.map((one) => [one, document.querySelector(one)]); }"
OTHERS = (
    "window.__kept.filter(([one, node]) => !node || document.querySelector(one) !== node).map(([one]) => one)"
)
SELECT = """(selector) => getSelection().selectAllChildren(document.querySelector(selector))"""
MANY = 1000  # jobs
STEPS = 20  # reports of progress, each of which changes the page


def test_a_failed_job_is_said_once_and_progress_never(tabs: Tabs, backstage: Backstage, scene: Scene):
    """19."""
    page = tabs.open("/")
    is_current(page)
    page.evaluate(LISTEN)
    taken = backstage.take("speaker", {"trap": "speaks"})
    with backstage.alive(taken):
        expect(page.locator(f"#run-{taken.lease.id}")).to_be_visible()
        backstage.report(taken, [{"fraction": step / 40} for step in range(40)])
        backstage.end(taken, "fail", exit=1, reason="no such film", cause="exit")
    expect(page.locator(f"#failed-{taken.lease.id}")).to_be_visible()
    expect(page.locator("#news")).to_contain_text(taken.lease.id)
    backstage.queue(1, NOWHERE)
    expect(queued(page)).to_have_text(backstage.waiting())

    said = page.evaluate("window.__said")
    assert [text for text in said if re.search(r"failed[.]", text)] == [f"Job {taken.lease.id} failed."]
    assert [text for text in said if re.search(r"\d %|fps", text)] == []


def progresses(backstage: Backstage, taken: Taken, bar: Locator) -> None:
    """The job goes on, and the page has shown that."""
    for start in range(0, STEPS, 5):
        backstage.report(taken, [{"fraction": step / 100, "fps": step} for step in range(start, start + 5)])
        expect(bar).to_have_js_property("value", (start + 4) / 100)


def test_what_somebody_does_in_a_list_survives_what_happens(tabs: Tabs, backstage: Backstage, scene: Scene):
    """3."""
    taken = backstage.take("keeper", {"trap": "keeps in a list"}, "moves")
    (waiting,) = backstage.queue(1, {"trap": "keeps too"}, "waits")
    row, other = f"#job-{taken.lease.id}", f"#job-{waiting}"
    kept = [row, other, f"{row} input", f"{row} a", f"{row} progress", "[name=worker]", "input[type=search]"]
    with backstage.alive(taken):
        page = tabs.open("/jobs", "operator")
        is_current(page)
        backstage.report(taken, [{"fraction": 0.01}])
        expect(page.locator(f"{row} progress")).to_be_visible()
        for one in (row, other):
            page.locator(f"{one} input").check()
        page.locator(f"{row} a").focus()
        page.evaluate(SELECT, f"{other} .command")
        chosen = page.evaluate("getSelection().toString()")
        page.evaluate(KEEP, kept)
        progresses(backstage, taken, page.locator(f"{row} progress"))
        backstage.cancel(waiting, "not any more")
        expect(page.locator(f"{other} .badge")).to_contain_text("cancelled")

    assert page.evaluate(OTHERS) == []
    assert [page.locator(f"{one} input").is_checked() for one in (row, other)] == [True, True]
    assert page.evaluate(f"document.activeElement === document.querySelector('{row} a')")
    assert chosen
    assert page.evaluate("getSelection().toString()") == chosen
    backstage.end(taken, "succeed", exit=0)


def test_what_somebody_does_on_a_job_s_page_survives_what_happens(
    tabs: Tabs, backstage: Backstage, scene: Scene
):
    """3."""
    taken = backstage.take("keeper", {"trap": "keeps on a page"}, "moves")
    kept = ["#printed input[type=search]", "#command details", "#job-head .confirm", "#job-progress progress"]
    with backstage.alive(taken):
        page = tabs.open(f"/jobs/{taken.lease.id}", "operator")
        is_current(page)
        backstage.report(taken, [{"fraction": 0.01}])
        expect(page.locator("#job-progress progress")).to_be_visible()
        page.locator("#command summary").click()
        page.locator("#job-head .confirm summary").click()
        page.get_by_label("Search in the log").press_sequentially("half a wo")
        page.evaluate(KEEP, kept)
        progresses(backstage, taken, page.locator("#job-progress progress"))
        page.keyboard.type("rd")

    assert page.evaluate(OTHERS) == []
    assert page.get_by_label("Search in the log").input_value() == "half a word"
    assert [page.locator(one).get_attribute("open") for one in kept[1:3]] == ["", ""]
    backstage.end(taken, "succeed", exit=0)


def test_a_question_in_a_row_that_moves_stays_open(tabs: Tabs, backstage: Backstage, scene: Scene):
    """3."""
    taken = backstage.take("keeper", {"trap": "keeps a question"}, "moves")
    row = f"#run-{taken.lease.id}"
    with backstage.alive(taken):
        page = tabs.open("/", "operator")
        is_current(page)
        page.locator(f"{row} .confirm summary").click()
        page.evaluate(KEEP, [row, f"{row} .confirm", f"{row} progress"])
        backstage.report(taken, [{"fraction": step / 100, "fps": step} for step in range(1, STEPS)])
        expect(page.locator(f"{row} .percent")).to_have_text(f"{STEPS - 1} %")

    assert page.evaluate(OTHERS) == []
    assert page.locator(f"{row} .confirm").get_attribute("open") == ""
    backstage.end(taken, "succeed", exit=0)


def test_a_thousand_jobs_are_cancelled_by_one_who_is_named(tabs: Tabs, backstage: Backstage, scene: Scene):
    """15."""
    backstage.queue(MANY, {"trap": "many"}, "one-of-many", "low")
    page = tabs.open("/jobs?label=trap%3Dmany&state=queued", "operator")
    page.locator("[name=all][value='1']").check()
    page.get_by_role("button", name="Cancel …").click()
    expect(page.locator("#concerned")).to_have_text(re.compile(r"^1\s?000 jobs$"))
    page.get_by_role("button", name=re.compile("^Cancel: ")).click()
    expect(page.locator("#operations tbody tr").first).to_contain_text(re.compile(r"1\s?000 of 1\s?000 done"))
    page.goto(f"{tabs.url}/jobs?label=trap%3Dmany&state=queued")
    expect(page.get_by_text("No job matches.")).to_be_visible()
    page.goto(f"{tabs.url}/activity")
    expect(page.locator("main tbody tr").first).to_contain_text("user otto")
    expect(page.locator("main tbody tr").first).to_contain_text("began to cancel")


def test_pages_of_a_list_neither_repeat_nor_skip_while_jobs_come(
    tabs: Tabs, backstage: Backstage, scene: Scene
):
    """16."""
    made = backstage.queue(80, {"trap": "pages"}, "paged")
    page = tabs.open("/jobs?label=trap%3Dpages&n=25")
    seen: list[str] = []
    while True:
        seen += shown(page)
        backstage.queue(25, {"trap": "pages"}, "came later")
        if not page.locator("a[rel=next]").count():
            break
        with page.expect_navigation():
            page.locator("a[rel=next]").click()
    last = shown(page)

    assert sorted(seen) == sorted(made)
    page.go_back()
    shows(page, seen[50:75])
    assert page.locator("[name=label]").input_value() == "trap=pages"
    page.go_forward()
    shows(page, last)


def shown(page: Page) -> list[str]:
    """The jobs of the list, the first first."""
    return page.evaluate(
        "[...document.querySelectorAll('table.jobs tbody tr')].map((one) => one.id.slice(4))"
    )


def shows(page: Page, jobs: list[str]) -> None:
    """Waits for that page of the list: a step in the history may be over before its page is there."""
    for job in jobs[0], jobs[-1]:
        expect(page.locator(f"#job-{job}")).to_be_visible()
    assert shown(page) == jobs


@pytest.mark.parametrize("route", [one for one in PAGES if one.role and one.path not in ("/bulk",)], ids=name)
def test_what_happens_is_seen_on_every_page(tabs: Tabs, backstage: Backstage, scene: Scene, route: Guarded):
    """1, 18. On each of them a job that is queued elsewhere counts at once, and the page is not loaded again."""
    page = tabs.open(route.addresses(scene.places)[0], route.role)
    is_current(page)
    backstage.queue(1, NOWHERE)

    expect(queued(page)).to_have_text(backstage.waiting())
    assert page.evaluate("performance.getEntriesByType('navigation').length") == 1
