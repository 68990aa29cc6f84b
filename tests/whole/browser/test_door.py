"""The way in, in a real browser on real processes: the printed link, signing in and out, and pages of other sites."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.farm import Farm, until
from tests.whole.browser.tabs import Tabs, is_current

PASSWORD = "correct horse"
# What is said of any plain HTTP under a name, and what these tests ask for at another's.
ELSEWHERE = ("Cross-Origin-Opener-Policy header has been ignored", "asked a foreign host: http://evil.test")
FOREIGN = """(url) => {
    const form = document.createElement("form");
    form.method = "post";
    form.action = url;
    form.innerHTML = '<input name="role" value="admin">';
    document.body.append(form);
    form.submit();
}"""


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """Two coordinators that are called lab.local too, and nobody who may use the dashboard."""
    with Farm.start(
        tmp_path_factory.mktemp("farm"), workers=0, settings={"FFGRID_HOSTS": "lab.local"}
    ) as started:
        yield started


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


def test_signing_in_leads_on_and_signing_out_holds_at_the_other_process(farm: Farm, tabs: Tabs, ada: str):
    one, other = (web.url for web in farm.webs)
    """12."""
    tabs.expects("status 401", "status of 40[13]")
    context = tabs.visitor()
    page = context.new_page()
    page.goto(f"{one}/users")
    assert page.url == f"{one}/login?next=/users"
    sign_in(page, ada, "wrong horse")
    expect(page.get_by_role("alert")).to_contain_text("do not belong together")
    sign_in(page, ada)
    expect(page.locator("#user-ada")).to_be_visible()
    second = context.new_page()  # cookies know no ports
    second.goto(other)
    is_current(second)
    page.get_by_role("button", name="Sign out ada").click()
    expect(page.get_by_role("heading")).to_have_text("Sign in")

    expect(second).to_have_url(f"{other}/login")


def test_a_page_of_another_site_changes_nothing(farm: Farm, tabs: Tabs, ada: str):
    """13."""
    tabs.expects("status of 403", *ELSEWHERE)
    context = tabs.visitor()
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


def test_a_name_that_has_been_pointed_at_us_gets_nothing(farm: Farm, tabs: Tabs, ada: str):
    """13."""
    tabs.expects("status of 421", *ELSEWHERE)
    page = tabs.visitor().new_page()
    answer = page.goto(f"http://evil.test:{farm.webs[0].port}/login")

    assert answer
    assert answer.status == 421
    expect(page.get_by_role("heading")).to_have_text("Not under this name")


def test_the_forms_work_without_scripts(farm: Farm, tabs: Tabs, ada: str):
    """18."""
    page = tabs.visitor(java_script_enabled=False).new_page()
    page.goto(f"{farm.webs[0].url}/login")
    sign_in(page, ada)
    page.get_by_role("link", name="Users and keys").click()
    expect(page.locator("#user-ada")).to_be_visible()
    page.get_by_role("button", name="Sign out ada").click()
    expect(page.get_by_role("heading")).to_have_text("Sign in")


def test_every_process_prints_a_link_of_its_own_while_there_is_no_user(farm: Farm, ada: str):
    links = [re.findall(r"/setup[?]t=\S+", web.log.read_text()) for web in farm.webs]

    assert [len(found) for found in links] == [1, 1]
    assert links[0] != links[1]
