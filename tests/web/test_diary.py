"""The page of who did what, and the page of what this is."""

from __future__ import annotations

import re

import pytest

from tests.web.visitor import Visitor, site

__all__ = ["site"]


async def test_nothing_done_says_what_will_stand_there(site: Visitor) -> None:
    page = await site.get("/activity")

    assert page.status == 200
    assert "Nobody has done anything yet." in page.words


async def test_pages_of_deeds_neither_repeat_nor_skip_one(site: Visitor) -> None:
    for number in range(120):
        await site.store.activity.add("user ada", "cancelled", f"job {number}")
    found, path = [], "/activity"
    while path:
        page = await site.get(path)
        found += re.findall(r"job (\d+)<", page.text)
        await site.store.activity.add("user eve", "cancelled", "later")
        older = re.search(r'href="(/activity\?before=[\d-]+)" rel="next"', page.text)
        path = older[1] if older else ""

    assert found == [str(number) for number in reversed(range(120))]


async def test_a_job_is_led_to_and_all_else_is_only_text(site: Visitor) -> None:
    job = await site.submit()
    await site.store.activity.add("user <b>", "cancelled", job)
    await site.store.activity.add("key \u202e", "made <i>", "<u>")

    page = await site.get("/activity")

    assert f'<a class="id" href="/jobs/{job}">{job}</a>' in page.text
    for evil in ("<b>", "<i>", "<u>", "\u202e"):
        assert evil not in page.text


@pytest.mark.parametrize("before", ["x", "1", "1-x", "-", "1-" + "9" * 30, "+"])
async def test_a_cursor_that_is_none_is_refused(site: Visitor, before: str) -> None:
    assert (await site.get(f"/activity?before={before}")).status == 422


async def test_the_page_about_names_versions_licences_and_this_process(site: Visitor) -> None:
    page = await site.get("/about")

    assert page.status == 200
    for words in (
        "htmx.org 4.0.1 0BSD",
        "Apache License 2.0",
        "starlette",
        "jinja2",
        "maxmemory-policy noeviction",
    ):
        assert words in page.words
    assert re.search(r"Redis (redis|valkey) \d", page.words)


async def test_what_is_wrong_with_redis_stands_there_with_what_mends_it(site: Visitor) -> None:
    await site.store.redis.config_set("maxmemory-policy", "allkeys-lru")
    try:
        page = await site.get("/about")
    finally:
        await site.store.redis.config_set("maxmemory-policy", "noeviction")

    assert "CONFIG SET maxmemory-policy noeviction" in page.words
    assert "to mend" in page.words


async def test_what_an_admin_changes_stands_there_with_his_name(site: Visitor) -> None:
    await site.post("/users", "admin", name="ada", role="viewer", password="a long password")
    await site.post("/users/ada/role", "admin", role="operator")
    await site.post("/users/ada/password", "admin", password="another password")
    await site.post("/users/ada/remove", "admin")
    await site.post("/keys", "admin", name="k1", role="client", networks="")
    await site.post("/keys/k1/rotate", "admin")
    await site.post("/keys/k1/revoke", "admin")
    await site.post("/keys/nobody/revoke", "admin")

    assert await site.deeds() == [
        ("user admin", "revoked key", "k1"),
        ("user admin", "rotated key", "k1"),
        ("user admin", "added client key", "k1"),
        ("user admin", "removed user", "ada"),
        ("user admin", "set the password of", "ada"),
        ("user admin", "set the role operator of", "ada"),
        ("user admin", "added the viewer", "ada"),
    ]


async def test_who_signs_in_stands_there_and_who_fails_to_does_not(site: Visitor) -> None:
    await site.post("/users", "admin", name="ada", role="viewer", password="a long password")

    wrong = await site.post("/login", "nobody", name="ada", password="a wrong password")
    right = await site.post("/login", "nobody", name="ada", password="a long password")

    assert (wrong.status, right.status) == (403, 303)
    assert [deed for deed in await site.deeds() if "signed" in deed[1]] == [
        ("user ada", "signed in from", "127.0.0.1")
    ]
