"""What a job needs, the class that makes of it, and whom a worker satisfies."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.state.requirements import canonical, class_id, missing, requirement, why_nobody

WORDS = st.text(max_size=8)
LABELS = st.dictionaries(WORDS, WORDS, max_size=4)
ABOUT: dict[str, Any] = {
    "binaries": {"ffmpeg": "7.1"},
    "roots": ["Movies", "TV"],
    "encoders": ["libx264"],
    "labels": {"gpu": "yes"},
}
NEEDS_ALL = requirement("ffprobe", ["Tape"], {"gpu": "no", "site": "b"}, ["hevc"])


@given(roots=st.lists(WORDS), labels=LABELS, encoders=st.lists(WORDS), chance=st.randoms())
def test_equal_needs_make_one_class_in_whatever_order_they_come(
    roots: list[str], labels: dict[str, str], encoders: list[str], chance: Any
) -> None:
    first = requirement("ffmpeg", roots, labels, encoders)
    shuffled = list(labels.items())
    for items in (roots, encoders, shuffled):
        chance.shuffle(items)
    second = requirement("ffmpeg", [*roots, *roots], dict(shuffled), [*encoders, *encoders])

    assert first == second
    assert canonical(first) == canonical(second)
    assert class_id(first) == class_id(second)


def test_different_needs_make_different_classes() -> None:
    needs = [
        requirement("ffmpeg", [], {}, []),
        requirement("ffprobe", [], {}, []),
        requirement("ffmpeg", ["a"], {}, []),
        requirement("ffmpeg", ["a", "b"], {}, []),
        requirement("ffmpeg", ["a,b"], {}, []),
        requirement("ffmpeg", [], {"a": "b"}, []),
        requirement("ffmpeg", [], {"a": "c"}, []),
        requirement("ffmpeg", [], {}, ["a"]),
    ]

    assert len({class_id(one) for one in needs}) == len(needs)


def test_a_class_is_named_by_ten_hex_digits() -> None:
    name = class_id(requirement("ffmpeg", ["Movies"], {}, []))

    assert len(name) == 10
    assert set(name) <= set("0123456789abcdef")
    assert name == "8f77164f0d"


@pytest.mark.parametrize(
    ("needs", "lacks"),
    [
        (requirement("ffmpeg", [], {}, []), []),
        (requirement("ffmpeg", ["TV"], {"gpu": "yes"}, ["libx264"]), []),
        (requirement("ffprobe", [], {}, []), ["the program ffprobe"]),
        (requirement("ffmpeg", ["TV", "Tape"], {}, []), ["the root Tape"]),
        (requirement("ffmpeg", [], {"gpu": "no"}, []), ["the label gpu=no"]),
        (requirement("ffmpeg", [], {"site": "b"}, []), ["the label site=b"]),
        (requirement("ffmpeg", [], {}, ["hevc"]), ["the encoder hevc"]),
        (
            NEEDS_ALL,
            [
                "the program ffprobe",
                "the root Tape",
                "the encoder hevc",
                "the label gpu=no",
                "the label site=b",
            ],
        ),
    ],
)
def test_what_a_worker_lacks_is_named(needs: dict[str, Any], lacks: list[str]) -> None:
    assert missing(needs, ABOUT) == lacks


def test_a_worker_that_says_nothing_of_itself_satisfies_nobody() -> None:
    assert missing(requirement("ffmpeg", [], {}, []), {}) == ["the program ffmpeg"]
    assert len(missing(NEEDS_ALL, {})) == 5


@pytest.mark.parametrize(
    ("workers", "why"),
    [
        ([], "no worker is alive"),
        ([("a", ABOUT)], ""),
        ([("a", {}), ("b", ABOUT)], ""),
        ([("a", {**ABOUT, "roots": []})], "no live worker has the root TV"),
        (
            [("a", {**ABOUT, "roots": []}), ("b", {**ABOUT, "roots": ["Movies"], "encoders": []})],
            "no live worker has the root TV",
        ),
        (
            [("a", {**ABOUT, "roots": [], "encoders": []}), ("b", {**ABOUT, "roots": [], "encoders": []})],
            "no live worker has the encoder libx264 and the root TV",
        ),
        (
            [("a", {**ABOUT, "roots": []}), ("b", {**ABOUT, "encoders": []})],
            "a lacks the root TV; b lacks the encoder libx264",
        ),
    ],
)
def test_why_nobody_can_run_it_is_one_sentence(workers: list[tuple[str, dict[str, Any]]], why: str) -> None:
    assert why_nobody(requirement("ffmpeg", ["TV"], {}, ["libx264"]), workers) == why


def test_of_many_workers_a_few_are_named() -> None:
    workers = [(f"w{number}", {**ABOUT, ("roots", "encoders")[number % 2]: []}) for number in range(50)]

    why = why_nobody(requirement("ffmpeg", ["TV"], {}, ["libx264"]), workers)

    assert why.count(" lacks ") == 5
