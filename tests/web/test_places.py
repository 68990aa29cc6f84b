"""What a submission may say of its caller: how a root was written, where roots are, umask, user, input."""

from __future__ import annotations

from typing import Any

import pytest

from app.wire.messages import JOBS
from tests.web.conftest import Site, submission

ROOT = {"root": "Movies"}


def with_piece(*pieces: Any) -> dict[str, Any]:
    return {"args": ["-i", list(pieces), "-f", "null", "-"]}


@pytest.mark.parametrize(
    ("change", "pointer", "said"),
    [
        (with_piece({**ROOT, "written": "media"}, "/a"), "args[1]", "of a root: it begins with '/'"),
        (with_piece({**ROOT, "written": ""}, "/a"), "$.args[1][0].written", "expected `str` of length >= 1"),
        (with_piece({**ROOT, "written": "/" * 8193}, "/a"), "$.args[1][0].written", "expected `str` of length <= 8192"),
        (with_piece({**ROOT, "written": "/a\0"}, "/a"), "args[1]", "an argument cannot hold a NUL"),
        (with_piece({"b64": "", "written": "/a"}), "args[1]", "'written' is the spelling of a root"),
        (with_piece({"written": "/a"}), "args[1]", "a piece has either 'root' or 'b64'"),
        (with_piece({**ROOT, "spelled": "/a"}), "args[1][0]", "object contains unknown field `spelled`"),
        ({"stdin": "maybe"}, "stdin", "invalid enum value 'maybe'"),
        ({"stdin": True}, "stdin", "expected `str`, got `bool`"),
        ({"umask": -1}, "umask", "expected `int` >= 0"),
        ({"umask": 0o1000}, "umask", "expected `int` <= 511"),
        ({"umask": "022"}, "umask", "expected `int | null`, got `str`"),
        ({"user": []}, "user", "expected `array` of length >= 2"),
        ({"user": [1]}, "user", "expected `array` of length >= 2"),
        ({"user": [1, -1]}, "user[1]", "expected `int` >= 0"),
        ({"user": [0xFFFFFFFF, 1]}, "user[0]", "expected `int` <= 4294967294"),  # it means "as now"
        ({"user": list(range(67))}, "user", "expected `array` of length <= 66"),
        ({"user": ["root", "root"]}, "user[0]", "expected `int`, got `str`"),
        ({"view": {"Movies": [ROOT, "/x"]}}, "view", "a path names a root, expected the directory"),
        ({"view": {"no name": "/x"}}, "view", "expected `str` matching regex"),
        ({"view": {"Movies": "/x\0"}}, "view.Movies", "an argument cannot hold a NUL"),
    ],
)  # fmt: skip
async def test_what_cannot_be_is_told(site: Site, change: dict[str, Any], pointer: str, said: str) -> None:
    answer = site.ask("POST", JOBS, submission(**change))

    assert (answer.status, answer.type) == (422, "invalid")
    assert said in answer.detail
    assert pointer.removeprefix("$.") in answer.detail
    assert await site.count() == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"umask": 0, "user": [0, 0], "stdin": "ready"},
        {"umask": 0o777, "user": [1000, 1000, *range(64)], "stdin": "none"},
        {"user": [0xFFFFFFFE, 0xFFFFFFFE]},
    ],
)
async def test_what_is_said_is_kept(site: Site, fields: dict[str, Any]) -> None:
    job = await site.jobs.get(site.ask("POST", JOBS, submission(**fields)).json["id"])

    assert {name: job.spec[name] for name in fields} == fields


async def test_nothing_that_was_not_said_is_kept(site: Site) -> None:
    job = await site.jobs.get(site.ask("POST", JOBS, submission(umask=None, user=None)).json["id"])

    assert not {"umask", "user"} & job.spec.keys()
    assert job.spec["stdin"] == "open"


async def test_how_a_root_was_written_changes_nothing_else(site: Site) -> None:
    pieces = ["subtitles=f=", {**ROOT, "written": "/it\\\\'s"}, "/a.srt"]
    args = ["-i", [ROOT, "/a"], "-vf", pieces, "-f", "null", "-"]

    job = await site.jobs.get(site.ask("POST", JOBS, submission(args=args)).json["id"])

    assert job.spec["args"][3] == pieces


@pytest.mark.parametrize("written", ["/etc/passwd", "/..", "/a|/etc/passwd"])
async def test_a_hostile_spelling_lies_in_no_other_place(site: Site, written: str) -> None:
    """It is what a namespace shows of it, and nobody reads it elsewhere."""
    answer = site.ask("POST", JOBS, submission(**with_piece({**ROOT, "written": written}, "/../../x")))

    assert (answer.status, answer.type) == (422, "outside-roots")


@pytest.mark.parametrize(
    "option",
    [
        ("-attach", "/etc/x"),
        ("-vf", "movie=../../../etc/x"),
        ("-f", "tee", "[f=avi]/etc/x"),
    ],
)
async def test_a_file_outside_is_refused_before_it_is_stored(site: Site, option: tuple[str, ...]) -> None:
    answer = site.ask("POST", JOBS, submission(args=["-i", [ROOT, "/a"], *option, [ROOT, "/b.mkv"]]))

    assert (answer.status, answer.type) == (422, "outside-roots")
