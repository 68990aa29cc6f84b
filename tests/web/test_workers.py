"""The workers' pages: what they say, and what their buttons do."""

from __future__ import annotations

import re
from typing import Any

import pytest

from app.state.requirements import class_id
from app.state.workers import Day, Worker
from app.web.dashboard import shows
from app.web.dashboard.fleet import crew, joining
from app.web.dashboard.fleet.workers import One
from tests.web.visitor import ABOUT, HOSTILE, NEEDS, Visitor, site

__all__ = ["site"]


def row(name: str = "w1", silent: float = 0.1, **about: Any) -> crew.Row:
    """A worker's row; `draining`, `paused` and `busy` are said beside what it says of itself."""
    standing = {key: about.pop(key) for key in ("draining", "paused") if key in about}
    busy = about.pop("busy", 0)
    one = Worker(
        name,
        "b",
        {**ABOUT, **about},
        busy,
        silent,
        standing.get("draining", False),
        standing.get("paused", False),
        heard=1_800_000_000.0,
    )
    return crew.row(one, Day(), ())


# What is shown


def test_an_age_is_told_only_where_the_next_heartbeat_is_late() -> None:
    assert row(silent=3.0).heard is None
    late = row(silent=3.1).heard
    assert late is not None
    assert (late.stamp, late.ago) == ("2027-01-15T08:00:00Z", "3 s ago")


@pytest.mark.parametrize(
    ("changes", "label", "orders"),
    [
        ({}, "online", ("pause", "drain")),
        ({"busy": 1}, "busy", ("pause", "drain")),
        ({"paused": True}, "paused", ("resume", "drain")),
        ({"draining": True}, "draining", ("resume",)),
        ({"silent": 60.0, "paused": True}, "offline", ("remove",)),
    ],
)
def test_what_can_be_done_depends_on_the_state(
    changes: dict[str, Any], label: str, orders: tuple[str, ...]
) -> None:
    found = row(**changes)

    assert (found.badge.label, found.orders) == (label, orders)


def test_hardware_encoders_come_first_and_the_rest_is_counted() -> None:
    found = row(encoders=["aac", "libx265", "hevc_nvenc", "av1_qsv", "libx264", "png"])

    assert [(chip.text, chip.tone) for chip in found.encoders] == [
        ("hevc_nvenc", "work"),
        ("av1_qsv", "work"),
        ("libx264", ""),
        ("libx265", ""),
    ]
    assert found.more == 2


def test_a_root_that_does_not_answer_says_so_in_words() -> None:
    found = row(roots=["Movies"], silent_roots=["TV"])

    assert [(chip.text, chip.tone) for chip in found.roots] == [("Movies", ""), ("TV does not answer", "bad")]


@pytest.mark.parametrize(
    ("address", "host", "expected", "noted"),
    [
        ("redis://127.0.0.1:6379/0", "den.lan", "redis://den.lan:6379/0", "listen"),
        ("redis://localhost:6379", "10.0.0.5", "redis://10.0.0.5:6379", "listen"),
        ("redis://queue.lan:6379/0", "den.lan", "redis://queue.lan:6379/0", "password"),
        ("unix:///run/valkey.sock", "den.lan", "redis://HOST:6379/0", "this host only"),
    ],
)
def test_the_lines_name_the_queue_as_another_machine_reaches_it(
    address: str, host: str, expected: str, noted: str
) -> None:
    lines = joining.lines(address, host, [])

    assert f"export FFGRID_REDIS_URL={expected}\n" in lines.start
    assert "FFGRID_ROOTS=Movies=/path/to/Movies\nffgrid worker" in lines.start
    assert noted in lines.note


def test_the_lines_name_the_roots_that_there_are() -> None:
    known = [Worker("w", "b", {"roots": ["TV shows", "Movies"]}, 0, 0.0, False)]

    assert (
        "FFGRID_ROOTS='Movies=/path/to/Movies:TV shows=/path/to/TV shows'"
        in joining.lines("", "x", known).start
    )


# The pages


async def test_a_farm_without_workers_says_how_to_add_one(site: Visitor) -> None:
    page = await site.get("/workers")

    assert page.status == 200
    assert "No worker has been seen for a day." in page.words
    assert "ffgrid keys add NAME --role worker --out NAME.key" in page.words
    assert "Ask an admin" in page.words


async def test_an_admin_is_led_to_the_keys(site: Visitor) -> None:
    page = await site.get("/workers", "admin")

    assert 'href="/users#keys"' in page.text


async def test_workers_are_listed_with_what_they_run(site: Visitor) -> None:
    worker = await site.worker("den", labels={"gpu": "yes"}, silent_roots=["TV"], sandbox="bwrap")
    job = await site.submit("film.mkv")
    await worker.beat(1, [class_id(NEEDS)], {})
    await worker.claim(worker.streams([class_id(NEEDS)]), 1)

    await site.worker("idle")

    page = await site.get("/workers")

    assert page.text.count(f'<a class="run" href="/jobs/{job}">film.mkv</a>') == 1
    for words in (
        "busy",
        "1 / 2",
        "Movies",
        "TV does not answer",
        "gpu=yes",
        "7.1, sandbox bwrap",
        "libx264",
    ):
        assert words in page.words


async def test_a_viewer_has_no_buttons_and_an_operator_has(site: Visitor) -> None:
    await site.worker("den")

    seen, acted = await site.get("/workers"), await site.get("/workers", "operator")

    assert "/workers/den/pause" not in seen.text
    assert "/workers/den/pause" in acted.text
    assert "Change" not in seen.words


async def test_an_idle_page_is_told_nothing(site: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    worker = await site.worker("den")
    await site.worker("gone")
    await site.silence("gone", 60)
    await site.silence("den", 2)
    first = await site.get("/live?t=workers")
    await worker.beat(0, [], {})
    monkeypatch.setattr(shows, "SHARE", 0.0)

    again = await site.get("/live?t=workers", tag=first.headers["hx-ptag"])
    await worker.beat(1, [], {})
    busy = await site.get("/live?t=workers", tag=first.headers["hx-ptag"])

    assert (first.status, again.status, busy.status) == (200, 304, 200)


async def test_a_worker_has_a_page_of_its_own(site: Visitor) -> None:
    worker = await site.worker(
        "den", encoders=["libx264", "png", "aac"], started=1_790_000_000.0, version="0.5"
    )
    done = await site.submit("done.mkv")
    (lease,) = await worker.claim(worker.streams([class_id(NEEDS)]), 1)
    await worker.finish(lease, "fail", {"exit": 1, "reason": "it broke"})
    other = await site.worker("attic")
    elsewhere = await site.submit("elsewhere.mkv")
    (lease,) = await other.claim(other.streams([class_id(NEEDS)]), 1)
    await other.finish(lease, "succeed", {"exit": 0})

    page = await site.get("/workers/den")

    assert page.status == 200
    assert "All 3 encoders" in page.words
    assert "aac, libx264, png" in page.words
    assert "it broke" in page.words
    assert done in page.text
    assert elsewhere not in page.text
    assert "2026-09-21" in page.text


async def test_the_pages_say_what_each_has_ended_within_a_day(site: Visitor) -> None:
    worker = await site.worker("den")
    await site.worker("idle")
    for event in ("succeed", "succeed", "fail"):
        await site.submit("film.mkv")
        (lease,) = await worker.claim(worker.streams([class_id(NEEDS)]), 1)
        await worker.finish(lease, event, {"exit": 0})

    table, den, idle = [await site.get(path) for path in ("/workers", "/workers/den", "/workers/idle")]

    assert re.findall(r"(\d done).{,30}?(\d failed)", table.text) == [
        ("2 done", "1 failed"),
        ("0 done", "0 failed"),
    ]
    assert "2 done, 1 failed" in den.words
    assert "0 done, 0 failed" in idle.words


@pytest.mark.parametrize("name", ["nobody", "no body", "%3Cb%3E", "x" * 200])
async def test_a_worker_that_is_not_there_is_not_found(site: Visitor, name: str) -> None:
    page = await site.get(f"/workers/{name}")

    assert page.status == 404
    assert "There is no worker" in page.words


async def test_a_job_that_ends_meanwhile_is_on_its_workers_page(site: Visitor) -> None:
    worker, topic = await site.worker("den"), One(site.jobs, site.store.workers, "den")
    job = await site.submit("late.mkv")
    (lease,) = await worker.claim(worker.streams([class_id(NEEDS)]), 1)
    before = await topic.look()
    await worker.finish(lease, "succeed", {"exit": 0})

    told = [topic.touched(event) for event in await site.store.events.since("0-0") or ()]
    after = await topic.look()

    assert (len(before.ended), [one.id for one in after.ended]) == (0, [job])
    assert told == [False, False, True]


async def test_a_worker_that_leaves_is_said_to_have_left(site: Visitor) -> None:
    worker = await site.worker("den")
    await site.get("/workers/den")
    await site.store.workers.retire("den", worker.boot)

    found = await site.get("/live?t=worker:den")

    assert "This worker has left." in found.words


async def test_what_a_worker_says_of_itself_is_only_text(site: Visitor) -> None:
    await site.worker(
        "den",
        host=HOSTILE,
        roots=[HOSTILE],
        silent_roots=[HOSTILE],
        labels={HOSTILE: HOSTILE},
        encoders=[HOSTILE],
        binaries={"ffmpeg": HOSTILE, HOSTILE: HOSTILE},
        sandbox=HOSTILE,
        version=HOSTILE,
        slots=HOSTILE,
    )

    pages = [await site.get("/workers"), await site.get("/workers/den")]

    for page in pages:
        assert page.status == 200
        assert "<img src=x" not in page.text
        assert "&lt;img src=x" in page.text
        assert "\u202e" not in page.text
        assert "\x1b" not in page.text


# The buttons


@pytest.mark.parametrize(
    ("order", "state", "said", "did"),
    [
        ("pause", "paused", "den takes nothing new. What it runs goes on.", "paused worker"),
        ("drain", "draining", "den takes nothing new, and ends when its jobs have ended.", "drained worker"),
        ("resume", "online", "den takes jobs again.", "resumed worker"),
    ],
)
async def test_an_operator_tells_a_worker_and_it_is_remembered_who_did(
    site: Visitor, order: str, state: str, said: str, did: str
) -> None:
    await site.worker("den")

    plain = await site.post(f"/workers/den/{order}")
    htmx = await site.post(f"/workers/den/{order}", "admin", htmx=True)

    (worker,) = await site.store.workers.all()
    assert worker.state == state
    assert (plain.status, plain.headers["location"]) == (303, "/workers")
    assert (htmx.status, htmx.words) == (200, said)
    assert await site.deeds() == [("user admin", did, "den"), ("user operator", did, "den")]


@pytest.mark.parametrize("order", ["pause", "drain", "resume", "remove"])
async def test_a_viewer_tells_nobody_anything(site: Visitor, order: str) -> None:
    await site.worker("den")
    await site.silence("den", 60)

    answer = await site.post(f"/workers/den/{order}", "viewer")

    assert answer.status == 403
    assert [(one.id, one.draining, one.paused) for one in await site.store.workers.all()] == [
        ("den", False, False)
    ]
    assert await site.deeds() == []


async def test_a_worker_that_is_offline_is_removed(site: Visitor) -> None:
    await site.worker("den")
    await site.silence("den", 60)

    answer = await site.post("/workers/den/remove", htmx=True)

    assert answer.words == "den is off the list."
    assert await site.store.workers.all() == []
    assert await site.deeds() == [("user operator", "removed worker", "den")]


async def test_a_worker_that_is_alive_is_not_removed(site: Visitor) -> None:
    await site.worker("den")

    answer = await site.post("/workers/den/remove", htmx=True)

    assert answer.status == 409
    assert answer.words == "The worker den is alive: drain it, then it leaves by itself"
    assert len(await site.store.workers.all()) == 1


@pytest.mark.parametrize("order", ["pause", "drain", "resume", "remove"])
async def test_a_worker_that_is_not_there_cannot_be_told_anything(site: Visitor, order: str) -> None:
    answer = await site.post(f"/workers/nobody/{order}")

    assert answer.status == 404
    assert await site.deeds() == []
