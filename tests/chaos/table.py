"""Which rows there are, what each says, and what finds them.

A module of rows has a function `run(settings, wanted) -> Iterator[Row]`; what is not in this tree is not listed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from importlib import import_module
from importlib.util import find_spec
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
        found: Run = getattr(import_module(module), name)
        return found

    @property
    def is_there(self) -> bool:
        """Whether this tree has it."""
        module = self.place.partition(":")[0]
        return find_spec(module.rpartition(".")[0]) is not None and find_spec(module) is not None


_ALL = {
    "requeue": Group(
        "tests.chaos.requeue:run",
        150,
        {
            "R1": "a job runs again after its worker was killed",
            "R2": "... after its worker was frozen",
            "R3": "... after its worker was cut off",
            "R4": "... when a supervisor starts the killed worker again",
        },
    ),
    "outages": Group(
        "tests.chaos.outages:run",
        330,
        {
            "R5": "false requeues: Redis killed, back after 10 s",
            "R6": "false requeues: all coordinators killed, back after a minute",
            "R7": "false requeues: the processors are overloaded",
        },
    ),
    "clocks": Group(
        "tests.chaos.outages:clocks", 120, {"R8": "false requeues: Redis pauses; its clock steps"}
    ),
    "stale": Group(
        "tests.chaos.stale:run", 60, {"R9": "stale writes accepted after a job was given to another worker"}
    ),
    "twice": Group(
        "tests.chaos.twice:run", 90, {"R14": "broken outputs when two attempts write at the same time"}
    ),
    "survivors": Group("tests.chaos.survivors:run", 60, {"R15": "ffmpegs that outlive their worker"}),
    "litter": Group("tests.chaos.litter:run", 200, {"R16": "unfinished files that failed attempts leave"}),
    "cancel": Group("tests.chaos.cancel:run", 90, {"R18": "how long a cancel takes"}),
    "talk": Group("tests.chaos.talk:run", 120, {"R23": "a gigabyte of stderr: memory, slowdown"}),
    "full": Group(
        "tests.chaos.full:run", 90, {"R25": "Redis is full: running jobs that end well, torn jobs"}
    ),
    "poison": Group("tests.chaos.poison:run", 150, {"R26": "a poison job; draining; a mount that hangs"}),
    "history": Group(
        "tests.chaos.history:run",
        330,
        {
            "R10": "a minute under many faults: endings, attempts, files, bytes, litter",
            "R11": "... acknowledged jobs that are lost, or made twice",
        },
    ),
    "model": Group(
        "tests.model.rows:run",
        240,
        {"R12": "steps of the model without a violation", "R13": "mutants of the scripts that are found out"},
    ),
    "calls": Group(
        "tests.chaos.calls:run",
        240,
        {
            "R17": "jobs made twice by submissions whose answers are cut off",
            "R19": "a killed caller's ffmpeg ends",
            "R20": "a caller without a network for half a minute",
            "R21": "lines lost, doubled or out of order while coordinators are restarted",
            "R22": "bytes of binary output that differ",
        },
    ),
    "tails": Group(
        "tests.chaos.tails:run",
        120,
        {"R24": "acknowledged submissions lost with the end of the append-only file, or in a failover"},
    ),
}

GROUPS = {name: group for name, group in _ALL.items() if group.is_there}
ROWS = {row: name for name, group in GROUPS.items() for row in group.rows}
