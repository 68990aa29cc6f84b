"""Jobs that a filter lets through: listed, ended and run again, on real processes."""

from __future__ import annotations

import json
import os
import pty
import secrets
import subprocess
from argparse import Namespace
from typing import Any

import pytest

from app.cli import filters
from tests.cli.conftest import act
from tests.farm import FFGRID, Farm, until


def make(farm: Farm, label: str, count: int) -> list[str]:
    """So many jobs with this label, which nobody can run."""
    words = ["submit", "--label", "no=where", "--label", f"batch={label}", "--", *act("exit")]
    return [farm.ffgrid(*words).stdout.strip() for _ in range(count)]


def fail(farm: Farm, text: str, count: int) -> list[str]:
    """So many jobs with this text in their command, which have failed."""
    command = [*act("exit")[:-3], "-metadata", f"title={text}", "-f", "null", "-"]
    ids = [farm.ffgrid("submit", "--", *command).stdout.strip() for _ in range(count)]
    until(lambda: {farm.job(one)["state"] for one in ids} == {"failed"})
    return ids


@pytest.fixture
def label() -> str:
    return secrets.token_hex(4)


def ids_of(farm: Farm, *words: str) -> list[str]:
    return [job["id"] for job in farm.json("jobs", *words)["jobs"]]


def test_a_list_has_filters(acting: Farm, label: str) -> None:
    first, second = make(acting, label, 2)
    mine = ["--label", f"batch={label}"]

    assert ids_of(acting, *mine) == [second, first]
    assert ids_of(acting, *mine, "--limit", "1") == [second]
    assert ids_of(acting, *mine, "--state", "queued", "--lane", "normal", "--since", "1h") == [second, first]
    assert ids_of(acting, *mine, "--lane", "low") == []
    assert ids_of(acting, *mine, "--text", "ACT=EXIT") == [second, first]
    assert ids_of(acting, *mine, "--text", "no such text") == []
    assert ids_of(acting, *mine, "--until", "2020-01-01") == []
    assert ids_of(acting, *mine, "--owner", "nobody") == []
    assert acting.ffgrid("jobs", *mine, "--worker", "actor").stderr == "ffgrid: there are no such jobs\n"
    assert acting.ffgrid("jobs", "--since", "yesterday").returncode == 2
    acting.ffgrid("cancel", first, second)


def test_all_that_match_are_shown_first_and_ended_then(acting: Farm, label: str) -> None:
    ids = make(acting, label, 3)
    (other,) = make(acting, f"{label}x", 1)
    which = ["--state", "queued", "--label", f"batch={label}"]
    unsure = acting.ffgrid("cancel", *which)
    dry = acting.ffgrid("cancel", *which, "--dry-run")
    before = {acting.job(one)["state"] for one in ids}
    done = acting.ffgrid("cancel", *which, "--yes")
    after = {acting.job(one)["state"] for one in ids}
    spared = acting.job(other)["state"]
    acting.ffgrid("cancel", other)

    assert unsure.returncode == 2
    assert unsure.stderr == "ffgrid: 3 jobs match: say --yes to go on, or --dry-run to see them\n"
    assert all(one in dry.stdout for one in ids)
    assert (dry.returncode, dry.stderr, before) == (0, "ffgrid: cancel: 3 jobs match\n", {"queued"})
    assert (done.returncode, done.stdout, after) == (0, "3 cancelled, 0 left alone\n", {"cancelled"})
    assert spared == "queued"


def test_all_that_failed_run_again(acting: Farm, label: str) -> None:
    ids = fail(acting, label, 2)
    which = ["--state", "failed", "--since", "24h", "--text", label]
    dry = json.loads(acting.ffgrid("retry", *which, "--dry-run", "--json").stdout)
    done = json.loads(acting.ffgrid("retry", *which, "--yes", "--json").stdout)
    again = [job["retry_of"] for job in acting.json("jobs", *which[2:])["jobs"] if job["retry_of"]]

    assert (dry["total"], dry["exact"]) == (2, True)
    assert (done["state"], done["action"], done["done"], done["failed"]) == ("done", "retry", 2, 0)
    assert sorted(again) == sorted(ids)


def test_several_named_jobs_run_again(acting: Farm, label: str) -> None:
    ids = fail(acting, label, 2)
    done = acting.ffgrid("retry", *ids)
    new = done.stdout.split()
    dry = acting.ffgrid("cancel", ids[0], "--dry-run")

    assert done.returncode == 0
    assert [acting.job(one)["retry_of"] for one in new] == ids
    assert dry.stderr == "ffgrid: cancel: 0 jobs match\n"


@pytest.mark.parametrize("words", [["cancel"], ["retry"], ["cancel", "01M7ZSCJ", "--state", "queued"]])
def test_which_jobs_has_to_be_said_in_one_way(acting: Farm, words: list[str]) -> None:
    done = acting.ffgrid(*words)

    assert done.returncode == 2
    assert done.stderr.startswith("ffgrid: which jobs? name some, or say which with a filter")


def test_run_again_needs_a_state_that_has_ended(acting: Farm) -> None:
    done = acting.ffgrid("retry", "--since", "1h", "--yes")

    assert done.returncode == 2
    assert "filter.state: expected which to run again" in done.stderr


@pytest.mark.parametrize(("typed", "state"), [("y\n", "cancelled"), ("\n", "queued")])
def test_a_person_is_asked(acting: Farm, label: str, typed: str, state: str) -> None:
    (job_id,) = make(acting, label, 1)
    ours, theirs = pty.openpty()
    os.write(ours, typed.encode())
    command = [FFGRID, "cancel", "--label", f"batch={label}"]
    done = subprocess.run(
        command, env=acting.environ, stdin=theirs, capture_output=True, text=True, timeout=60
    )
    found = acting.job(job_id)["state"]
    os.close(ours)
    os.close(theirs)
    acting.ffgrid("cancel", job_id)

    assert done.returncode == 0
    assert "cancel: 1 job matches. Go on?" in done.stdout
    assert found == state


def test_a_span_is_counted_by_the_coordinator_and_a_date_here() -> None:
    nothing: dict[str, Any] = dict.fromkeys(("state", "lane", "worker", "owner", "text", "since", "until"))

    assert filters.words(Namespace(**{**nothing, "label": []})) == {}
    said = {**nothing, "label": ["a=b"], "text": "x", "since": "24h", "until": "2023-11-14T22:13:20+00:00"}
    assert filters.words(Namespace(**said)) == {
        "q": "x",
        "since": "24h",
        "until": "1700000000.000",
        "label": ["a=b"],
    }
