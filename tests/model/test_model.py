"""The scripts do what the model says: in the stories, and wherever Hypothesis goes."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.model.actions import ACTIONS
from tests.model.compare import Violation
from tests.model.hunt import noticed
from tests.model.machine import explore
from tests.model.mutants import SCRIPTS, all_mutants
from tests.model.stories import STORIES, Tale
from tests.model.subject import Subject
from tests.model.walk import walk
from tests.model.world import World

EXAMPLES = {"valkey": 25, "redis": 4}


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """The reaper says what it does, which is what is tested here."""
    logging.getLogger("ffgrid").setLevel(logging.CRITICAL)
    yield
    logging.getLogger("ffgrid").setLevel(logging.NOTSET)


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> str:
    """The kind of the server at `redis_url`."""
    found: str = request.node.callspec.params["redis_url"]
    return found


async def test_the_stories_are_true(redis_url: str) -> None:
    world = World(Subject(redis_url))
    for name, tell in STORIES.items():
        await world.begin()
        try:
            await tell(Tale(world))
        except Violation as wrong:
            wrong.add_note(f"in the story {name!r}")
            raise
    called = world.subject.called
    await world.subject.close()

    assert {*called, "prelude"} == set(SCRIPTS)


def test_wherever_one_goes_the_model_is_right(redis_url: str, kind: str) -> None:
    steps, wrong = explore(redis_url, EXAMPLES[kind])

    if wrong:
        raise wrong
    assert steps > 20 * EXAMPLES[kind]


async def test_a_walk_is_the_same_each_time(redis_url: str) -> None:
    world, walked = World(Subject(redis_url)), []
    for _ in range(2):
        before = world.steps
        await walk(world, seed=7)
        state = {job.id: (job.state, job.attempt, job.losses) for job in world.model.jobs.values()}
        walked.append((world.steps - before, world.model.now, state))
    await world.subject.close()

    assert walked[0] == walked[1]


async def test_the_model_objects_to_a_job_that_its_old_worker_ends(redis_url: str) -> None:
    """A model that believes everything would be silent too."""
    (mutant,) = [one for one in all_mutants() if str(one) == 'finish: return "lost"  -->  (nothing)']

    wrong, _ = await noticed(redis_url, mutant.change, ["an_old_holder"], walks=())

    assert wrong.startswith("Violation: ")


def test_every_action_can_be_drawn() -> None:
    assert {name for name, action in ACTIONS.items() if not all(action.values.values())} == set()
