"""`GET /v1/fleet` and the header `FFGrid-Fleet`: which workers would answer."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from app.state.fleet import fleet
from app.wire.messages import FLEET, JOBS
from tests.web.conftest import ABOUT, Answer, Site, submission

A, B = {"ffmpeg": "a", "ffprobe": "a"}, {"ffmpeg": "b", "ffprobe": "b"}


async def eventually(condition: Callable[[], bool], beat: Callable[[], Awaitable[Any]] | None = None) -> None:
    """Waits until a copy of two seconds ago is gone. The workers beat meanwhile."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "the fleet does not change"
        if beat:
            await beat()
        await asyncio.sleep(0.05)


def said(answer: Answer) -> tuple[str, int]:
    assert answer.status == 200, answer
    assert answer.headers["ffgrid-fleet"] == answer.json["fleet"]
    return answer.json["fleet"], answer.json["workers"]


def expected(*builds: dict[str, str]) -> str:
    return fleet([{**ABOUT, "builds": build} for build in builds], {})[0]


async def test_it_is_told_by_label(site: Site) -> None:
    plain = await site.hire("plain", builds=A)
    gpu = await site.hire("gpu", builds=B, labels={"gpu": "a&b=ü"})
    queries = {
        "": (expected(A, B), 2),
        "?label=gpu%3Da%26b%3D%C3%BC": (expected(B), 1),
        "?label=gpu=x": ("", 0),
    }

    async def beat() -> None:
        for worker in (plain, gpu):
            await worker.beat(0, [], {})

    for query, known in queries.items():
        await eventually(lambda query=query, known=known: said(site.ask("GET", FLEET + query)) == known, beat)


async def test_a_submission_is_answered_with_it(site: Site) -> None:
    await site.hire(builds=A, labels={"gpu": "x"})
    await eventually(lambda: said(site.ask("GET", FLEET))[1] == 1)

    answers = [
        site.ask("POST", JOBS, submission(labels=labels)) for labels in ({}, {"gpu": "x"}, {"gpu": "y"})
    ]

    assert [one.status for one in answers] == [201, 201, 201]
    assert [one.headers["ffgrid-fleet"] for one in answers] == [expected(A), expected(A), ""]


async def test_it_follows_the_workers(site: Site) -> None:
    old = await site.hire("old", builds=A)
    await eventually(lambda: said(site.ask("GET", FLEET)) == (expected(A), 1))
    await site.store.workers.retire("old", old.boot)
    await site.hire("new", builds=B)

    await eventually(lambda: site.ask("POST", JOBS, submission()).headers["ffgrid-fleet"] == expected(B))


@pytest.mark.parametrize(
    "query",
    [
        "?label=gpu",
        "?label==x",
        "?label=x=",
        "?label=",
        "?label=a=1&label=a=2",
        "?label=" + "a" * 65 + "=x",
        "?label=x=" + "a" * 65,
        "?" + "&".join(f"label=n{number}=x" for number in range(17)),
    ],
)
async def test_labels_that_are_none_are_refused_in_words(site: Site, query: str) -> None:
    answer = site.ask("GET", FLEET + query)

    assert (answer.status, answer.type) == (422, "invalid")
    assert answer.detail.startswith("label: expected ")


async def test_only_clients_are_told(site: Site) -> None:
    assert site.ask("GET", FLEET, key=site.admin).status == 200
    assert site.ask("GET", FLEET, key=site.worker).status == 403
    assert site.ask("POST", FLEET).status == 405


async def test_a_redis_that_is_away_is_said(own_site: Site) -> None:
    redis = own_site.farm.redis
    assert redis
    assert said(own_site.ask("GET", FLEET)) == ("", 0)
    redis.signal(signal.SIGKILL)

    await eventually(lambda: own_site.ask("GET", FLEET).status == 503)
