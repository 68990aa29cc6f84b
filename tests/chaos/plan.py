"""What a run under many faults consists of, drawn by lot before it begins: jobs, and faults. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

RATE = 8.6  # jobs a second: 516 a minute
RATE_SLOW = 0.12  # the share of jobs that run at the speed of playing
SHARES = {"file": 74, "small": 6, "call": 14, "wrong": 6}  # of a hundred jobs
CANCELLED, RETRIED = 0.08, 0.25  # the share of jobs that are cancelled; that may be tried again
QUICK, PACED = (12, 50), (25, 50)  # pictures of a film

WORKERS, WEBS = 3, 2
WORKER, WEB, REDIS, DISK = "worker", "web", "redis", "disk"
# fault -> what it hits, how many of 23 are like that, the seconds that it lasts
FAULTS = {
    "kill worker": (WORKER, 5, (0.2, 2.0)),
    "freeze worker": (WORKER, 3, (3.0, 12.0)),
    "cut worker": (WORKER, 3, (3.0, 12.0)),
    "drain worker": (WORKER, 2, (0.2, 1.0)),
    "kill web": (WEB, 4, (0.2, 2.0)),
    "kill redis": (REDIS, 2, (0.3, 3.0)),
    "pause redis": (REDIS, 2, (0.5, 4.0)),
    "flush scripts": (REDIS, 1, (0.0, 0.0)),
    "fill disk": (DISK, 1, (2.0, 5.0)),
}
PAUSE = (0.8, 2.4)  # seconds between the beginnings of two faults
REST = 1.5  # seconds in which a target is left alone after a fault


@dataclass(frozen=True)
class Work:
    """One job. `kind`: a film as a "file", one on a disk that gets full ("small"), bytes to a caller ("call"), or
    a command that must fail ("wrong"). `paced`: it runs as long as it plays."""

    at: float
    name: str
    kind: str
    frames: int
    paced: bool = False
    cancel_after: float | None = None
    retries: int = 0


@dataclass(frozen=True)
class Fault:
    """From `at` on, for so many seconds."""

    at: float
    what: str
    target: str
    number: int
    lasts: float


def works(lot: Random, seconds: float, rate: float = RATE) -> list[Work]:
    """The jobs, in the order of their times."""
    count = int(seconds * rate)
    return [
        _work(lot, number, at)
        for number, at in enumerate(sorted(lot.uniform(0, seconds) for _ in range(count)))
    ]


def _work(lot: Random, number: int, at: float) -> Work:
    (kind,) = lot.choices(list(SHARES), list(SHARES.values()))
    paced = lot.random() < RATE_SLOW
    frames = lot.randint(*(PACED if paced else QUICK))
    may_cancel = kind != "call" and lot.random() < CANCELLED
    after = lot.uniform(0, 1.5) if may_cancel else None
    retries = lot.randint(1, 3) if kind != "call" and lot.random() < RETRIED else 0
    return Work(at, f"{kind}-{number:05d}", kind, frames, paced, after, retries)


def faults(lot: Random, seconds: float) -> list[Fault]:
    """The faults, in the order of their times. None begins where another has not ended."""
    return list(_faults(lot, seconds))


def _faults(lot: Random, seconds: float) -> Iterator[Fault]:
    free: dict[tuple[str, int], float] = {}
    counts = {WORKER: WORKERS, WEB: WEBS, REDIS: 1, DISK: 1}
    deck: list[str] = []  # each fault comes up as often as it should, whatever the seed
    at = lot.uniform(*PAUSE)
    while at < seconds:
        if not deck:
            deck = [what for what, (_, weight, _) in FAULTS.items() for _ in range(weight)]
            lot.shuffle(deck)
        for what in deck:
            target, _, length = FAULTS[what]
            number, lasts = lot.randrange(counts[target]), lot.uniform(*length)
            if free.get((target, number), 0.0) <= at:
                yield Fault(at, what, target, number, lasts)
                free[target, number] = at + lasts + REST
                deck.remove(what)
                break
        at += lot.uniform(*PAUSE)
