"""Roots: the same path under its local and its shared name, byte for byte."""

from __future__ import annotations

import json
import os
import posixpath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.wire import roots
from app.wire.roots import BadRoots, UnknownRoot, fold, holder, parse, unfold, within

VIEW = {"Movies": "/media", "TV": "/media/tv", "Odd": "/mnt/a b's [x]"}
WORKER = {"Movies": "/srv/nas/media", "TV": "/tv", "Odd": "/odd"}

# What arguments are made of where it hurts: separators, climbs, look-alikes, quotes, bytes that are no text.
STEPS = [
    b"/", b"//", b"..", b".", b"/media", b"media", b"/media2", b"/media/tv", b"tv", b"tvs", b"/mnt/a b's [x]",
    b"file:", b"concat:", b"|", b" ", b"'", b'"', b"[", b"]", b"{", b"}", b"(", b"%", b"%03d", b"\n", b"\t",
    b"\\", b":", b"=", b",", b";", b"-", b"x", b".mkv", "é".encode(), b"\xff", b"\xc3",
    "\N{SLIGHTLY SMILING FACE}".encode(), b"\xed\xa0\x80", b'{"root": "Movies"}', b"Movies", b"\x7f", b"\x01",
]  # fmt: skip
ARGUMENTS = st.lists(st.sampled_from(STEPS), max_size=12).map(lambda steps: os.fsdecode(b"".join(steps)))
ANY_BYTES = st.binary(max_size=40).map(lambda raw: os.fsdecode(raw.replace(b"\0", b"")))
NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,10}", fullmatch=True)
FOLDERS = st.lists(
    st.sampled_from(["media", "tv", "media2", "a b", "x", "[1]", "%", "'", "é", os.fsdecode(b"\xfe"), "..."]),
    max_size=3,
).map(lambda steps: "/" + "/".join(steps))
MAPPINGS = st.dictionaries(NAMES, st.tuples(FOLDERS, st.sampled_from(["", "/"])).map("".join), max_size=4)


# Reading the setting


def test_the_setting_maps_names_to_directories() -> None:
    assert parse("Movies=/media/movies:TV=/media/tv") == {"Movies": "/media/movies", "TV": "/media/tv"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("Movies=/", {"Movies": "/"}),
        ("Movies=/media/", {"Movies": "/media"}),
        ("Movies=/media//", {"Movies": "/media"}),
        ("M=/a b/c", {"M": "/a b/c"}),
        ("M=/a=b", {"M": "/a=b"}),
        ("M=/a:b", {"M": "/a:b"}),
        ("M=/a:b=c", {"M": "/a:b=c"}),
        ("M=/a:b=c:TV=/tv", {"M": "/a:b=c", "TV": "/tv"}),
        ("A-1_b=/x", {"A-1_b": "/x"}),
        ("M=/media/é", {"M": "/media/é"}),
    ],
)
def test_a_path_in_the_setting_may_hold_anything_but_another_root(
    text: str, expected: dict[str, str]
) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Movies",
        "Movies=",
        "Movies=media",
        "Movies=./media",
        "Movies= /media",
        "=/media",
        "/media",
        "1Movies=/media",
        "_Movies=/media",
        "Mo vies=/media",
        "Mövies=/media",
        "../x=/media",
        "x" * 65 + "=/media",
        "Movies=/a:Movies=/b",
        "Movies=/a:Movies=/a",
    ],
)
def test_what_maps_no_name_to_an_absolute_path_is_refused(text: str) -> None:
    with pytest.raises(BadRoots):
        parse(text)


def test_the_refusal_shows_the_part_that_cannot_be_read() -> None:
    with pytest.raises(BadRoots, match="TV=tv"):
        parse("TV=tv:Movies=/media")


@given(mapping=st.dictionaries(NAMES, FOLDERS, max_size=4))
def test_a_mapping_that_was_written_is_read_back(mapping: dict[str, str]) -> None:
    assert parse(":".join(f"{name}={path}" for name, path in mapping.items())) == mapping


# Folding


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("/media/a.mkv", [{"root": "Movies"}, "/a.mkv"]),
        ("/media/tv/a.mkv", [{"root": "TV"}, "/a.mkv"]),
        ("/media/tvs/a.mkv", [{"root": "Movies"}, "/tvs/a.mkv"]),
        ("/media", [{"root": "Movies"}]),
        ("/media/", [{"root": "Movies"}, "/"]),
        ("/media//a", [{"root": "Movies"}, "//a"]),
        ("/media/./a", [{"root": "Movies"}, "/./a"]),
        ("/media/a/../b", [{"root": "Movies"}, "/a/../b"]),
        ("/media/tv/..", [{"root": "Movies"}, "/tv/.."]),
        ("/media/tv/../a", [{"root": "Movies"}, "/tv/../a"]),
        ("file:/media/a", ["file:", {"root": "Movies"}, "/a"]),
        ("file:/media", ["file:", {"root": "Movies"}]),
        ("/mnt/a b's [x]/%03d.ts", [{"root": "Odd"}, "/%03d.ts"]),
        ("/media/\udcff", [{"root": "Movies"}, {"b64": "L/8="}]),
        ("\udcff", [{"b64": "/w=="}]),
        ("", ""),
        ("-i", "-i"),
        ("media/a", "media/a"),
        ("/media2/a", "/media2/a"),
        ("//media/a", ["/", {"root": "Movies"}, "/a"]),
        ("/media/../etc/passwd", "/media/../etc/passwd"),
        ("/media/../media/a", "/media/../media/a"),
        ("/media/a/../../b", "/media/a/../../b"),
        ("/media/./../b", "/media/./../b"),
        ("/media//../b", "/media//../b"),
        ("file:media/a", "file:media/a"),
        ("file:///media/a", ["file://", {"root": "Movies"}, "/a"]),
        ("///etc/a", "///etc/a"),
        ("file:file:/media/a", "file:file:/media/a"),
        ("concat:/media/a|/media/b", "concat:/media/a|/media/b"),
        ("-i=/media/a", "-i=/media/a"),
        (" /media/a", " /media/a"),
        ("\n/media/a", "\n/media/a"),
    ],
)
def test_an_argument_is_folded_only_where_it_is_a_path_inside_a_root(
    text: str, folded: str | list[str | dict[str, str]]
) -> None:
    assert fold(text, VIEW) == folded


@pytest.mark.parametrize("order", [1, -1])
def test_the_longest_root_wins_in_whatever_order_they_are_named(order: int) -> None:
    nested = {"A": "/", "B": "/media", "C": "/media/tv", "D": "/media/tv/new"}

    view = dict(list(nested.items())[::order])

    assert [holder(path, view) for path in ("/x", "/media/x", "/media/tv", "/media/tv/new/x")] == list("ABCD")


@pytest.mark.parametrize("top", ["/media", "/media/", "/media//"])
def test_a_slash_at_the_end_of_a_root_changes_nothing(top: str) -> None:
    folded = fold("/media/a", {"Movies": top})

    assert folded == [{"root": "Movies"}, "/a"]
    assert unfold(folded, {"Movies": top}) == "/media/a"
    assert fold("/media2/a", {"Movies": top}) == "/media2/a"


def test_everything_absolute_is_inside_the_root_directory() -> None:
    view = {"All": "/"}

    assert fold("/etc/x", view) == [{"root": "All"}, "/etc/x"]
    assert fold("/", view) == [{"root": "All"}, "/"]
    assert unfold(fold("/", view), view) == "/"
    assert fold("/../x", view) == "/../x"


@pytest.mark.parametrize(
    ("path", "inside"),
    [
        ("/media", True),
        ("/media/", True),
        ("/media/..", False),
        ("/media/a/..", True),
        ("/media/a/../..", False),
        ("/media/../media", False),
        ("/media/a/b/../../../media/x", False),
        ("/media/...", True),
        ("/media/..a", True),
        ("/mediax", False),
        ("/med", False),
        ("media", False),
        ("", False),
    ],
)
def test_a_path_that_climbs_out_is_not_inside(path: str, inside: bool) -> None:
    assert within(path, "/media") is inside


@given(path=ARGUMENTS, mapping=MAPPINGS)
def test_what_counts_as_inside_is_inside_by_the_standard_librarys_reckoning(
    path: str, mapping: dict[str, str]
) -> None:
    name = holder(path, mapping)
    if name is None:
        return

    resolved, top = posixpath.normpath(path), posixpath.normpath(mapping[name])

    assert resolved == top or resolved.startswith(top.rstrip("/") + "/")


# Unfolding


@settings(max_examples=600)
@given(text=ARGUMENTS | ANY_BYTES, mapping=MAPPINGS | st.just(VIEW))
def test_unfolding_with_the_own_view_gives_back_the_exact_bytes(text: str, mapping: dict[str, str]) -> None:
    folded = fold(text, mapping)

    assert unfold(folded, mapping) == text
    assert os.fsencode(unfold(folded, mapping)) == os.fsencode(text)


@given(text=ARGUMENTS | ANY_BYTES, mapping=MAPPINGS | st.just(VIEW))
def test_a_folded_argument_survives_the_network(text: str, mapping: dict[str, str]) -> None:
    folded = fold(text, mapping)

    assert json.loads(json.dumps(folded, ensure_ascii=False).encode()) == folded


@given(rest=ARGUMENTS, name=st.sampled_from(sorted(VIEW)))
def test_unfolding_with_the_workers_roots_stays_inside_them(rest: str, name: str) -> None:
    path = f"{VIEW[name]}/{rest}"
    folded = fold(path, VIEW)
    if holder(path, VIEW) is None:
        return

    unfolded = unfold(folded, WORKER)

    assert holder(unfolded, WORKER) is not None


def test_a_folded_path_gets_the_workers_directory() -> None:
    assert unfold([{"root": "Movies"}, "/a.mkv"], WORKER) == "/srv/nas/media/a.mkv"
    assert unfold(["file:", {"root": "TV"}, "/a"], WORKER) == "file:/tv/a"


def test_a_root_itself_stays_a_directory_where_the_worker_serves_all_of_its_disk() -> None:
    assert unfold(fold("/media", VIEW), {"Movies": "/"}) == "/"


def test_a_root_that_the_host_does_not_have_is_named() -> None:
    with pytest.raises(UnknownRoot, match="Movies"):
        unfold([{"root": "Movies"}, "/a"], {"TV": "/tv"})


@pytest.mark.parametrize(
    "text",
    [
        '{"root": "Movies"}',
        '[{"root": "Movies"}, "/a"]',
        "{Movies}/a",
        "{root}",
        "${Movies}",
        '{"b64": "L2E="}',
    ],
)
def test_text_that_looks_like_a_folded_path_stays_text(text: str) -> None:
    assert fold(text, VIEW) == text
    assert unfold(fold(text, VIEW), WORKER) == text


@given(text=ARGUMENTS | ANY_BYTES)
def test_an_argument_that_names_no_root_is_the_same_on_every_host(text: str) -> None:
    folded = fold(text, {})

    assert roots.names([folded]) == set()
    assert unfold(folded, WORKER) == text


def test_the_roots_that_arguments_name_are_found() -> None:
    folded = [fold(text, VIEW) for text in ("-i", "/media/a", "file:/media/tv/b", "/etc/x", "\udcff", "Odd")]

    assert roots.names(folded) == {"Movies", "TV"}


@pytest.mark.parametrize("text", ["!", "QQ", "QQ==x", "é", "Q Q="])
def test_bytes_that_are_not_base64_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        roots.decode(text)
