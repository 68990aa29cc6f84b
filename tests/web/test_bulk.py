"""`/v1/bulk`: one action on many jobs, which any process goes on with."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from app.state.operations import HELD_MS
from app.wire.messages import BULK, JOBS

if TYPE_CHECKING:
    from tests.web.conftest import Answer, Key, Site

KEY = "key-of-a-run"
QUEUED = {"state": "queued"}


def begin(site: Site, key: Key | None = None, web: int = 0, **asked: Any) -> Answer:
    """Asks for something; cancelling what is queued, if nothing else is said."""
    body = {"key": KEY, "action": "cancel", **asked}
    if not {"ids", "filter"} & body.keys():
        body["filter"] = QUEUED
    return site.ask("POST", BULK, body, key, web)


def ended(site: Site, begun: Answer, key: Key | None = None) -> dict[str, Any]:
    """The operation when it has ended, as the other process tells it."""
    assert begun.status == 202, begun
    limit = time.monotonic() + 20
    while True:
        one: dict[str, Any] = site.ask("GET", f"{BULK}/{begun.json['id']}", key=key, web=1).json
        if one["state"] != "running" or time.monotonic() > limit:
            return one
        time.sleep(0.05)


def states(site: Site) -> list[str]:
    return sorted(one["state"] for one in site.ask("GET", f"{JOBS}?limit=200", key=site.admin).json["jobs"])


async def test_all_that_match_are_cancelled(site: Site) -> None:
    worker = await site.hire()
    runs = site.submit(lane="live")
    await site.take(worker, runs)
    for _ in range(3):
        site.submit()
    site.submit(key=site.admin)

    begun = begin(site)
    assert begun.headers["location"] == f"{BULK}/{begun.json['id']}"
    one = ended(site, begun)

    assert (one["total"], one["exact"], one["done"], one["skipped"], one["failed"]) == (3, True, 3, 0, 0)
    assert (one["state"], one["by"], one["action"], one["lane"]) == ("done", "key client", "cancel", None)
    assert one["filter"] == {"state": "queued", "owner": "client", "until": one["filter"]["until"]}
    assert states(site) == ["cancelled", "cancelled", "cancelled", "queued", "running"]
    jobs = site.ask("GET", f"{JOBS}?state=cancelled").json["jobs"]
    assert {job["reason"] for job in jobs} == {"cancelled by client"}


async def test_jobs_that_come_later_are_left_alone_and_asking_twice_is_once(site: Site) -> None:
    site.submit()
    first = ended(site, begin(site))
    site.submit()

    again = ended(site, begin(site, web=1))

    assert again == first
    assert states(site) == ["cancelled", "queued"]
    assert begin(site, filter={"lane": "low"}).type == "key-reused"


async def test_those_that_are_named_are_cancelled_if_they_are_ones_own(site: Site) -> None:
    mine, left = site.submit(), site.submit()
    theirs = site.submit(key=site.admin)

    one = ended(site, begin(site, ids=[mine, mine, theirs]))

    assert (one["total"], one["done"], one["skipped"], one["filter"]) == (2, 1, 1, None)
    assert (await site.jobs.get(left)).state == (await site.jobs.get(theirs)).state == "queued"
    assert ended(site, begin(site, site.admin, ids=[theirs, left]), site.admin)["done"] == 2


async def test_without_a_state_whatever_can_be_cancelled_is(site: Site) -> None:
    worker = await site.hire()
    runs = site.submit()
    await site.take(worker, runs)
    site.submit()
    await site.end(site.submit(lane="live"))

    one = ended(site, begin(site, filter={}))

    assert (one["total"], one["done"]) == (2, 2)
    assert (await site.jobs.get(runs)).cancelling
    assert states(site) == ["cancelled", "done", "running"]


async def test_what_has_failed_is_run_again_once_each(site: Site) -> None:
    failed = [site.submit() for _ in range(3)]
    for job_id in failed:
        await site.end(job_id, "fail", 1)
    begun = begin(site, action="retry", filter={"state": "failed", "since": "24h", "q": "A.MKV"})
    one = ended(site, begun)

    assert (one["total"], one["done"]) == (3, 3)
    fresh = site.ask("GET", f"{JOBS}?state=queued").json["jobs"]
    assert sorted(job["retry_of"] for job in fresh) == sorted(failed)
    assert (
        ended(site, begin(site, action="retry", filter={"state": "failed", "since": "24h", "q": "A.MKV"}))
        == one
    )
    assert len(states(site)) == 6


async def test_what_one_dead_process_had_begun_another_does_without_doing_it_twice(site: Site) -> None:
    failed = site.submit()
    await site.end(failed, "fail", 1)
    body: dict[str, Any] = {"action": "retry", "filter": {"state": "failed"}}
    one = ended(site, begin(site, **body))
    name = site.store.keys.operation(one["id"])
    # As if it had died after its step, before it could say so, and its time were over.
    await site.store.redis.hset(name, mapping={"state": "running", "done": 0, "token": "dead", "held": 1})
    await site.store.redis.persist(name)
    await site.store.redis.zadd(site.store.keys.operations, {one["id"]: "+inf"})

    again = ended(site, begin(site, **body))

    assert (again["state"], again["done"]) == ("done", 1)
    assert states(site) == ["failed", "queued"]


async def test_jobs_are_moved_to_another_lane(site: Site) -> None:
    made = [site.submit(lane="low") for _ in range(2)]
    site.submit()

    one = ended(site, begin(site, action="lane", lane="high", filter={"lane": "low"}))

    assert (one["done"], one["lane"]) == (2, "high")
    assert {(await site.jobs.get(job_id)).lane for job_id in made} == {"high"}


async def test_what_cannot_be_done_to_one_job_is_told_and_the_others_are_done(site: Site) -> None:
    forged, sound = site.submit(), site.submit()
    for job_id in (forged, sound):
        await site.end(job_id, "fail", 1)
    spec = await site.store.redis.hget(site.store.keys.job(forged), "spec")
    await site.store.redis.hset(site.store.keys.job(forged), "spec", spec.replace(b"a.mkv", b"b.mkv"))

    one = ended(site, begin(site, action="retry", filter={"state": "failed"}))

    assert (one["done"], one["failed"]) == (1, 1)
    assert one["note"].startswith(f"{forged}: ")
    assert "seal" in one["note"]


async def test_a_dry_run_counts_and_shows_and_does_nothing(site: Site) -> None:
    made = [site.submit() for _ in range(3)]
    dry = begin(site, filter={}, dry_run=True)

    assert dry.status == 200
    assert (dry.json["total"], dry.json["exact"], dry.json["action"]) == (3, True, "cancel")
    assert sorted(one["id"] for one in dry.json["jobs"]) == sorted(made)
    named = begin(site, ids=[made[0], site.submit(key=site.admin)], dry_run=True)
    assert [one["id"] for one in named.json["jobs"]] == made[:1]
    assert site.ask("GET", BULK).json["operations"] == []
    assert states(site) == ["queued"] * 4


async def test_a_client_sees_and_stops_its_own_only(site: Site) -> None:
    mine = ended(site, begin(site))
    theirs = ended(site, begin(site, site.admin), site.admin)

    assert [one["id"] for one in site.ask("GET", BULK).json["operations"]] == [mine["id"]]
    everybody = site.ask("GET", BULK, key=site.admin).json["operations"]
    assert [one["id"] for one in everybody] == [theirs["id"], mine["id"]]
    assert site.ask("GET", f"{BULK}/{theirs['id']}").type == "no-such-operation"
    assert site.ask("POST", f"{BULK}/{theirs['id']}/cancel").type == "no-such-operation"
    assert site.ask("POST", f"{BULK}/{mine['id']}/cancel").type == "ended"


async def test_an_operation_is_stopped(site: Site) -> None:
    site.submit()
    held = "#!lua\nreturn redis.call('HSET', KEYS[1], 'token', 'else', 'held', '99999999999999')"
    begun = begin(site, filter={"state": "running"})
    ended(site, begun)
    name = site.store.keys.operation(begun.json["id"])
    await site.store.redis.eval(held, 1, name)  # somebody is at a step that takes long
    await site.store.redis.hset(name, "state", "running")

    stopped = site.ask("POST", f"{BULK}/{begun.json['id']}/cancel", web=1)

    assert (stopped.status, stopped.json["state"]) == (200, "stopped")
    assert HELD_MS < 60_000
    assert states(site) == ["queued"]


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        ({"ids": ["x"]}, "ids"),
        ({"ids": []}, "ids"),
        ({"ids": ["01JABCDEFGHJKMNPQRSTVWXYZ0"] * 1001}, "ids"),
        ({"ids": ["01JABCDEFGHJKMNPQRSTVWXYZ0"], "filter": {}}, "ids"),
        ({"action": "delete"}, "action"),
        ({"action": "lane"}, "lane"),
        ({"action": "lane", "lane": "fast"}, "lane"),
        ({"lane": "high"}, "lane"),
        ({"filter": {"state": "done"}}, "filter.state"),
        ({"filter": {"state": "sleeping"}}, "state"),
        ({"filter": {"since": "yesterday"}}, "since"),
        ({"filter": {"since": 1e300}}, "since"),
        ({"filter": {"label": ["x"]}}, "label"),
        ({"filter": {"name": "x"}}, "name"),
        ({"action": "retry", "filter": {}}, "filter.state"),
        ({"action": "retry", "filter": {"state": "queued"}}, "filter.state"),
        ({"key": "x"}, "key"),
    ],
)
async def test_what_makes_no_sense_is_refused_by_its_name(
    site: Site, asked: dict[str, Any], word: str
) -> None:
    site.submit()

    body = {"key": KEY, "action": "cancel", **({} if "ids" in asked else {"filter": QUEUED}), **asked}
    answer = site.ask("POST", BULK, body)

    assert (answer.status, answer.type) == (422, "invalid")
    assert word in answer.detail
    assert states(site) == ["queued"]


async def test_nothing_is_not_everything(site: Site) -> None:
    answer = site.ask("POST", BULK, {"key": KEY, "action": "cancel"})

    assert (answer.status, answer.type) == (422, "invalid")


async def test_others_jobs_are_nobodys_business(site: Site) -> None:
    assert begin(site, filter={"owner": "admin"}).type == "forbidden"
