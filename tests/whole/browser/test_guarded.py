"""Who gets in and who may do what, for every route that there is."""

from __future__ import annotations

import pytest
from playwright.sync_api import APIResponse, expect

from app.web.main import API
from tests.whole.browser.routes import ACTIONS, PAGES, ROUTES, Guarded, below, name
from tests.whole.browser.scene import Scene
from tests.whole.browser.tabs import STREAM, Tabs

CLOSED = [one for one in ROUTES if one.role]
UNSIGNED = sorted({(method, route.path) for route in API for method in getattr(route, "methods", None) or ()})


def ask(tabs: Tabs, role: str, method: str, path: str, **headers: str) -> APIResponse:
    """What somebody gets who writes the request by hand, and knows what a page of ours would send."""
    sent = {"Origin": tabs.url, "Sec-Fetch-Site": "same-origin", **headers}
    return tabs.visitor(role).request.fetch(tabs.url + path, method=method, headers=sent, max_redirects=0)


@pytest.mark.parametrize("route", CLOSED, ids=name)
def test_nobody_gets_in_without_a_session(tabs: Tabs, scene: Scene, route: Guarded):
    """12."""
    path = route.addresses(scene.places)[0]
    answer = ask(tabs, "", route.method, path)
    if route.method == "GET":
        assert answer.status == 303
        assert answer.headers["location"].startswith("/login")
        assert ask(tabs, "", "GET", path, Accept=STREAM).status == 401
    else:
        assert answer.status == 401
        assert "not signed in" in answer.text()


@pytest.mark.parametrize(("method", "path"), UNSIGNED)
def test_the_interface_for_programs_knows_no_sessions(tabs: Tabs, method: str, path: str):
    """12. Not even an admin's: a page that has been talked into something has no key."""
    answer = ask(tabs, "admin", method, path.replace("{", "").replace("}", ""))

    assert answer.status in (401, 403)
    if method != "HEAD":
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["title"] in ("Unauthorized", "Forbidden")


@pytest.mark.parametrize("route", [one for one in CLOSED if below(one.role)], ids=name)
def test_who_has_a_lesser_role_may_not(tabs: Tabs, scene: Scene, route: Guarded):
    """12."""
    answers = [ask(tabs, role, route.method, route.addresses(scene.places)[0]) for role in below(route.role)]

    assert {answer.status for answer in answers} == {403}
    assert all("This takes the role" in answer.text() for answer in answers)


@pytest.mark.parametrize("route", [one for one in ACTIONS if one.role], ids=name)
def test_no_other_site_can_act_for_an_admin(tabs: Tabs, scene: Scene, route: Guarded):
    """13. Browsers say where a request comes from: in one header, or where the name is a local one in another."""
    path = route.addresses(scene.places)[0]
    admin = tabs.visitor("admin").request
    for said in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.test"}, {"Origin": "null"}, {}):
        assert admin.fetch(tabs.url + path, method=route.method, headers=said).status == 403, said


@pytest.mark.parametrize("route", [one for one in PAGES if one.role == "viewer"], ids=name)
def test_a_viewer_is_shown_nothing_to_act_with(tabs: Tabs, scene: Scene, route: Guarded):
    """12."""
    context = tabs.visitor("viewer")
    for address in route.addresses(scene.places):
        page = context.new_page()
        page.goto(tabs.url + address)

        acting = page.locator("form[method=post]:not([action='/logout']), [hx-post], [hx-delete], [hx-put]")
        expect(acting).to_have_count(0)
