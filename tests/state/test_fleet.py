"""The fleet's id changes when, and only when, what the workers would answer may have changed."""

from __future__ import annotations

from typing import Any

import pytest

from app.state.fleet import fleet


def about(build: str = "b1", **more: Any) -> dict[str, Any]:
    """What a worker says of itself."""
    builds = {"ffmpeg": build, "ffprobe": build}
    return {"binaries": {"ffmpeg": "7.1"}, "builds": builds, "labels": {}, "roots": ["Movies"], **more}


def test_nobody_is_no_fleet() -> None:
    assert fleet([], {}) == ("", 0)


def test_equal_builds_are_one_fleet_however_many_there_are() -> None:
    one, _ = fleet([about()], {})
    three, count = fleet([about(), about(roots=["TV"], slots=9, started=1.5), about()], {})

    assert one == three
    assert count == 3
    assert len(one) == 16
    assert set(one) <= set("0123456789abcdef")


def test_the_order_of_workers_does_not_matter() -> None:
    assert fleet([about("b1"), about("b2")], {}) == fleet([about("b2"), about("b1")], {})


@pytest.mark.parametrize(
    "others",
    [
        [about("b2")],
        [about("b1"), about("b2")],
        [about(builds={"ffmpeg": "b1"})],
        [about(builds={"ffmpeg": "b1", "ffprobe": "b2"})],
        [about(builds={"ffmpeg": "b2", "ffprobe": "b1"})],
    ],
)
def test_another_build_is_another_fleet(others: list[dict[str, Any]]) -> None:
    assert fleet(others, {})[0] != fleet([about()], {})[0]


def test_only_workers_with_the_labels_count() -> None:
    plain, gpu = about("b1"), about("b2", labels={"gpu": "nvidia", "site": "attic"})

    assert fleet([plain, gpu], {"gpu": "nvidia"}) == fleet([gpu], {})
    assert fleet([plain, gpu], {"gpu": "amd"}) == ("", 0)
    assert fleet([plain, gpu], {})[1] == 2


def test_a_worker_that_names_no_builds_is_a_fleet_too() -> None:
    older = {"binaries": {"ffmpeg": "5.1"}, "roots": []}

    assert fleet([older], {})[1] == 1
    assert fleet([older], {})[0] not in ("", fleet([about()], {})[0])
