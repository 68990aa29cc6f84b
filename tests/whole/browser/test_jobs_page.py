"""The list of jobs in a real browser: it is narrowed while one types, moves nothing, and acts on many."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.farm import Farm
from tests.whole.browser.backstage import Backstage
from tests.whole.browser.tabs import Tabs, is_current

TRAP = {"trap": "list"}


def rows(page: Page) -> list[str]:
    """The ids of the rows, in their order."""
    return [
        one.removeprefix("job-")
        for one in page.locator("table.jobs tbody tr").evaluate_all("(all) => all.map((one) => one.id)")
    ]


def test_the_list_is_narrowed_while_one_types_and_focus_stays(tabs: Tabs, backstage: Backstage):
    (wanted,) = backstage.queue(1, TRAP, "needle-in-hay")
    backstage.queue(3, TRAP, "hay")
    page = tabs.open("/jobs")
    search = page.get_by_label("Command or id")

    search.press_sequentially("NEEDLE-in", delay=20)
    expect(page.locator("table.jobs tbody tr")).to_have_count(1)

    assert rows(page) == [wanted]
    expect(search).to_be_focused()
    expect(page).to_have_url(re.compile(r"/jobs\?q=NEEDLE-in$"))
    page.locator("form.filters select[name=lane]").select_option("low")
    expect(page.get_by_text("No job matches.")).to_be_visible()
    expect(page).to_have_url(re.compile(r"/jobs\?q=NEEDLE-in&lane=low$"))
    page.go_back()
    expect(page.locator("table.jobs tbody tr")).to_have_count(1)
    expect(page.get_by_label("Command or id")).to_have_value("NEEDLE-in")
    page.get_by_label("Made since").fill("yester")
    expect(page.get_by_text("Since: expected a time")).to_be_visible()


def test_rows_change_where_they_stand_and_new_ones_are_only_counted(tabs: Tabs, backstage: Backstage):
    made = backstage.queue(3, TRAP, "stays")
    page = tabs.open("/jobs?label=trap%3Dlist&q=stays", "operator")
    is_current(page)
    before = rows(page)
    assert sorted(before) == sorted(made)
    page.get_by_label(f"Select {made[1]}").check()
    expect(page.locator("#selected")).to_have_text("1 selected")

    backstage.cancel(made[0], "not wanted any more")
    expect(page.locator(f"#job-{made[0]} .badge")).to_contain_text("cancelled")
    expect(page.locator(f"#job-{made[0]}")).to_contain_text("not wanted any more")
    backstage.queue(2, TRAP, "stays")
    backstage.queue(1, TRAP, "other")
    expect(page.locator(".pill")).to_have_text("2 new jobs")

    assert rows(page) == before
    expect(page.get_by_label(f"Select {made[1]}")).to_be_checked()
    page.locator(".pill").click()
    expect(page.locator("table.jobs tbody tr")).to_have_count(5)


def test_a_page_that_has_missed_too_much_reads_its_list_anew(tabs: Tabs, backstage: Backstage):
    backstage.queue(27, TRAP, "missed")
    page = tabs.open("/jobs?q=missed&n=25")
    page.get_by_role("link", name="Older").click()
    expect(page.locator("table.jobs tbody tr")).to_have_count(2)
    address, length = page.url, page.evaluate("history.length")
    page.evaluate("document.querySelector('table.jobs tbody').replaceChildren()")

    page.evaluate(
        "document.getElementById('live').dispatchEvent(new CustomEvent('resync', { bubbles: true }))"
    )

    expect(page.locator("table.jobs tbody tr")).to_have_count(2)
    assert (page.url, page.evaluate("history.length")) == (address, length)


def test_selected_jobs_are_cancelled_after_a_question(farm: Farm, tabs: Tabs, backstage: Backstage):
    made = backstage.queue(3, TRAP, "picked")
    page = tabs.open("/jobs?q=picked", "operator")
    page.get_by_label("Select all jobs of this page").check()
    page.get_by_label(f"Select {made[0]}").uncheck()
    expect(page.locator("#selected")).to_have_text("2 selected")

    page.get_by_role("button", name="Cancel …").click()
    expect(page.locator("#concerned")).to_have_text("2 jobs")
    page.get_by_role("button", name="Cancel: 2 jobs").click()

    expect(page.locator("#operations tbody tr").first).to_contain_text("2 of 2 done")
    assert [farm.job(one)["state"] for one in made] == ["queued", "cancelled", "cancelled"]


def test_all_that_match_are_run_again_without_a_script(farm: Farm, tabs: Tabs, backstage: Backstage):
    made = backstage.queue(4, TRAP, "again")
    for one in made:
        backstage.cancel(one, "for now")
    page = tabs.open("/jobs?state=cancelled&q=again", "operator", java_script_enabled=False)
    page.get_by_label("all 4").check()
    page.get_by_role("button", name="Run again …").click()
    page.get_by_role("button", name="Run again: 4 jobs").click()
    expect(page).to_have_url(re.compile("/jobs#operations$"))

    def fresh() -> list[str]:
        page.goto(f"{tabs.url}/jobs?state=queued&q=again")
        return rows(page)

    while len(fresh()) < 4:
        page.wait_for_timeout(200)
    assert {farm.job(one)["retry_of"] for one in fresh()} == set(made)


def test_a_list_is_walked_with_keys_while_it_changes(tabs: Tabs, backstage: Backstage):
    """19."""
    backstage.queue(3, TRAP, "walked")
    page = tabs.open("/jobs?q=walked", "operator")
    is_current(page)
    shown = rows(page)
    one, other, last = (page.locator(f"#job-{job_id}") for job_id in shown)
    for keys, row in (("j", one), ("jj", last), ("j", last), ("k", other)):
        for key in keys:
            page.keyboard.press(key)
        expect(row.get_by_role("link")).to_be_focused()

    backstage.cancel(shown[1], "not wanted any more")
    expect(other.locator(".badge")).to_contain_text("cancelled")
    expect(other.get_by_role("link")).to_be_focused()
    page.keyboard.press("x")
    expect(other.get_by_role("checkbox")).to_be_checked()
    expect(other.get_by_role("checkbox")).to_be_focused()
    expect(page.locator("#selected")).to_have_text("1 selected")
    page.keyboard.press("k")
    expect(one.get_by_role("link")).to_be_focused()

    page.keyboard.press("j")
    other.evaluate("(row) => row.remove()")
    page.keyboard.press("j")  # what stands in its place now
    expect(last.get_by_role("link")).to_be_focused()
    page.keyboard.press("Control+k")
    expect(last.get_by_role("link")).to_be_focused()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    search = page.get_by_label("Command or id")
    expect(search).to_be_focused()
    page.keyboard.press("End")
    page.keyboard.type("jkx?/")
    expect(search).to_have_value("walkedjkx?/")
    expect(page.get_by_text("No job matches.")).to_be_visible()

    page.goto(f"{tabs.url}/jobs?q=walked")
    page.keyboard.press("j")
    page.keyboard.press("x")
    page.keyboard.press("Enter")  # not the first button of the form that the box is of
    expect(page).to_have_url(re.compile(rf"/jobs/{shown[0]}$"))
    page.keyboard.press("g")
    page.keyboard.press("j")
    expect(page).to_have_url(re.compile(r"/jobs$"))
