"""The page of one job as a browser gets it, and what its buttons do."""

from __future__ import annotations

import html
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.state.jobs import Jobs
from app.state.leases import Lease, Leases
from app.state.seal import Seal
from app.state.store import Store
from app.web import preparing, schema
from app.web.dashboard.job import probing
from app.web.dashboard.job.jobpage import LogFeed
from app.web.main import create_app
from tests.web.test_door import HASH, MASTER, Answer, Browser

HOSTILE = "<img src=x onerror=window.__pwned=1>'\"&\u202e\x1b[31m"
MOVIES = {"root": "Movies"}
ABOUT = {
    "host": "den",
    "slots": 9,
    "roots": ["Movies"],
    "binaries": {"ffmpeg": "7.1", "ffprobe": "7.1"},
    "encoders": [],
    "labels": {},
}
ARGS: list[Any] = ["-i", [MOVIES, "/a.mkv"], "-c:v", "mpeg4", [MOVIES, "/b.mkv"]]
JPEG = b"\xff\xd8\xff" + bytes(2000) + b"\xff\xd9"
REPORT = {
    "format": {"format_name": "matroska", "duration": "100", "size": "1000"},
    "streams": [{"codec_type": "video", "codec_name": HOSTILE, "width": 640, "height": 360}],
}


class Site:
    """A coordinator, an operator and a viewer, and the test as the worker."""

    def __init__(self, operator: Browser, viewer: Browser, store: Store) -> None:
        self.operator = operator
        self.viewer = viewer
        self.store = store
        self.jobs: Jobs = store.jobs(Seal(MASTER.seal_key()))

    async def submit(self, number: int = 1, args: list[Any] = ARGS, **more: Any) -> str:
        body = json.dumps({"key": f"key-{number:08}", "binary": "ffmpeg", "args": args, **more}).encode()
        wanted = preparing.prepare(schema.decode(body, schema.Submission), "jellyfin")
        return (await self.jobs.submit(wanted)).id

    async def hire(self) -> Leases:
        await self.store.workers.register("den", "boot", ABOUT, take_over=True)
        return self.store.leases("den", "boot")

    async def take(self, job_id: str) -> tuple[Leases, Lease]:
        worker, job = await self.hire(), await self.jobs.get(job_id)
        (lease,) = await worker.claim([self.store.keys.queue(job.cls, job.lane)], 1)
        assert lease.id == job_id
        return worker, lease

    async def end(self, job_id: str, event: str = "succeed", **fields: Any) -> None:
        worker, lease = await self.take(job_id)
        await worker.finish(lease, event, {"exit": 0, **fields})

    async def page(self, job_id: str, who: Browser | None = None) -> str:
        answer = await (who or self.operator).get(f"/jobs/{job_id}")
        assert answer.status == 200, answer.text
        return answer.text

    async def printed(self, job_id: str, *data: bytes, kind: bytes = b"E") -> None:
        await self.store.output.log(job_id, 1, 1, [(kind, one) for one in data])


@pytest.fixture
async def site(store: Store, redis_url: str) -> AsyncIterator[Site]:
    app = create_app(redis_url, MASTER)
    browsers = []
    for role in ("operator", "viewer"):
        user = await app.state.users.add(role, role, HASH)
        browsers.append(Browser(app, cookies={"ffgrid": await app.state.sessions.begin(user)}))
    yield Site(browsers[0], browsers[1], store)
    await app.state.store.close()


def text(page: str) -> str:
    """What can be read on a page."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def field(page: str, name: str) -> str:
    """The value of a hidden field."""
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found, page
    return found[1]


async def test_a_queued_job_says_where_it_stands_and_what_it_waits_for(site: Site):
    await site.submit(1)
    job_id = await site.submit(2)
    page = text(await site.page(job_id))

    assert "Position 2 of 2 that need the same. It waits: no worker is alive" in page
    assert "b.mkv" in page
    assert "submitted by jellyfin" in page
    await site.hire()
    assert "It waits" not in text(await site.page(job_id))


@pytest.mark.parametrize(
    "path", ["/jobs/nonsense", "/jobs/01M7ZZZZZZZZZZZZZZZZZZZZZZ", "/jobs/x/log", "/jobs/x/raw"]
)
async def test_no_such_job_is_a_page_that_says_so(site: Site, path: str):
    answer = await site.viewer.get(path)

    assert answer.status == 404
    assert "There is no job" in text(answer.text)


async def test_the_command_can_be_copied(site: Site):
    job_id = await site.submit(view={"Movies": "/media/my films"}, lane="low")
    page = text(await site.page(job_id))

    assert "ffmpeg -i '/media/my films/a.mkv' -c:v mpeg4 '/media/my films/b.mkv'" in page
    assert "ffgrid submit --roots 'Movies=/media/my films' --lane low -- ffmpeg" in page
    assert "ffmpeg -i '{Movies}/a.mkv'" in page


async def test_hostile_names_and_lines_are_shown_literally(site: Site):
    job_id = await site.submit(args=["-i", [MOVIES, f"/{HOSTILE}"], "-f", "null", "-"])
    await site.printed(job_id, HOSTILE.encode() + b"</code></pre><hx-partial>\n")
    for path in (f"/jobs/{job_id}", f"/jobs/{job_id}/log?q=onerror", f"/submit?from={job_id}"):
        answer = await site.operator.get(path)

        assert answer.status == 200
        assert "<img src=x" not in answer.text
        assert "<hx-partial>" not in answer.text
        assert not {"\x1b", "\u202e"} & set(answer.text)
        assert "<img src=x onerror=window.__pwned=1>" in html.unescape(re.sub(r"</?mark>", "", answer.text))


async def test_viewers_see_no_buttons_and_may_press_none(site: Site):
    job_id = await site.submit()
    page = await site.page(job_id, site.viewer)

    assert "<form" not in page.split("<main")[1].replace('<form class="line" method="get"', "")
    for what in ("cancel", "pause", "resume", "retry", "media"):
        assert (await site.viewer.post(f"/jobs/{job_id}/{what}")).status == 403
    assert (await site.jobs.get(job_id)).state == "queued"


async def test_cancel_ends_a_queued_job_and_says_who_did_it(site: Site):
    job_id = await site.submit()
    answer = await site.operator.post(f"/jobs/{job_id}/cancel")

    assert (answer.status, answer.headers["location"]) == (303, f"/jobs/{job_id}")
    assert (await site.jobs.get(job_id)).reason == "cancelled by user operator"
    (deed,) = await site.store.activity.newest(5)
    assert (deed.who, deed.did, deed.what) == ("user operator", "cancelled", job_id)
    again = await site.operator.post(
        f"/jobs/{job_id}/cancel", ("hx-request", "true"), ("origin", "http://localhost:8000")
    )
    assert again.status == 409
    assert "has ended already: it is cancelled" in text(again.text)
    assert "cancelled by user operator" in text(await site.page(job_id))


async def test_pause_and_resume_are_told_to_the_worker(site: Site):
    job_id = await site.submit()
    assert (await site.operator.post(f"/jobs/{job_id}/pause")).status == 409
    await site.take(job_id)
    assert ">Pause<" in await site.page(job_id)
    assert (await site.operator.post(f"/jobs/{job_id}/pause")).status == 303
    assert (await site.jobs.get(job_id)).paused
    assert ">Resume<" in await site.page(job_id)
    assert (await site.operator.post(f"/jobs/{job_id}/resume")).status == 303
    assert not (await site.jobs.get(job_id)).paused


async def test_two_clicks_run_it_again_once_and_both_jobs_are_linked(site: Site):
    old = await site.submit()
    assert (await site.operator.post(f"/jobs/{old}/retry")).status == 409
    await site.end(old, "fail", exit=1, reason="exit status 1")
    after = field(await site.page(old), "after")
    answers = [await site.operator.post(f"/jobs/{old}/retry", after=after) for _ in range(2)]
    (new,) = {answer.headers["location"].removeprefix("/jobs/") for answer in answers}

    assert f'Was run again as <a class="id" href="/jobs/{new}">' in await site.page(old)
    assert f'Runs the command of <a class="id" href="/jobs/{old}">' in await site.page(new)
    job = await site.jobs.get(new)
    assert (job.owner, job.spec["args"]) == ("jellyfin", ARGS)
    more = await site.operator.post(f"/jobs/{old}/retry", after=field(await site.page(old), "after"))
    assert more.headers["location"] not in (f"/jobs/{new}", f"/jobs/{old}")


@pytest.mark.parametrize("after", ["", "'; DROP", "x" * 5000])
async def test_a_button_that_somebody_made_up_is_a_first_click(site: Site, after: str):
    old = await site.submit()
    await site.end(old, "fail", exit=1)

    made = await site.operator.post(f"/jobs/{old}/retry", after=after)
    assert made.status == 303
    first = await site.operator.post(f"/jobs/{old}/retry", after="first")
    assert first.headers["location"] == made.headers["location"]


async def test_a_job_that_failed_says_what_it_said_last(site: Site):
    job_id = await site.submit()
    await site.printed(job_id, b"header\n", b"<a>.mkv: No such file\n")
    assert "It said last" not in await site.page(job_id)
    await site.end(job_id, "fail", exit=1, reason="exit status 1", cause="exit")

    assert "It said last: <code>&lt;a&gt;.mkv: No such file</code>" in await site.page(job_id)


async def test_the_raw_job_is_what_the_api_says(site: Site):
    job_id = await site.submit()
    answer = await site.viewer.get(f"/jobs/{job_id}/raw")

    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert json.loads(answer.text)["command"].startswith("ffmpeg -i '{Movies}/a.mkv'")


# The log


async def test_the_log_downloads_byte_for_byte(site: Site):
    job_id = await site.submit()
    await site.printed(job_id, b"one\r", b"two\x1b\n")
    await site.store.output.log(job_id, 1, 3, [(b"O", b"out")])
    answer = await site.viewer.get(f"/jobs/{job_id}/log")

    assert answer.text == "one\rtwo\x1b\nout"
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["content-disposition"] == f'attachment; filename="{job_id}.log"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert (await site.viewer.get(f"/jobs/{job_id}/log?stream=stdout")).text == "out"
    assert (await site.viewer.get(f"/jobs/{job_id}/log?stream=x")).status == 422


async def test_a_log_with_a_gap_says_so_in_the_file_s_name_and_in_the_page(site: Site):
    job_id = await site.submit()
    await site.store.output.log(job_id, 1, 1, [(b"E", b"one\n")])
    await site.store.output.log(job_id, 1, 9, [(b"E", b"nine\n")])
    answer = await site.viewer.get(f"/jobs/{job_id}/log?stream=stderr")

    assert f'"{job_id}.stderr.incomplete.log"' in answer.headers["content-disposition"]
    assert "7 parts of the log dropped here" in text(await site.page(job_id))


async def test_a_search_shows_lines_and_where_they_stand(site: Site):
    job_id = await site.submit()
    await site.printed(job_id, b"frame=1\r", b"An Error <here>\nfine\n")
    page = (await site.viewer.get(f"/jobs/{job_id}/log?q=error+%3Chere")).text

    assert "An <mark>Error &lt;here</mark>&gt;" in page
    assert "1 line with" in text(page)
    assert "No line holds" in (await site.viewer.get(f"/jobs/{job_id}/log?q=nowhere")).text
    assert "Write what you look for" in (await site.viewer.get(f"/jobs/{job_id}/log?q=")).text


async def test_the_log_grows_from_where_the_page_ends_at_any_process(site: Site):
    job_id = await site.submit()
    await site.printed(job_id, b"one\nframe=1\r")
    (first,) = await site.store.output.read_log(job_id, "0-0")
    await site.store.output.log(job_id, 1, 2, [(b"E", b"frame=2\r")])
    await site.store.output.log(job_id, 1, 3, [(b"O", b"<out>\n")])
    expected = [
        '<span class="stderr over">frame=2</span>',
        '<span class="break">\n</span><span class="mark">attempt 1, stdout\n</span>'
        '<span class="stdout">&lt;out&gt;\n</span>',
    ]
    feed = LogFeed(job_id, site.store.output)
    grown = await feed.read(first.id)

    assert [line for _, line in grown] == expected
    assert await feed.read(grown[-1][0]) == []
    assert [line for _, line in await feed.read(grown[0][0])] == expected[1:]  # another tab, further behind
    assert [line for _, line in await LogFeed(job_id, site.store.output).read(grown[0][0])] == expected[1:]


# What is in its files


async def looked(site: Site, job_id: str, printed: dict[str, bytes], event: str = "succeed") -> None:
    """The worker does what the small jobs ask for."""
    looks = await site.store.media.looks(job_id, probing.WHATS)
    worker = await site.hire()
    for what, (looker, _) in looks.items():
        job = await site.jobs.get(looker)
        (lease,) = await worker.claim([site.store.keys.queue(job.cls, "high")], 1)
        said = {name: data for name, data in printed.items() if name in (what, "any")}
        await site.store.output.log(lease.id, 1, 1, [(b"O", data) for data in said.values()])
        await site.store.output.log(lease.id, 1, 2, [(b"E", b"x: Invalid data\n")] if event == "fail" else [])
        await worker.finish(lease, event, {"exit": int(event == "fail")})
        assert looker


async def ask_to_look(site: Site, job_id: str) -> Answer:
    return await site.operator.post(f"/jobs/{job_id}/media")


async def test_a_worker_looks_at_the_files_and_everybody_sees_what_it_saw(site: Site):
    job_id = await site.submit()
    worker, lease = await site.take(job_id)
    await worker.progress(lease, {"out_time": 100.0, "frame": 2500})
    await worker.finish(lease, "succeed", {"exit": 0})
    assert "Look at the files" in await site.page(job_id)
    assert (await ask_to_look(site, job_id)).status == 303
    assert "A worker is looking." in await site.page(job_id, site.viewer)
    looks = await site.store.media.looks(job_id, probing.WHATS)
    assert set(looks) == set(probing.WHATS)
    asked = {what: (await site.jobs.get(looker)) for what, (looker, _) in looks.items()}
    assert asked["in"].spec["args"][-1] == [MOVIES, "/a.mkv"]
    assert asked["90"].spec["args"][:6] == ["-nostdin", "-v", "error", "-ss", "90.000", "-i"]
    assert {job.owner for job in asked.values()} == {probing.OWNER}

    report = json.dumps(REPORT).encode()
    await looked(
        site,
        job_id,
        {"in": report, "out": report.replace(b"1000", b"250"), "10": JPEG, "50": JPEG, "90": b"no"},
    )
    page = await site.page(job_id, site.viewer)

    assert "250 B (25 % of the input)" in text(page)
    assert "0:01:40.0" in text(page)
    assert "<img src=x" not in page
    assert "The picture at 90 %: ffmpeg has made no picture there." in text(page)
    assert f'<img src="/jobs/{job_id}/thumbs/10"' in page
    assert "Look again" in await site.page(job_id)
    for looker, _ in looks.values():  # what was seen is kept apart from who saw it
        await site.store.redis.delete(site.store.keys.log(looker), site.store.keys.job(looker))
    assert "250 B (25 % of the input)" in text(await site.page(job_id))


async def test_a_picture_is_an_image_and_nothing_else(site: Site):
    job_id = await site.submit()
    await site.store.media.begin(job_id, "10", "looker")
    await site.store.media.end(job_id, "10", b"{}", b"a picture")
    found = await site.viewer.get(f"/jobs/{job_id}/thumbs/10")

    assert (found.status, found.headers["content-type"]) == (200, "image/jpeg")
    assert found.headers["x-content-type-options"] == "nosniff"
    for path in (f"/jobs/{job_id}/thumbs/50", f"/jobs/{job_id}/thumbs/x", "/jobs/x/thumbs/10"):
        assert (await site.viewer.get(path)).status == 404


async def test_a_look_that_fails_says_why_and_can_be_had_again(site: Site):
    job_id = await site.submit()
    await site.end(job_id)
    await ask_to_look(site, job_id)
    await looked(site, job_id, {}, "fail")
    page = await site.page(job_id)

    assert "The input: x: Invalid data." in text(page)
    assert "Look again" in page
    first = await site.store.media.looks(job_id, probing.WHATS)
    await ask_to_look(site, job_id)
    second = await site.store.media.looks(job_id, probing.WHATS)
    assert first["in"][0] != second["in"][0]
    assert second["in"][1] is None


async def test_where_nobody_can_look_it_says_so(site: Site):
    job_id = await site.submit()
    worker, lease = await site.take(job_id)
    await worker.finish(lease, "succeed", {"exit": 0})
    await site.store.workers.retire("den", "boot")
    answer = await ask_to_look(site, job_id)

    assert answer.status == 503
    assert "No worker is alive" in text(answer.text)
    stream = await site.submit(2, ["-f", "lavfi", "-i", "testsrc", "-f", "null", "-"])
    page = text(await site.page(stream))
    assert "No look at the input: it reads no file" in page
    assert "No look at the output: it writes no single file" in page
    assert "Look at the files" not in page
