"""R10 and R11: a minute of jobs under faults of every kind at once, written down and judged afterwards.

What the seed decides is in `plan`, what is judged in `checker`. The journal stays in .cache/chaos.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Collection, Iterator

from app.state import lifecycle
from app.state.store import Store
from tests.bench.harness import ROOT
from tests.bench.timing import Broken
from tests.chaos import checker, journal, plan, watch
from tests.chaos.journal import Journal
from tests.chaos.load import Load
from tests.chaos.plan import Fault, Work
from tests.chaos.row import Row, Settings, none
from tests.chaos.world import World

SHORT_SECONDS = 15.0
SHORT_RATE = 4.0  # jobs a second
SETTLE = 90.0  # seconds after the last fault in which everything must end
SAID = 12  # violations that are shown
ABOUT = {
    "ending": ("R10", "jobs with another number of endings than one"),
    "lost": ("R11", "acknowledged jobs that have not ended"),
    "doubled": ("R11", "jobs that were made twice"),
    "attempts": ("R10", "attempts that overlap, or speak without a right to"),
    "seen": ("R10", "jobs that clients have seen go backwards"),
    "positions": ("R10", "positions of output out of order"),
    "outcome": ("R10", "jobs that ended otherwise than they should"),
    "files": ("R10", "outputs that are not whole, or not there"),
    "calls": ("R10", "calls that did not get the right bytes, or the right status"),
    "litter": ("R10", "files and entries left behind"),
}


def run(settings: Settings, wanted: Collection[str]) -> Iterator[Row]:
    """The rows."""
    seconds = SHORT_SECONDS if settings.short else settings.seconds
    works = plan.works(settings.random("works"), seconds, SHORT_RATE if settings.short else plan.RATE)
    faults = plan.faults(settings.random("faults"), seconds)
    notes = Journal(ROOT / ".cache" / "chaos" / f"history-{settings.seed}.jsonl")
    try:
        _happen(notes, works, faults)
    finally:
        notes.close()
    violations = checker.check(journal.read(notes.path))
    for violation in violations[:SAID]:
        print(f"  {violation.rule}: {violation.who}: {violation.why}", file=sys.stderr)
    print(f"  {len(works)} jobs under {len(faults)} faults: {notes.path.relative_to(ROOT)}", file=sys.stderr)
    counted = Counter(violation.rule for violation in violations)
    for rule, (row, what) in ABOUT.items():
        if row in wanted:
            yield none(row, what, counted[rule])


def _happen(notes: Journal, works: list[Work], faults: list[Fault]) -> None:
    with World() as world:
        load, watching = Load(world, notes, works), watch.Watch(world, notes)
        notes.begin()
        watching.begin()
        load.begin()
        _nemesis(world, notes, faults, works[-1].at)
        world.heal()
        notes.note("healed")
        load.end(SETTLE)
        _settle(world)
        watching.end()
        watch.survey(world, notes, works)


def _nemesis(world: World, notes: Journal, faults: list[Fault], until: float) -> None:
    """Each fault begins and ends at its time, as far as one thread can do that."""
    halves = [(fault.at, 0, fault) for fault in faults]
    halves += [(fault.at + fault.lasts, 1, fault) for fault in faults]
    for at, half, fault in sorted(halves, key=lambda entry: entry[:2]):
        while notes.now < at:
            world.revive()
            time.sleep(0.05)
        (world.end if half else world.begin)(fault)
        notes.note("fault", fault=fault.what, number=fault.number, ends=bool(half), planned=round(at, 2))
    while notes.now < until:
        world.revive()
        time.sleep(0.05)


def _settle(world: World) -> None:
    """Waits until all jobs have ended and workers have tidied up; what has not by then is what is found."""

    async def is_quiet(store: Store) -> bool:
        counts = await world.jobs(store).counts()
        open_jobs = sum(count for state, count in counts.items() if state not in lifecycle.FINAL)
        return not open_jobs and not any(world.movies.rglob(".ffgrid-*"))

    try:
        world.until(is_quiet, "not quiet", SETTLE)
    except Broken:
        return
