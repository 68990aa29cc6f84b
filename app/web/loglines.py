"""A job's log as people read it: entries made into pieces of text that follow each other. Pure; no HTML.

    b"frame=1\\rframe=2\\rDone\\n\\x1b[1mHi"   ->   "Done\\n"  "\\\\x1b[1mHi"

A piece is a line, with its newline, or the part of one that has come so far: what comes later goes on behind it.
What a carriage return has been written behind is overwritten on a terminal, and is left out here; if it has been shown
already, the piece that overwrites it says so (`over`). Before the first piece of another stream or attempt stands a
mark that names it.
"""

from __future__ import annotations

import re
from codecs import IncrementalDecoder, getincrementaldecoder
from collections.abc import Iterable
from dataclasses import dataclass

from app.state.output import Entry
from app.web.words import number, shortened, visible

STREAMS = {b"O": "stdout", b"E": "stderr"}
LONGEST = 2000  # characters of one line that are shown

_Decoder = getincrementaldecoder("utf-8")
_BREAK = re.compile("(\r*\n|\r+)")


@dataclass(frozen=True)
class Piece:
    """Text to show. `kind` is stdout, stderr, note, mark (names the stream), gap (something was dropped) or break (a
    line that has not ended is followed by something else).
    """

    kind: str
    text: str
    over: bool = False


def stream(entry: Entry) -> str:
    """Which stream an entry is of, in a word."""
    return STREAMS.get(entry.kind, "note")


def missing(last: Entry | None, entry: Entry) -> int:
    """How many entries were dropped between these two, because a log is bounded."""
    if last is None or last.attempt != entry.attempt or not entry.serial:
        return 0
    return max(0, entry.serial - last.serial - 1)


def gap(count: int) -> str:
    """What is said of entries that were dropped."""
    parts = "1 part" if count == 1 else f"{number(count)} parts"
    return f"{parts} of the log dropped here: it printed faster than a log keeps"


class Reader:
    """Reads one log from some entry on, in any portions."""

    def __init__(self) -> None:
        self._last: Entry | None = None
        self._decoders: dict[bytes, IncrementalDecoder] = {}
        self._returned: set[bytes] = set()  # streams whose cursor stands at the beginning of a written line
        self._open = False  # the last piece has no newline

    def read(self, entries: Iterable[Entry]) -> list[Piece]:
        """The pieces of the next entries."""
        pieces: list[Piece] = []
        for entry in entries:
            if entry.kind:
                self._say_where(entry, pieces)
                self._read(entry, pieces)
                self._last = entry
        return pieces

    def leave_out(self, lines: int) -> list[Piece]:
        """Says that so many lines are not shown."""
        pieces: list[Piece] = []
        what = "1 line is" if lines == 1 else f"{number(lines)} lines are"
        self._add_line(pieces, "gap", f"{what} left out here, they came too fast: the download has them")
        return pieces

    def _say_where(self, entry: Entry, pieces: list[Piece]) -> None:
        last = self._last
        if count := missing(last, entry):
            self._add_line(pieces, "gap", gap(count))
        if last is None or (last.kind, last.attempt) != (entry.kind, entry.attempt):
            if last is None or last.attempt != entry.attempt:
                self._decoders.clear()
            self._returned.clear()
            self._add_line(pieces, "mark", f"attempt {entry.attempt}, {stream(entry)}")

    def _add_line(self, pieces: list[Piece], kind: str, text: str) -> None:
        if self._open:
            pieces.append(Piece("break", "\n"))
        self._open = False
        pieces.append(Piece(kind, f"{text}\n"))

    def _read(self, entry: Entry, pieces: list[Piece]) -> None:
        decoder = self._decoders.setdefault(entry.kind, _Decoder("backslashreplace"))
        for part in _BREAK.split(decoder.decode(entry.data)):
            if part.startswith("\r") and not part.endswith("\n"):
                self._returned.add(entry.kind)
            elif part.endswith("\n"):
                self._returned.discard(entry.kind)
                self._end(entry, pieces)
            elif part:
                self._write(entry, part, pieces)

    def _write(self, entry: Entry, text: str, pieces: list[Piece]) -> None:
        over = entry.kind in self._returned
        self._returned.discard(entry.kind)
        if over and pieces and self._open and pieces[-1].kind == stream(entry):
            over = pieces.pop().over
        pieces.append(Piece(stream(entry), shown(text), over and self._open))
        self._open = True

    def _end(self, entry: Entry, pieces: list[Piece]) -> None:
        if pieces and self._open and pieces[-1].kind == stream(entry):
            last = pieces.pop()
            pieces.append(Piece(last.kind, last.text + "\n", last.over))
        else:
            pieces.append(Piece(stream(entry), "\n"))
        self._open = False


def lines(pieces: Iterable[Piece]) -> int:
    """How many lines these are."""
    return sum(piece.text.endswith("\n") for piece in pieces)


def shown(text: str) -> str:
    """The text with every character visible but tabs, which are no harm."""
    if len(text) > LONGEST:
        text = shortened(text, LONGEST) + f" ({number(len(text))} characters, all of them in the download)"
    return "\t".join(map(visible, text.split("\t")))
