"""The table of actions: what is done, how often, with what.

An action is made in the model and in the subject, and the answers are compared. It gives False where there is nothing
to do it with. Its parameters are drawn from the values that stand in its decorator; the first is the usual one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

from tests.model.world import World

Act = Callable[..., Awaitable[bool]]
INDEX = range(8)  # of whatever there is, 0 the newest
JOBS = (*INDEX, None)  # None: one that there never was
WHOSE = ("good", "good", "old", "any")  # lease: one that is good, an old one on a job that goes on, any
TWICE = (False, False, False, True)  # whether a reply is lost


class Action(NamedTuple):
    """What is done, how often in comparison, what its parameters may be, and what must be there for it."""

    act: Act
    weight: int
    values: dict[str, Sequence[Any]]

    def is_possible(self, world: World) -> bool:
        """Whether there is something to do it with, as far as one can see from outside."""
        return all(NEEDED[name](world) for name in self.values if name in NEEDED)


NEEDED: dict[str, Callable[[World], bool]] = {
    "process": lambda world: any(one.alive for one in world.processes),
    "job": lambda world: any(not job.ended for job in world.model.jobs.values()),
    "lease": lambda world: any(process.alive for process, _ in world.leases),
    "hint": lambda world: any(one.process.alive for one in world.hints),
    "stream": lambda world: any(queue.last is not None for queue in world.seen.queues.values()),
}


ACTIONS: dict[str, Action] = {}


def action(weight: int = 4, **values: Sequence[Any]) -> Callable[[Act], Act]:
    """Puts a function into the table."""

    def add(act: Act) -> Act:
        ACTIONS[act.__name__] = Action(act, weight, values)
        return act

    return add
