"""The first page's charts: numbers of a day, as points and bars of small SVG pictures. Pure.

A picture is WIDTH by HEIGHT; a minute of which nothing is known is a gap and not a zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from app.state.history import MINUTE, Sample
from app.web import words

WIDTH, HEIGHT = 300, 48
SPANS = (("last hour", 3600, MINUTE), ("last day", 86_400, 1800))  # name, seconds, seconds of a step
FAILED = ("failed", "dead")
DIGITS = 1  # of a coordinate


@dataclass(frozen=True)
class Line:
    """A curve: its SVG points, in parts where there are gaps; and its colour's tone."""

    tone: str
    parts: tuple[str, ...]


@dataclass(frozen=True)
class Bar:
    """A rectangle."""

    tone: str
    x: str
    y: str
    width: str
    height: str


@dataclass(frozen=True)
class Chart:
    """One picture: `said` is what it shows, in words, for those who do not see it; `peak` is its upper edge."""

    title: str
    span: str
    said: str
    peak: str
    lines: tuple[Line, ...] = ()
    bars: tuple[Bar, ...] = ()


def charts(samples: Sequence[Sample], now: float) -> tuple[Chart, ...]:
    """How many jobs waited and ran, and how many ended, in the last hour and the last day; () without samples."""
    spans = [(name, seconds, step, _within(samples, now - seconds)) for name, seconds, step in SPANS]
    if not spans[-1][3]:
        return ()
    return tuple(
        make(name, seconds, step, found, now)
        for make in (_depth, _throughput)
        for name, seconds, step, found in spans
    )


def _depth(span: str, seconds: int, step: int, samples: Sequence[Sample], now: float) -> Chart:
    curves: list[tuple[str, Callable[[Sample], int]]] = [
        ("wait", lambda one: one.queued + one.waiting),
        ("work", lambda one: one.running),
    ]
    steps = [(at, group) for at, group in _steps(samples, step) if group]
    peak = max((value(one) for one in samples for _, value in curves), default=0)
    lines = tuple(
        Line(
            tone,
            tuple(_points([(at, max(map(value, group))) for at, group in steps], now, seconds, step, peak)),
        )
        for tone, value in curves
    )
    waiting, running = (value(samples[-1]) if samples else 0 for _, value in curves)
    said = f"{_count(waiting)} waited and {_count(running)} ran at last, at most {words.number(peak)}"
    return Chart("Waiting and running", span, said, words.number(peak), lines)


def _throughput(span: str, seconds: int, step: int, samples: Sequence[Sample], now: float) -> Chart:
    ended: dict[float, tuple[int, int]] = {}
    for before, after in pairwise(samples):
        grown = after.totals.since(before.totals)
        at = after.at - after.at % step
        done, failed = ended.get(at, (0, 0))
        ended[at] = done + grown.ended("done"), failed + grown.ended(*FAILED)
    peak = max((done + failed for done, failed in ended.values()), default=0)
    bars = tuple(bar for at, pair in ended.items() for bar in _bars(at, pair, now, seconds, step, peak))
    done, failed = (sum(pair[which] for pair in ended.values()) for which in (0, 1))
    said = f"{_count(done)} ended well and {words.number(failed)} failed"
    every = f"in {step // 60} min" if step > MINUTE else "a minute"
    return Chart("Ended", span, said, f"{words.number(peak)} {every}", (), bars)


def _bars(at: float, pair: tuple[int, int], now: float, seconds: int, step: int, peak: int) -> Iterator[Bar]:
    below = 0.0
    for tone, count in zip(("good", "bad"), pair, strict=True):
        height = HEIGHT * count / peak if peak else 0.0
        if count:
            width = WIDTH * step / seconds
            x = max(0.0, min(WIDTH - width, _x(at, now, seconds)))
            y = HEIGHT - below - height
            yield Bar(tone, _round(x), _round(y), _round(width * 0.85), _round(height))
        below += height


def _points(
    values: Sequence[tuple[float, int]], now: float, seconds: int, step: int, peak: int
) -> Iterator[str]:
    """The curve's parts; where more than two steps are missing, another one begins."""
    part: list[str] = []
    last = None
    for at, value in values:
        if last is not None and at - last > 2 * step:
            yield " ".join(part)
            part = []
        y = HEIGHT - 1 - (HEIGHT - 2) * value / peak if peak else HEIGHT - 1.0
        part.append(f"{_round(_x(at, now, seconds))},{_round(y)}")
        last = at
    if part:
        yield " ".join(part)


def _steps(samples: Sequence[Sample], step: int) -> list[tuple[float, list[Sample]]]:
    grouped: dict[float, list[Sample]] = {}
    for one in samples:
        grouped.setdefault(one.at - one.at % step, []).append(one)
    return sorted(grouped.items())


def _within(samples: Sequence[Sample], since: float) -> list[Sample]:
    return [one for one in samples if one.at >= since]


def _x(at: float, now: float, seconds: int) -> float:
    """From whole minutes, so that a chart moves once a minute."""
    end = now - now % MINUTE
    return max(0.0, min(float(WIDTH), WIDTH * (1 - (end - at) / seconds)))


def _round(value: float) -> str:
    return f"{value:.{DIGITS}f}"


def _count(jobs: int) -> str:
    return "1 job" if jobs == 1 else f"{words.number(jobs)} jobs"
