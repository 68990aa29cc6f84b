"""A line of the scoreboard: what was found, beside what it should be. Pure."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from random import Random
from typing import Any

HEADS = ("row", "what", "found", "goal", "verdict")
WIDTHS = (4, 66, 11, 11, 7)


@dataclass(frozen=True)
class Settings:
    """What a run is asked for. Everything that is drawn by lot follows from the seed."""

    seconds: float = 60.0  # how long the rows last that may last as long as one likes
    seed: int = 1
    short: bool = False  # the form for `make test`: fewer trials, and no verdict about what load slows down

    def random(self, name: str) -> Random:
        """The lot for one purpose."""
        return Random(f"{self.seed} {name}")


@dataclass(frozen=True)
class Row:
    """One figure of the row `id`. What is not `exact` gets worse on a busy machine."""

    id: str
    what: str
    value: float
    goal: float
    unit: str = ""
    at_least: bool = False
    exact: bool = True

    def verdict(self, short: bool = False) -> str:
        """PASS or FAIL; nothing where a short run cannot say. What never came is a FAIL everywhere."""
        if short and not self.exact and math.isfinite(self.value):
            return ""
        return "PASS" if (self.value >= self.goal if self.at_least else self.value <= self.goal) else "FAIL"

    def cells(self, short: bool = False) -> tuple[str, ...]:
        """The cells of its line."""
        sign = ">=" if self.at_least else "<=" if self.goal else ""
        goal = f"{sign} {_number(self.goal)} {self.unit}".strip()
        found = f"{_number(self.value)} {self.unit}".strip() if math.isfinite(self.value) else "never"
        return (self.id, self.what, found, goal, self.verdict(short) or "-")

    def json(self, short: bool = False) -> dict[str, Any]:
        """Everything, for programs. What never came is null."""
        value = self.value if math.isfinite(self.value) else None
        return {**asdict(self), "value": value, "verdict": self.verdict(short) or None}


def none(row_id: str, what: str, count: float) -> Row:
    """A figure that must be 0."""
    return Row(row_id, what, count, 0)


def seconds(row_id: str, what: str, value: float, goal: float) -> Row:
    """A time that must not be longer."""
    return Row(row_id, what, value, goal, "s", exact=False)


def line(cells: tuple[str, ...]) -> str:
    """One line of the table: names and words to the left, numbers to the right."""
    left = (True, True, False, False, True)
    aligned = (
        cell.ljust(width) if to_left else cell.rjust(width)
        for cell, width, to_left in zip(cells, WIDTHS, left, strict=True)
    )
    return "  ".join(aligned).rstrip()


def _number(value: float) -> str:
    return f"{value:.0f}" if value == int(value) else f"{value:.2f}"
