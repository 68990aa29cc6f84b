"""Names in what a job prints, changed back into the caller's, wherever the stream is cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.rewrite import Names

HERE = {"Media": "/tmp/ffgrid-x/0-Media", "Media2": "/tmp/ffgrid-x/1-Media2", "TV": "/tmp/ffgrid-x/2-TV"}
THERE = {"Media": "/mnt/It's [x] é", "Media2": "/m\udcff", "TV": "/mnt/tv", "Other": "/o"}
NAMES = Names(HERE, THERE)

PARTS = [
    *(path.encode() for path in HERE.values()),
    b"/tmp/ffgrid-x/0-Medi",
    b"/tmp",
    b"/tmp/ffgrid-x/",
    b"/",
    b"Opening '",
    b"\r",
    b"\xff\x00",
]
TEXTS = st.lists(st.sampled_from(PARTS), max_size=12).map(b"".join)


def printed(chunks: list[bytes], names: Names = NAMES) -> bytes:
    """What the caller gets of these chunks."""
    stream = names.stream()
    return b"".join([*map(stream.feed, chunks), stream.end()])


def wanted(text: bytes) -> bytes:
    """The same, changed in one go."""
    for name, path in HERE.items():
        text = text.replace(path.encode(), THERE[name].encode("utf-8", "surrogateescape"))
    return text


@given(TEXTS, st.data())
def test_a_cut_changes_nothing(text: bytes, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    chunks = [text[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]

    assert printed(chunks) == wanted(text)


@pytest.mark.parametrize("size", [1, 2, 7])
def test_every_boundary_is_harmless(size: int) -> None:
    text = b"".join(path.encode() + b"/a.mkv: No such file\n" for path in HERE.values()) * 2

    assert printed([text[at : at + size] for at in range(0, len(text), size)]) == wanted(text)
    assert b"ffgrid-x" not in wanted(text)


@given(TEXTS)
def test_only_what_may_be_a_name_waits(text: bytes) -> None:
    stream = NAMES.stream()
    given_out = stream.feed(text)
    waiting = stream.end()

    assert given_out + waiting == wanted(text)
    assert waiting == b"" or any(path.encode().startswith(waiting) for path in HERE.values())


def test_a_line_without_a_name_does_not_wait() -> None:
    assert NAMES.stream().feed(b"frame=1 fps=0\r") == b"frame=1 fps=0\r"


def test_a_file_of_its_own_name_comes_first() -> None:
    names = Names({"Media": "/a/0-Media"}, {"Media": "/media"})
    names.add("/a/0-Media/.ffgrid-copy.m3u8", "/media/list.m3u8")

    assert (
        printed([b"x /a/0-Media/.ffgrid-copy.m3u8", b" /a/0-Media/b"], names)
        == b"x /media/list.m3u8 /media/b"
    )


def test_roots_that_the_caller_does_not_have_keep_their_name() -> None:
    assert printed([b"/a/0-X/b"], Names({"X": "/a/0-X"}, {})) == b"/a/0-X/b"
