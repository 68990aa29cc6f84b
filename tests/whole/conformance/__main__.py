"""`python -m tests.whole.conformance [arguments for pytest]`: the checklist as a table, a line an item and mode.

ok      the farm served it, and nothing differs from the real program
local   nothing differs, because it ran on the caller's own host
FAILED  something differs
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.whole.conformance.checklist import ITEMS, MODES, item_of
from tests.whole.conformance.harness import ALL_MODES

WORST_LAST = ("local", "ok", "FAILED")


class Table:
    """Collects how each item went in each mode: what is worst of its tests, and "local" if all of them were."""

    def __init__(self) -> None:
        self._went: dict[tuple[str, str], str] = {}

    def pytest_configure(self, config: pytest.Config) -> None:
        """Asks for every item in every mode."""
        config.stash[ALL_MODES] = True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A report on a phase of a test; the last one says where its calls ran."""
        name, bracket, ids = report.nodeid.rpartition("::")[2].partition("[")
        mode = ids.rstrip("]").split("-")[0]
        if not bracket or mode not in MODES or not (report.failed or report.when == "teardown"):
            return
        went = "FAILED" if report.failed else "ok"
        if went == "ok" and ("ran", "local") in report.user_properties:
            went = "local"
        before = self._went.get((item_of(name), mode), went)
        self._went[item_of(name), mode] = max(before, went, key=WORST_LAST.index)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Prints it."""
        terminalreporter.section("conformance")
        for item, title in ITEMS.items():
            for mode in MODES:
                if went := self._went.get((item, mode)):
                    terminalreporter.write_line(f"{item:<4} {mode:<10} {went:<7} {title}")
        counts = [f"{list(self._went.values()).count(went)} {went}" for went in reversed(WORST_LAST)]
        terminalreporter.write_line(", ".join(counts))


def main(arguments: list[str]) -> int:
    """Runs the tests of this folder; pytest's exit status."""
    folder = str(Path(__file__).parent)
    return int(
        pytest.main([folder, "-q", "--no-header", "--tb=short", "-r", "", *arguments], plugins=[Table()])
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
