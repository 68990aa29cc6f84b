"""Prometheus' text format, version 0.0.4. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import inf

TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = Mapping[str, str]


def family(name: str, kind: str, words: str, values: Iterable[tuple[Labels, float]]) -> str:
    """A "gauge" or "counter" with what it means, and its values."""
    return _head(name, kind, words) + "".join(_line(name, labels, value) for labels, value in values)


def histogram(
    name: str, words: str, values: Iterable[tuple[Labels, Sequence[tuple[float, int]], float]]
) -> str:
    """Values are labels, buckets (upper bound, how many in this one; the last bound is infinite), and the sum."""
    return _head(name, "histogram", words) + "".join(
        _buckets(name, labels, buckets, total) for labels, buckets, total in values
    )


def _buckets(name: str, labels: Labels, buckets: Sequence[tuple[float, int]], total: float) -> str:
    lines, below = [], 0
    for bound, count in buckets:
        below += count
        lines.append(_line(f"{name}_bucket", {**labels, "le": _number(bound)}, below))
    lines += [_line(f"{name}_sum", labels, total), _line(f"{name}_count", labels, below)]
    return "".join(lines)


def _head(name: str, kind: str, words: str) -> str:
    return f"# HELP {name} {words}\n# TYPE {name} {kind}\n"


def _line(name: str, labels: Labels, value: float) -> str:
    told = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items() if text)
    return f"{name}{{{told}}} {_number(value)}\n" if told else f"{name} {_number(value)}\n"


def _number(value: float) -> str:
    if value == inf:
        return "+Inf"
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
