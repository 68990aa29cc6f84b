"""Roots found wherever they stand in a command's arguments, and put back byte for byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.wire import command, folding, roots

SPECIAL = '/mnt/It\'s [x], 50%: "a|b";@(c)=\\é'
MAPPED = {
    "Movies": "/media",
    "TV": "/media/tv",
    "Odd": SPECIAL,
    "Top": "/",
    "Bytes": "/mnt/\udcff",
    "Caf": "/mnt/café",
    "Tail": "/mnt/x'",
}
SAFE = {name: f"/tmp/alias/{number}-{name}" for number, name in enumerate(MAPPED)}

# Parts of which hostile arguments are made: names, their beginnings, every character that separates.
PARTS = st.sampled_from(
    [
        *MAPPED.values(),
        "/media2",
        "/medi",
        "/",
        "..",
        "file:",
        "concat:",
        "a",
        *" \t\n\r\\:='\"|,;@[]()%{}",
        "\udcfe",
    ]
)
ARGUMENTS = st.lists(PARTS, max_size=9).map("".join) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=20
)
PATHS = (
    st.lists(PARTS, min_size=1, max_size=4)
    .map(lambda parts: "/" + "".join(parts).strip("/"))
    .filter(lambda path: "\0" not in path)
)


def folded(*args: str, mapped: dict[str, str] = MAPPED) -> list[roots.Folded]:
    return folding.fold(command.read("ffmpeg", list(args)), mapped)


def scanned(text: str, mapped: dict[str, str] = MAPPED) -> roots.Folded:
    """A text in the place of a filter."""
    return folded("-i", "a", "-vf", text, "b", mapped=mapped)[3]


def named(text: str, mapped: dict[str, str] = MAPPED) -> list[str]:
    """The roots that a text in the place of a filter names, in their order."""
    return [piece["root"] for piece in scanned(text, mapped) if isinstance(piece, dict) and "root" in piece]


def moved(text: str) -> str:
    """The text as a host without a namespace has it."""
    return roots.unfold(scanned(text), SAFE)


# The round trip


@given(st.lists(ARGUMENTS, max_size=4), st.dictionaries(st.sampled_from("ABCD"), PATHS, max_size=4))
def test_a_caller_gets_its_own_bytes_back(args: list[str], mapped: dict[str, str]) -> None:
    for own in (mapped, MAPPED):
        for argument, text in zip(folded(*args, mapped=own), args, strict=True):
            assert roots.unfold(argument, own, as_written=True) == text


@given(ARGUMENTS)
def test_a_filter_gets_its_own_bytes_back(text: str) -> None:
    assert roots.unfold(scanned(text), MAPPED, as_written=True) == text


@given(ARGUMENTS)
def test_what_stands_between_roots_is_kept(text: str) -> None:
    pieces = scanned(text)
    kept = [piece for piece in pieces if not (isinstance(piece, dict) and "root" in piece)]

    assert roots.unfold(pieces, dict.fromkeys(MAPPED, "")) in (
        "".join(roots.unfold([one], {}) for one in kept),
        "/",
    )


@given(ARGUMENTS)
def test_no_piece_is_empty(text: str) -> None:
    pieces = scanned(text)

    assert isinstance(pieces, str) or all(piece != "" for piece in pieces)


# Where a root is found


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("concat:/media/a|/media/tv/b", "concat:{0}/a|{1}/b"),
        ("subfile,,start,0,end,9,,:/media/a", "subfile,,start,0,end,9,,:{0}/a"),
        ("async:cache:file:/media/a", "async:cache:file:{0}/a"),
        ("[f=mpegts]/media/a.ts|[onfail=ignore]/media/tv/b", "[f=mpegts]{0}/a.ts|[onfail=ignore]{1}/b"),
        ("subtitles=f='/media/a.srt':fontsdir='/media/tv'", "subtitles=f='{0}/a.srt':fontsdir='{1}'"),
        ("[0:v]movie=/media/a,lut3d=/media/b;[x](/media/c)@/media/d", "[0:v]movie={0}/a,lut3d={0}/b;[x]({0}/c)@{0}/d"),
        ("stats=/media", "stats={0}"),
        ("movie=\\/media/a", "movie=\\{0}/a"),
        ("a=/media2/b:/medi:x/media/y:/mediá:/media.x", "a=/media2/b:/medi:x/media/y:/mediá:/media.x"),
        ("a=/media b", "a=/media b"),  # a name may go on behind a space
    ],
    ids=str,
)  # fmt: skip
def test_a_root_stands_behind_a_delimiter(text: str, wanted: str) -> None:
    assert moved(text) == wanted.format(SAFE["Movies"], SAFE["TV"])


@pytest.mark.parametrize("before", sorted(folding.BEFORE))
@pytest.mark.parametrize("after", ["", "/x", *(sorted(folding.ENDS))])
def test_each_delimiter_is_one(before: str, after: str) -> None:
    assert named(f"x{before}/media{after}") == ["Movies"]


def test_the_longest_root_is_the_one() -> None:
    assert named("a=/media/tv/x:b=/media/tvs:c=/media/tv") == ["TV", "Movies", "TV"]


def test_a_root_that_is_everything_is_found_in_a_path_only() -> None:
    only = {"Top": "/"}

    assert named("scale=iw/2:ih/2,movie=/x", only) == []
    assert folded("-i", "/x", "file:/y", mapped=only)[1:] == [
        [{"root": "Top"}, "/x"],
        ["file:", {"root": "Top"}, "/y"],
    ]


@pytest.mark.parametrize(
    "climbing", ["b/../media", "a=/media/..", "a=/media/\\../x", "a=/media/'..'/x", "../media"]
)
def test_what_climbs_names_no_root(climbing: str) -> None:
    assert named(climbing) == []


@pytest.mark.parametrize("harmless", ["a=/media/..x", "a=/media/x..", "a=/media/x../b", "a=/media/..."])
def test_dots_in_a_name_do_not_climb(harmless: str) -> None:
    assert named(harmless) == ["Movies"]


# Escapes


def escaped(path: str, times: int) -> str:
    """A path for a filter, as `av_escape` writes it; for a graph it is escaped once more."""
    for signs in ("\\':", "\\'[],;")[:times]:
        path = "".join("\\" + one if one in signs else one for one in path)
    return path


@pytest.mark.parametrize("times", [0, 1, 2])
@pytest.mark.parametrize("name", ["Odd", "Tail", "Caf", "Movies"])
def test_an_escaped_root_is_found_and_kept(name: str, times: int) -> None:
    text = f"subtitles=f={escaped(MAPPED[name], times)}/a.srt:x=1"

    assert named(text) == [name]
    assert moved(text) == f"subtitles=f={SAFE[name]}/a.srt:x=1"
    assert roots.unfold(scanned(text), MAPPED, as_written=True) == text


def test_jellyfins_spelling_is_found() -> None:
    mapped = {"It": "/media/It's: a"}
    text = "subtitles=f='/media/It'\\\\\\''s\\: a/f.srt':fontsdir='/x'"

    found = scanned(text, mapped)

    assert roots.unfold(found, {"It": "/m"}) == "subtitles=f='/m/f.srt':fontsdir='/x'"
    assert roots.unfold(found, mapped, as_written=True) == text


def test_bytes_that_are_no_text_have_no_spelling_of_their_own() -> None:
    found = scanned("a=/mnt/\udcff/x\udcfe")

    assert found == ["a=", {"root": "Bytes"}, {"b64": "L3j+"}]


# Words


@pytest.mark.parametrize(
    "option", ["metadata", "metadata:s:a:0", "headers", "user_agent", "tag:v", "hls_base_url"]
)
def test_words_are_no_paths(option: str) -> None:
    assert folded("-i", "a", f"-{option}", "/media/x", "b")[3] == "/media/x"


@pytest.mark.parametrize("option", ["filter_complex", "x264-params", "progress", "attach", "metadata2"])
def test_other_values_may_be_paths(option: str) -> None:
    assert folded("-i", "a", f"-{option}", "/media/x", "b")[3] == [{"root": "Movies"}, "/x"]
