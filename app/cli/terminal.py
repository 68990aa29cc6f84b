"""What may go to a terminal. Names, commands and logs come from others, and a terminal obeys some characters.

Text of ours (tables, bars) shows a "?" for each of them, wherever it goes. The bytes of a log go on as they
are, so that a file or a pipe gets what ffmpeg wrote; only when they go to a terminal, they are text, of
which line ends and tabs have an effect and all other control characters (so all escape sequences) have none.
"""

from __future__ import annotations

import codecs
import os
import shutil
import sys
from collections.abc import Mapping
from typing import TextIO
from unicodedata import category, combining, east_asian_width

from app.cli.errors import USAGE, Failure

MOVES = frozenset("\n\r\t")  # what ffmpeg itself uses on a terminal
CLEAR = "\x1b[K"  # from the cursor to the end of the line
COLOURS = {"red": "31", "green": "32", "yellow": "33", "cyan": "36"}


class Sink:
    """Takes the bytes of a log for one of our streams; nothing is held back."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace") if stream.isatty() else None

    def write(self, data: bytes) -> None:
        """Passes them on."""
        if self._decoder:
            data = harmless(self._decoder.decode(data)).encode(self._stream.encoding, "replace")
        self._stream.buffer.write(data)
        self._stream.buffer.flush()


def printable(text: str) -> str:
    """The text as one line of visible characters."""
    return "".join(character if character.isprintable() else "?" for character in text)


def harmless(text: str) -> str:
    """The text with its line ends and tabs, and nothing else that a terminal would obey."""
    return "".join(character if character in MOVES or character.isprintable() else "?" for character in text)


def clipped(text: str, columns: int) -> str:
    """As much of the text as fits, with "..." for the rest."""
    if width(text) <= columns:
        return text
    room, kept = columns - 3, ""
    for character in text:
        room -= width(character)
        if room < 0:
            break
        kept += character
    return (kept + "...")[: max(columns, 0)]


def width(text: str) -> int:
    """How many columns the text takes."""
    return sum(_width(character) for character in text)


def columns(stream: TextIO) -> int | None:
    """How wide a terminal is; None for a file or a pipe."""
    return shutil.get_terminal_size().columns if stream.isatty() else None


def is_live(stream: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether a line can be drawn again in its place."""
    return stream.isatty() and environ.get("TERM", "dumb") != "dumb"


def painted(text: str, colour: str, stream: TextIO, environ: Mapping[str, str] = os.environ) -> str:
    """The text in a colour, where there are colours and the user wants them.

    FORCE_COLOR has them in a file or a pipe too, NO_COLOR nowhere, and it is the stronger one.
    """
    forced = environ.get("FORCE_COLOR", "0") not in ("", "0")
    if environ.get("NO_COLOR") or not (forced or is_live(stream, environ)):
        return text
    return f"\x1b[{COLOURS[colour]}m{text}\x1b[m"


def put(text: str, stream: TextIO | None = None) -> None:
    """Prints a line, with "?" for what the stream's encoding does not have."""
    stream = stream or sys.stdout
    print(text.encode(stream.encoding, "replace").decode(stream.encoding), file=stream, flush=True)


def say(sentence: str) -> None:
    """Tells the person something that is not the command's output."""
    print(f"ffgrid: {printable(sentence)}", file=sys.stderr, flush=True)


def line(prompt: str) -> str:
    """What the person types. Raises Failure when nobody is there any more."""
    try:
        return input(prompt)
    except EOFError:
        raise Failure("nobody answers: nothing was done", USAGE) from None


def agreed(sentence: str) -> bool:
    """Whether the person says yes. Raises Failure."""
    return line(f"{sentence} [y/N] ").strip().lower() in ("y", "yes")


def _width(character: str) -> int:
    if combining(character) or category(character) == "Me":
        return 0
    return 2 if east_asian_width(character) in "WF" else 1
