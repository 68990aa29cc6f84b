"""A figure and how it is shown: beside its reference, against its aim. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

HEADS = ("figure", "measured", "beside it", "", "compared", "aim", "")
WIDTHS = (28, 13, 13, 30, 10, 12, 6)


@dataclass(frozen=True)
class Aim:
    """A limit for the value itself, or for how it compares with its reference."""

    limit: float
    at_least: bool = False
    of_comparison: bool = False

    def met(self, figure: Figure) -> bool:
        """Whether the figure keeps it."""
        value = figure.compared if self.of_comparison else figure.value
        assert value is not None
        return value >= self.limit if self.at_least else value <= self.limit


@dataclass(frozen=True)
class Figure:
    """One measured number. `beside` says what the reference is.

    `compared` is the difference to the reference, in the same unit, or the ratio (`is_ratio`).
    """

    name: str
    value: float
    unit: str
    reference: float | None = None
    beside: str = ""
    compared: float | None = None
    is_ratio: bool = False
    aim: Aim | None = None

    @property
    def verdict(self) -> str:
        """ok, missed, or nothing where there is no aim."""
        if self.aim is None:
            return ""
        return "ok" if self.aim.met(self) else "missed"

    def row(self) -> tuple[str, ...]:
        """The cells of its line."""
        return (
            self.name,
            _quantity(self.value, self.unit),
            "" if self.reference is None else _quantity(self.reference, self.unit),
            self.beside,
            self._comparison(self.compared),
            self._aim(),
            self.verdict,
        )

    def json(self) -> dict[str, Any]:
        """Everything, for programs."""
        aim = self.aim and {
            "limit": self.aim.limit,
            "at_least": self.aim.at_least,
            "of": "compared" if self.aim.of_comparison else "value",
        }
        return {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "reference": self.reference,
            "beside": self.beside,
            "compared": self.compared,
            "comparison": None if self.compared is None else "ratio" if self.is_ratio else "difference",
            "aim": aim,
            "verdict": self.verdict or None,
        }

    def _comparison(self, value: float | None) -> str:
        if value is None:
            return ""
        return f"{value * 100:.0f} %" if self.is_ratio else f"{value:+.{_decimals(value)}f} {self.unit}"

    def _aim(self) -> str:
        if self.aim is None:
            return ""
        sign = ">=" if self.aim.at_least else "<="
        if self.aim.of_comparison:
            return f"{sign} {self._comparison(self.aim.limit)}"
        return f"{sign} {_quantity(self.aim.limit, self.unit)}"


def ratio(
    name: str, value: float, unit: str, reference: float, beside: str, aim: Aim | None = None
) -> Figure:
    """A figure that is compared by its ratio."""
    return Figure(name, value, unit, reference, beside, value / reference, True, aim)


def line(cells: tuple[str, ...]) -> str:
    """One line of the table: names and words to the left, numbers to the right."""
    left = (True, False, False, True, False, False, True)
    aligned = (
        cell.ljust(width) if to_left else cell.rjust(width)
        for cell, width, to_left in zip(cells, WIDTHS, left, strict=True)
    )
    return "  ".join(aligned).rstrip()


def _quantity(value: float, unit: str) -> str:
    return f"{value:.{_decimals(value)}f} {unit}"


def _decimals(value: float) -> int:
    size = abs(value)
    return 0 if size >= 1000 else 1 if size >= 10 else 2
