"""/jobs: chips, filters, pages, rows, exports, and actions on many jobs from there."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from app.state import listing
from app.state.events import Event
from app.state.store import Store
from app.web.dashboard import present
from app.web.dashboard.jobs import joblist, jobrows
from app.web.main import create_app
from tests.web.test_door import HASH
from tests.web.visitor import HOSTILE, MASTER, Visitor

if TYPE_CHECKING:
    from tests.web.visitor import Answer


@pytest.fixture
async def visitor(store: Store, redis_url: str) -> AsyncIterator[Visitor]:
    app = create_app(redis_url, MASTER)
    users = {role: await app.state.users.add(role, role, HASH) for role in ("viewer", "operator")}
    cookies = {role: await app.state.sessions.begin(user) for role, user in users.items()}
    yield Visitor(app, store, cookies)
    await app.state.store.close()


def rows(answer: Answer) -> list[str]:
    """The ids of the jobs that the page lists."""
    return re.findall(r'<tr id="job-(\w+)">', answer.text)


def link(answer: Answer, name: str) -> str:
    """Where this link leads, "" when there is none."""
    found = re.search(rf'<a\b[^>]*href="([^"]*)"[^>]*>{re.escape(name)}', answer.text)
    return html.unescape(found[1]) if found else ""


def field(answer: Answer, name: str) -> str:
    found = re.search(rf'<input type="hidden" name="{name}" value="([^"]*)">', answer.text)
    return html.unescape(found[1]) if found else ""


# The list


async def test_the_newest_jobs_are_listed_with_what_can_be_done(visitor: Visitor) -> None:
    made = [await visitor.submit(f"{name}.mkv") for name in "abc"]

    seen, acts = await visitor.get("/jobs"), await visitor.get("/jobs", "operator")

    assert sorted(rows(seen)) == sorted(rows(acts)) == sorted(made)
    assert 'type="checkbox"' not in seen.text
    assert "Cancel" not in seen.words
    assert len(re.findall(r'type="checkbox" form="bulk"', acts.text)) == 3
    assert "3 jobs" in seen.words
    assert re.search(r'id="count-queued">3<', seen.text)
    assert link(seen, "Older") == link(seen, "Newer") == link(seen, "Newest") == ""


async def test_a_row_that_comes_later_is_the_row_of_the_page(visitor: Visitor) -> None:
    job_id = await visitor.submit()
    topic = joblist.JobRows(visitor.store.listing)
    assert topic.touched(Event("1-0", job_id, "submit", "queued", "", 0))

    for acts, role in ((True, "operator"), (False, "viewer")):
        page = (await visitor.get("/jobs", role)).text
        topic.touched(Event("1-0", job_id, "submit", "queued", "", 0))
        regions = topic.render(await topic.look(), acts)
        assert re.sub(">[^<]*</time>", "", regions[f"job-{job_id}"]) in re.sub(">[^<]*</time>", "", page)
        assert f'value="{job_id}"' in regions["jobs-last"]
    assert (await topic.look())[0] == []


async def test_a_storm_of_events_costs_a_bounded_look(
    visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joblist, "TOUCHED", 2)
    topic = joblist.JobRows(visitor.store.listing)
    made = [await visitor.submit() for _ in range(4)]
    for job_id in (*made, made[2]):
        topic.touched(Event("1-0", job_id, "submit", "queued", "", 0))

    assert [job.id for job in (await topic.look())[0]] == [made[3], made[2]]


async def test_words_narrow_the_list_and_stay_in_every_link(visitor: Visitor) -> None:
    wanted = [await visitor.submit("wanted.mkv", lane="low") for _ in range(26)]
    await visitor.submit("other.mkv", lane="low")
    query = "q=WANTED&lane=low&since=1h&owner=jellyfin&n=25&worker=&label=&until="

    first = await visitor.get(f"/jobs?{query}")
    second = await visitor.get(link(first, "Older"))

    assert sorted([*rows(first), *rows(second)]) == sorted(wanted)
    assert len(rows(first)) == 25
    assert link(first, "Older").startswith("/jobs?q=WANTED&lane=low&owner=jellyfin&since=1h&n=25&before=")
    assert rows(await visitor.get(link(second, "Newer"))) == rows(first)
    assert link(second, "Newest") == "/jobs?q=WANTED&lane=low&owner=jellyfin&since=1h&n=25"
    assert link(first, "failed") == "/jobs?state=failed&q=WANTED&lane=low&owner=jellyfin&since=1h"
    assert 'id="count-' not in first.text
    assert 'name="q" value="WANTED"' in first.text
    assert link(first, "Clear the filters") == "/jobs"
    assert 'aria-current="true">all' in first.text


async def test_an_address_is_tidy_after_a_search(visitor: Visitor) -> None:
    answer = await visitor.ask("GET", "/jobs?q=a+b&lane=&n=50", "viewer", more=[("hx-request", "true")])

    assert answer.headers["hx-push-url"] == "/jobs?q=a+b"
    assert '<section id="list">' in answer.text


async def test_going_up_ends_on_a_whole_first_page(visitor: Visitor) -> None:
    for _ in range(30):
        await visitor.submit()
    first = await visitor.get("/jobs?n=25&state=queued")
    second = await visitor.get(link(first, "Older"))
    for job_id in rows(first)[:10]:
        await visitor.jobs.cancel(job_id)

    newer = await visitor.get(link(second, "Newer"))

    assert rows(newer) == [*rows(first)[10:], *rows(second)]
    assert link(newer, "Newest") == link(newer, "Newer") == ""


async def test_new_jobs_are_counted_and_not_inserted(visitor: Visitor) -> None:
    await visitor.submit()
    page = await visitor.get("/jobs?lane=normal")
    found = re.search(r'id="newer" role="status" hx-get="([^"]*)"', page.text)
    assert found
    news = html.unescape(found[1])
    assert (await visitor.get(news)).text.strip() == ""

    await visitor.submit()
    await visitor.submit(lane="low")
    assert (await visitor.get(news)).words == "1 new job"
    await visitor.submit()
    after = await visitor.get(news)
    assert after.words == "2 new jobs"
    assert 'href="/jobs?lane=normal"' in after.text
    empty = re.search(r'hx-get="(/jobs.new[^"]*)"', (await visitor.get("/jobs?lane=live")).text)
    await visitor.submit(lane="live")
    assert empty
    assert (await visitor.get(html.unescape(empty[1]))).words == "1 new job"


async def test_what_the_filter_does_not_understand_is_said_above_an_empty_list(visitor: Visitor) -> None:
    await visitor.submit()
    answer = await visitor.get("/jobs?since=yesterday")

    assert answer.status == 422
    assert "Since: expected a time such as 24h" in answer.words
    assert rows(answer) == []
    assert 'value="yesterday"' in answer.text
    live = await visitor.ask("GET", "/jobs?since=yesterday", "viewer", more=[("hx-request", "true")])
    assert live.status == 200  # htmx shows it while somebody still types


@pytest.mark.parametrize("query", ["before=x", "after=1-x", "before=1-" + "0" * 26 + "&after=1-" + "0" * 26])
async def test_a_place_that_is_none_is_said(visitor: Visitor, query: str) -> None:
    assert (await visitor.get(f"/jobs?{query}")).status == 422


async def test_an_empty_list_says_what_to_do_next(visitor: Visitor) -> None:
    empty, acts = await visitor.get("/jobs"), await visitor.get("/jobs", "operator")
    assert "ffgrid submit" in empty.words
    assert "ffgrid shim install" in empty.words
    assert link(empty, "Submit one here") == ""
    assert link(acts, "Submit one here") == "/submit"
    await visitor.submit()
    narrowed = await visitor.get("/jobs?lane=low")
    assert "No job matches" in narrowed.words
    assert "ffgrid submit" not in narrowed.words


async def test_a_search_without_time_goes_on(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "BUDGET", -1.0)
    monkeypatch.setattr(listing, "STEP", 2)
    wanted = await visitor.submit(lane="low")
    for _ in range(3):
        await visitor.submit()
    first = await visitor.get("/jobs?lane=low")
    assert "Searched back to" in first.words
    assert "No job matches" not in first.words
    assert rows(await visitor.get(link(first, "Search older ones"))) == [wanted]


async def test_foreign_text_is_only_text(visitor: Visitor) -> None:
    await visitor.submit(HOSTILE)
    answer = await visitor.get("/jobs?q=" + "%3Cscript%3E", "operator")
    assert "<script>" not in answer.text
    assert 'value="&lt;script&gt;"' in answer.text
    answer = await visitor.get("/jobs", "operator")
    assert "<img" not in re.sub(r'<img src="[^"]*favicon[^>]*>', "", answer.text)
    assert "\u202e" not in answer.text


async def test_a_job_that_failed_says_why(visitor: Visitor) -> None:
    worker = await visitor.worker()
    job_id = await visitor.submit()
    job = await visitor.jobs.get(job_id)
    (lease,) = await worker.claim([visitor.store.keys.queue(job.cls, job.lane)], 1)
    await worker.finish(lease, "fail", {"exit": 1, "reason": "ffmpeg ended with status 1"})

    answer = await visitor.get("/jobs?state=failed")

    assert rows(answer) == [job_id]
    assert "ffmpeg ended with status 1" in answer.words
    assert 'aria-current="true">failed' in answer.text


async def test_a_row_is_not_sent_again_for_less_than_a_percent_or_a_minute(visitor: Visitor) -> None:
    worker = await visitor.worker()
    job = await visitor.jobs.get(await visitor.submit())
    (lease,) = await worker.claim([visitor.store.keys.queue(job.cls, job.lane)], 1)
    started = (await visitor.jobs.get(job.id)).started or 0.0

    async def row(fraction: float, after: float) -> jobrows.JobRow:
        await worker.progress(lease, {"fraction": fraction})
        return replace(
            jobrows.job(await visitor.jobs.get(job.id), started + after), created=present.moment(0, 0)
        )

    first = await row(0.501, 61)
    assert (first.bar, first.percent, first.took) == ("0.50", "50 %", "1 min")
    assert await row(0.509, 119) == first
    assert (await row(0.51, 61)).bar == "0.51"
    assert (await row(0.501, 59)).took == "under 1 min"
    assert (await row(0.501, 7320)).took == "2 h 2 min"


# Exports


async def test_all_that_match_are_exported(visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "CHUNK", 4)
    made = [await visitor.submit() for _ in range(10)]
    await visitor.submit(lane="low")

    table = await visitor.get("/jobs.csv?lane=normal")
    lines = await visitor.get("/jobs.ndjson?lane=normal")

    found = list(csv.DictReader(io.StringIO(table.text)))
    assert sorted(one["id"] for one in found) == sorted(made)
    assert {one["state"] for one in found} == {"queued"}
    assert found[0]["created"].endswith("+00:00")
    assert sorted(json.loads(line)["id"] for line in lines.text.splitlines()) == sorted(made)
    assert table.headers["content-disposition"] == 'attachment; filename="jobs.csv"'
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    assert (await visitor.get("/jobs.csv?since=x")).status == 422


@pytest.mark.parametrize("reason", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", '=HYPERLINK("x","y")'])
async def test_no_cell_is_a_formula(visitor: Visitor, reason: str) -> None:
    job_id = await visitor.submit()
    await visitor.jobs.cancel(job_id, reason=reason)

    (row,) = csv.DictReader(io.StringIO((await visitor.get("/jobs.csv")).text, newline=""))

    assert row["reason"] == "'" + reason


# Many jobs


async def confirmed(visitor: Visitor, query: str) -> Answer:
    """What is answered to the button of the page that asks again."""
    asked = await visitor.get(f"/bulk?{query}", "operator")
    assert asked.status == 200, asked.words
    fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', asked.text))
    return await visitor.post("/bulk", **{name: html.unescape(value) for name, value in fields.items()})


async def test_all_that_match_are_asked_about_with_their_number_and_begun_once(visitor: Visitor) -> None:
    for _ in range(3):
        await visitor.submit("wanted.mkv")
    await visitor.submit("other.mkv")

    asked = await visitor.get("/bulk?action=cancel&all=1&q=wanted", "operator")
    assert "3 jobs" in asked.words
    assert len(re.findall("wanted.mkv", asked.words)) >= 3
    key = field(asked, "key")
    for _ in range(2):
        answer = await visitor.post("/bulk", action="cancel", q="wanted", key=key)
        assert (answer.status, answer.headers["location"]) == (303, "/jobs#operations")

    (one,) = await visitor.store.operations.all()
    assert (one.total, one.work.action, one.work.by, one.work.which.text) == (
        3,
        "cancel",
        "user operator",
        "wanted",
    )
    page = await visitor.get("/jobs", "operator")
    assert "Cancel: all with text wanted" in page.words
    assert "0 of 3 done" in page.words
    assert f'action="/bulk/{one.id}/stop"' in page.text
    assert "/stop" not in (await visitor.get("/jobs")).text
    deeds = await visitor.store.activity.newest(5)
    assert {(deed.who, deed.did) for deed in deeds} == {("user operator", "began to cancel jobs")}

    assert "Earlier ones" not in page.words

    assert (await visitor.post(f"/bulk/{one.id}/stop")).status == 303
    assert (await visitor.store.operations.get(one.id)).state == "stopped"
    assert (await visitor.post("/bulk/x/stop")).status == 404
    long_ago = round((one.began - jobrows.NEWS - 60) * 1000)
    await visitor.store.redis.hset(visitor.store.keys.operation(one.id), "ended", long_ago)
    assert "Earlier ones" in (await visitor.get("/jobs")).words


async def test_selected_jobs_are_those_that_it_can_concern(visitor: Visitor) -> None:
    queued, ended = await visitor.submit(), await visitor.submit()
    await visitor.jobs.cancel(ended)

    await confirmed(visitor, f"action=lane&to=high&all=&lane=low&id={queued}&id={ended}&q=x")

    (one,) = await visitor.store.operations.all()
    assert (one.work.ids, one.work.lane, one.total) == ((queued,), "high", 1)
    none = await visitor.get(f"/bulk?action=retry&id={queued}", "operator")
    assert "There is none of them" in none.words
    assert 'method="post" action="/bulk"' not in none.text


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("action=cancel", "no job is selected"),
        ("action=cancel&id=x", "ids"),
        ("action=delete&all=1", "action"),
        ("action=lane&all=1&lane=low", "lane"),
        ("action=retry&all=1", "which to run again"),
        ("action=cancel&all=1&state=done", "concerns jobs that are"),
        ("action=cancel&all=1&since=x", "since"),
    ],
)
async def test_what_makes_no_sense_is_said(visitor: Visitor, query: str, word: str) -> None:
    answer = await visitor.get(f"/bulk?{query}", "operator")

    assert answer.status == 422
    assert word.lower() in answer.words.lower()


async def test_a_viewer_may_do_nothing(visitor: Visitor) -> None:
    job_id = await visitor.submit()
    one = await visitor.post("/bulk", "viewer", action="cancel", ids=job_id, key="12345678")
    assert one.status == 403
    assert (await visitor.get(f"/bulk?action=cancel&id={job_id}")).status == 403
    assert (await visitor.post("/bulk/x/stop", "viewer")).status == 403
    assert await visitor.store.operations.all() == []
