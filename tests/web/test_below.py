"""Below a path that a proxy has put before ours: every address that a page names leads back through the proxy."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import pytest
from starlette.applications import Starlette

from app.state.store import Store
from app.web import pages
from app.web.main import create_app
from tests.web.test_dashboard import MASTER, ask

HOST = ("host", "localhost:8000")


@pytest.fixture
async def app(store: Store, redis_url: str) -> AsyncIterator[Starlette]:
    """A coordinator that is reached below /ffgrid."""
    app = create_app(redis_url, MASTER, root="/ffgrid")
    yield app
    await app.state.store.close()
    pages.mount("")


async def signed_in(app: Starlette) -> list[tuple[str, str]]:
    admin = await app.state.users.add("ada", "admin", "no hash")
    return [HOST, ("cookie", f"ffgrid={await app.state.sessions.begin(admin)}")]


@pytest.mark.parametrize("passed_on", ["/ffgrid", ""])
async def test_a_page_names_only_addresses_below_it(app: Starlette, passed_on: str):
    cookie = await signed_in(app)
    for path in ("/", "/users", "/workers"):
        page = await ask(app, passed_on + path, cookie)
        addresses = re.findall(r'\b(?:href|src|action|hx-[a-z:]+)="(/[^"]*)"', page.text)

        assert page.status == 200
        assert len(addresses) > 8
        assert [one for one in addresses if not re.match("/ffgrid/(?!ffgrid)", one)] == []
        for one in {one for one in addresses if "/static/" in one}:
            assert (await ask(app, one, cookie)).status == 200


async def test_who_is_not_signed_in_is_sent_to_the_page_below_it(app: Starlette):
    plain = await ask(app, "/ffgrid/users?a=b", [HOST])
    htmx = await ask(app, "/live", [HOST, ("hx-request", "true"), ("hx-current-url", "http://x/ffgrid/jobs")])

    assert plain.headers["location"] == "/ffgrid/login?next=/ffgrid/users%3Fa%3Db"
    assert htmx.headers["hx-redirect"] == "/ffgrid/login?next=/ffgrid/jobs"


async def test_what_only_begins_alike_is_not_below_it(app: Starlette):
    cookie = await signed_in(app)

    assert (await ask(app, "/ffgridder/users", cookie)).status == 404
    assert pages.below("/ffgridder") == "/ffgrid/ffgridder"
    assert pages.below("/ffgrid") == "/ffgrid"
