"""The charts: what they show of samples, and that nothing is drawn that nobody knows."""

from __future__ import annotations

from app.state.history import Sample
from app.state.totals import Totals
from app.web.dashboard.overview import charts

NOW = 1_800_000_030.0
MINUTE = NOW - NOW % 60


def sample(minutes_ago: int, queued: int = 0, running: int = 0, done: int = 0, failed: int = 0) -> Sample:
    counted = {"finished:normal:done": done, "finished:live:failed": failed}
    return Sample(MINUTE - 60 * minutes_ago, queued, 1, running, 1, 2, Totals(counted))


def drawn(*samples: Sample) -> tuple[charts.Chart, ...]:
    return charts.charts(samples, NOW)


def test_without_samples_there_is_no_chart():
    assert drawn() == ()
    assert drawn(sample(60 * 30)) == ()


def test_four_charts_an_hour_and_a_day_of_each():
    titles = [(one.title, one.span) for one in drawn(sample(1), sample(0))]

    assert titles == [
        ("Waiting and running", "last hour"),
        ("Waiting and running", "last day"),
        ("Ended", "last hour"),
        ("Ended", "last day"),
    ]


def test_the_last_minute_is_at_the_right_and_the_most_jobs_at_the_top():
    hour = drawn(sample(30, queued=4), sample(29, queued=9), sample(0, queued=0, running=3))[0]

    assert hour.peak == "10"
    assert hour.said == "1 job waited and 3 jobs ran at last, at most 10"
    assert [line.tone for line in hour.lines] == ["wait", "work"]
    assert hour.lines[0].parts == ("150.0,24.0 155.0,1.0", "300.0,42.4")


def test_a_minute_of_which_nothing_is_known_is_a_gap():
    parts = drawn(sample(9), sample(8), sample(3), sample(2))[0].lines[0].parts

    assert [len(part.split(" ")) for part in parts] == [2, 2]


def test_what_ended_is_the_difference_of_two_samples():
    hour = drawn(
        sample(3, done=100), sample(2, done=103), sample(1, done=103, failed=2), sample(0, done=104, failed=2)
    )[2]

    assert hour.said == "4 jobs ended well and 2 failed"


def test_a_bar_has_failures_on_top_of_successes():
    bars = drawn(sample(2), sample(1, done=3, failed=1), sample(0, done=3, failed=1))[2].bars

    assert [(bar.tone, bar.x, bar.y, bar.height) for bar in bars] == [
        ("good", "295.0", "12.0", "36.0"),
        ("bad", "295.0", "0.0", "12.0"),
    ]


def test_counting_anew_after_a_loss_of_data_draws_nothing_negative():
    hour = drawn(sample(2, done=500), sample(1, done=2), sample(0, done=5))[2]

    assert hour.said == "5 jobs ended well and 0 failed"
    assert all(float(bar.height) >= 0 for bar in hour.bars)


def test_nothing_is_drawn_outside_the_picture():
    for chart in drawn(*(sample(ago, ago % 7, 1, 2000 - ago, 0) for ago in range(1500, -1, -1))):
        points = [
            point.split(",") for line in chart.lines for part in line.parts for point in part.split(" ")
        ]
        assert all(0 <= float(x) <= charts.WIDTH and 0 <= float(y) <= charts.HEIGHT for x, y in points)
        for bar in chart.bars:
            assert 0 <= float(bar.x) <= charts.WIDTH - float(bar.width)
            assert 0 <= float(bar.y) <= charts.HEIGHT
