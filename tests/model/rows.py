"""The model's rows of the scoreboard (see `tests.chaos`): R12, how far it goes, and R13, what it finds out."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

from tests.chaos.row import Row, Settings, none
from tests.conftest import start_server
from tests.model.hunt import Found, hunt_all
from tests.model.machine import explore
from tests.model.mutants import Mutant, all_mutants

EXAMPLES, SHORT_EXAMPLES = 120, 10
STEPS, SHORT_STEPS = 10_000, 1_000
EQUIVALENT = Path(__file__).with_name("equivalent.txt")


def run(settings: Settings, wanted: Collection[str]) -> Iterator[Row]:
    """The rows that are wanted."""
    if "R12" in wanted:
        yield from r12(settings)
    if "R13" in wanted:
        yield from r13(settings)


def r12(settings: Settings) -> Iterator[Row]:
    """Steps that Hypothesis has chosen, other ones for each seed."""
    with tempfile.TemporaryDirectory() as folder:
        server, url = start_server("valkey", Path(folder))
        try:
            examples = SHORT_EXAMPLES if settings.short else EXAMPLES
            steps, wrong = explore(url, examples, settings.seed)
        finally:
            server.kill()
            server.wait()
    if wrong:
        print(f"{wrong!r}", *getattr(wrong, "__notes__", ()), sep="\n", file=sys.stderr)
    goal = SHORT_STEPS if settings.short else STEPS
    yield Row("R12", "steps of the model without a violation", steps, goal, at_least=True)
    yield none("R12", "... violations", int(wrong is not None))


def r13(settings: Settings) -> Iterator[Row]:
    """All mutants that are not known to be equivalent; a short run takes the sample that `make test` takes."""
    chosen = to_be_found_out()
    found = hunt_all(sample(chosen) if settings.short else chosen)
    surviving = survivors(found)
    print(*surviving, sep="\n", file=sys.stderr, end="\n" * bool(surviving))
    what = f"of {len(found)} mutants of the scripts, those that are found out"
    yield Row("R13", what, 100 * (1 - len(surviving) / len(found)), 100, "%", at_least=True)


def equivalent() -> list[str]:
    """The mutants that change nothing, as they are printed."""
    _, _, listed = EQUIVALENT.read_text().partition("\n# ")
    return [line for line in listed.splitlines()[1:] if line and not line.startswith("#")]


def to_be_found_out() -> list[Mutant]:
    """All others."""
    known = set(equivalent())
    return [mutant for mutant in all_mutants() if str(mutant) not in known]


def sample(mutants: list[Mutant]) -> list[Mutant]:
    """The most dangerous ones, and a few of each script."""
    return [mutant for number, mutant in enumerate(mutants) if mutant.is_dangerous or number % 40 == 0]


def survivors(found: Collection[Found]) -> list[str]:
    """Those that nobody noticed."""
    return [one.mutant for one in found if not one.wrong]
