# ruff: noqa: RUF001 - names in many scripts, dashes and multiplication signs are what is tested
"""What the dashboard's templates print, without HTML: rows, badges, words."""

from __future__ import annotations

from typing import Any

import pytest

from app.state import lifecycle
from app.state.job import Job
from app.state.workers import Worker
from app.web import words
from app.web.dashboard import present

NOW = 1_800_000_000.0
ID = "01M7ZQJ6JD1X8TGEMKAH7H5B5F"
SAID = {
    "frame": 480,
    "fps": 48.2,
    "speed": 2.013,
    "out_time": 20.0,
    "total_size": 12_300_000,
    "bitrate": 1e6,
    "ended": False,
    "fraction": 0.4279,
    "left": 161.2,
    "expected": 60.0,
}


def job(*args: Any, state: str = "running", **changes: Any) -> Job:
    usual: dict[str, Any] = {
        "id": ID,
        "state": state,
        "spec": {"binary": "ffmpeg", "args": list(args)},
        "lane": "normal",
        "owner": "jellyfin",
        "cls": "c",
        "created": NOW - 90,
        "started": NOW - 80,
        "attempt": 1,
        "worker": "den",
    }
    return Job(**{**usual, **changes})


def worker(name: str = "den", silent: float = 0.4, **changes: Any) -> Worker:
    about = {"host": "den.lan", "slots": 2, "roots": ["Movies", "TV"], "binaries": {"ffmpeg": "7.1"}}
    usual: dict[str, Any] = {"id": name, "boot": "b", "about": about, "busy": 0, "draining": False}
    return Worker(**{**usual, "silent": silent, **changes})


# Rows


def test_a_running_job_shows_how_far_it_is():
    row = present.running(job("-i", "a.mkv", progress=SAID), NOW)

    assert (row.bar, row.percent, row.fps, row.speed) == ("0.4279", "42 %", "48 fps", "2.01×")
    assert (row.size, row.left, row.worker) == ("12.3 MB", "3 min left", "den")
    assert row.note == "running for 1 min 20 s"


def test_a_job_whose_length_nobody_knows_has_an_open_bar():
    row = present.running(job(progress={**SAID, "fraction": None, "left": None}), NOW)

    assert (row.bar, row.percent, row.left) == ("", "", "–")


def test_a_job_that_has_said_nothing_yet_is_starting():
    row = present.running(job(), NOW)

    assert (row.bar, row.left, row.fps, row.size) == ("", "starting", "–", "–")


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), "half", None, [1], {}])
def test_a_report_that_makes_no_sense_is_not_shown(odd: object):
    row = present.running(job(progress=dict.fromkeys(SAID, odd)), NOW)

    assert (row.bar, row.percent, row.fps, row.speed, row.size, row.left) == ("", "", "–", "–", "–", "–")


def test_what_is_unusual_about_a_running_job_is_said():
    row = present.running(job(lane="live", attempt=2, cancelling=True), NOW)

    assert row.badge.label == "cancelling"
    assert row.note == "cancelling for 1 min 20 s · lane live · attempt 2"


def test_a_paused_job_says_so_until_it_is_told_to_end():
    assert present.badge(job(paused=True)).label == "paused"
    assert present.badge(job(paused=True, cancelling=True)).label == "cancelling"


@pytest.mark.parametrize(
    ("changes", "took", "ending"),
    [
        ({"state": "done", "finished": NOW - 20, "exit": 0}, "1 min 0 s", "exit 0"),
        ({"state": "failed", "finished": NOW - 79, "reason": "exit status 1"}, "1.0 s", "exit status 1"),
        ({"state": "failed", "started": None, "reason": "no\x1b[31m"}, "–", "no\\x1b[31m"),
        (
            {"state": "cancelled", "finished": NOW - 70, "reason": "cancelled by me"},
            "10 s",
            "cancelled by me",
        ),
        ({"state": "running", "progress": SAID}, "1 min 20 s", "42 %"),
        ({"state": "queued", "started": None, "worker": None}, "–", ""),
        ({"state": "queued", "losses": 1}, "–", "lost once, waits again"),
    ],
)
def test_a_job_tells_how_it_ended(changes: dict[str, Any], took: str, ending: str):
    row = present.recent(job(**changes), NOW)

    assert (row.took, row.ending) == (took, ending)


def test_a_job_that_no_worker_has_taken_has_neither_worker_nor_attempt():
    row = present.recent(job(state="queued", worker=None, attempt=0, started=None), NOW)

    assert (row.worker, row.attempt, row.created.ago) == ("–", "–", "1 min ago")


def test_a_moment_is_said_for_people_and_for_programs():
    assert present.moment(0, 3600 * 50) == present.Moment(
        "2 days ago", "1970-01-01 00:00:00 UTC", "1970-01-01T00:00:00Z"
    )


def test_a_worker_tells_what_it_has():
    row = present.machine(worker(busy=1))

    assert (row.badge.label, row.slots, row.roots, row.ffmpeg) == ("busy", "1 / 2", "Movies, TV", "7.1")
    assert (row.host, row.heard) == ("den.lan", "now")


def test_a_worker_that_says_little_is_shown_all_the_same():
    row = present.machine(worker(about={}, silent=70))

    assert (row.badge.label, row.slots, row.roots, row.ffmpeg) == ("offline", "– / ?", "–", "–")
    assert row.heard == "1 min ago"


# The page as a whole


def test_every_state_of_a_job_and_of_a_worker_has_a_badge():
    states = {*lifecycle.STATES, "cancelling", "paused", "online", "busy", "draining", "offline"}

    assert states == set(present.BADGES)
    assert all(label == badge.label and badge.sign and badge.tone for label, badge in present.BADGES.items())


def test_the_counters_are_the_states_and_the_live_workers():
    counts = {"queued": 1200, "running": 0, "done": 3, "failed": 1, "cancelled": 0}
    counters = present.counters(counts, [worker(), worker("gone", silent=60)])

    assert [(one.label, one.value) for one in counters] == [
        ("queued", "1\u202f200"),
        ("running", "0"),
        ("done", "3"),
        ("failed", "1"),
        ("cancelled", "0"),
        ("worker online", "1"),
    ]


def test_running_jobs_that_are_not_shown_are_counted():
    assert present.active([job(), job()], 7, NOW).more_running == 5


def test_a_job_that_somebody_waits_for_comes_first():
    jobs = [job(), job(spec={"binary": "ffprobe", "args": [], "attach": True})]

    assert present.active(jobs, 2, NOW).running[0].command.head == "ffprobe"


# Commands


def test_a_short_command_is_one_piece():
    assert present.command(job("-i", "a.mkv")) == present.Command("ffmpeg -i a.mkv", "", "ffmpeg -i a.mkv")


def test_a_commands_end_is_its_outputs_name():
    shown = present.command(job("-i", "x" * 100, [{"root": "Movies"}, "/new/b.mkv"]))

    assert shown.tail == "/b.mkv'"
    assert shown.head + shown.tail == shown.full


def test_a_name_too_long_for_the_end_is_cut():
    shown = present.command(job("/" + "x" * 300))

    assert 16 <= len(shown.tail) <= present.TAIL


def test_a_monster_is_shortened_in_the_middle():
    shown = present.command(job("-i", "x" * 100_000, "out.mkv"))

    assert len(shown.head + shown.tail) == present.LINE
    assert len(shown.full) == present.FULL
    assert shown.full.startswith("ffmpeg -i x")
    assert shown.full.endswith("x out.mkv")
    assert "…" in shown.head


def test_what_a_name_hides_is_shown():
    shown = present.command(job("\x1b[2J\u202egnp.exe\u0085\ud800<b>"))

    assert shown.full == "ffmpeg '\\x1b[2J\\u202egnp.exe\\x85\\ud800<b>'"


# Words


@pytest.mark.parametrize("code", [*range(0x20), *range(0x7F, 0xA0), 0xAD, 0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F),
                                  0x2028, 0x2029, *range(0x2066, 0x206A), 0xFEFF, 0xE0001, 0xD800, 0xDFFF])  # fmt: skip
def test_a_character_that_would_not_show_is_an_escape(code: int):
    shown = words.visible(f"a{chr(code)}b")

    assert shown.isprintable()
    assert f"{code:x}" in shown


@pytest.mark.parametrize(
    "text", ["It's [x] 50% – ü", "千と千尋", "קובץ", "می\u200cخواهم", "👩\u200d🚀", "a\\b", ""]
)
def test_what_shows_itself_is_left_as_it_is(text: str):
    assert words.visible(text) == text


@pytest.mark.parametrize(
    ("text", "limit", "shown"),
    [("abc", 3, "abc"), ("abcd", 3, "a…d"), ("abcdefgh", 6, "ab…fgh"), ("", 3, "")],
)
def test_a_long_text_loses_its_middle(text: str, limit: int, shown: str):
    assert words.shortened(text, limit) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-5, "now"), (1.9, "now"), (2, "2 s ago"), (59.9, "59 s ago"), (60, "1 min ago"), (3599, "59 min ago"),
     (3600, "1 h ago"), (86_399, "23 h ago"), (86_400, "1 day ago"), (9e5, "10 days ago")],
)  # fmt: skip
def test_an_age(seconds: float, shown: str):
    assert words.ago(seconds) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-1, "0.0 s"), (0.44, "0.4 s"), (9.99, "10.0 s"), (10, "10 s"), (59.9, "59 s"), (60, "1 min 0 s"),
     (3599, "59 min 59 s"), (7500, "2 h 5 min"), (90_000, "1 d 1 h")],
)  # fmt: skip
def test_a_duration(seconds: float, shown: str):
    assert words.duration(seconds) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, "–"), (0, "0 s left"), (0.1, "1 s left"), (59, "59 s left"), (59.5, "1 min left"), (61, "2 min left"),
     (3600, "1 h 0 min left"), (7441, "2 h 5 min left")],
)  # fmt: skip
def test_the_time_that_is_left(seconds: float | None, shown: str):
    assert words.left(seconds) == shown


@pytest.mark.parametrize(
    ("fraction", "shown"), [(None, ""), (0, "0 %"), (0.29, "29 %"), (0.999, "99 %"), (1.0, "100 %")]
)
def test_percents(fraction: float | None, shown: str):
    assert words.percent(fraction) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [(None, "–"), (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (99_940, "99.9 kB"), (99_960, "100 kB"),
     (999_600, "1.0 MB"), (12_300_000, "12.3 MB"), (5e9, "5.0 GB"), (2e18, "2000 PB")],
)  # fmt: skip
def test_sizes(count: float | None, shown: str):
    assert words.size(count) == shown


@pytest.mark.parametrize(
    ("value", "fps", "speed"),
    [(None, "–", "–"), (0, "–", "–"), (0.5, "0.5 fps", "0.50×"), (9.87, "9.9 fps", "9.87×"),
     (48.2, "48 fps", "48.2×"), (613.4, "613 fps", "613×")],
)  # fmt: skip
def test_rates(value: float | None, fps: str, speed: str):
    assert (words.fps(value), words.speed(value)) == (fps, speed)
