"""What people and programs do to a job that is there: for the API and for the dashboard alike."""

from __future__ import annotations

from starlette.datastructures import State

from app.state import lifecycle
from app.state.job import Job
from app.web.problems import Problem


async def cancel(app: State, one: Job, reason: str) -> str:
    """Ends a job: "cancelled", or "cancelling" when its worker has been told. Raises Problem 409."""
    state: str = await app.jobs.cancel(one.id, reason=reason)
    if state == "late":
        raise Problem(409, "too-late", f"job {one.id} is done: its outputs are getting their names")
    if state == "ended":
        raise Problem(409, "ended", f"job {one.id} has ended already: it is {one.state}")
    if state == lifecycle.CANCELLED and one.spec["attach"]:
        await app.store.output.wake(one.id)
    return state


async def pause(app: State, one: Job, how: str) -> None:
    """Has a running job stopped ("pause") or gone on with ("resume"). Raises Problem 409."""
    state = await app.jobs.pause(one.id, how)
    if state != lifecycle.RUNNING:
        raise Problem(409, "not-running", f"job {one.id} is {state}: only a running job can be paused")
