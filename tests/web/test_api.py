"""The HTTP API: what it takes, what it says, and what happens when the queue is away."""

from __future__ import annotations

import asyncio
import json
import random
import re
import signal
import time
from typing import Any

import pytest

from app.state.clients import Master
from app.state.lifecycle import STATES
from app.state.requirements import class_id, requirement
from app.wire import attach as frames
from app.wire import roots
from app.wire.messages import ARGUMENT_LIMIT, JOBS, WORKERS, job_path
from tests.farm import until
from tests.ports import free_port
from tests.web.conftest import INPUT, Answer, Key, Site, ask, request, say, submission

NEEDS = requirement("ffmpeg", ["Movies"], {}, [])
ID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")
NUL = "\0"


# Submitting


async def test_a_submission_makes_a_job(site: Site) -> None:
    answer = site.ask("POST", JOBS, submission(lane="high", labels={"gpu": "yes"}))

    job = await site.jobs.get(answer.json["id"])
    assert answer.status == 201
    assert ID.fullmatch(answer.json["id"])
    assert answer.json["new"] is True
    assert answer.headers["location"] == job_path(answer.json["id"])
    assert answer.headers["content-type"] == "application/json"
    assert (job.state, job.lane, job.owner) == ("queued", "high", "client")
    assert job.spec["args"] == INPUT
    assert job.spec["labels"] == {"gpu": "yes"}


async def test_what_is_stored_is_sealed(site: Site) -> None:
    job_id = site.submit()

    sealed = await site.store.redis.hget(site.store.keys.job(job_id), "spec")

    assert site.seal.open(job_id, sealed)["args"] == INPUT


@pytest.mark.parametrize("web", [0, 1])
async def test_the_same_submission_again_is_the_same_job(site: Site, web: int) -> None:
    wanted = submission()

    first, again = (site.ask("POST", JOBS, wanted, web=which) for which in (0, web))

    assert (first.status, again.status) == (201, 200)
    assert again.json == {**first.json, "new": False}
    assert again.headers["location"] == first.headers["location"]
    assert await site.count() == 1


async def test_the_order_of_the_fields_does_not_matter(site: Site) -> None:
    wanted = submission(lane="low", view={"Movies": "/a", "TV": "/b"})
    turned = {**dict(reversed(wanted.items())), "view": {"TV": "/b", "Movies": "/a"}}

    assert [site.ask("POST", JOBS, body).status for body in (wanted, turned)] == [201, 200]


@pytest.mark.parametrize(
    "change",
    [
        {"args": [*INPUT, "-y"]},
        {"args": INPUT[:-1]},
        {"binary": "ffprobe"},
        {"lane": "low"},
        {"labels": {"gpu": "yes"}},
        {"view": {"Movies": "/elsewhere"}},
        {"cwd": [{"root": "Movies"}]},
        {"attach": True},
        {"in_place": True},
        {"max_attempts": 1},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_one_key_is_not_good_for_two_submissions(site: Site, change: dict[str, Any]) -> None:
    wanted = submission()
    site.ask("POST", JOBS, wanted)

    answer = site.ask("POST", JOBS, {**wanted, **change})

    assert answer.status == 409
    assert answer.type == "key-reused"
    assert wanted["key"] in answer.detail
    assert await site.count() == 1


async def test_two_clients_may_choose_the_same_key(site: Site) -> None:
    wanted = submission()
    other = await site.key("other")

    answers = [site.ask("POST", JOBS, wanted, key=key) for key in (site.client, other)]

    assert [answer.status for answer in answers] == [201, 201]
    assert answers[0].json["id"] != answers[1].json["id"]


async def test_the_answer_counts_the_workers_that_qualify(site: Site) -> None:
    await site.hire("w1")
    await site.hire("w2")
    await site.hire("w3", roots=["Music"])

    first = site.ask("POST", JOBS, submission())
    second = site.ask("POST", JOBS, submission())

    assert [answer.json["qualified"] for answer in (first, second)] == [2, 2]
    assert "warning" not in first.json


@pytest.mark.parametrize("order", ["drain", "pause"])
async def test_a_worker_that_takes_nothing_new_does_not_qualify(site: Site, order: str) -> None:
    await site.hire("w1")
    await getattr(site.store.workers, order)("w1")

    assert [site.ask("POST", JOBS, submission()).json["qualified"] for _ in range(2)] == [0, 0]


@pytest.mark.parametrize(
    ("about", "changes", "missing"),
    [
        (None, {}, "no worker is alive"),
        ({"roots": ["TV"]}, {}, "the root Movies"),
        ({"binaries": {"ffmpeg": "7.1"}}, {"binary": "ffprobe", "args": ["-version"]}, "the program ffprobe"),
        ({}, {"labels": {"gpu": "a100"}}, "the label gpu=a100"),
        (
            {"encoders": []},
            {"args": [*INPUT[:2], "-c:v", "libx265", "-f", "null", "-"]},
            "the encoder libx265",
        ),
    ],
    ids=["nobody", "a root", "a binary", "a label", "an encoder"],
)
async def test_the_warning_and_the_refusal_name_what_is_missing(
    site: Site, about: dict[str, Any] | None, changes: dict[str, Any], missing: str
) -> None:
    if about is not None:
        await site.hire("w1", **about)
        await site.hire("w2", **about)

    queued = site.ask("POST", JOBS, submission(**changes))
    wanted = submission(**changes, require_worker=True)
    refused = site.ask("POST", JOBS, wanted)

    assert queued.status == 201
    assert queued.json["qualified"] == 0
    assert missing in queued.json["warning"]
    assert refused.status == 503
    assert refused.type == "no-worker"
    assert missing in refused.detail
    assert int(refused.headers["retry-after"]) > 0
    assert await site.count() == 1


async def test_a_refused_submission_has_not_used_its_key_up(site: Site) -> None:
    wanted = submission(require_worker=True)
    refused = site.ask("POST", JOBS, wanted)
    await site.hire("w1")

    # The class is known by now: its workers say with a beat that they serve it.
    worker = site.store.leases("w1", (await site.store.workers.all())[0].boot)
    await worker.beat(0, [class_id(NEEDS)], {})
    taken = site.ask("POST", JOBS, wanted)

    assert (refused.status, taken.status) == (503, 201)
    assert taken.json["qualified"] == 1


async def test_a_job_that_was_made_is_the_answer_though_nobody_qualifies_any_more(site: Site) -> None:
    worker = await site.hire("w1")
    wanted = submission(require_worker=True)
    first = site.ask("POST", JOBS, wanted)
    await site.store.workers.retire("w1", worker.boot)

    again = site.ask("POST", JOBS, wanted)

    assert (first.status, again.status) == (201, 200)
    assert again.json["id"] == first.json["id"]


@pytest.mark.parametrize(
    "value", ["", "a\nb", "é\U0001f642", [{"b64": "/w=="}], ["a", {"b64": "/w=="}], "\x01"]
)
async def test_any_argument_a_kernel_takes_is_taken(site: Site, value: Any) -> None:
    args = ["-metadata", value, *INPUT]

    job_id = site.submit(args=args)

    assert (await site.jobs.get(job_id)).spec["args"] == args


@pytest.mark.parametrize(
    "args", [[], ["-y"] * 4096, ["-metadata", "x" * ARGUMENT_LIMIT]], ids=["none", "many", "long"]
)
async def test_as_much_is_taken_as_the_limits_say(site: Site, args: list[str]) -> None:
    job_id = site.submit(args=args)

    assert (await site.jobs.get(job_id)).spec["args"] == args


OUTSIDE: list[dict[str, Any]] = [
    {"args": ["-i", "/etc/passwd", "-f", "null", "-"]},
    {"args": ["-i", "a.mkv", "-f", "null", "-"]},
    {"args": ["-i", "../a.mkv", "-f", "null", "-"], "cwd": [{"root": "Movies"}]},
    {"args": ["-i", "a.mkv", "-f", "null", "-"], "cwd": "/etc"},
    {"args": ["-i", [{"root": "Movies"}, "/../a.mkv"], "-f", "null", "-"]},
    {"args": [*INPUT[:2], "-y", "/tmp/out.mkv"]},
    {"args": ["-i", "file:/etc/passwd", "-f", "null", "-"]},
]


@pytest.mark.parametrize("changes", OUTSIDE, ids=lambda changes: str(changes["args"])[:40])
async def test_a_command_that_names_files_outside_every_root_is_refused(
    site: Site, changes: dict[str, Any]
) -> None:
    answer = site.ask("POST", JOBS, submission(**changes))

    assert answer.status == 422
    assert answer.type == "outside-roots"
    assert await site.count() == 0


# What it does not take, and a word that its answer has to hold.
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown binary": ({"binary": "rm"}, "binary"),
    "a path as the binary": ({"binary": "/usr/bin/ffmpeg"}, "binary"),
    "no binary": ({"binary": None}, "binary"),
    "an unknown lane": ({"lane": "express"}, "lane"),
    "an unknown field": ({"colour": 5}, "colour"),
    "a short key": ({"key": "short"}, "key"),
    "a long key": ({"key": "k" * 65}, "key"),
    "a key with a blank": ({"key": "blank in it"}, "key"),
    "a key with a line's end": ({"key": "abcdefgh\n"}, "key"),
    "args that are a text": ({"args": "-version"}, "args"),
    "an argument that is a number": ({"args": ["-t", 5]}, "args[1]"),
    "too many args": ({"args": ["-y"] * 4097}, "args"),
    "too long an argument": ({"args": ["-y", "x" * (ARGUMENT_LIMIT + 1)]}, "args[1]"),
    "too long an argument in pieces": ({"args": [["x" * 100_000, "y" * 100_000]]}, "args[0]"),
    "arguments too long together": ({"args": ["x" * 100_000] * 3}, "args"),
    "a NUL": ({"args": ["-i", "a" + NUL]}, "args[1]"),
    "a NUL in a piece": ({"args": ["-i", [{"root": "Movies"}, f"/{NUL}a"]]}, "args[1]"),
    "a NUL in bytes": ({"args": ["-i", [{"root": "Movies"}, {"b64": "L2EAYg=="}]]}, "args[1]"),
    "a NUL in the directory": ({"cwd": f"/{NUL}"}, "cwd"),
    "a NUL in a piece of the directory": ({"cwd": [{"root": "Movies"}, f"/{NUL}"]}, "cwd"),
    "bad base64": ({"args": ["-i", [{"b64": "%%%"}]]}, "args[1]"),
    "base64 without padding": ({"args": ["-i", [{"b64": "YQ"}]]}, "args[1]"),
    "base64 that is not ASCII": ({"args": ["-i", [{"b64": "Y\xe9=="}]]}, "args[1]"),
    "a piece with both": ({"args": [[{"root": "Movies", "b64": "YQ=="}]]}, "args[0]"),
    "a piece with neither": ({"args": [[{}]]}, "args[0]"),
    "a piece with more": ({"args": [[{"root": "Movies", "text": "x"}]]}, "text"),
    "a root with a slash": ({"args": [[{"root": "Mov/ies"}]]}, "root"),
    "a root without a name": ({"args": [[{"root": ""}]]}, "root"),
    "a root with a line's end": ({"args": [[{"root": "Movies\n"}]]}, "root"),
    "bad base64 in the directory": ({"cwd": [{"b64": "!"}]}, "cwd"),
    "a view of no root": ({"view": {"../etc": "/"}}, "view"),
    "a view that is no path": ({"view": {"Movies": 5}}, "view"),
    "a label without a value": ({"labels": {"gpu": ""}}, "labels"),
    "a long label": ({"labels": {"g" * 65: "yes"}}, "labels"),
    "seventeen labels": ({"labels": {f"l{number}": "x" for number in range(17)}}, "labels"),
    "attach that is a text": ({"attach": "yes"}, "attach"),
    "no attempts": ({"max_attempts": 0}, "max_attempts"),
    "eleven attempts": ({"max_attempts": 11}, "max_attempts"),
    "half an attempt": ({"max_attempts": 1.5}, "max_attempts"),
}


@pytest.mark.parametrize("name", WRONG)
async def test_what_is_wrong_is_refused_by_its_name(site: Site, name: str) -> None:
    changes, word = WRONG[name]

    answer = site.ask("POST", JOBS, {**submission(), **changes})

    assert answer.status == 422, answer
    assert answer.type == "invalid"
    assert word in answer.detail
    assert await site.count() == 0


@pytest.mark.parametrize("name", ["key", "binary", "args"])
async def test_what_is_missing_is_named(site: Site, name: str) -> None:
    wanted = submission()
    del wanted[name]

    answer = site.ask("POST", JOBS, wanted)

    assert answer.status == 422
    assert name in answer.detail


@pytest.mark.parametrize(
    "body", [b"", b"{", b"ffmpeg -version", b"\xff\xfe", b'{"key": "\xff"}', b"{'a': 1}", b"\0"]
)
async def test_a_body_that_is_not_json_is_malformed(site: Site, body: bytes) -> None:
    answer = site.ask("POST", JOBS, body)

    assert answer.status == 400
    assert answer.type == "malformed"


@pytest.mark.parametrize(
    "body",
    [
        b"null",
        b"[]",
        b"{}{}",
        b'{"a": NaN}',
        b'"ffmpeg"',
        b"[" * 100_000,
        b'{"args":' + b"[" * 100_000,
        b'{"labels":' + b'{"a":' * 50_000,
        b'{"key":"aaaaaaaa","binary":"ffmpeg","args":["\\ud800"]}',
        b'{"key":"aaaaaaaa","binary":"ffmpeg","args":[],"max_attempts":1e400}',
        b'{"key":"aaaaaaaa","binary":"ffmpeg","args":[],"max_attempts":' + b"9" * 5000 + b"}",
        b'{"key":"aaaaaaaa","key":"bbbbbbbb","binary":"ffmpeg"}',
    ],
    ids=lambda body: body[:40].decode(),
)
async def test_strange_json_is_refused(site: Site, body: bytes) -> None:
    answer = site.ask("POST", JOBS, body)

    assert answer.status in (400, 422)
    assert answer.type in ("malformed", "invalid")
    assert await site.count() == 0


# Looking


async def test_a_job_is_shown_whole(site: Site) -> None:
    wanted = submission(args=["-i", [{"root": "Movies"}, "/a b.mkv"], "-f", "null", "-"])
    job_id = site.ask("POST", JOBS, wanted).json["id"]

    shown = site.ask("GET", job_path(job_id))

    assert shown.status == 200
    assert shown.json["command"] == "ffmpeg -i '{Movies}/a b.mkv' -f null -"
    assert shown.json["state"] == "queued"
    assert shown.json["owner"] == "client"
    assert abs(shown.json["created"] - time.time()) < 60
    nothing_yet = ("started", "finished", "worker", "exit", "signal", "retry_of", "progress")
    assert {name: shown.json[name] for name in nothing_yet} == dict.fromkeys(nothing_yet)


async def test_a_job_that_has_ended_says_how(site: Site) -> None:
    job_id = site.submit()
    await site.end(job_id, "fail", 187)

    shown = site.ask("GET", job_path(job_id), web=1).json

    assert (shown["state"], shown["exit"], shown["attempt"]) == ("failed", 187, 1)
    assert shown["created"] <= shown["started"] <= shown["finished"]


@pytest.mark.parametrize("job_id", ["0" * 26, "x", "0" * 25, "0" * 27, "01M7ZSCJGFM87A34V23JR094Q*"])
async def test_a_job_that_is_not_there_is_not_found(site: Site, job_id: str) -> None:
    answer = site.ask("GET", job_path(job_id))

    assert answer.status in (400, 404)
    assert answer.type in ("no-such-job", "malformed")


def pages(site: Site, query: str = "", limit: int = 7) -> list[str]:
    """The ids of all jobs, page by page, as the coordinators give them in turns."""
    found: list[str] = []
    before, web = "", 0
    while True:
        cursor = f"&before={before}" if before else ""
        answer = site.ask("GET", f"{JOBS}?limit={limit}{cursor}{query}", web=web % 2)
        assert answer.status == 200, answer
        assert len(answer.json["jobs"]) <= limit
        found += [one["id"] for one in answer.json["jobs"]]
        before, web = answer.json["next"], web + 1
        if not before:
            return found


@pytest.mark.parametrize("count", [0, 1, 6, 7, 8, 14, 23])
async def test_pages_hold_every_job_once_the_newest_first(site: Site, count: int) -> None:
    made = [site.submit() for _ in range(count)]

    assert sorted(pages(site)) == sorted(made)
    created = [(await site.jobs.get(job_id)).created for job_id in pages(site)]
    assert created == sorted(created, reverse=True)


@pytest.mark.parametrize("query", ["", "&state=queued"])
async def test_new_jobs_do_not_disturb_a_page(site: Site, query: str) -> None:
    made, seen, before = [site.submit() for _ in range(20)], list[str](), ""
    while True:
        cursor = f"&before={before}" if before else ""
        answer = site.ask("GET", f"{JOBS}?limit=3{cursor}{query}").json
        seen += [one["id"] for one in answer["jobs"]]
        before = answer["next"]
        if not before:
            break
        site.submit()

    assert sorted(seen) == sorted(made)


@pytest.mark.parametrize("query", ["", "&state=queued"])
async def test_jobs_of_one_millisecond_are_all_listed(site: Site, query: str) -> None:
    made = [site.submit() for _ in range(100)]  # the reaper moves as many in one script, at one time
    index = site.store.keys.made_in("queued") if query else site.store.keys.jobs
    await site.store.redis.zadd(index, dict.fromkeys(made, 1_795_289_401_872))

    assert sorted(pages_of_all(site, query, limit=10)) == sorted(made)


def pages_of_all(site: Site, query: str = "", limit: int = 7) -> list[str]:
    """The same as an admin sees it."""
    return pages(Site(site.farm, site.store, site.master, client=site.admin), query, limit)


@pytest.mark.parametrize("state", STATES)
async def test_a_list_of_one_state_holds_no_other(site: Site, state: str) -> None:
    made: dict[str, list[str]] = {one: [] for one in STATES}
    worker = await site.hire("w1")
    for _ in range(3):
        for event, ending in (("succeed", "done"), ("fail", "failed"), ("cancel", "cancelled")):
            job_id = site.submit()
            await worker.finish(await site.take(worker, job_id), event, {})
            made[ending].append(job_id)
        job_id = site.submit()
        await site.take(worker, job_id)
        made["running"].append(job_id)
    made["queued"] = [site.submit() for _ in range(3)]

    assert sorted(pages(site, f"&state={state}", limit=2)) == sorted(made[state])
    assert sorted(pages_of_all(site, f"&state={state}", limit=2)) == sorted(made[state])


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("state=sleeping", "state"),
        ("state=QUEUED", "state"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=-1", "limit"),
        ("limit=", "limit"),
        ("limit=five", "limit"),
        ("limit=1.5", "limit"),
        ("limit=1_0", "limit"),
        ("limit=%C2%B2", "limit"),
        ("limit=" + "9" * 400, "limit"),
        ("before=x", "before"),
        ("before=5", "before"),
        ("before=5-", "before"),
        ("before=-5", "before"),
        ("before=%C2%B2-A", "before"),
        ("before=1-" + "A" * 80, "before"),
    ],
)
async def test_a_question_that_makes_no_sense_is_refused_by_its_name(
    site: Site, query: str, word: str
) -> None:
    answer = site.ask("GET", f"{JOBS}?{query}")

    assert answer.status == 422
    assert word in answer.detail


async def test_a_list_has_fifty_jobs_unless_told(site: Site) -> None:
    for _ in range(51):
        site.submit()

    assert len(site.ask("GET", JOBS).json["jobs"]) == 50
    assert len(site.ask("GET", JOBS + "?limit=200").json["jobs"]) == 51


# Ending


async def test_a_queued_job_is_cancelled_at_once(site: Site) -> None:
    job_id = site.submit()

    answer = site.ask("POST", job_path(job_id, "cancel"), web=1)

    job = await site.jobs.get(job_id)
    assert answer.status == 200
    assert answer.json == {"id": job_id, "state": "cancelled"}
    assert (job.state, job.reason) == ("cancelled", "cancelled by client")


async def test_the_worker_of_a_running_job_is_told(site: Site) -> None:
    job_id, worker = site.submit(), await site.hire("w1")
    lease = await site.take(worker, job_id)

    answer = site.ask("POST", job_path(job_id, "cancel"))

    beat = await worker.beat(1, [], {job_id: lease.token})
    assert answer.status == 202
    assert answer.json == {"id": job_id, "state": "cancelling"}
    assert beat.cancelled == {job_id: "cancel"}
    assert site.ask("GET", job_path(job_id)).json["cancelling"] is True


async def test_asking_twice_to_cancel_a_running_job_is_harmless(site: Site) -> None:
    job_id, worker = site.submit(), await site.hire("w1")
    await site.take(worker, job_id)

    assert [site.ask("POST", job_path(job_id, "cancel")).status for _ in range(2)] == [202, 202]


@pytest.mark.parametrize(
    ("event", "state"), [("succeed", "done"), ("fail", "failed"), ("cancel", "cancelled")]
)
async def test_a_job_that_has_ended_cannot_be_cancelled(site: Site, event: str, state: str) -> None:
    job_id = site.submit()
    await site.end(job_id, event)

    answer = site.ask("POST", job_path(job_id, "cancel"))

    assert answer.status == 409
    assert answer.type == "ended"
    assert state in answer.detail


@pytest.mark.parametrize("what", ["cancel", "retry", "log"])
async def test_nothing_can_be_done_to_a_job_that_is_not_there(site: Site, what: str) -> None:
    method = "GET" if what == "log" else "POST"

    answer = site.ask(method, job_path("0" * 26, what), {"key": "k" * 16} if what == "retry" else b"")

    assert answer.status == 404
    assert answer.type == "no-such-job"


@pytest.mark.parametrize("event", ["succeed", "fail", "cancel"])
async def test_an_ended_job_is_run_again_as_a_new_one(site: Site, event: str) -> None:
    old = site.submit(lane="high", labels={"gpu": "yes"}, attach=True, max_attempts=2, view={"Movies": "/m"})
    await site.end(old, event)

    answer = site.ask("POST", job_path(old, "retry"), {"key": "again-" + "1" * 8})

    new = await site.jobs.get(answer.json["id"])
    assert answer.status == 201
    assert answer.headers["location"] == job_path(new.id)
    assert site.ask("GET", job_path(new.id)).json["retry_of"] == old
    assert (new.state, new.lane, new.owner) == ("queued", "high", "client")
    assert new.spec["args"] == INPUT
    assert new.spec["labels"] == {"gpu": "yes"}
    assert new.spec["attach"] is False  # its caller has gone
    assert site.ask("GET", job_path(old)).json["state"] != "queued"


async def test_running_it_again_twice_with_one_key_makes_one_job(site: Site) -> None:
    old = site.submit()
    await site.end(old)

    answers = [site.ask("POST", job_path(old, "retry"), {"key": "k" * 16}, web=web) for web in (0, 1)]

    assert [answer.status for answer in answers] == [201, 200]
    assert answers[0].json["id"] == answers[1].json["id"]


@pytest.mark.parametrize("state", ["queued", "running"])
async def test_a_job_that_has_not_ended_is_not_run_again(site: Site, state: str) -> None:
    job_id = site.submit()
    if state == "running":
        await site.take(await site.hire("w1"), job_id)

    answer = site.ask("POST", job_path(job_id, "retry"), {"key": "k" * 16})

    assert answer.status == 409
    assert answer.type == "not-ended"
    assert state in answer.detail
    assert await site.count() == 1


@pytest.mark.parametrize(
    ("body", "status"), [(b"", 400), ({}, 422), ({"key": "short"}, 422), ({"key": "k" * 9, "a": 1}, 422)]
)
async def test_running_again_needs_a_key(site: Site, body: Any, status: int) -> None:
    old = site.submit()
    await site.end(old)

    assert site.ask("POST", job_path(old, "retry"), body).status == status
    assert await site.count() == 1


async def test_who_writes_to_redis_cannot_have_a_forged_command_sealed(site: Site) -> None:
    job_id = site.submit()
    await site.end(job_id)
    key = site.store.keys.job(job_id)
    sealed = await site.store.redis.hget(key, "spec")
    await site.store.redis.hset(key, "spec", sealed.replace(b"/a.mkv", b"/b.mkv"))

    answer = site.ask("POST", job_path(job_id, "retry"), {"key": "k" * 16})

    assert 400 <= answer.status < 500, answer
    assert await site.count() == 1


# The log


def lines(answer: Answer) -> list[dict[str, Any]]:
    """The lines of a log."""
    assert answer.status == 200, answer
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.body.splitlines()]


async def test_a_log_holds_what_was_printed_and_how_it_stands(site: Site) -> None:
    job_id = site.submit()
    await site.store.output.log(
        job_id, 1, 1, [(frames.STDERR, b"one\n"), (frames.STDOUT, b"\xff\0"), (b"N", b"note")]
    )

    *printed, last = lines(site.ask("GET", job_path(job_id, "log")))

    assert [(line["kind"], line.get("data"), line.get("b64")) for line in printed] == [
        ("stderr", "one\n", None),
        ("stdout", None, "/wA="),
        ("note", "note", None),
    ]
    assert {line["attempt"] for line in printed} == {1}
    assert last == {"kind": "end", "state": "queued", "exit": None, "signal": None}


async def test_a_bounded_log_says_how_much_of_it_is_gone(site: Site) -> None:
    job_id = site.submit()
    for serial in (1, 2, 7):
        await site.store.output.log(job_id, 1, serial, [(frames.STDERR, b"%d\n" % serial)])
    await site.store.output.log(job_id, 2, 1, [(frames.STDERR, b"again\n")])

    *printed, _ = lines(site.ask("GET", job_path(job_id, "log")))

    assert [line["kind"] for line in printed] == ["stderr", "stderr", "gap", "stderr", "stderr"]
    assert printed[2]["missing"] == 4


async def test_a_log_of_nothing_is_its_end(site: Site) -> None:
    assert [line["kind"] for line in lines(site.ask("GET", job_path(site.submit(), "log")))] == ["end"]


async def test_a_long_log_is_told_whole_and_in_order(site: Site) -> None:
    job_id = site.submit()
    await site.store.output.log(job_id, 1, 1, [(frames.STDERR, b"%d\n" % number) for number in range(1234)])

    *printed, _ = lines(site.ask("GET", job_path(job_id, "log")))

    assert [int(line["data"]) for line in printed] == list(range(1234))


async def test_a_log_goes_on_where_somebody_has_stopped_reading(site: Site) -> None:
    job_id = site.submit()
    await site.store.output.log(job_id, 1, 1, [(frames.STDERR, b"%d\n" % number) for number in range(10)])
    *printed, _ = lines(site.ask("GET", job_path(job_id, "log")))

    *rest, _ = lines(site.ask("GET", f"{job_path(job_id, 'log')}?after={printed[3]['id']}", web=1))

    assert rest == printed[4:]


async def test_a_followed_log_of_an_ended_job_ends(site: Site) -> None:
    job_id = site.submit()
    await site.store.output.log(job_id, 1, 1, [(frames.STDERR, b"bye\n")])
    await site.end(job_id, "fail", 3)

    *printed, last = lines(site.ask("GET", job_path(job_id, "log") + "?follow=1"))

    assert [line["data"] for line in printed] == ["bye\n"]
    assert last == {"kind": "end", "state": "failed", "exit": 3, "signal": None}


async def test_a_followed_log_grows_and_ends_with_its_job(site: Site) -> None:
    job_id, worker = site.submit(), await site.hire("w1")
    lease = await site.take(worker, job_id)
    following = asyncio.create_task(asyncio.to_thread(site.ask, "GET", job_path(job_id, "log") + "?follow=1"))
    for number in range(5):
        await site.store.output.log(job_id, 1, 1, [(frames.STDERR, b"%d\n" % number)])
        await asyncio.sleep(0.02)
    await worker.finish(lease, "succeed", {"exit": 0})

    *printed, last = lines(await asyncio.wait_for(following, 10))

    assert [line["data"] for line in printed] == [f"{number}\n" for number in range(5)]
    assert last == {"kind": "end", "state": "done", "exit": 0, "signal": None}


@pytest.mark.parametrize(
    "after", ["x", "-", "5-abc", "%C2%B2-0", "5-%C2%B2", "9" * 30 + "-0", "-1-0", "0-" + "9" * 60]
)
async def test_a_place_that_no_log_has_is_refused(site: Site, after: str) -> None:
    answer = site.ask("GET", f"{job_path(site.submit(), 'log')}?after={after}")

    assert answer.status == 422
    assert "after" in answer.detail


# Workers


async def test_workers_are_shown_with_what_they_can_do(site: Site) -> None:
    await site.hire("w2", labels={"gpu": "yes"})
    await site.hire("w1", roots=["TV"])

    shown = site.ask("GET", WORKERS).json["workers"]

    assert [one["id"] for one in shown] == ["w1", "w2"]
    assert shown[0]["roots"] == ["TV"]
    assert shown[1]["labels"] == {"gpu": "yes"}
    assert {one["state"] for one in shown} == {"online"}
    assert all(one["silent"] < 5 for one in shown)
    assert "boot" not in shown[0]


async def test_a_worker_is_shown_with_what_it_has_ended(site: Site) -> None:
    worker = await site.hire("w1")
    for event in ("succeed", "fail", "fail"):
        await worker.finish(await site.take(worker, site.submit()), event, {"exit": 0})

    (shown,) = site.ask("GET", WORKERS).json["workers"]

    assert (shown["done_24h"], shown["failed_24h"]) == (1, 2)


async def test_a_worker_that_is_busy_draining_or_gone_says_so(site: Site) -> None:
    busy = await site.hire("busy")
    await busy.beat(2, [], {})
    await site.hire("draining")
    await site.hire("paused")
    await site.hire("gone")
    await site.store.redis.zadd(site.store.keys.workers, {"gone": 1})

    site.ask("POST", f"{WORKERS}/draining/drain", key=site.admin)
    site.ask("POST", f"{WORKERS}/paused/pause", key=site.admin)

    shown = {one["id"]: one["state"] for one in site.ask("GET", WORKERS, web=1).json["workers"]}
    assert shown == {"busy": "busy", "draining": "draining", "paused": "paused", "gone": "offline"}


async def test_an_admin_drains_a_worker(site: Site) -> None:
    worker = await site.hire("w1")

    answer = site.ask("POST", f"{WORKERS}/w1/drain", key=site.admin)

    assert answer.status == 202
    assert answer.json == {"id": "w1", "state": "draining"}
    assert (await worker.beat(0, [], {})).order == "drain"


async def test_an_admin_pauses_a_worker_and_resumes_it(site: Site) -> None:
    worker = await site.hire("w1")

    answer = site.ask("POST", f"{WORKERS}/w1/pause", key=site.admin)
    assert (answer.status, answer.json) == (202, {"id": "w1", "state": "paused"})
    assert (await worker.beat(0, [], {})).order == "pause"

    answer = site.ask("POST", f"{WORKERS}/w1/resume", key=site.admin, web=1)
    assert (answer.status, answer.json) == (202, {"id": "w1", "state": "online"})
    assert (await worker.beat(0, [], {})).order == ""


async def test_what_a_key_has_done_stands_in_the_record_of_who_did_what(site: Site) -> None:
    await site.hire("w1")
    job_id = site.submit()
    site.ask("POST", job_path(job_id, "pause"))  # it does not run
    site.ask("POST", job_path(job_id, "cancel"))
    site.ask("POST", job_path(job_id, "cancel"))  # it has ended
    site.ask("POST", job_path(job_id, "retry"), b'{"key": "once-more"}', key=site.admin)
    site.ask("POST", f"{WORKERS}/w1/pause", key=site.admin)
    site.ask("POST", f"{WORKERS}/w1/pause")  # a client may not

    deeds = [(one.who, one.did, one.what) for one in await site.store.activity.newest(9)]

    assert deeds == [
        (f"key {site.admin.id}", "paused worker", "w1"),
        (f"key {site.admin.id}", "retried", job_id),
        (f"key {site.client.id}", "cancelled", job_id),
    ]


@pytest.mark.parametrize("what", ["drain", "pause", "resume"])
@pytest.mark.parametrize("worker_id", ["w9", "x" * 300])
async def test_a_worker_that_is_not_there_cannot_be_told_anything(
    site: Site, worker_id: str, what: str
) -> None:
    answer = site.ask("POST", f"{WORKERS}/{worker_id}/{what}", key=site.admin)

    assert answer.status == 404
    assert answer.type == "no-such-worker"


# Paths and methods


@pytest.mark.parametrize(
    "path", ["/v1", "/v1/nothing", "/v2/jobs", "/v1/jobs/x/y/z", "/v1/workers/w1", "/nowhere"]
)
async def test_a_path_that_nobody_has_is_a_problem(site: Site, path: str) -> None:
    answers = [say(site.port(), request("GET", path, [])), site.ask("GET", path)]

    assert [(answer.status, answer.type) for answer in answers] == [(404, "not-found")] * 2


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", JOBS),
        ("PUT", JOBS),
        ("POST", job_path("0" * 26)),
        ("GET", job_path("0" * 26, "cancel")),
        ("POST", WORKERS),
    ],
)
async def test_a_method_that_a_path_has_not_is_a_problem(site: Site, method: str, path: str) -> None:
    answer = say(site.port(), request(method, path, []))

    assert answer.status == 405
    assert answer.type == "method-not-allowed"
    assert answer.headers["allow"]


async def test_what_a_path_allows_is_told_whole(site: Site) -> None:
    answer = say(site.port(), request("DELETE", JOBS, []))

    assert {"GET", "POST"} <= set(answer.headers["allow"].split(", "))


async def test_no_answer_tells_what_serves_it(site: Site) -> None:
    answers = [
        site.ask("GET", JOBS),
        site.ask("GET", "/nowhere"),
        say(site.port(), request("GET", "/livez", [])),
    ]

    assert [answer.headers for answer in answers if "server" in answer.headers] == []


async def test_hostile_questions_get_no_five_hundred(site: Site) -> None:
    chance = random.Random(7)
    job_id = site.submit(attach=True)
    paths = [
        JOBS,
        WORKERS,
        job_path(job_id),
        job_path(job_id, "log"),
        job_path(job_id, "attach"),
        job_path("0" * 26),
    ]
    names = ["limit", "state", "before", "after", "follow"]
    values = [
        "",
        "0",
        "-1",
        "1e9",
        "%00",
        "%FF",
        "%C2%B2",
        "%D9%A3",
        "5-5",
        "0-0",
        "9" * 25,
        "+",
        "a-b",
        "inf-A",
        "nan-A",
    ]
    wrong = []
    for number in range(200):
        query = "&".join(
            f"{chance.choice(names)}={chance.choice(values)}" for _ in range(chance.randint(1, 3))
        )
        target = f"{chance.choice(paths)}?{query}".replace("follow=1", "follow=0")
        answer = site.ask("GET", target, web=number % 2)
        if answer.status >= 500 or not answer.status:
            wrong.append((target, answer.status))

    assert wrong == []


# Health, and the queue away


async def test_health_needs_no_signature(site: Site) -> None:
    live, ready = (say(site.port(), request("GET", path, [])) for path in ("/livez", "/readyz"))

    assert (live.status, live.body) == (200, b"ok\n")
    assert (ready.status, ready.json) == (200, {"status": "ready"})


def every_operation(site: Site, job_id: str) -> dict[str, Answer]:
    """An answer of each kind."""
    key = {"key": "k" * 16}
    return {
        "submit": site.ask("POST", JOBS, submission()),
        "list": site.ask("GET", JOBS, web=1),
        "show": site.ask("GET", job_path(job_id)),
        "log": site.ask("GET", job_path(job_id, "log")),
        "cancel": site.ask("POST", job_path(job_id, "cancel")),
        "retry": site.ask("POST", job_path(job_id, "retry"), key),
        "workers": site.ask("GET", WORKERS, web=1),
        "drain": site.ask("POST", f"{WORKERS}/w1/drain", key=site.admin),
        "ready": say(site.port(), request("GET", "/readyz", [])),
    }


async def test_without_its_queue_every_operation_says_so_and_it_comes_back_by_itself(own_site: Site) -> None:
    site = own_site
    job_id = site.submit()
    assert site.farm.redis

    site.farm.redis.kill()
    answers = every_operation(site, job_id)
    live = say(site.port(), request("GET", "/livez", []))

    assert {name: answer.status for name, answer in answers.items()} == dict.fromkeys(answers, 503)
    assert {answer.type for answer in answers.values()} == {"queue-unreachable"}
    assert [name for name, answer in answers.items() if int(answer.headers["retry-after"]) < 1] == []
    assert (live.status, live.body) == (200, b"ok\n")

    site.farm.restart_redis()
    await site.store.redis.flushall()  # it has lost everything: the keys are made again
    for name, role in (("client", "client"), ("admin", "admin")):
        await site.store.clients.add(name, role)
    for web in (0, 1):
        until(lambda web=web: site.ask("POST", JOBS, submission(), web=web).status == 201)  # type: ignore[misc]
    assert say(site.port(), request("GET", "/readyz", [])).status == 200


async def test_a_queue_that_hangs_is_noticed_before_a_caller_gives_up(own_site: Site) -> None:
    site = own_site
    job_id = site.submit()
    assert site.farm.redis

    site.farm.redis.signal(signal.SIGSTOP)
    began = time.monotonic()
    try:
        shown = ask(site.port(), site.client, "GET", job_path(job_id), within=12)
        took = time.monotonic() - began
        live = say(site.port(), request("GET", "/livez", []))
    finally:
        site.farm.redis.signal(signal.SIGCONT)

    assert shown.status == 503
    assert shown.type == "queue-unreachable"
    assert int(shown.headers["retry-after"]) > 0
    assert live.status == 200
    assert took < 10  # the shim's patience
    until(lambda: site.ask("GET", job_path(job_id)).status == 200)


async def test_a_full_queue_takes_nothing_new_and_lets_everything_end(own_site: Site) -> None:
    site = own_site
    job_id, queued, worker = site.submit(), site.submit(), await site.hire("w1")
    lease = await site.take(worker, job_id)
    await site.store.redis.config_set("maxmemory", "1mb")
    refused = site.ask("POST", JOBS, submission())

    assert (refused.status, refused.type) == (503, "queue-full")
    assert int(refused.headers["retry-after"]) > 0
    assert site.ask("POST", job_path(queued, "cancel")).status == 200
    assert site.ask("GET", JOBS).status == 200
    await worker.finish(lease, "succeed", {"exit": 0})

    await site.store.redis.config_set("maxmemory", "0")
    assert site.ask("POST", JOBS, submission()).status == 201
    assert (await site.jobs.get(job_id)).state == "done"


# Other ways to listen


async def test_a_coordinator_on_both_families_knows_a_callers_network(own_site: Site) -> None:
    site, port = own_site, free_port()
    master = str(site.farm.folder / "master")
    flags = ["--host", "::", "--port", str(port), "--redis-url", site.farm.redis_url, "--master-file", master]
    site.farm.begin("web", *flags)
    key = await site.key("near", networks=("127.0.0.0/8",))

    until(lambda: listens(port))

    assert ask(port, key, "GET", JOBS).status == 200


def listens(port: int) -> bool:
    """Whether a coordinator answers there."""
    try:
        return say(port, request("GET", "/livez", [])).status == 200
    except OSError:
        return False


async def test_two_installations_on_one_redis_do_not_believe_each_other(site: Site) -> None:
    stranger = Master(b"x" * 32)

    answer = site.ask("GET", JOBS, key=Key("client", stranger.secret("client", "client", 1)))

    assert answer.status == 401


async def test_folded_arguments_come_back_as_they_were(site: Site) -> None:
    view = {"Movies": "/media/it's [x]", "TV": "/media/it's [x]/tv"}
    args = ["-i", "/media/it's [x]/a\udcff.mkv", "-map", "", "-y", "file:/media/it's [x]/tv/b.mkv"]
    folded = [roots.fold(argument, view) for argument in args]

    job_id = site.submit(args=folded, view=view)

    spec = (await site.jobs.get(job_id)).spec
    assert [roots.unfold(argument, spec["view"]) for argument in spec["args"]] == args
