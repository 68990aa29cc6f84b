"""Which jobs' lost attempts may have left files, as workers that could remove those are told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.state.requirements import class_id
from tests.state.conftest import NEEDS

if TYPE_CHECKING:
    from tests.state.conftest import Scene

CLASSES = [class_id(NEEDS)]


async def test_what_a_job_that_still_runs_has_left_is_looked_for_as_soon_as_it_has_failed(
    scene: Scene,
) -> None:
    worker = await scene.worker()
    lost = await scene.running(worker)
    await scene.lose(lost.id)
    lease = await scene.claim(worker, lost.id)
    assert await worker.tidy(CLASSES, []) == []  # its next attempt may do it

    await worker.finish(lease, "fail", {"exit": 1})

    assert [job_id for job_id, _ in await worker.tidy(CLASSES, [])] == [lost.id]


async def test_a_job_that_lost_no_worker_is_not_looked_after(scene: Scene) -> None:
    worker = await scene.worker()
    await scene.ended(worker, "fail")

    assert await worker.tidy(CLASSES, []) == []
