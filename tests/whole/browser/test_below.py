"""20. The dashboard below a path of a proxy's: every page and what belongs to it is found there, and it is live."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Request, expect

from tests.farm import Farm
from tests.whole import proxies
from tests.whole.browser.backstage import Backstage
from tests.whole.browser.scene import NOWHERE
from tests.whole.browser.tabs import Tabs, is_current, queued

ROOT_PATH = "/ffgrid"


@pytest.fixture
def farm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Farm]:
    """Two coordinators that nginx has put below that path, and nothing else at its address."""
    deploy = tmp_path / "deploy"
    deploy.mkdir()
    text = (proxies.DEPLOY / "nginx.conf").read_text()
    (deploy / "nginx.conf").write_text(text.replace("location / {", f"location {ROOT_PATH}/ {{"))
    monkeypatch.setattr(proxies, "DEPLOY", deploy)
    settings = {"FFGRID_ROOT_PATH": ROOT_PATH}
    with Farm.start(tmp_path / "farm", workers=0, settings=settings) as farm:
        with proxies.behind("nginx", farm, tmp_path, f"{ROOT_PATH}/readyz"):
            yield farm


def test_every_page_is_found_below_the_path(farm: Farm, browser: Browser):
    """20."""
    tabs = Tabs(browser, farm)
    page = tabs.visitor("admin").new_page()
    strayed: list[str] = []

    def look(request: Request) -> None:
        if not f"{urlsplit(request.url).path}/".startswith(f"{ROOT_PATH}/"):
            strayed.append(request.url)

    page.on("request", look)
    page.goto(f"{tabs.url}{ROOT_PATH}/")
    is_current(page)
    Backstage(farm).queue(1, NOWHERE)
    expect(queued(page)).to_have_text("1")
    for label in page.locator("nav.pages a").all_inner_texts():
        page.get_by_role("navigation", name="Pages").get_by_role("link", name=label).click()
        is_current(page)
    page.goto(f"{tabs.url}{ROOT_PATH}/jobs")
    page.locator("a.id").first.click()
    page.get_by_text("Cancel", exact=True).click()
    page.get_by_role("button", name=re.compile("^Yes, cancel")).click()
    expect(page.locator("#job-head")).to_contain_text("cancelled by user ada")
    page.get_by_role("button", name="Sign out ada").click()
    expect(page).to_have_url(f"{tabs.url}{ROOT_PATH}/login")
    tabs.close()

    assert strayed == []
    assert tabs.complaints == []
