"""What the API offers to callers: pausing, giving up, variables and niceness, reports of what ran elsewhere."""

from __future__ import annotations

from typing import Any

import pytest

from app.wire.messages import ENVIRONMENT, FALLBACKS, JOBS, WITHDRAWN, job_path
from tests.web.conftest import Site, submission

CALL = {"at": 1_700_000_000.5, "binary": "ffmpeg", "reason": "no worker is alive", "count": 2}


# Pausing


async def test_a_running_job_is_paused_and_resumed(site: Site) -> None:
    job_id, worker = site.submit(), await site.hire("w1")
    lease = await site.take(worker, job_id)
    held = {job_id: lease.token}

    paused = site.ask("POST", job_path(job_id, "pause"))
    during, shown = await worker.beat(1, [], held), site.ask("GET", job_path(job_id)).json
    resumed = site.ask("POST", job_path(job_id, "resume"), web=1)

    assert (paused.status, paused.json) == (202, {"id": job_id, "state": "pausing"})
    assert (during.paused, shown["state"], shown["paused"]) == ([job_id], "running", True)
    assert (resumed.status, resumed.json) == (202, {"id": job_id, "state": "running"})
    assert (await worker.beat(1, [], held)).paused == []


@pytest.mark.parametrize("how", ["pause", "resume"])
async def test_a_job_that_does_not_run_cannot_be(site: Site, how: str) -> None:
    queued, ended = site.submit(), site.submit()
    await site.jobs.cancel(ended)

    answers = [site.ask("POST", job_path(job_id, how)) for job_id in (queued, ended)]

    assert [(one.status, one.type) for one in answers] == [(409, "not-running")] * 2
    assert "is queued: only a running job can be paused" in answers[0].detail


@pytest.mark.parametrize("what", ["pause", "resume", "cancel?if=queued"])
async def test_only_its_owner_and_an_admin_may(site: Site, what: str) -> None:
    job_id = site.submit()
    await site.take(await site.hire("w1"), job_id)
    other = await site.key("other")

    assert site.ask("POST", job_path(job_id, what), key=other).status == 404
    assert site.ask("POST", job_path(job_id, what), key=site.worker).status == 403
    assert site.ask("POST", job_path(job_id, what), key=site.admin).status in (202, 409)


# Giving up


async def test_a_caller_takes_back_a_job_that_nobody_has_taken(site: Site) -> None:
    job_id = site.submit(attach=True)

    answers = [site.ask("POST", job_path(job_id, "cancel?if=queued"), web=web) for web in (0, 1)]

    job = await site.jobs.get(job_id)
    assert [(one.status, one.json) for one in answers] == [(200, {"id": job_id, "state": "cancelled"})] * 2
    assert (job.state, job.reason) == ("cancelled", WITHDRAWN)
    assert await site.store.redis.xlen(site.store.keys.output(job_id)) == 2  # whoever is attached wakes up


async def test_a_job_that_a_worker_has_taken_is_left_alone(site: Site) -> None:
    job_id, worker = site.submit(), await site.hire("w1")
    lease = await site.take(worker, job_id)

    answer = site.ask("POST", job_path(job_id, "cancel?if=queued"))

    assert (answer.status, answer.type) == (409, "not-queued")
    assert answer.detail == f"job {job_id} is running: a worker has taken it"
    assert (await worker.beat(1, [], {job_id: lease.token})).cancelled == {}


@pytest.mark.parametrize("condition", ["running", "", "Queued"])
async def test_there_is_no_other_condition(site: Site, condition: str) -> None:
    job_id = site.submit()

    answer = site.ask("POST", job_path(job_id, f"cancel?if={condition}"))

    assert (answer.status, answer.detail) == (422, f"if: expected 'queued', got {condition!r}")
    assert (await site.jobs.get(job_id)).state == "queued"


# Variables and niceness


async def test_variables_and_niceness_are_stored(site: Site) -> None:
    variables = dict.fromkeys(ENVIRONMENT, "é" * 256)

    job = await site.jobs.get(site.submit(env=variables, nice=19))

    assert (job.spec["env"], job.spec["nice"]) == (variables, 19)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"env": {"LD_PRELOAD": "/evil.so"}}, "env: 'LD_PRELOAD' cannot be set, expected one of TZ, TERM"),
        ({"env": {"TZ": "x" * 257}}, "env.TZ: 257 characters, expected at most 256"),
        ({"env": {"TZ": "a\0b"}}, "env.TZ: a variable cannot hold a NUL"),
        ({"env": {"TZ": 5}}, "env[...]: expected `str`, got `int`"),
        ({"env": {f"V{n}": "" for n in range(17)}}, "env: expected `object` of length <= 16"),
        ({"env": []}, "env: expected `object`, got `array`"),
        ({"nice": 20}, "nice: expected `int` <= 19"),
        ({"nice": -1}, "nice: expected `int` >= 0"),
    ],
)
async def test_what_cannot_be_one_is_named(site: Site, change: dict[str, Any], sentence: str) -> None:
    answer = site.ask("POST", JOBS, submission(**change))

    assert answer.status == 422
    assert answer.detail.startswith(sentence)


# What ran elsewhere


async def test_a_client_reports_and_an_admin_reads(site: Site) -> None:
    told = site.ask("POST", FALLBACKS, {"fallbacks": [CALL, {**CALL, "binary": "ffprobe"}]})

    read = site.ask("GET", FALLBACKS, key=site.admin, web=1)
    last = site.ask("GET", FALLBACKS + "?limit=1", key=site.admin)

    assert (told.status, told.json) == (202, {"noted": 2})
    expected = [{**CALL, "binary": binary, "client": "client"} for binary in ("ffprobe", "ffmpeg")]
    assert (read.status, read.json) == (200, {"fallbacks": expected})
    assert last.json == {"fallbacks": expected[:1]}


async def test_who_may_not(site: Site) -> None:
    assert site.ask("GET", FALLBACKS).status == 403
    assert site.ask("POST", FALLBACKS, {"fallbacks": [CALL]}, key=site.worker).status == 403


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({}, "fallbacks"),
        ({"fallbacks": []}, "fallbacks"),
        ({"fallbacks": [CALL] * 201}, "fallbacks"),
        ({"fallbacks": [{**CALL, "binary": "rm"}]}, "binary"),
        ({"fallbacks": [{**CALL, "reason": ""}]}, "reason"),
        ({"fallbacks": [{**CALL, "reason": "x" * 513}]}, "reason"),
        ({"fallbacks": [{**CALL, "count": 0}]}, "count"),
        ({"fallbacks": [{**CALL, "at": -1}]}, "at"),
        ({"fallbacks": [{**CALL, "at": 1e300}]}, "at"),
    ],
)
async def test_a_report_that_makes_no_sense_is_refused(site: Site, body: Any, word: str) -> None:
    answer = site.ask("POST", FALLBACKS, body)

    assert answer.status == 422
    assert word in answer.detail
    assert await site.store.redis.exists(site.store.keys.fallbacks) == 0


@pytest.mark.parametrize("limit", ["0", "1001", "x", "", "-1", "%C2%B2"])
async def test_a_limit_that_makes_no_sense_is_refused(site: Site, limit: str) -> None:
    answer = site.ask("GET", f"{FALLBACKS}?limit={limit}", key=site.admin)

    assert (answer.status, answer.detail.partition(":")[0]) == (422, "limit")
