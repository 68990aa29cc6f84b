"""/submit: what is filled in becomes a job, once, or words beside the fields."""

from __future__ import annotations

import html
import json
import re
from typing import Any

import pytest

from app.web.dashboard.submit import submission
from tests.web import test_jobpage
from tests.web.test_jobpage import MOVIES, Site, field, text

LINE = "ffmpeg -i {Movies}/a.mkv -c:v mpeg4 {Movies}/b.mkv"


site = test_jobpage.site  # the same two people and their store


async def send(site: Site, **fields: str) -> str:
    """The id of the job that the form has made."""
    answer = await site.operator.post("/submit", **{"command": LINE, "key": "0123456789abcdef", **fields})
    assert answer.status == 303, text(answer.text)
    return answer.headers["location"].removeprefix("/jobs/")


async def wrong(site: Site, **fields: str) -> tuple[str, str]:
    """The field that a form is sent back for, and what stands beside it."""
    answer = await site.operator.post("/submit", **{"command": LINE, **fields})
    assert answer.status == 422
    ((name, said),) = re.findall(r'id="wrong-(\w+)">([^<]+)<', answer.text)
    return name, html.unescape(said)


async def test_what_is_filled_in_becomes_a_job(site: Site):
    form = (await site.operator.get("/submit")).text
    job_id = await send(
        site,
        key=field(form, "key"),
        lane="low",
        labels="gpu=nvidia, site=attic",
        cwd="{Movies}/new",
        retries="2",
        retry_delay="1.5",
        max_seconds="",
        stall_seconds="0",
        in_place="on",
    )
    job = await site.jobs.get(job_id)

    assert (job.owner, job.lane, job.state) == ("user:operator", "low", "queued")
    assert job.spec["args"] == ["-i", [MOVIES, "/a.mkv"], "-c:v", "mpeg4", [MOVIES, "/b.mkv"]]
    assert job.spec["view"] == {"Movies": "/ffgrid/Movies"}
    assert job.spec["cwd"] == [MOVIES, "/new"]
    assert job.spec["labels"] == {"gpu": "nvidia", "site": "attic"}
    numbers = {name: job.spec[name] for name in submission.NUMBERS}
    assert numbers == {"retries": 2, "retry_delay": 1.5, "max_seconds": 0, "stall_seconds": 0}
    assert (job.spec["in_place"], job.spec["attach"]) == (True, False)
    (deed,) = await site.store.activity.newest(5)
    assert (deed.who, deed.did, deed.what) == ("user operator", "submitted", job_id)


async def test_a_double_click_is_one_job_and_another_command_another(site: Site):
    first, again, other = [await send(site, command=one) for one in (LINE, LINE, LINE + " -y")]

    assert first == again
    assert other != first
    assert await send(site, key="fedcba9876543210") not in (first, other)
    assert len(await site.store.activity.newest(9)) == 3


@pytest.mark.parametrize(
    ("fields", "name", "said"),
    [
        ({"command": ""}, "command", "No command yet"),
        ({"command": "rm -rf /"}, "command", "'rm' cannot be run"),
        ({"command": "ffmpeg -i 'a"}, "command", "quotation mark"),
        ({"command": "ffmpeg -i /etc/passwd -f null -"}, "command", "'/etc/passwd' lies outside every root."),
        ({"command": "ffmpeg -i {Movies}/../x -f null -"}, "command", "lies outside every root."),
        ({"command": "ffmpeg -i b.mkv -f null -"}, "command", "'b.mkv' lies outside every root."),
        ({"command": "ffmpeg -i - {Movies}/b.mkv"}, "command", "standard input, which submit does not send"),
        ({"command": "ffmpeg -i {Movies}/a -f mpegts -"}, "command", "too short for media"),
        ({"command": "ffmpeg " + "a " * 5000}, "command", "4096"),
        ({"cwd": "/etc"}, "cwd", "The directory lies outside every root."),
        ({"lane": "fast"}, "lane", "Expected one of live, high, normal, low."),
        ({"labels": "gpu"}, "labels", "Expected name=value, got 'gpu'."),
        ({"labels": "a=" + "b" * 65}, "labels", "length"),
        ({"retries": "eleven"}, "retries", "Expected a number, got 'eleven'."),
        ({"retries": "11"}, "retries", "<= 10"),
        ({"retries": "1.5"}, "retries", "`int`"),
        ({"retry_delay": "nan"}, "retry_delay", "Expected a number"),
        ({"retry_delay": "inf"}, "retry_delay", "Expected a number"),
        ({"max_seconds": "-1"}, "max_seconds", ">= 0"),
        ({"stall_seconds": "1e6"}, "stall_seconds", "<= 86400"),
    ],
)
async def test_what_is_wrong_stands_beside_its_field(
    site: Site, fields: dict[str, str], name: str, said: str
):
    found = await wrong(site, **fields)

    assert found[0] == name
    assert said in found[1]
    assert await site.store.redis.zcard(site.store.keys.jobs) == 0


async def test_what_was_typed_stays(site: Site):
    answer = await site.operator.post(
        "/submit",
        command="rm </textarea><b>",
        labels='"><b>',
        retries="3",
        lane="high",
        in_place="on",
        key="a" * 16,
    )

    assert "rm &lt;/textarea&gt;&lt;b&gt;" in answer.text
    assert 'value="&#34;&gt;&lt;b&gt;"' in answer.text
    assert field(answer.text, "key") == "a" * 16
    assert "<option selected>high" in answer.text
    assert re.search(r'name="in_place" checked', answer.text)
    assert re.search(r'value="3" name="retries"', answer.text)


async def test_a_form_is_checked_while_it_is_filled_in_and_nothing_is_queued(site: Site):
    answer = await site.operator.post("/submit/check", command=LINE)
    said = text(answer.text)

    assert answer.status == 200
    assert "It would wait: no worker is alive" in said
    assert "ffgrid submit --roots Movies=/ffgrid/Movies -- ffmpeg -i /ffgrid/Movies/a.mkv" in said
    await site.hire()
    assert (
        "A worker that is online can run it" in (await site.operator.post("/submit/check", command=LINE)).text
    )
    encoder = await site.operator.post("/submit/check", command=LINE.replace("mpeg4", "libx265"))
    assert "no live worker has the encoder libx265" in encoder.text
    bad = await site.operator.post("/submit/check", command="ffmpeg -i <x>'")
    assert bad.status == 200
    assert '<hx-partial hx-target="#wrong-command"' in bad.text
    assert "quotation mark" in bad.text
    assert await site.store.redis.zcard(site.store.keys.jobs) == 0


async def test_check_only_works_without_a_script(site: Site):
    answer = await site.operator.post("/submit", command=LINE, only="check")

    assert answer.status == 200
    assert "The same at a shell" in answer.text
    assert await site.store.redis.zcard(site.store.keys.jobs) == 0


async def test_the_json_that_is_shown_makes_the_same_job(site: Site):
    checked = submission.check({"command": LINE, "labels": "a=b", "retries": "1"}, "user:x")
    body: dict[str, Any] = {**json.loads(checked.json), "key": "12345678"}
    args = body.pop("args")

    job = await site.jobs.get(
        await site.submit(5, args, **{n: v for n, v in body.items() if n not in ("key", "binary")})
    )
    assert checked.stored
    assert job.spec == checked.stored.spec


async def test_a_copy_has_everything_of_its_original(site: Site):
    old = await site.submit(
        1,
        lane="low",
        labels={"a": "b"},
        umask=18,
        user=[1000, 1000],
        retries=1,
        view={"Movies": "/media/it's"},
    )
    form = (await site.operator.get(f"/submit?from={old}")).text
    fields = {name: html.unescape(field(form, name)) for name in ("key", "source")}
    command = re.search(r"<textarea[^>]*>([^<]*)</textarea>", form)
    assert command
    new = await send(site, **fields, command=html.unescape(command[1]), lane="low", labels="a=b", retries="1")
    first, second = await site.jobs.get(old), await site.jobs.get(new)

    assert second.owner == "user:operator"
    assert {**second.spec, "view": 0} == {**first.spec, "view": 0}


async def test_a_copy_of_nothing_is_not_there(site: Site):
    assert (await site.operator.get("/submit?from=x")).status == 404
    assert (await site.operator.get("/submit?from=01M7ZZZZZZZZZZZZZZZZZZZZZZ")).status == 404
    assert await send(site, source="01M7ZZZZZZZZZZZZZZZZZZZZZZ")  # it was kept for as long as jobs are


async def test_a_command_that_cannot_be_typed_says_so(site: Site):
    old = await site.submit(1, ["-i", [MOVIES, {"b64": "L/8="}], "-f", "null", "-"])

    assert (
        "not UTF-8, which cannot be typed. Run the job again instead."
        in (await site.operator.get(f"/submit?from={old}")).text
    )


async def test_viewers_may_not_submit(site: Site):
    assert [
        (await site.viewer.get("/submit")).status,
        (await site.viewer.post("/submit", command=LINE)).status,
    ] == [
        403,
        403,
    ]


async def test_the_roots_of_live_workers_are_listed(site: Site):
    assert "No worker with a root is online" in (await site.operator.get("/submit")).text
    await site.hire()
    page = (await site.operator.get("/submit")).text

    assert 'data-insert="{Movies}/"' in page
    assert "den" in text(page)


async def test_a_form_that_is_too_long_is_refused(site: Site):
    assert (await site.operator.post("/submit", command="x" * submission.LONGEST)).status == 413
