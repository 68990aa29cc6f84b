"""`ffgrid logs`: from where on, with which times; and what it survives."""

from __future__ import annotations

import base64
import json
import re
import time
from typing import Any

import pytest

from app.cli.errors import Failure
from app.cli.logs import seconds, stamped, tail
from app.cli.moments import moment, span
from app.cli.waiting import content
from tests.cli.conftest import act
from tests.farm import Farm, until


def entry(text: bytes, number: int = 0, kind: str = "stderr") -> dict[str, Any]:
    data = {"b64": base64.b64encode(text).decode()}
    return {"id": f"1700000000{number:03}-0", "kind": kind, "attempt": 1, **data}


def text_of(entries: Any) -> bytes:
    return b"".join(content(one) for one in entries)


@pytest.mark.parametrize(
    ("parts", "count", "expected"),
    [
        ([b"a\nb\nc\n"], 2, b"b\nc\n"),
        ([b"a\nb\nc"], 2, b"b\nc"),
        ([b"a\nb", b"b\nc\n"], 2, b"bb\nc\n"),
        ([b"a\n", b"b\n", b"c\n"], 1, b"c\n"),
        ([b"frame=1\rframe=2\rframe=3\r"], 1, b"frame=3\r"),
        ([b"a\r\nb\r\n"], 1, b"b\r\n"),
        ([b"\xff\n\xfe\n"], 1, b"\xfe\n"),
        ([b"a\nb\n"], 0, b""),
        ([b"a\nb\n"], 9, b"a\nb\n"),
        ([], 3, b""),
    ],
)
def test_the_last_lines_whatever_entries_they_are_in(parts: list[bytes], count: int, expected: bytes) -> None:
    assert text_of(tail([entry(part) for part in parts], count)) == expected


def test_each_line_gets_the_time_of_its_first_part() -> None:
    parts = [entry(b"one\ntw", 1), entry(b"o\n\xff\n", 2, "stdout")]

    assert text_of(stamped(iter(parts))).split(b"\n") == [
        b"2023-11-14T22:13:20.001Z one",
        b"2023-11-14T22:13:20.001Z two",
        b"2023-11-14T22:13:20.002Z \xff",
        b"",
    ]


@pytest.mark.parametrize(("text", "length"), [("90", 90), ("1.5m", 90), ("24h", 86_400), ("7d", 604_800)])
def test_a_span_of_time(text: str, length: float) -> None:
    assert span(text, "--timeout") == length


@pytest.mark.parametrize("text", ["", "0", "-1", "soon", "1y", "1e9", "1\u0661s", "1 h"])
def test_what_is_no_span_of_time(text: str) -> None:
    with pytest.raises(Failure, match="--timeout: expected a time such as 30s"):
        span(text, "--timeout")


def test_a_moment_is_said_in_three_ways() -> None:
    assert moment("10m", "--since", 1000.0) == 400
    assert moment("1700000000.5", "--since", 0) == 1_700_000_000.5
    assert moment("2023-11-14T22:13:20+00:00", "--since", 0) == 1_700_000_000
    with pytest.raises(Failure, match="--since: expected 10m, 24h"):
        moment("yesterday", "--since", 0)


def submitted(farm: Farm, what: str) -> str:
    done = farm.ffgrid("submit", "--", *act(what))
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def counted(acting: Farm) -> str:
    """A job that has printed `line 1` to `line 250` and ended."""
    job_id = submitted(acting, "count")
    until(lambda: acting.job(job_id)["finished"])
    return job_id


def test_the_last_lines_of_a_job(acting: Farm, counted: str) -> None:
    assert acting.ffgrid("logs", counted, "--tail", "2").stdout == "line 249\nline 250\n"
    assert acting.ffgrid("logs", "-f", counted, "--tail", "1").stdout == "line 250\n"
    assert acting.ffgrid("logs", counted, "--tail", "-1").returncode == 2


def test_the_last_lines_and_all_that_follow(acting: Farm) -> None:
    job_id = submitted(acting, "count")
    until(lambda: "line 20\n" in acting.ffgrid("logs", job_id).stdout)
    lines = acting.ffgrid("logs", "-f", job_id, "--tail", "3").stdout.splitlines()
    first = int(lines[0].split()[1])

    assert first >= 18
    assert lines == [f"line {n}" for n in range(first, 251)]


def test_since_a_moment(acting: Farm, counted: str) -> None:
    *entries, _ = map(json.loads, acting.ffgrid("logs", counted, "--json").stdout.splitlines())
    middle = entries[len(entries) // 2]
    since = acting.ffgrid("logs", counted, "--since", f"{seconds(middle['id']):.3f}", "--json")
    first = json.loads(since.stdout.splitlines()[0])

    assert first["id"].partition("-")[0] == middle["id"].partition("-")[0]
    assert acting.ffgrid("logs", counted, "--since", "1d").stdout.count("\n") == 250
    assert acting.ffgrid("logs", counted, "--since", "2100-01-01").stdout == ""


def test_times_before_lines(acting: Farm, counted: str) -> None:
    lines = acting.ffgrid("logs", counted, "--timestamps").stdout.splitlines()
    job = acting.job(counted)
    *entries, end = map(
        json.loads, acting.ffgrid("logs", counted, "--timestamps", "--json").stdout.splitlines()
    )

    assert len(lines) == 250
    assert all(re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z line \d+", line) for line in lines)
    assert all(job["started"] - 1 <= one["time"] <= job["finished"] + 1 for one in entries)
    assert "time" not in end


def test_a_followed_log_survives_the_death_of_its_coordinator(acting: Farm) -> None:
    following = acting.begin("logs", "-f", submitted(acting, "count"))
    assert following.stdout
    assert following.stderr
    first = following.stdout.readline()
    for index in (0, 1, 0):
        acting.restart_web(index)
        time.sleep(0.2)
    out, err = following.stdout.read(), following.stderr.read()
    following.wait()

    assert (first + out).decode().splitlines() == [f"line {n}" for n in range(1, 251)]
    assert following.returncode == 0
    assert err
    assert all(line.startswith(b"ffgrid: ") for line in err.splitlines())


def test_a_followed_log_waits_for_the_only_coordinator_and_says_so_once(own_farm: Farm) -> None:
    url = own_farm.webs[0].url
    words = ["-re", "-f", "lavfi", "-i", "testsrc2=d=7", "-progress", "-", "-f", "null", "-"]
    job_id = own_farm.ffgrid("submit", "--", "ffmpeg", "-v", "error", *words).stdout.strip()
    following = own_farm.begin("logs", "-f", job_id, FFGRID_URL=url)
    assert following.stdout
    assert following.stderr
    first = following.stdout.readline()
    own_farm.webs[0].kill()
    time.sleep(2)
    own_farm.start_web(own_farm.webs[0].port)
    out, err = following.stdout.read(), following.stderr.read()
    following.wait()

    assert (first + out).decode() == own_farm.ffgrid("logs", job_id).stdout
    assert following.returncode == 0
    assert (
        err.decode()
        == "ffgrid: the coordinator that sent the log has gone: trying to go on behind the last line\n"
    )
