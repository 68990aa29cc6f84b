"""One action on many jobs: what is asked checked, and what it would concern counted. See `app.state.operations`."""

from __future__ import annotations

from dataclasses import dataclass, replace

from starlette.requests import Request

from app.state.job import Job
from app.state.listing import Filter
from app.state.operations import ACTIONS, Work
from app.web import schema
from app.web.parts import store
from app.web.problems import Problem

SHOWN = 20  # jobs that a dry run shows
COUNTING = 2.0  # seconds that counting may take


@dataclass(frozen=True)
class Dry:
    """What an action would concern: how many jobs, the newest of them, and the ids of those that were named."""

    total: int
    exact: bool
    jobs: list[Job]
    ids: tuple[str, ...] = ()


def prepare(asked: schema.Bulk, which: Filter, by: str) -> Work:
    """What is asked, checked. Raises Problem 422."""
    if bool(asked.ids) == (asked.filter is not None):
        raise Problem(422, "invalid", "ids, filter: expected one of them; {} is the filter of all jobs")
    if (asked.action == "lane") != (asked.lane is not None):
        raise Problem(422, "invalid", "lane: expected with the action 'lane', and with no other")
    states = ACTIONS[asked.action]
    if not asked.ids:
        if asked.action == "retry" and not which.state:
            raise Problem(422, "invalid", f"filter.state: expected which to run again: {', '.join(states)}")
        if which.state and which.state not in states:
            raise Problem(
                422,
                "invalid",
                f"filter.state: {asked.action!r} concerns jobs that are {', '.join(states)}, got {which.state!r}",
            )
        states = (which.state,) if which.state else states
    ids = tuple(dict.fromkeys(asked.ids or ()))
    return Work(asked.action, by, which, states, ids, asked.lane or "")


def told(work: Work) -> str:
    """The action in words."""
    return {"cancel": "cancel jobs", "retry": "run jobs again"}.get(work.action, f"move jobs to {work.lane}")


async def dry(request: Request, work: Work) -> Dry:
    """What it would concern."""
    lists = store(request).listing
    if work.ids:
        found = [job for job in await lists.read(list(work.ids)) if work.concerns(job)]
        return Dry(len(found), True, found[:SHOWN], tuple(job.id for job in found))
    total = await store(request).operations.count(work, COUNTING)
    pages = [await lists.page(replace(work.which, state=state), SHOWN) for state in work.states]
    newest = sorted((job for page in pages for job in page.jobs), key=lambda job: job.created, reverse=True)
    return Dry(total.number, total.exact, newest[:SHOWN])
