"""Medians, percentiles and paired differences. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def median(values: Iterable[float]) -> float:
    """The middle one, or the mean of the two in the middle."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("the median of nothing")
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def percentile(values: Iterable[float], percent: float) -> float:
    """The smallest value that at least so many percent do not exceed."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("a percentile of nothing")
    rank = -(-len(ordered) * percent // 100)
    return ordered[min(max(int(rank), 1), len(ordered)) - 1]


def differences(values: Sequence[float], references: Sequence[float]) -> list[float]:
    """What each value is above the reference that was measured beside it."""
    return [value - reference for value, reference in zip(values, references, strict=True)]
