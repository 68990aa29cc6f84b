"""What is counted about jobs: by the scripts that move them, and how it reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from app.state.totals import BOUNDS, Histogram, Totals

if TYPE_CHECKING:
    from tests.state.conftest import Scene

INFINITE = float("inf")


async def back_date(scene: Scene, job_id: str, field: str, seconds: float) -> None:
    """As if this had happened so long ago."""
    await scene.redis.hset(scene.keys.job(job_id), field, await scene.now() - int(seconds * 1000))


def filled(histogram: Histogram) -> list[float]:
    """The bounds of the buckets that hold values, one for each value."""
    return [bound for bound, count in histogram.buckets for _ in range(count)]


async def test_nothing_is_counted_before_anything_happens(scene: Scene) -> None:
    totals = await scene.store.history.totals()

    assert (totals.submitted, totals.finished, totals.redeliveries, totals.media) == ({}, {}, 0, 0)
    assert [totals.histogram(name).count for name in BOUNDS] == [0, 0]


async def test_submissions_are_counted_by_lane_and_repeated_ones_once(scene: Scene) -> None:
    twice = scene.submission(lane="live")
    for submission in (twice, twice, scene.submission(), scene.submission()):
        await scene.jobs.submit(submission)

    assert (await scene.store.history.totals()).submitted == {"live": 1, "normal": 2}


async def test_ends_are_counted_by_lane_and_state(scene: Scene) -> None:
    worker = await scene.worker()
    await scene.ended(worker, "succeed")
    await scene.ended(worker, "fail", lane="low")
    await scene.ended(worker, "cancel")
    await scene.jobs.cancel(await scene.submit())
    await scene.lose((await scene.running(worker, max_attempts=1)).id)

    totals = await scene.store.history.totals()

    expected = {
        ("normal", "done"): 1,
        ("low", "failed"): 1,
        ("normal", "cancelled"): 2,
        ("normal", "dead"): 1,
    }
    assert totals.finished == expected
    assert (totals.ended(), totals.ended("failed", "dead")) == (5, 2)


async def test_a_job_that_is_tried_again_has_not_ended(scene: Scene) -> None:
    lease = await scene.running(worker := await scene.worker(), retries=1)
    await worker.finish(lease, "fail", {"exit": 1}, again=True)

    assert (await scene.store.history.totals()).ended() == 0


async def test_a_lost_job_is_a_redelivery_and_waits_once(scene: Scene) -> None:
    worker = await scene.worker()
    lease = await scene.running(worker)
    await scene.lose(lease.id)
    await worker.finish(await scene.claim(worker, lease.id), "succeed", {"exit": 0})

    totals = await scene.store.history.totals()

    assert totals.redeliveries == 1
    assert totals.histogram("wait").count == totals.histogram("run").count == totals.ended("done") == 1


@pytest.mark.parametrize(("seconds", "bound"), [(0.3, 0.5), (4, 5), (3000, 3600), (4000, INFINITE)])
async def test_the_wait_is_from_the_submission_to_the_first_start(
    scene: Scene, seconds: float, bound: float
) -> None:
    worker, job_id = await scene.worker(), await scene.submit()
    await back_date(scene, job_id, "created", seconds)

    await scene.claim(worker, job_id)

    wait = (await scene.store.history.totals()).histogram("wait")
    assert filled(wait) == [bound]
    assert seconds <= wait.sum < seconds + 5


async def test_the_run_is_that_of_the_last_attempt(scene: Scene) -> None:
    lease = await scene.running(worker := await scene.worker())
    await back_date(scene, lease.id, "created", 900)
    await back_date(scene, lease.id, "started", 200)

    await worker.finish(lease, "fail", {"exit": 1})

    run = (await scene.store.history.totals()).histogram("run")
    assert filled(run) == [300]
    assert 200 <= run.sum < 205


async def test_a_job_that_never_ran_has_no_run(scene: Scene) -> None:
    await scene.jobs.cancel(await scene.submit())

    assert (await scene.store.history.totals()).histogram("run").count == 0


async def test_what_is_done_tells_how_much_was_encoded(scene: Scene) -> None:
    lease = await scene.running(worker := await scene.worker())
    await worker.progress(lease, {"out_time": 90.5, "speed": None})
    failing = await scene.running(worker)
    await worker.progress(failing, {"out_time": 5})

    await worker.finish(lease, "succeed", {"exit": 0})
    await worker.finish(failing, "fail", {"exit": 1})

    assert (await scene.store.history.totals()).media == 90.5


@pytest.mark.parametrize(
    "progress", [{}, {"out_time": None}, {"out_time": -1}, {"out_time": "1"}, {"out_time": 1e12}]
)
async def test_what_says_nothing_of_media_is_done_all_the_same(
    scene: Scene, progress: dict[str, object]
) -> None:
    lease = await scene.running(worker := await scene.worker())
    await worker.progress(lease, progress)

    await worker.finish(lease, "succeed", {"exit": 0})

    totals = await scene.store.history.totals()
    assert (totals.ended("done"), totals.media) == (1, 0)


async def test_a_clock_that_was_set_back_counts_nothing_below_zero(scene: Scene) -> None:
    worker, job_id = await scene.worker(), await scene.submit()
    await back_date(scene, job_id, "created", -50)

    await scene.claim(worker, job_id)

    wait = (await scene.store.history.totals()).histogram("wait")
    assert (filled(wait), wait.sum) == ([0.1], 0)


# Pure


def test_growth_is_the_difference() -> None:
    earlier = Totals({"submitted:low": 3, "media": 5000})

    grown = Totals({"submitted:low": 5, "media": 5000, "redeliveries": 2}).since(earlier)

    assert grown == Totals({"submitted:low": 2, "redeliveries": 2})


@pytest.mark.parametrize("later", [{"submitted:low": 2, "media": 9000}, {"submitted:low": 7}])
def test_after_the_loss_of_all_data_growth_is_what_was_counted_since(later: dict[str, int]) -> None:
    assert Totals(later).since(Totals({"submitted:low": 3, "media": 5000})) == Totals(later)


def test_a_quantile_lies_in_its_bucket() -> None:
    histogram = Histogram(((1.0, 50), (10.0, 40), (100.0, 5), (INFINITE, 5)), 0)

    assert histogram.quantile(0.5) == 1
    assert histogram.quantile(0.7) == pytest.approx(5.5)
    assert histogram.quantile(0.99) == 100
    assert Histogram(((1.0, 0), (INFINITE, 0)), 0).quantile(0.5) is None
    assert Histogram(((1.0, 0), (INFINITE, 0)), 0).mean is None
