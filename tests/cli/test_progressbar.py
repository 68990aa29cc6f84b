"""How far a job is: never above 100 %, never NaN, right when nobody knows how long it will take."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.cli import progressbar
from app.cli.terminal import width

NOW = 1_000_000.0


def job(state: str = "running", **changes: Any) -> dict[str, Any]:
    usual = {
        "id": "01M7ZQFQECREKQRFD873XKMF8S",
        "state": state,
        "cancelling": False,
        "created": NOW - 100,
        "started": NOW - 63,
        "finished": None,
        "losses": 0,
        "attempt": 1,
        "worker": "w1",
        "exit": None,
        "signal": None,
        "reason": "",
        "progress": None,
        "due": None,
        "attempts": [],
    }
    return {**usual, **changes}


def progress(**changes: Any) -> dict[str, Any]:
    usual = {
        "frame": 240,
        "fps": 24.0,
        "speed": 1.2,
        "out_time": 9.6,
        "total_size": 1,
        "bitrate": 1.0,
        "ended": False,
        "fraction": 0.43,
        "left": 42.4,
        "expected": 22.0,
    }
    return {**usual, **changes}


def test_a_bar_shows_percent_time_left_speed_and_frames() -> None:
    text = progressbar.line(job(progress=progress()), 80, NOW)

    assert text.startswith("running on w1  ━━━━")
    assert text.endswith("──   43%  0:42 left  1.20x   24 fps")
    assert len(text) < 80


def test_the_bar_is_filled_as_far_as_the_job_is() -> None:
    assert progressbar.bar(0.0, 10) == "──────────"
    assert progressbar.bar(0.5, 10) == "━━━━━─────"
    assert progressbar.bar(0.999, 10) == "━━━━━━━━━─"
    assert progressbar.bar(1.0, 10) == "━━━━━━━━━━"
    assert progressbar.bar(0.5, 10, ascii_only=True) == "#####-----"


@pytest.mark.parametrize(
    ("fraction", "percent"),
    [(0, "0%"), (0.004, "0%"), (0.29, "29%"), (0.999, "99%"), (1, "100%"), (1.7, "100%"), (7e300, "100%")],
)
def test_percent_is_rounded_down_and_never_above_100(fraction: float, percent: str) -> None:
    assert progressbar.percent(job(progress=progress(fraction=fraction))) == percent


@pytest.mark.parametrize("fraction", [None, math.nan, math.inf, -1, "0.5", True])
def test_without_a_known_end_the_media_time_stands_for_the_percentage(fraction: Any) -> None:
    one = job(progress=progress(fraction=fraction, left=None))

    assert progressbar.facts(one) == ["at 0:09", "1.20x", "24 fps"]
    assert "━" not in progressbar.line(one, 80, NOW)
    assert progressbar.plain(one, NOW) == "running on w1: at 0:09, 1.20x, 24 fps"


def test_time_left_means_nothing_without_a_percentage() -> None:
    assert "left" not in progressbar.plain(job(progress=progress(fraction=None)), NOW)


def test_numbers_that_are_not_known_yet_are_left_out() -> None:
    early = progress(fraction=0.0, left=None, speed=None, fps=0.0, out_time=None)

    assert progressbar.facts(job(progress=early)) == ["0%"]
    assert (
        progressbar.facts(job(progress=progress(fraction=None, left=None, speed=0, fps=0, out_time=None)))
        == []
    )


def test_a_fast_job_has_no_decimals() -> None:
    assert "123x" in progressbar.facts(job(progress=progress(speed=123.4)))
    assert "0.05x" in progressbar.facts(job(progress=progress(speed=0.051)))


@pytest.mark.parametrize("columns", range(0, 130, 3))
def test_a_line_is_narrower_than_the_terminal(columns: int) -> None:
    for text in (
        progressbar.line(job(progress=progress()), columns, NOW),
        progressbar.line(job("failed", finished=NOW, reason="字" * 50), columns, NOW),
    ):
        assert width(text) <= max(columns - 1, 0)


def test_a_narrow_terminal_keeps_the_most_important_facts() -> None:
    one = job(progress=progress())

    assert "fps" not in progressbar.line(one, 46, NOW)
    assert progressbar.line(one, 24, NOW) == "running on w1   43%"


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (job("queued", started=None), "queued for 1:40"),
        (job("queued", attempts=[{"event": "lose"}]), "queued again (its worker was lost) for 1:40"),
        (job("queued", attempts=[{"event": "defer"}]), "queued again (it failed) for 1:40"),
        (job("waiting", reason="exit status 1", due=NOW + 9), "failed (exit status 1), tried again in 0:09"),
        (
            job("dead", finished=NOW, reason="its worker w1 was lost"),
            "dead after 1:03 on w1: its worker w1 was lost",
        ),
        (job(), "running on w1 for 1:03"),
        (job(cancelling=True), "cancelling on w1 for 1:03"),
        (job("done", finished=NOW), "done in 1:03 on w1"),
        (job("failed", finished=NOW, reason="exit status 1"), "failed after 1:03 on w1: exit status 1"),
        (
            job("cancelled", finished=NOW, started=None, reason="cancelled by cli"),
            "cancelled: cancelled by cli",
        ),
    ],
)
def test_a_job_stands_somewhere_in_words(one: dict[str, Any], words: str) -> None:
    assert progressbar.standing(one, NOW) == words


def test_a_plain_line_stays_the_same_while_nothing_happens() -> None:
    for one in (job("queued", started=None), job()):
        assert progressbar.plain(one, NOW) == progressbar.plain(one, NOW + 7)


def test_a_done_job_is_at_100_percent_whatever_its_last_report_said() -> None:
    assert progressbar.percent(job("done", progress=progress(fraction=0.97))) == "100%"
    assert progressbar.percent(job("done", progress=None)) == "100%"
    assert progressbar.percent(job("failed", progress=progress(fraction=0.97))) == "97%"


def test_what_a_worker_calls_itself_cannot_draw_on_the_terminal() -> None:
    assert "\x1b" not in progressbar.line(job(worker="\x1b[2J"), 80, NOW)
    assert "\x1b" not in progressbar.line(job("failed", finished=NOW, reason="\x1b[2J"), 80, NOW)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0:00"),
        (42.9, "0:42"),
        (723, "12:03"),
        (3723, "1:02:03"),
        (86_400 * 17, "17 days"),
        (-3, "0:00"),
        (None, "-"),
        (math.nan, "-"),
        (math.inf, "-"),
    ],
)
def test_a_clock_reads_as_people_read_it(seconds: float | None, text: str) -> None:
    assert progressbar.clock(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(-5, "0 s"), (59.9, "59 s"), (60, "1 min"), (7300, "2 h"), (400_000, "4 d")]
)
def test_an_age_has_one_unit(seconds: float, text: str) -> None:
    assert progressbar.age(seconds) == text


ANY_NUMBER = st.none() | st.floats() | st.integers(-(2**63), 2**63)


@given(
    fraction=ANY_NUMBER,
    left=ANY_NUMBER,
    speed=ANY_NUMBER,
    fps=ANY_NUMBER,
    out_time=ANY_NUMBER,
    columns=st.integers(0, 300),
)
def test_whatever_a_worker_reports_the_line_makes_sense(columns: int, **numbers: Any) -> None:
    one = job(progress=progress(**numbers))
    text = progressbar.line(one, columns, NOW) + progressbar.plain(one, NOW)

    assert not any(word in text.lower() for word in ("nan", "inf", "none"))
    assert int((progressbar.percent(one) or "0%").rstrip("%")) in range(101)
    assert width(progressbar.line(one, columns, NOW)) <= max(columns - 1, 0)
