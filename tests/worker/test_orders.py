"""Whether a worker takes new jobs, by what it was told."""

from __future__ import annotations

import pytest

from worker.orders import Orders


@pytest.mark.parametrize(
    ("order", "rests", "draining"), [("", False, False), ("pause", True, False), ("drain", True, True)]
)
def test_it_does_as_it_is_told_and_goes_on_when_that_is_taken_back(
    order: str, rests: bool, draining: bool
) -> None:
    orders = Orders()

    orders.hear(order, 1.0)
    assert (orders.rests, orders.draining) == (rests, draining)

    orders.hear("", 2.0)
    assert (orders.rests, orders.draining) == (False, False)


def test_an_answer_that_comes_late_changes_nothing() -> None:
    orders = Orders()
    orders.hear("pause", 2.0)

    orders.hear("", 1.0)

    assert orders.rests


@pytest.mark.parametrize("order", ["", "pause"])
def test_its_own_hosts_word_holds_and_the_others_are_told(order: str) -> None:
    orders = Orders()
    orders.leaving = True

    assert orders.hear(order, 1.0)
    assert not orders.hear("drain", 2.0)
    assert (orders.rests, orders.draining) == (True, True)
