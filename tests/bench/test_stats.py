"""The arithmetic behind the figures, and what decides between ok and missed."""

from __future__ import annotations

import pytest

from tests.bench.figure import Aim, Figure, ratio
from tests.bench.stats import differences, median, percentile


def test_the_median_is_the_middle_or_between_the_two_in_the_middle():
    assert median([5, 1, 9]) == 5
    assert median([4, 1, 9, 2]) == 3


@pytest.mark.parametrize(("percent", "value"), [(0, 1), (50, 50), (99, 99), (99.5, 100), (100, 100)])
def test_a_percentile_is_the_smallest_value_that_so_many_do_not_exceed(percent: float, value: int):
    assert percentile(range(1, 101), percent) == value


@pytest.mark.parametrize("function", [median, lambda values: percentile(values, 50)])
def test_nothing_has_no_middle(function):
    with pytest.raises(ValueError, match="of nothing"):
        function([])


def test_each_value_is_compared_with_the_one_beside_it():
    assert differences([10, 20, 33], [1, 2, 3]) == [9, 18, 30]


@pytest.mark.parametrize(
    ("figure", "verdict"),
    [
        (Figure("a", 24.9, "ms", aim=Aim(25)), "ok"),
        (Figure("a", 25.1, "ms", aim=Aim(25)), "missed"),
        (Figure("a", 99, "ms", 80, "direct", 19, aim=Aim(25, of_comparison=True)), "ok"),
        (ratio("a", 2500, "/s", 3000, "bare", Aim(2500, at_least=True)), "ok"),
        (ratio("a", 59, "/s", 100, "bare", Aim(0.6, at_least=True, of_comparison=True)), "missed"),
        (Figure("a", 1, "ms"), ""),
    ],
)
def test_an_aim_is_met_or_missed(figure: Figure, verdict: str):
    assert figure.verdict == verdict


def test_a_line_shows_the_figure_its_reference_and_how_they_compare():
    aim = Aim(0.6, at_least=True, of_comparison=True)
    cells = ratio("processes", 23.04, "/s", 25.6, "bare spawning", aim).row()

    assert cells == ("processes", "23.0 /s", "25.6 /s", "bare spawning", "90 %", ">= 60 %", "ok")
