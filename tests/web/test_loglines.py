"""A log as people read it: lines, what was written over, what is dropped, and text that would do something."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.state.output import Entry
from app.web.loglines import LONGEST, Piece, Reader, missing


def entry(data: bytes, kind: bytes = b"E", attempt: int = 1, serial: int = 0) -> Entry:
    return Entry("1-0", kind, data, attempt, serial)


def texts(pieces: list[Piece]) -> list[str]:
    """What they say, without the marks."""
    return [piece.text for piece in pieces if piece.kind != "mark"]


def screen(pieces: list[Piece]) -> str:
    """What is to be seen of them: a piece that is written over is not."""
    kept = [
        piece
        for piece, following in zip(pieces, [*pieces[1:], None], strict=True)
        if following is None or not following.over
    ]
    return "".join(texts(kept))


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"one\ntwo\n", ["one\n", "two\n"]),
        (b"one\r\ntwo", ["one\n", "two"]),
        (b"\n\na", ["\n", "\n", "a"]),
        (b"frame=1\rframe=2\rframe=3\r", ["frame=3"]),
        (b"frame=1\rDone\n", ["Done\n"]),
        (b"frame=1\r\r\nDone", ["frame=1\n", "Done"]),
        (b"a\tb\x1b[31m\xff\0\n", ["a\tb\\x1b[31m\\xff\\x00\n"]),
        ("Größe \u202e\n".encode(), ["Größe \\u202e\n"]),
        (b"", []),
    ],
)
def test_what_is_shown_of_bytes(data: bytes, shown: list[str]):
    assert texts(Reader().read([entry(data)])) == shown


def test_a_mark_names_stream_and_attempt_when_they_change():
    pieces = Reader().read(
        [entry(b"a\n"), entry(b"b\n"), entry(b"c", b"O"), entry(b"d\n"), entry(b"e\n", attempt=2)]
    )

    assert [piece.text for piece in pieces if piece.kind == "mark"] == [
        "attempt 1, stderr\n",
        "attempt 1, stdout\n",
        "attempt 1, stderr\n",
        "attempt 2, stderr\n",
    ]
    assert [piece.kind for piece in pieces[3:6]] == ["mark", "stdout", "break"]  # that line has no end


def test_what_overwrites_a_piece_that_is_shown_already_says_so():
    reader = Reader()
    first = reader.read([entry(b"frame=1\r")])
    second = reader.read([entry(b"frame=2\rframe=3\r")])
    third = reader.read([entry(b"\nDone\n")])

    assert texts(first) == ["frame=1"]
    assert [(piece.text, piece.over) for piece in second] == [("frame=3", True)]
    assert [(piece.text, piece.over) for piece in third] == [("\n", False), ("Done\n", False)]
    assert screen([*first, *second, *third]) == "frame=3\nDone\n"


def test_a_letter_that_is_cut_between_two_entries_is_whole():
    cut = "日".encode()

    assert texts(Reader().read([entry(b"a" + cut[:1]), entry(cut[1:] + b"\n")])) == ["a", "日\n"]


def test_what_was_dropped_is_said():
    reader = Reader()
    pieces = reader.read([entry(b"a\n", serial=1), entry(b"b\n", serial=5)])

    assert [piece.kind for piece in pieces] == ["mark", "stderr", "gap", "stderr"]
    assert pieces[2].text.startswith("3 parts of the log dropped here")
    assert missing(entry(b"", serial=1), entry(b"", attempt=2, serial=9)) == 0


def test_a_line_without_an_end_is_cut():
    (text,) = texts(Reader().read([entry(b"x" * 10_000)]))

    assert len(text) < LONGEST + 100
    assert "10\u202f000 characters" in text


@given(st.lists(st.sampled_from([b"a", b"bc", b"\n", b"\r", "é".encode(), b"d\n"]), max_size=12), st.data())
def test_portions_make_no_difference(parts: list[bytes], data: st.DataObject):
    whole = b"".join(parts)
    cut = data.draw(st.integers(0, len(whole)))
    reader = Reader()
    apart = screen([*reader.read([entry(whole[:cut])]), *reader.read([entry(whole[cut:])])])

    assert apart.count("\n") == whole.count(b"\n")
    if b"\r" not in whole:
        assert apart == whole.decode()
