"""Which rows there are, what each says, and what finds them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from importlib import import_module
from typing import NamedTuple

from tests.chaos.row import Row, Settings

Run = Callable[[Settings, Collection[str]], Iterator[Row]]


class Group(NamedTuple):
    """Rows that are found together: by one function, which may take so many seconds and those of the run."""

    place: str
    limit: float
    rows: dict[str, str]

    def run(self) -> Run:
        """The function."""
        module, _, name = self.place.partition(":")
        found: Run = getattr(import_module(f"tests.chaos.{module}"), name)
        return found


GROUPS = {
    "requeue": Group(
        "requeue:run",
        150,
        {
            "R1": "a job runs again after its worker was killed",
            "R2": "... after its worker was frozen",
            "R3": "... after its worker was cut off",
            "R4": "... when a supervisor starts the killed worker again",
        },
    ),
    "outages": Group(
        "outages:run",
        330,
        {
            "R5": "false requeues: Redis killed, back after 10 s",
            "R6": "false requeues: all coordinators killed, back after a minute",
            "R7": "false requeues: the processors are overloaded",
        },
    ),
    "clocks": Group("outages:clocks", 120, {"R8": "false requeues: Redis pauses; its clock steps"}),
    "stale": Group("stale:run", 60, {"R9": "stale writes accepted after a job was given to another worker"}),
    "twice": Group("twice:run", 90, {"R14": "broken outputs when two attempts write at the same time"}),
}

ROWS = {row: name for name, group in GROUPS.items() for row in group.rows}
