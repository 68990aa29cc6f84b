"""`python -m tests.chaos [--rows R1,R5] [--seconds 120] [--seed 7]`: prints the scoreboard, a line a figure.

It runs in a mount namespace of its own, so that what it mounts is gone with it, however it ends.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import Any

from tests.bench.timing import within
from tests.chaos.row import HEADS, Row, Settings, line
from tests.chaos.table import GROUPS, ROWS
from tests.farm import own_mounts

APART = "FFGRID_CHAOS_APART"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs what was asked for: 0 when every row was found and none is a FAIL."""
    arguments = _parser().parse_args(argv)
    if arguments.list:
        for group in GROUPS.values():
            for row, what in group.rows.items():
                print(f"{row:<4} {what}")
        return 0
    if not os.environ.get(APART):
        os.execvpe(*_apart())
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    settings = Settings(arguments.seconds, arguments.seed, arguments.short)
    show = _Json(settings) if arguments.json else _Table(settings)
    try:
        for name, group in GROUPS.items():
            if wanted := [row for row in group.rows if not arguments.rows or row in arguments.rows]:
                _find(name, wanted, settings, show)
    except KeyboardInterrupt:
        return 130
    finally:
        show.end()
    return int(show.failed)


def _apart() -> tuple[str, list[str], dict[str, str]]:
    command = [*own_mounts(), sys.executable, "-m", "tests.chaos", *sys.argv[1:]]
    return command[0], command, {**os.environ, APART: "1"}


def _find(name: str, wanted: list[str], settings: Settings, show: _Table | _Json) -> None:
    group = GROUPS[name]
    try:
        with within(group.limit + settings.seconds):
            for row in group.run()(settings, wanted):
                show.row(row)
    except Exception as error:  # whatever it is, the other rows are looked for
        show.broken(", ".join(wanted), f"{type(error).__name__}: {error}")


class _Table:
    """A line for each figure, as soon as it is known."""

    def __init__(self, settings: Settings) -> None:
        self.failed = False
        self._short = settings.short
        print(f"seed {settings.seed}, {settings.seconds:.0f} s{', short' * settings.short}")
        print(line(HEADS), flush=True)

    def row(self, row: Row) -> None:
        self.failed |= row.verdict(self._short) == "FAIL"
        print(line(row.cells(self._short)), flush=True)

    def broken(self, rows: str, why: str) -> None:
        self.failed = True
        print(f"{rows}: broken: {why}", file=sys.stderr, flush=True)

    def end(self) -> None:
        """All is said."""


class _Json:
    """One document at the end."""

    def __init__(self, settings: Settings) -> None:
        self.failed = False
        self._settings = settings
        self._rows: list[dict[str, Any]] = []
        self._broken: dict[str, str] = {}

    def row(self, row: Row) -> None:
        self.failed |= row.verdict(self._settings.short) == "FAIL"
        self._rows.append(row.json(self._settings.short))

    def broken(self, rows: str, why: str) -> None:
        self.failed = True
        self._broken[rows] = why

    def end(self) -> None:
        run = {"seed": self._settings.seed, "seconds": self._settings.seconds, "short": self._settings.short}
        print(json.dumps({**run, "rows": self._rows, "broken": self._broken}, indent=1))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--rows", metavar="R1,R5", type=_known, help="default: all of them")
    parser.add_argument(
        "--seconds", metavar="N", type=float, default=60.0, help="how long rows last that can last long"
    )
    parser.add_argument("--seed", metavar="N", type=int, default=1, help="the same seed draws the same lots")
    parser.add_argument("--short", action="store_true", help="what `make test` runs: fewer trials")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--list", action="store_true", help="say what there is, and find nothing")
    return parser


def _known(text: str) -> list[str]:
    rows = text.split(",") if text else []
    for row in rows:
        if row not in ROWS:
            raise argparse.ArgumentTypeError(f"there is no {row!r}: choose from {', '.join(ROWS)}")
    return rows


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
