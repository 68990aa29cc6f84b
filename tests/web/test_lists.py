"""`GET /v1/jobs` with filters, and what each word of one may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.state.listing import Filter
from app.web import filters
from app.web.api.openapi import describe
from app.web.main import API
from app.web.problems import Problem
from app.wire.messages import JOBS

if TYPE_CHECKING:
    from tests.web.conftest import Answer, Key, Site

NOW = 1_796_000_000_000


def listed(site: Site, query: str, key: Key | None = None) -> set[str]:
    answer = site.ask("GET", f"{JOBS}?{query}", key=key)
    assert answer.status == 200, answer
    return {one["id"] for one in answer.json["jobs"]}


async def test_each_word_narrows_the_list(site: Site) -> None:
    worker = await site.hire("w1", labels={"gpu": "1"})
    ran = site.submit(lane="low", labels={"gpu": "1"})
    await worker.finish(await site.take(worker, ran), "fail", {"exit": 1})
    waits = site.submit(args=["-i", [{"root": "TV"}, "/Étoile.mkv"], "-f", "null", "-"])
    theirs = site.submit(key=site.admin)

    assert listed(site, "worker=w1") == listed(site, "lane=low") == listed(site, "label=gpu=1") == {ran}
    assert listed(site, "state=failed&lane=low&label=gpu%3D1&q=movies") == {ran}
    assert listed(site, "q=%C3%A9toile") == {waits}
    assert listed(site, "owner=client") == listed(site, "since=1h") == listed(site, "") == {ran, waits}
    assert listed(site, "until=1h") == listed(site, "state=queued&worker=w1") == set()
    assert listed(site, "owner=admin", site.admin) == {theirs}
    assert listed(site, "state=&lane=&worker=&owner=&label=&q=&since=&until=&before=&after=") == {ran, waits}


async def test_a_client_sees_no_others(site: Site) -> None:
    site.submit(key=site.admin)

    answer = site.ask("GET", f"{JOBS}?owner=admin")

    assert (answer.status, answer.type) == (403, "forbidden")


async def test_one_turns_the_pages_both_ways(site: Site) -> None:
    for _ in range(7):
        site.submit()

    def page(query: str) -> Answer:
        return site.ask("GET", f"{JOBS}?limit=3{query}")

    def ids(answer: Answer) -> list[str]:
        return [one["id"] for one in answer.json["jobs"]]

    first = page("")
    second = page(f"&before={first.json['next']}")
    third = page(f"&before={second.json['next']}")
    back = page(f"&after={third.json['newer']}")

    assert [len(ids(one)) for one in (first, second, third)] == [3, 3, 1]
    assert (first.json["newer"], third.json["next"]) == (None, None)
    assert ids(back) == ids(second)
    assert ids(page(f"&after={back.json['newer']}")) == ids(first)
    assert {one.json["searched"] for one in (first, second, third, back)} == {None}


@pytest.mark.parametrize(
    "query",
    [
        "lane=fast",
        "label=x",
        "label=%3Dx",
        "label=" + "x" * 65 + "=y",
        "q=" + "x" * 257,
        "worker=" + "x" * 257,
        "since=yesterday",
        "since=-5",
        "since=1e9",
        "since=24",
        "until=2026-13-01",
        "until=9999999999999",
        "since=%D9%A1h",
        "after=5-x",
    ],
)
async def test_what_no_filter_is_is_refused_by_its_name(site: Site, query: str) -> None:
    answer = site.ask("GET", f"{JOBS}?{query}")

    if query == "since=24":  # seconds, of 1970
        assert answer.status == 200
        return
    assert (answer.status, answer.type) == (422, "invalid")
    assert answer.detail.startswith(query.partition("=")[0])


async def test_a_page_lies_on_one_side_of_a_place(site: Site) -> None:
    place = f"1-{site.submit()}"

    assert "one of them" in site.ask("GET", f"{JOBS}?before={place}&after={place}").detail


@pytest.mark.parametrize(
    ("word", "moment"),
    [
        ("", None),
        ("30s", NOW - 30_000),
        ("24h", NOW - 86_400_000),
        ("2w", NOW - 1_209_600_000),
        ("999999999w", 0),
        ("1795278197", 1_795_278_197_000),
        ("1795278197.803", 1_795_278_197_803),
        ("2026-11-29", 1_795_910_400_000),
        ("2026-11-29T08:00", 1_795_939_200_000),
        ("2026-11-29T08:00:00+02:00", 1_795_932_000_000),
        ("2026-11-29T08:00Z", 1_795_939_200_000),
        ("0001-01-01", 0),
    ],
)
def test_a_time_is_written_in_several_ways(word: str, moment: int | None) -> None:
    assert filters.parse({"since": word, "until": word}, [], NOW) == Filter(since=moment, until=moment)


@pytest.mark.parametrize("word", ["h", "5y", "24 h", "now", "12345678901234", "0001-01-01T00:00+14:00", "٣h"])
def test_what_no_time_is_is_refused(word: str) -> None:
    if word.startswith("0001"):  # before the first year: as early as can be
        assert filters.parse({"since": word}, [], NOW).since == 0
        return
    with pytest.raises(Problem, match="since: expected a time"):
        filters.parse({"since": word}, [], NOW)


def test_the_description_names_every_word() -> None:
    parameters = describe(API)["paths"][JOBS]["get"]["parameters"]

    assert {one["name"] for one in parameters} == {*filters.QUERIES, "limit", "before", "after"}
