"""What a line says, and when it is a FAIL."""

from __future__ import annotations

import math

import pytest

from tests.chaos.__main__ import main
from tests.chaos.row import Row, none, seconds
from tests.chaos.table import GROUPS, ROWS


@pytest.mark.parametrize(
    ("row", "verdict", "in_short"),
    [
        (none("R5", "false requeues", 0), "PASS", "PASS"),
        (none("R5", "false requeues", 1), "FAIL", "FAIL"),
        (seconds("R1", "killed -> next start", 6.1, 10), "PASS", ""),
        (seconds("R1", "killed -> next start", 10.1, 10), "FAIL", ""),
        (seconds("R1", "never started again", math.inf, 10), "FAIL", "FAIL"),
        (Row("R25", "end well", 100, 100, "%", at_least=True), "PASS", "PASS"),
        (Row("R25", "end well", 99, 100, "%", at_least=True), "FAIL", "FAIL"),
    ],
)
def test_a_verdict(row: Row, verdict: str, in_short: str) -> None:
    assert (row.verdict(), row.verdict(short=True)) == (verdict, in_short)


def test_a_line_says_what_was_found_and_what_should_have_been() -> None:
    assert seconds("R1", "x", 6.118, 10).cells() == ("R1", "x", "6.12 s", "<= 10 s", "PASS")
    assert none("R5", "x", 3).cells() == ("R5", "x", "3", "0", "FAIL")
    assert Row("R25", "x", 100, 100, "%", at_least=True).cells()[2:4] == ("100 %", ">= 100 %")
    assert seconds("R8", "x", math.inf, 10).cells(short=True)[2:] == ("never", "<= 10 s", "FAIL")


def test_what_never_came_is_null_in_json() -> None:
    assert seconds("R8", "x", math.inf, 10).json()["value"] is None


def test_the_list_names_every_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0

    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(ROWS)


def test_a_row_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--rows", "R99"])

    assert "there is no 'R99'" in capsys.readouterr().err


@pytest.mark.parametrize("name", GROUPS)
def test_every_group_has_its_function(name: str) -> None:
    assert callable(GROUPS[name].run())
