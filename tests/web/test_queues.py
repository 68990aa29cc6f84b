"""The queues' page."""

from __future__ import annotations

from dataclasses import replace

from app.state.queues import Glance, Lane, Queue
from app.state.requirements import class_id, requirement
from app.state.workers import Worker
from app.web.dashboard.fleet import lanes
from tests.web.test_alerts import MOVIES, NOW, NVENC, glance, queue, worker
from tests.web.visitor import NEEDS, Visitor, site

__all__ = ["site"]


def only(seen: Glance, *workers: Worker) -> lanes.Row:
    """The one row of the page."""
    (row,) = lanes.shown(seen, workers).rows
    return row


def test_who_can_serve_a_queue_is_named_with_what_keeps_him() -> None:
    row = only(glance(queue(queued=2)), worker("w1"), worker("w2", paused=True), worker("w3", silent=60))

    assert [(one.id, one.state) for one in row.servers] == [("w1", ""), ("w2", "paused")]
    assert (row.why, row.stuck) == ("", False)


def test_why_nobody_can_serve_a_queue_is_said() -> None:
    row = only(glance(queue(NVENC, 1)), worker())

    assert row.why == "no live worker has the encoder hevc_nvenc and the label gpu=yes and the root TV"
    assert row.stuck
    assert not only(glance(queue(NVENC, 0)), worker()).stuck


def test_queues_that_are_empty_for_a_day_are_not_shown() -> None:
    old = replace(queue(), used=90_000.0)
    waiting = replace(queue(NVENC, 1), used=90_000.0)

    seen = lanes.shown(glance(waiting, old, queue()), [])

    assert len(seen.rows) == 2
    assert seen.hidden == "1"


def test_what_was_asked_of_one_worker_is_shown_only_while_it_waits() -> None:
    needs = requirement("ffmpeg", ["Movies"], {"worker": "w1"}, [])

    assert lanes.shown(glance(queue(needs)), [worker("w1")]).rows == ()
    assert only(glance(queue(needs, 1)), worker("w1")).queued == "1"


def test_many_queues_are_cut() -> None:
    seen = lanes.shown(glance(*[queue(queued=1)] * 150), [])

    assert (len(seen.rows), seen.hidden) == (lanes.ROWS, "50")


def test_the_age_of_the_oldest_is_a_moment_that_stays() -> None:
    waiting = Queue("c", MOVIES, (Lane("live", 1, 0, 5.0), Lane("low", 1, 0, 65.0)), 1.0)
    later = Queue("c", MOVIES, (Lane("live", 1, 0, 7.0), Lane("low", 1, 0, 67.0)), 3.0)

    first = only(glance(waiting)).oldest
    second = only(replace(glance(later), now=NOW + 2)).oldest

    assert first is not None
    assert second is not None
    assert (first.ago, first.stamp) == ("1 min ago", second.stamp)


def test_what_is_tried_again_has_a_time_that_stays() -> None:
    seen = Glance(NOW, (), 3, (("job", 30.0), ("next", 90.0)), 0, {})

    found = lanes.shown(seen, [])

    assert [(one.id, one.clock) for one in found.retries] == [
        ("job", "08:00:30 UTC"),
        ("next", "08:01:30 UTC"),
    ]
    assert (found.retrying, found.more) == ("3", "1")


async def test_the_page_says_what_waits_and_that_nobody_can_serve_it(site: Visitor) -> None:
    await site.worker("den")
    await site.submit(lane="live")
    await site.submit(needs=requirement("ffmpeg", ["TV"], {}, []), lane="low")

    page = await site.get("/queues")

    assert page.status == 200
    assert "ffmpeg, root Movies" in page.words
    assert "Nobody can serve this: no live worker has the root TV." in page.words
    assert f'id="{class_id(NEEDS)}"' in page.text
    assert '<a href="/workers/den">den</a>' in page.text


async def test_an_empty_farm_says_how_to_queue_a_job(site: Visitor) -> None:
    page = await site.get("/queues")

    assert "No queue holds a job" in page.words
    assert "ffgrid submit" in page.words


async def test_jobs_that_are_in_no_queue_are_told(site: Visitor) -> None:
    worker = await site.worker("den")
    again = await site.submit(retries=1, retry_delay=600.0)
    (lease,) = await worker.claim(worker.streams([class_id(NEEDS)]), 1)
    await worker.finish(lease, "fail", {"exit": 1}, again=True)
    await site.submit()
    await worker.claim(worker.streams([class_id(NEEDS)]), 1)
    await site.store.workers.register("den", "another boot", {}, take_over=True)

    page = await site.get("/queues")

    assert "1 waiting" in page.words
    assert f'href="/jobs/{again}"' in page.text
    assert "1 dead" in page.words


async def test_what_a_client_asked_for_is_only_text(site: Visitor) -> None:
    await site.submit(needs=requirement("ffmpeg", ["<b>\u202e"], {"<i>": "\x1b"}, ["<u>"]))

    page = await site.get("/queues")

    for evil in ("<b>", "<i>", "<u>", "\u202e", "\x1b"):
        assert evil not in page.text
    assert "&lt;b&gt;" in page.text
