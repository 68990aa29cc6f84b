"""A seed decides everything that happens in a run, and nothing happens to who is down already."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest

from tests.chaos import plan
from tests.chaos.row import Settings


def test_the_same_seed_draws_the_same_run() -> None:
    first, again, other = (Settings(seed=seed) for seed in (7, 7, 8))

    assert plan.works(first.random("works"), 60) == plan.works(again.random("works"), 60)
    assert plan.faults(first.random("faults"), 60) == plan.faults(again.random("faults"), 60)
    assert plan.faults(first.random("faults"), 60) != plan.faults(other.random("faults"), 60)


def test_a_minute_has_five_hundred_jobs_of_every_kind() -> None:
    works = plan.works(Settings().random("works"), 60)
    kinds = Counter(work.kind for work in works)

    assert len(works) >= 500
    assert set(kinds) == set(plan.SHARES)
    assert any(work.retries for work in works)
    assert any(work.cancel_after for work in works)
    assert [work.at for work in works] == sorted(work.at for work in works)


@pytest.mark.parametrize("seed", range(20))
def test_a_fault_begins_where_the_one_before_has_ended(seed: int) -> None:
    faults = plan.faults(Settings(seed=seed).random("faults"), 120)
    targets = {(fault.target, fault.number) for fault in faults}

    assert len(faults) > 40
    assert {fault.what for fault in faults} == set(plan.FAULTS)
    for target in targets:
        own = [fault for fault in faults if (fault.target, fault.number) == target]
        assert all(before.at + before.lasts < after.at for before, after in pairwise(own))
