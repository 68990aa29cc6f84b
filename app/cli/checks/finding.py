"""What a check has found: a verdict, a sentence, and the command that mends it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic

from app.cli.errors import explain

OK, WARN, BAD, SKIPPED = (
    "ok",
    "warn",
    "bad",
    "skipped",
)  # fine, to be known, to be mended, could not be looked at


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's. `mend` is "" where nothing is wrong."""

    check: str
    verdict: str
    sentence: str
    mend: str = ""


Check = Callable[[], Sequence[Finding]]


def together(checks: Sequence[tuple[str, Check]], until: float) -> Iterator[Finding]:
    """Makes all checks at once; their findings in the checks' order, each as soon as it is known.

    A check that has not ended at `until` (monotonic) says so. Its thread is left: it holds nobody up.
    """
    running = [(name, _begin(name, check)) for name, check in checks]
    for name, found in running:
        try:
            yield from found.get(timeout=max(0.0, until - monotonic()))
        except Empty:
            yield Finding(name, SKIPPED, "there was no time: it has not ended yet")


def _begin(name: str, check: Check) -> SimpleQueue[Sequence[Finding]]:
    found: SimpleQueue[Sequence[Finding]] = SimpleQueue()
    Thread(target=lambda: found.put(_made(name, check)), daemon=True).start()
    return found


def _made(name: str, check: Check) -> Sequence[Finding]:
    try:
        return check()
    except Exception as error:
        return [Finding(name, BAD, explain(error)[1])]
