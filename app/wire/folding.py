"""A command's arguments with each root's path replaced by the root's name, wherever it stands in them.

    /mnt/media/a.mkv                  [{"root": "Movies"}, "/a.mkv"]
    concat:/mnt/media/a|/mnt/media/b  ["concat:", {"root": "Movies"}, "/a|", {"root": "Movies"}, "/b"]
    ass=f='/mnt/It'\\\\''s/a.ass'       ["ass=f='", {"root": "Its", "written": "/mnt/It'\\\\''s"}, "/a.ass'"]

Filters and lists have escapes of their own. A root that stands there escaped keeps its spelling as `written`,
so that unfolding with the caller's own view gives back the caller's exact bytes (see `roots.unfold`).
"""

from __future__ import annotations

from app.wire import roots
from app.wire.command import Command, bare

TYPES = False
if TYPES:
    from collections.abc import Mapping

# Options whose values are words for a file's header or for a server, whatever they look like.
WORDS = frozenset(
    """metadata headers user_agent disposition referer cookies program map_metadata http_proxy tag vtag atag stag
    hls_base_url segment_list_entry_prefix""".split()
)
BEFORE = frozenset(" \t\n\r\\:='\"|,;@[]()")  # what a path inside an argument follows
ENDS = frozenset("'\"|,;:]\\")  # what may end it; a space or a parenthesis may be part of a name
_AS_STEPS = {**dict.fromkeys(map(ord, BEFORE), "/"), ord("'"): "", ord("\\"): ""}


def fold(command: Command, mapped: Mapping[str, str]) -> list[roots.Folded]:
    """The arguments behind the program's name, folded. `mapped` is where this host has each root."""
    return [_fold(text, mapped, is_word(command, at)) for at, text in enumerate(command.args)]


def is_word(command: Command, at: int) -> bool:
    """Whether the argument at this index is the value of an option that never names a file."""
    return bare(command.values.get(at, "").lstrip("/")) in WORDS


def _fold(text: str, mapped: Mapping[str, str], is_word: bool) -> roots.Folded:
    if is_word:
        return roots.fold(text, {})
    if text.startswith(("/", "file:/")) and "|" not in text:
        return roots.fold(text, mapped)
    return roots.fold(text, {}) if climbs(text) else scan(text, mapped)


def scan(text: str, mapped: Mapping[str, str]) -> roots.Folded:
    """Any text with each root folded that stands behind a delimiter."""
    pieces: list[roots.Piece] = []
    done, at = 0, text.find("/")
    while at >= 0:
        name, end = _longest(text, at, mapped)
        if name:
            if at > done:
                pieces.append(roots.piece(text[done:at]))
            pieces.append(_root(name, text[at:end], mapped[name]))
            done = end
        at = text.find("/", max(at + 1, end))
    if not pieces:
        return roots.fold(text, {})
    return [*pieces, roots.piece(text[done:])] if done < len(text) else pieces


def climbs(text: str) -> bool:
    """Whether a path anywhere in this text has a step up, with or without escapes."""
    return ".." in text and ".." in text.translate(_AS_STEPS).split("/")


def _longest(text: str, at: int, mapped: Mapping[str, str]) -> tuple[str, int]:
    """The longest root that stands here as a path or the begin of one, and where it ends; ("", 0) if none does."""
    best, best_end = "", 0
    if at == 0 or text[at - 1] in BEFORE:
        for name, top in mapped.items():
            end = _end(text, at, top) if top != "/" else 0  # that one would be found in every division
            if end > best_end:
                best, best_end = name, end
    return best, best_end


def _end(text: str, at: int, top: str) -> int:
    """Where a spelling of `top` that begins at `at` ends; 0 when there is none."""
    end = at + len(top) if text.startswith(top, at) else _end_spelled(text, at, top)
    follows = text[end : end + 1]
    return end if end and (follows in ("", "/") or follows in ENDS) else 0


def _end_spelled(text: str, at: int, top: str) -> int:
    """The same for a spelling with backslashes and quotes between its characters."""
    end = at
    for character in top:
        if character in "'\\":
            continue
        while text[end : end + 1] in ("'", "\\"):
            end += 1
        if text[end : end + 1] != character:
            return 0
        end += 1
    while top[-1] in "'\\" and text[end : end + 1] in ("'", "\\"):
        end += 1
    written = text[at:end]
    return end if all(written.count(one) >= top.count(one) for one in "'\\") else 0


def _root(name: str, written: str, top: str) -> roots.Piece:
    if written == top or not roots.is_text(written):
        return {"root": name}
    return {"root": name, "written": written}
