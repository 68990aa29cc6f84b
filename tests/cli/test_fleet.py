"""`ffgrid workers` and `drain`, on real ones."""

from __future__ import annotations

import pytest

from app.cli.fleet import _row
from tests.farm import ROOT_NAME, Farm, until


def test_workers_are_a_table(farm: Farm) -> None:
    done = farm.ffgrid("workers")
    head, *rows = [line.split() for line in done.stdout.splitlines()]

    assert done.returncode == 0
    assert head == ["NAME", "STATE", "BUSY/SLOTS", "ROOTS", "FFMPEG", "SANDBOX", "VERSION", "LAST", "HEARD"]
    assert [row[0] for row in rows] == ["w1"]
    assert rows[0][1] in ("online", "busy")
    assert rows[0][2].endswith("/2")
    assert rows[0][3] == ROOT_NAME
    assert rows[0][-1] == "ago"


def test_workers_as_json_are_what_the_api_says(farm: Farm) -> None:
    (worker,) = farm.json("workers")["workers"]

    assert worker["id"] == "w1"
    assert worker["slots"] == 2
    assert worker["roots"] == [ROOT_NAME]
    assert worker["silent"] < 6


def test_a_worker_cannot_draw_on_the_terminal() -> None:
    evil = {"id": "w1", "state": "online", "busy": 0, "silent": 0.1, "roots": ["\x1b[2J"], "version": "\n"}

    assert _row(evil) == ("w1", "online", "0/?", "?[2J", "-", "-", "?", "0 s ago")


@pytest.mark.parametrize("name", ["nobody", "no body", "../jobs", "", "ä"])
def test_a_worker_that_is_not_there_is_not_found(farm: Farm, name: str) -> None:
    done = farm.ffgrid("drain", name)

    assert done.returncode == 3
    assert done.stderr == f"ffgrid: there is no worker {name!r}\n"


def test_only_an_admin_may_drain(farm: Farm) -> None:
    done = farm.ffgrid("drain", "w1", FFGRID_KEY_FILE=str(farm.add_key("drainer", "client")))

    assert done.returncode == 4
    assert done.stderr == "ffgrid: a key of role client may not do this: it takes admin\n"


def test_a_drained_worker_ends_and_then_there_is_none(own_farm: Farm) -> None:
    done = own_farm.ffgrid("drain", "w1")
    until(lambda: not own_farm.workers[0].is_alive)
    after = own_farm.ffgrid("workers")

    assert done.returncode == 0
    assert done.stdout == "w1 is draining: it takes nothing new and ends when its jobs have ended\n"
    assert (after.returncode, after.stdout) == (0, "")
    assert "start one with `ffgrid worker`" in after.stderr


def test_a_worker_waits_until_it_is_resumed(own_farm: Farm) -> None:
    paused = own_farm.ffgrid("pause-worker", "w1")
    until(lambda: own_farm.known_workers()[0]["state"] == "paused")
    words = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "anullsrc=d=0.1", "-f", "null", "-"]
    job_id = own_farm.ffgrid("submit", "--", *words).stdout.strip()
    resumed = own_farm.ffgrid("resume-worker", "w1", "--json")

    assert paused.stdout == "w1 is paused: it takes nothing new until: ffgrid resume-worker w1\n"
    assert resumed.returncode == 0
    assert own_farm.ffgrid("watch", job_id).returncode == 0


def test_a_drain_can_be_taken_back(own_farm: Farm) -> None:
    words = ["ffmpeg", "-v", "error", "-re", "-f", "lavfi", "-i", "anullsrc", "-f", "null", "-"]
    job_id = own_farm.ffgrid("submit", "--", *words).stdout.strip()
    until(lambda: own_farm.job(job_id)["state"] == "running")
    own_farm.ffgrid("drain", "w1")
    resumed = own_farm.ffgrid("drain", "--resume", "w1")
    until(lambda: own_farm.known_workers()[0]["state"] == "busy")
    own_farm.ffgrid("cancel", job_id)

    assert resumed.stdout == "w1 is online: it takes jobs\n"
    assert own_farm.workers[0].is_alive


def test_queues_say_what_waits_and_why_nobody_takes_it(farm: Farm) -> None:
    empty = farm.ffgrid("queues")
    words = ["submit", "--lane", "low", "--label", "gpu=none", "--", "ffprobe", "-v", "error", "x.mkv"]
    job_id = farm.ffgrid(*words).stdout.strip()
    shown = farm.ffgrid("queues")
    (held,) = [one for one in farm.json("queues")["queues"] if one["queued"]]
    farm.ffgrid("cancel", job_id)

    assert (empty.returncode, empty.stdout, empty.stderr) == (
        0,
        "",
        "ffgrid: nothing waits and nothing runs\n",
    )
    assert shown.stdout.splitlines()[0].split() == [
        "NEEDS",
        "LIVE",
        "HIGH",
        "NORMAL",
        "LOW",
        "RUNNING",
        "OLDEST",
        "WORKERS",
    ]
    assert shown.stdout.splitlines()[1].split()[:8] == [
        "ffprobe",
        ROOT_NAME,
        "gpu=none",
        "0",
        "0",
        "0",
        "1",
        "0",
    ]
    assert shown.stderr == f"ffgrid: ffprobe {ROOT_NAME} gpu=none: no live worker has the label gpu=none\n"
    assert held["lanes"]["low"] == {"queued": 1, "running": 0}
    assert (held["workers"], held["labels"]) == ([], {"gpu": "none"})
