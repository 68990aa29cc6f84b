"""A command as somebody types it into the dashboard: {Movies}/a.mkv is a file below a root. Pure.

ffmpeg -i "{Movies}/My film.mkv" -c:v libx265 {Movies}/b.mkv
-> ["-i", [{"root": "Movies"}, "/My film.mkv"], "-c:v", "libx265", [{"root": "Movies"}, "/b.mkv"]]

The command finds each root below /ffgrid, and a path that is written like that names the root as well.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from app.web.dashboard.shell import path_of, quoted
from app.wire import command, folding, roots
from app.wire.messages import BINARIES

_BEHIND = re.escape("".join(folding.BEFORE))
_ROOT = re.compile(rf"(?:^|(?<=[{_BEHIND}]))\{{([A-Za-z][A-Za-z0-9_-]{{0,63}})\}}(?=/|$)")
_PLAIN = re.compile(r"[A-Za-z0-9_@%+=:./{}-]+")  # needs no quotation marks
_PLACE = re.compile(r"/ffgrid/([A-Za-z][A-Za-z0-9_-]{0,63})(?=/|$)")


class CannotRead(ValueError):
    """The text is no command; its own text says why, for people."""


def split(text: str) -> list[str]:
    """The words of a line as a shell reads them; it may go on behind a backslash. Raises CannotRead."""
    if "\0" in text:
        raise CannotRead("a command cannot hold a NUL")
    reader = shlex.shlex(
        text.replace("\\\r\n", " ").replace("\\\n", " "), posix=True, punctuation_chars=False
    )
    reader.whitespace_split, reader.commenters = True, ""
    try:
        words = list(reader)
    except ValueError:
        raise CannotRead("a quotation mark or a backslash has nothing that ends it") from None
    if not words:
        raise CannotRead("no command yet: write one like ffmpeg -i {Movies}/a.mkv {Movies}/b.mkv")
    return words


def program(words: Sequence[str]) -> tuple[str, list[str]]:
    """The program and its arguments. Raises CannotRead."""
    binary = words[0].rpartition("/")[2]
    if binary not in BINARIES:
        raise CannotRead(f"{words[0]!r} cannot be run: a command begins with {' or '.join(BINARIES)}")
    return binary, list(words[1:])


def fold(binary: str, args: Sequence[str]) -> list[roots.Folded]:
    """The arguments with each root's place replaced by its name."""
    written = command.read(binary, list(args))
    plain = [
        text if folding.is_word(written, at) else _ROOT.sub(lambda found: path_of(found[1]), text)
        for at, text in enumerate(args)
    ]
    return folding.fold(command.read(binary, plain), _places(plain))


def fold_path(text: str) -> roots.Folded:
    """A directory."""
    plain = _ROOT.sub(lambda found: path_of(found[1]), text)
    return roots.fold(plain, _places([plain]))


def view(folded: Iterable[roots.Folded]) -> dict[str, str]:
    """Where the command finds the roots that it names."""
    return {name: path_of(name) for name in sorted(roots.names(folded))}


def text(spec: Mapping[str, Any]) -> str:
    """The line that one would type for this command. Raises CannotRead where there is none."""
    if any("b64" in piece for one in spec["args"] if not isinstance(one, str) for piece in _parts(one)):
        raise CannotRead("this command names a file in bytes that are not UTF-8, which cannot be typed")
    words = [spec["binary"], *map(_typed, spec["args"])]
    return " ".join(word if _PLAIN.fullmatch(word) else quoted(word) for word in words)


def plain(folded: roots.Folded) -> str:
    """An argument as the command has it on a worker."""
    return roots.unfold(folded, view([folded]))


def path(folded: roots.Folded | None) -> str:
    """The directory as one would type it."""
    return "" if folded is None else _typed(folded)


def _typed(folded: roots.Folded) -> str:
    named = roots.names([folded])
    return roots.unfold(folded, {name: "{" + name + "}" for name in named})


def _places(texts: Iterable[str]) -> dict[str, str]:
    """The roots whose places stand somewhere in these."""
    return {name: path_of(name) for one in texts for name in _PLACE.findall(one)}


def _parts(folded: list[roots.Piece]) -> list[dict[str, str]]:
    return [piece for piece in folded if isinstance(piece, dict)]
