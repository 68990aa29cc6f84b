"""What is counted about jobs since the beginning: the fields of one hash, which `tally.lua` counts up.

    submitted:<lane>          finished:<lane>:<state>     redeliveries     media (ms of it that were encoded)
    <histogram>:<bound>       <histogram>:sum             ms; each time in one bucket

Redis may lose its data, and then everything counts from 0 again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# Upper bounds of the buckets in ms; above the last one is "inf".
BOUNDS: dict[str, tuple[int, ...]] = {
    # from the submission of a job to its first start
    "wait": tuple(
        1000 * s // 10 for s in (1, 2, 5, 10, 20, 50, 100, 300, 600, 1200, 3000, 9000, 18000, 36000)
    ),
    # of a job's last attempt
    "run": tuple(1000 * s for s in (1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 14400, 28800)),
}


@dataclass(frozen=True)
class Histogram:
    """How times (s) are spread: (upper bound, how many in its bucket), the last bound is infinite."""

    buckets: tuple[tuple[float, int], ...]
    sum: float

    @property
    def count(self) -> int:
        """How many values there are."""
        return sum(count for _, count in self.buckets)

    @property
    def mean(self) -> float | None:
        """Their mean, or None without any."""
        return self.sum / self.count if self.count else None

    def quantile(self, share: float) -> float | None:
        """About the value that this share (0 to 1) does not exceed, or None without any; infinity is cut off."""
        rank, below, low = share * self.count, 0, 0.0
        for bound, count in self.buckets:
            if count and below + count >= rank:
                if bound == float("inf"):
                    return low
                return low + (bound - low) * max(0.0, rank - below) / count
            below, low = below + count, bound if bound != float("inf") else low
        return None


@dataclass(frozen=True)
class Totals:
    """The counts at one moment, or their growth between two; what is not in `counted` is 0."""

    counted: Mapping[str, int]

    @classmethod
    def parse(cls, stored: Mapping[bytes, bytes]) -> Totals:
        """From the hash."""
        return cls({name.decode(): int(value) for name, value in stored.items()})

    def since(self, earlier: Totals) -> Totals:
        """What was counted since then. Where counting has begun anew in between, all of it."""
        grown = {name: count - earlier.counted.get(name, 0) for name, count in self.counted.items()}
        began_anew = min(grown.values(), default=0) < 0 or not earlier.counted.keys() <= self.counted.keys()
        return self if began_anew else Totals({name: count for name, count in grown.items() if count})

    @property
    def submitted(self) -> dict[str, int]:
        """Jobs by lane."""
        return {name: count for (name,), count in self._below("submitted").items()}

    @property
    def finished(self) -> dict[tuple[str, str], int]:
        """Jobs by lane and the state in which they have ended."""
        return {(lane, state): count for (lane, state), count in self._below("finished").items()}

    def ended(self, *states: str) -> int:
        """How many jobs have ended in one of these states, or at all."""
        return sum(count for (_, state), count in self.finished.items() if not states or state in states)

    @property
    def redeliveries(self) -> int:
        """How often a job was taken off a worker that went silent, and queued again."""
        return self.counted.get("redeliveries", 0)

    @property
    def media(self) -> float:
        """Seconds of media that done jobs have encoded."""
        return self.counted.get("media", 0) / 1000

    def histogram(self, name: str) -> Histogram:
        """One of BOUNDS."""
        buckets = [(bound / 1000, self.counted.get(f"{name}:{bound}", 0)) for bound in BOUNDS[name]]
        last = (float("inf"), self.counted.get(f"{name}:inf", 0))
        return Histogram((*buckets, last), self.counted.get(f"{name}:sum", 0) / 1000)

    def _below(self, first: str) -> dict[tuple[str, ...], int]:
        split = ((tuple(name.split(":")), count) for name, count in self.counted.items())
        return {words[1:]: count for words, count in split if words[0] == first}
