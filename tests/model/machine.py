"""Hypothesis chooses the steps: it makes what goes wrong as short as it can."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.model.actions import ACTIONS
from tests.model.settle import settle
from tests.model.subject import Change, Subject, unchanged
from tests.model.walk import morning
from tests.model.world import World

STEPS = 40  # rules in an example


class Machine(RuleBasedStateMachine):
    """The actions as rules. `world` and `loop` are set by `explore`."""

    world: World
    loop: asyncio.AbstractEventLoop

    def __init__(self) -> None:
        super().__init__()
        self._wrong = False
        self._proof = False
        self.told: list[str] = []
        self.loop.run_until_complete(self.world.begin())

    @initialize(proof=st.booleans(), usual=st.sampled_from((True, True, True, False)))
    def open(self, proof: bool, usual: bool) -> None:
        """Most examples begin with workers that are there, and jobs."""
        self._proof = proof
        if usual:
            self._do(morning(self.world))

    @rule(data=st.data())
    def act(self, data: st.DataObject) -> None:
        """Any action that has something to act on. (Rules of their own would be left out of most examples.)"""
        possible = [name for name, action in ACTIONS.items() if action.is_possible(self.world)]
        name = data.draw(st.sampled_from([name for name in possible for _ in range(ACTIONS[name].weight)]))
        values = ACTIONS[name].values
        arguments = {parameter: data.draw(st.sampled_from(options)) for parameter, options in values.items()}
        self.told.append(f"{name}({', '.join(f'{one}={value!r}' for one, value in arguments.items())})")
        self._do(self.world.step(ACTIONS[name].act, **arguments))

    def teardown(self) -> None:
        """Every job ends."""
        if not self._wrong:
            self._do(settle(self.world, self._proof))

    def _do(self, work: Any) -> None:
        self._wrong = True
        try:
            self.loop.run_until_complete(work)
        except Exception as wrong:
            wrong.add_note("\n".join(self.told))
            raise
        self._wrong = False


def explore(
    url: str, examples: int, number: int | None = None, change: Change = unchanged
) -> tuple[int, Exception | None]:
    """How many steps were made, and what was wrong in the end, if anything was.

    Without a number the examples are always the same.
    """
    loop = asyncio.new_event_loop()
    world = World(Subject(url, change))
    machine = type("Explored", (Machine,), {"world": world, "loop": loop})
    run = settings(
        max_examples=examples,
        stateful_step_count=STEPS,
        derandomize=number is None,
        database=None,
        deadline=None,
        print_blob=False,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(machine if number is None else seed(number)(machine), settings=run)
    except Exception as wrong:
        return world.steps, wrong
    finally:
        loop.run_until_complete(world.subject.close())
        loop.close()
    return world.steps, None
