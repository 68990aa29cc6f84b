"""docs/cli.md and what the commands print agree: every field is named there, and every command that gives JSON."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from app.cli import errors
from tests.cli.conftest import act
from tests.cli.test_commands import LEAVES
from tests.farm import Farm, until

DOCS = (Path(__file__).parents[2] / "docs/cli.md").read_text()
WORDS = {word for quoted in re.findall(r"`([^`]+)`", DOCS) for word in re.findall(r"[\w-]+", quoted)}
ROWS = [line.split(" | ")[0].strip("| ") for line in DOCS.splitlines() if line.startswith("| `")]


@pytest.fixture(scope="module")
def shapes(acting: Farm) -> dict[str, dict[str, Any]]:
    """One object of each kind, from a real farm."""
    submitted = json.loads(acting.ffgrid("submit", "--json", "--", *act("exit")).stdout)
    until(lambda: acting.job(submitted["id"])["finished"])
    return {
        "submit": submitted,
        "job": acting.job(submitted["id"]),
        "worker": acting.known_workers()[0],
        "queue": acting.json("queues")["queues"][0],
        "dry run": acting.json("retry", "--state", "failed", "--dry-run"),
        "jobs": acting.json("jobs"),
    }


@pytest.mark.parametrize("kind", ["submit", "job", "worker", "queue", "dry run", "jobs"])
def test_every_field_is_named(shapes: dict[str, dict[str, Any]], kind: str) -> None:
    assert set(shapes[kind]) - WORDS == set()


def test_every_command_that_gives_json_has_a_row() -> None:
    told = {word for row in ROWS for quoted in re.findall(r"`([^`]+)`", row) for word in [quoted]}
    gives = {
        name for name, command in LEAVES.items() if any("--json" in flags for flags, _ in command.arguments)
    }

    assert {
        name for name in gives if not any(row == name or row.startswith(f"{name} ") for row in told)
    } == set()


def test_every_exit_status_has_a_row() -> None:
    known = {
        getattr(errors, name)
        for name in "FAILED USAGE NOT_FOUND NOT_ALLOWED UNREACHABLE TRY_AGAIN TIMED_OUT INTERRUPTED".split()
    }
    told = {
        int(status)
        for row in re.findall(r"^\| ([\d, ]+) \|", DOCS, re.MULTILINE)
        for status in row.split(",")
    }

    assert known | {0, 143} == told
