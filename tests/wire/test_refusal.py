"""A refusal as one sentence, and the clock that may be behind it."""

from __future__ import annotations

import json
from email.utils import formatdate

import pytest

from app.wire.refusal import sentence, skew

NOW = 1_795_289_401.5
PROBLEM = json.dumps({"type": "urn:ffgrid:x", "status": 401, "detail": "the request is not signed"}).encode()


def at(seconds: float) -> str:
    """A Date header of a coordinator whose clock is that far from ours."""
    return formatdate(NOW + seconds, usegmt=True)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 500, 503])
def test_what_the_coordinator_says_is_the_sentence(status: int) -> None:
    assert sentence(status, PROBLEM, at(0), NOW) == "the request is not signed"


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"\xff\xfe", b"[]", b"{}", b"null", b'"x"', b'{"message": "x"}', b"{", b"1"]
)
def test_an_answer_without_a_sentence_is_named_by_its_status(body: bytes) -> None:
    assert sentence(404, body, at(0), NOW) == "the coordinator answered with status 404"


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (-3600, "this host's clock is 3600 s ahead of the coordinator's: set it right"),
        (3600, "this host's clock is 3600 s behind the coordinator's: set it right"),
        (-90, "this host's clock is 90 s ahead of the coordinator's: set it right"),
        (1e8, "this host's clock is 100000000 s behind the coordinator's: set it right"),
    ],
)
def test_a_clock_that_is_wrong_is_the_reason(seconds: float, expected: str) -> None:
    said = sentence(401, PROBLEM, at(seconds), float(int(NOW)))

    assert said == expected


@pytest.mark.parametrize("seconds", [-58, -5, 0, 5, 58])
def test_a_clock_that_is_nearly_right_is_not(seconds: float) -> None:
    assert sentence(401, PROBLEM, at(seconds), NOW) == "the request is not signed"


@pytest.mark.parametrize("status", [403, 404, 503])
def test_only_a_signature_depends_on_the_clock(status: int) -> None:
    assert sentence(status, PROBLEM, at(3600), NOW) == "the request is not signed"


@pytest.mark.parametrize(
    "date",
    [
        "",
        "yesterday",
        "Sat, 99 Foo 2026 99:99:99 GMT",
        "1795289401",
        "\xff",
        "Sat, 21 Nov 99999 19:30:01 GMT",
    ],
)
def test_a_date_that_is_none_blames_nobody(date: str) -> None:
    assert skew(date, NOW) == 0.0
    assert sentence(401, PROBLEM, date, NOW) == "the request is not signed"


def test_the_skew_is_how_far_we_are_ahead() -> None:
    assert skew(at(-100.5), NOW) == pytest.approx(100.5, abs=1)
    assert skew(at(99.5), NOW) == pytest.approx(-99.5, abs=1)
