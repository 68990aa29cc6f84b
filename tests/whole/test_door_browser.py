"""The way in, in a real browser on real processes: the printed link, signing in and out, and pages of other sites."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.farm import Farm, until
from tests.whole.test_dashboard_browser import FLAGS, WATCH

PASSWORD = "correct horse"
# Names that only this browser knows: one of a local network, for which it sends no Sec-Fetch-Site, and a foreign one.
NAMES = "--host-resolver-rules=MAP lab.local 127.0.0.1, MAP evil.test 127.0.0.1"
FOREIGN = """(url) => {
    const form = document.createElement("form");
    form.method = "post";
    form.action = url;
    form.innerHTML = '<input name="role" value="admin">';
    document.body.append(form);
    form.submit();
}"""

expect.set_options(timeout=20_000)  # a busy machine


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """Two coordinators that are called lab.local too, and nobody who may use the dashboard."""
    with Farm.start(
        tmp_path_factory.mktemp("farm"), workers=0, settings={"FFGRID_HOSTS": "lab.local"}
    ) as started:
        yield started


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's chromium."""
    chromium = shutil.which("chromium")
    assert chromium, "chromium is not installed: run `make test`, which installs it"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=[*FLAGS, NAMES])
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser without cookies, whose pages keep to their policy."""
    context = browser.new_context()
    context.add_init_script(WATCH)
    yield context
    context.close()


@pytest.fixture(scope="module")
def ada(farm: Farm, browser: Browser) -> str:
    """The first user, made with the link that a coordinator has printed."""
    log = farm.webs[0].log
    link = until(lambda: re.search(r"http://127[.]0[.]0[.]1:\d+/setup[?]t=\S+", log.read_text()))[0]
    page = browser.new_page()
    page.goto(link)
    page.get_by_label("Name").fill("ada")
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password again").fill(PASSWORD)
    page.get_by_role("button").click()
    expect(page.get_by_role("button", name="Sign out ada")).to_be_visible()
    page.goto(link)
    expect(page.get_by_role("heading")).to_have_text("This link is good no more")
    page.close()
    return "ada"


def sign_in(page: Page, name: str, password: str = PASSWORD) -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def test_signing_in_leads_on_and_signing_out_holds_at_the_other_process(
    farm: Farm, context: BrowserContext, ada: str
):
    one, other = (web.url for web in farm.webs)
    page = context.new_page()
    page.goto(f"{one}/users")
    assert page.url == f"{one}/login?next=/users"
    sign_in(page, ada, "wrong horse")
    expect(page.get_by_role("alert")).to_contain_text("do not belong together")
    sign_in(page, ada)
    expect(page.locator("#user-ada")).to_be_visible()
    second = context.new_page()  # cookies know no ports
    second.goto(other)
    expect(second.locator("[data-link=live]")).to_be_visible()
    page.get_by_role("button", name="Sign out ada").click()
    expect(page.get_by_role("heading")).to_have_text("Sign in")

    expect(second).to_have_url(f"{other}/login?next=/")  # its next look at the queue sent it there
    assert [one.evaluate("window.__violations") for one in (page, second)] == [[], []]


def test_a_page_of_another_site_changes_nothing(farm: Farm, context: BrowserContext, ada: str):
    port = farm.webs[0].port
    context.add_cookies(
        [
            {"name": "ffgrid", "value": farm.signed_in(ada), "url": f"http://{host}:{port}"}
            for host in ("127.0.0.1", "lab.local")
        ]
    )
    farm.signed_in("vera", "viewer")
    page = context.new_page()
    for host in ("127.0.0.1", "lab.local"):  # the latter is sent no Sec-Fetch-Site
        page.route(
            "http://evil.test/**", lambda route: route.fulfill(body="<p>evil", content_type="text/html")
        )
        page.goto("http://evil.test/")
        page.evaluate(FOREIGN, f"http://{host}:{port}/users/vera/role")
        expect(page.get_by_role("heading")).to_have_text("Refused")
        page.goto(f"http://{host}:{port}/users")
        expect(page.locator("#user-vera td").first).to_have_text("viewer")
    page.get_by_text("Change vera").click()
    page.locator("#user-vera").get_by_label("Role").select_option("operator")
    page.get_by_role("button", name="Set role").click()

    expect(page.locator("#user-vera td").first).to_have_text("operator")


def test_a_name_that_has_been_pointed_at_us_gets_nothing(farm: Farm, context: BrowserContext, ada: str):
    page = context.new_page()
    answer = page.goto(f"http://evil.test:{farm.webs[0].port}/login")

    assert answer
    assert answer.status == 421
    expect(page.get_by_role("heading")).to_have_text("Not under this name")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_forms_fit_on_a_phone_and_work_without_javascript(
    farm: Farm, browser: Browser, ada: str, scheme: str
):
    context = browser.new_context(
        color_scheme="dark" if scheme == "dark" else "light",
        viewport={"width": 360, "height": 740},
        java_script_enabled=False,
    )
    page = context.new_page()
    page.goto(f"{farm.webs[0].url}/login")
    widths = [page.locator("html").bounding_box()]
    sign_in(page, ada)
    expect(page.get_by_role("link", name="Users and keys")).to_be_visible()
    page.goto(f"{farm.webs[0].url}/users")
    widths.append(page.locator("body").bounding_box())
    wide = [
        one
        for one in page.locator("form, table").all()
        if (one.bounding_box() or {"width": 0})["width"] > 360
    ]
    page.get_by_role("button", name="Sign out ada").click()
    expect(page.get_by_role("heading")).to_have_text("Sign in")
    context.close()

    assert [box and box["width"] for box in widths] == [360, 360]
    assert wide == []


def test_every_process_prints_a_link_of_its_own_while_there_is_no_user(farm: Farm, ada: str):
    links = [re.findall(r"/setup[?]t=\S+", web.log.read_text()) for web in farm.webs]

    assert [len(found) for found in links] == [1, 1]
    assert links[0] != links[1]
