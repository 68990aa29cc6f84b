"""What reaches a terminal: text, and nothing that it would obey."""

from __future__ import annotations

import io
from typing import cast

import pytest

from app.cli import terminal


class Stream(io.TextIOWrapper):
    """A stream that may be a terminal."""

    def __init__(self, is_terminal: bool, encoding: str = "utf-8") -> None:
        super().__init__(io.BytesIO(), encoding)
        self.is_terminal = is_terminal

    def isatty(self) -> bool:
        return self.is_terminal

    @property
    def bytes(self) -> bytes:
        return cast("io.BytesIO", self.buffer).getvalue()


@pytest.mark.parametrize(
    "evil", ["\x1b[2J", "\x9b31m", "a\nb", "a\rb", "\x07", "\u202etxt.exe", "\u2028", "\udcff"]
)
def test_no_control_character_gets_into_our_own_text(evil: str) -> None:
    shown = terminal.printable(evil)

    assert shown.isprintable()
    assert len(shown) == len(evil)


def test_letters_of_all_languages_stay() -> None:
    assert terminal.printable("Amélie 東京 🎬 It's [x] 50%") == "Amélie 東京 🎬 It's [x] 50%"


def test_bytes_go_into_a_file_as_they_are() -> None:
    stream = Stream(is_terminal=False)
    terminal.Sink(stream).write(b"\x1b[2J\xff\x00\r\n")

    assert stream.bytes == b"\x1b[2J\xff\x00\r\n"


def test_bytes_go_to_a_terminal_as_harmless_text() -> None:
    stream = Stream(is_terminal=True)
    terminal.Sink(stream).write(b"frame=1\r\tok\x1b[2J\xc2\x9b \xff\n")

    assert stream.bytes.decode() == "frame=1\r\tok?[2J? �\n"


def test_a_character_cut_in_two_is_one_character() -> None:
    stream = Stream(is_terminal=True)
    sink = terminal.Sink(stream)
    for byte in "é東".encode():
        sink.write(bytes([byte]))

    assert stream.bytes.decode() == "é東"


def test_a_terminal_that_knows_no_unicode_is_no_reason_to_fail() -> None:
    stream = Stream(is_terminal=True, encoding="ascii")
    terminal.Sink(stream).write("é\n".encode())

    assert stream.bytes == b"?\n"


@pytest.mark.parametrize(
    ("text", "columns", "clipped"),
    [
        ("abcdef", 6, "abcdef"),
        ("abcdefg", 6, "abc..."),
        ("東京東京", 8, "東京東京"),
        ("東京東京", 7, "東京..."),
        ("e\u0301e\u0301", 2, "e\u0301e\u0301"),
        ("abcdef", 2, ".."),
        ("abcdef", 0, ""),
        ("abcdef", -5, ""),
    ],
)
def test_long_text_is_clipped_to_columns(text: str, columns: int, clipped: str) -> None:
    assert terminal.clipped(text, columns) == clipped


def test_colours_need_a_terminal_that_has_them_and_a_user_who_wants_them() -> None:
    screen, file = Stream(is_terminal=True), Stream(is_terminal=False)

    assert terminal.painted("x", "red", screen, {"TERM": "xterm"}) == "\x1b[31mx\x1b[m"
    assert terminal.painted("x", "red", screen, {"TERM": "xterm", "NO_COLOR": ""}) == "\x1b[31mx\x1b[m"
    assert terminal.painted("x", "red", screen, {"TERM": "xterm", "NO_COLOR": "1"}) == "x"
    assert terminal.painted("x", "red", screen, {"TERM": "dumb"}) == "x"
    assert terminal.painted("x", "red", screen, {}) == "x"
    assert terminal.painted("x", "red", file, {"TERM": "xterm"}) == "x"


def test_only_a_terminal_has_a_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "33")

    assert terminal.columns(Stream(is_terminal=True)) == 33
    assert terminal.columns(Stream(is_terminal=False)) is None


def test_a_sentence_for_the_person_is_one_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.say("no \x1b[2J\nway")

    assert capsys.readouterr() == ("", "ffgrid: no ?[2J?way\n")
