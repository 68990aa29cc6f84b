"""The page of one job in a real browser: its log as it grows, its buttons, a look at its files, and /submit."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence

from playwright.sync_api import Locator, Page, expect

from tests.farm import ROOT_NAME, Farm, until
from tests.whole.browser.backstage import Backstage, Taken
from tests.whole.browser.scene import SOURCE, submit
from tests.whole.browser.tabs import CUT, Tabs, is_current

MOST = 2000  # nodes of the pane
LINES = 200_000
JOB = re.compile(r"/jobs/[0-9A-Z]{26}$")
# Just when something has come, and the pane has followed it.
GO_UP = """async (pane) => {
    pane.firstElementChild.append(document.createElement("span"));
    for (const _ of "ab") await new Promise(requestAnimationFrame);
    pane.scrollTop -= 900;
}"""
AT_END = "(pane) => pane.scrollHeight - pane.scrollTop - pane.clientHeight < 4"
SEEN = """(pane) => [...pane.querySelectorAll("span")].find((one) =>
    one.getBoundingClientRect().bottom > pane.getBoundingClientRect().top + 2).textContent"""


def numbered(first: int, count: int, together: int = 100) -> list[bytes]:
    """Entries of so many lines."""
    return [
        b"".join(b"line %06d\n" % number for number in range(start, min(start + together, first + count)))
        for start in range(first, first + count, together)
    ]


def pane_of(page: Page) -> Locator:
    return page.locator("pre.log")


def is_at_end(page: Page) -> None:
    """Waits until the pane shows its end."""
    pane = pane_of(page)
    until(lambda: pane.evaluate(AT_END))


def printed(backstage: Backstage, taken: Taken, entries: Sequence[bytes]) -> bytes:
    backstage.report(taken, [], entries)
    return b"".join(entries)


def test_a_log_of_200_000_lines_is_followed_paused_and_downloaded(tabs: Tabs, backstage: Backstage):
    """17."""
    taken = backstage.take("printer", {"prints": "much"}, "long")
    path = f"/jobs/{taken.lease.id}"
    whole = printed(backstage, taken, numbered(0, LINES))
    page = tabs.open(path)
    is_current(page)
    log = page.locator("#log")
    expect(log.locator("span").last).to_have_text(f"line {LINES - 1:06d}")
    is_at_end(page)
    assert log.locator("span").count() <= MOST

    whole += printed(backstage, taken, numbered(LINES, 300, 1))
    expect(log.locator("span").last).to_have_text(f"line {LINES + 299:06d}")
    is_at_end(page)

    pane_of(page).evaluate("(pane) => { pane.scrollTop -= 900; }")
    follow = page.locator("#follow")
    expect(follow).to_have_attribute("aria-pressed", "false")
    seen = pane_of(page).evaluate(SEEN)
    whole += printed(backstage, taken, numbered(LINES + 300, 4000, 4))
    expect(log.locator("span").last).to_have_text(f"line {LINES + 4299:06d}")
    assert log.locator("span").count() <= MOST
    assert not pane_of(page).evaluate(AT_END)
    assert seen.startswith("line ")

    page.get_by_role("button", name="Jump to the end").click()
    is_at_end(page)
    expect(follow).to_have_attribute("aria-pressed", "true")
    with page.expect_download() as downloading:
        page.get_by_role("link", name="Download").click()
    kept = downloading.value.path().read_bytes()
    assert whole.endswith(kept)
    assert MOST < kept.count(b"\n") < LINES
    assert downloading.value.suggested_filename == f"{taken.lease.id}.incomplete.log"


def test_what_is_read_stays_where_it_is_while_the_log_grows(tabs: Tabs, backstage: Backstage):
    taken = backstage.take("printer", {"prints": "some"}, "some")
    printed(backstage, taken, numbered(0, 300, 1))
    page = tabs.open(f"/jobs/{taken.lease.id}")
    is_current(page)
    is_at_end(page)
    pane_of(page).evaluate(GO_UP)
    expect(page.locator("#follow")).to_have_attribute("aria-pressed", "false")
    seen = pane_of(page).evaluate(SEEN)
    printed(backstage, taken, numbered(300, 50, 1))
    expect(page.locator("#log span").last).to_have_text("line 000349")

    assert pane_of(page).evaluate(SEEN) == seen


def test_a_log_goes_on_at_another_process_without_a_line_lost_or_told_twice(
    farm: Farm, tabs: Tabs, backstage: Backstage
):
    """7. The two are killed in turn, so that the tab has been at one of them."""
    tabs.expects(*CUT)
    taken = backstage.take("printer", {"prints": "across"}, "across")
    printed(backstage, taken, numbered(0, 10, 1))
    page = tabs.open(f"/jobs/{taken.lease.id}")
    is_current(page)
    for number in range(2):
        farm.webs[number].kill()
        printed(backstage, taken, numbered(10 + 20 * number, 20, 1))
        expect(page.locator("#log span").last).to_have_text(f"line {29 + 20 * number:06d}")
        farm.restart_web(number)
    is_current(page)

    assert pane_of(page).inner_text().split("\n")[1:-1] == [f"line {number:06d}" for number in range(50)]


def test_progress_is_one_line_and_streams_have_names(tabs: Tabs, backstage: Backstage):
    taken = backstage.take("printer", {"prints": "progress"}, "progress")
    printed(backstage, taken, [b"begin\n", b"frame=1\r"])
    page = tabs.open(f"/jobs/{taken.lease.id}")
    is_current(page)
    for number in range(2, 6):
        printed(backstage, taken, [b"frame=%d\r" % number])
        expect(page.locator("#log span").last).to_have_text(f"frame={number}")

    assert pane_of(page).inner_text().splitlines() == ["attempt 1, stderr", "begin", "frame=5"]


def test_a_log_is_searched_without_a_script(tabs: Tabs, backstage: Backstage):
    taken = backstage.take("printer", {"prints": "words"}, "words")
    printed(backstage, taken, [*numbered(0, 1000), b"a Needle <b>here</b>\n"])
    page = tabs.open(f"/jobs/{taken.lease.id}", java_script_enabled=False)
    page.get_by_label("Search in the log").fill("needle <b>")
    page.get_by_role("button", name="Search").click()

    expect(page.locator("mark")).to_have_text("Needle <b>")
    expect(page.locator("tbody tr")).to_have_count(1)


def test_a_running_job_is_cancelled_by_keyboard_and_runs_again(farm: Farm, tabs: Tabs):
    """14."""
    job_id = submit(farm, "-re", *SOURCE, "-t", "600", "-c:v", "mpeg4", "-y", farm.client_root / "cancel.mkv")
    page = tabs.open(f"/jobs/{job_id}", "operator")
    is_current(page)
    head = page.locator("#job-head")
    expect(head.locator("h1 .badge")).to_contain_text("running")
    expect(page.locator("#job-progress dd").first).to_be_visible()
    head.get_by_text("Cancel", exact=True).focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_contain_text("is being cancelled")
    expect(head.locator("h1 .badge")).to_contain_text("cancelled")
    expect(head).to_contain_text("cancelled by user otto")

    head.get_by_role("button", name="Run again").dblclick()
    link = head.get_by_role("link").filter(has_text="01")
    expect(link).to_have_count(1)
    again = link.inner_text()
    assert [one["id"] for one in farm.jobs() if one["retry_of"] == job_id] == [again]
    link.click()
    expect(page).to_have_url(re.compile(f"/jobs/{again}$"))
    expect(page.locator("#job-head")).to_contain_text(f"Runs the command of {job_id} again")
    farm.ffgrid("cancel", again)


def test_a_command_is_submitted_once_and_its_files_are_looked_at(farm: Farm, tabs: Tabs):
    farm.media("look.mkv", 2)
    page = tabs.open("/submit", "operator")
    is_current(page)
    command = page.get_by_label("Command")
    command.fill("ffmpeg -y -i '")
    expect(page.locator("#wrong-command")).to_contain_text("quotation mark")
    command.fill("ffmpeg -y -i ")
    page.locator("[data-insert]").first.click()
    expect(command).to_have_value(f"ffmpeg -y -i {{{ROOT_NAME}}}/")
    command.fill(f"ffmpeg -y -i {{{ROOT_NAME}}}/look.mkv -c:v mpeg4 {{{ROOT_NAME}}}/looked.mkv")
    expect(page.locator("#result")).to_contain_text("A worker that is online can run it")
    expect(page.locator("#result")).to_contain_text("ffgrid submit --roots")
    before = {one["id"] for one in farm.jobs()}
    page.get_by_role("button", name="Queue it").dblclick()
    expect(page).to_have_url(JOB)  # a second click may have ended the first one's navigation
    job_id = page.url.rpartition("/")[2]
    assert {one["id"] for one in farm.jobs()} - before == {job_id}

    expect(page.locator("#job-history")).to_contain_text("attempt 1: done")
    expect(page.locator("#job-head")).to_contain_text("user:otto")
    page.get_by_role("button", name="Look at the files").click()
    expect(page.locator("#job-media tbody")).to_contain_text("320\N{MULTIPLICATION SIGN}180, 25 fps")
    expect(page.locator("#job-media img")).to_have_count(3)
    page.wait_for_function(
        "[...document.querySelectorAll('#job-media img')].every((one) => one.naturalWidth === 320)"
    )
    page.get_by_role("link", name="Duplicate and edit").click()
    expect(page.get_by_label("Command")).to_have_value(
        f"ffmpeg -y -i {{{ROOT_NAME}}}/look.mkv -c:v mpeg4 {{{ROOT_NAME}}}/looked.mkv"
    )


def test_a_form_that_is_wrong_comes_back_without_a_script(farm: Farm, tabs: Tabs):
    tabs.expects("422")
    page = tabs.open("/submit", "operator", java_script_enabled=False)
    page.get_by_label("Command").fill("ffmpeg -i /etc/passwd -f null -")
    page.get_by_label("Labels").fill("no=body")
    page.get_by_role("button", name="Queue it").click()
    expect(page.locator("p[role=alert]")).to_contain_text("'/etc/passwd' lies outside every root")
    expect(page.get_by_label("Labels")).to_have_value("no=body")
    page.get_by_label("Command").fill("ffmpeg -f lavfi -i testsrc -t 1 -f null -")
    page.get_by_role("button", name="Check only").click()
    expect(page.locator("#result")).to_contain_text("no live worker has the label no=body")
    page.get_by_role("button", name="Queue it").click()
    expect(page).to_have_url(JOB)
    expect(page.locator("#job-head")).to_contain_text("It waits: no live worker has the label no=body")
    page.get_by_text("Cancel", exact=True).click()
    page.get_by_role("button", name="Yes, cancel this job").click()
    expect(page.locator("#job-head")).to_contain_text("cancelled by user otto")


def test_a_page_streams_though_an_extension_comes_late(tabs: Tabs):
    context = tabs.visitor("viewer")
    context.route("**/hx-sse-*", lambda route: (time.sleep(0.5), route.continue_()))
    page = context.new_page()
    page.goto(tabs.url)

    is_current(page)
