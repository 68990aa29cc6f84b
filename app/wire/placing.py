"""Where the files of a command lie: inside the roots that everybody shares, or somewhere else.

Judged by names alone. The worker looks again at what lies behind them, because a link can lead anywhere.
"""

from __future__ import annotations

from app.wire import roots

TYPES = False
if TYPES:
    from collections.abc import Sequence

    from app.wire.command import Command

# Their values are words for a file's header or for a server, whatever they look like.
_WORDS = frozenset(
    "metadata headers user_agent disposition referer cookies program map_metadata http_proxy tag vtag atag stag".split()
)
_NOWHERE = frozenset("/dev/null /dev/zero /dev/stdin /dev/stdout /dev/stderr".split())
_DEVICES = ("/dev/dri/", "/dev/nvidia")
_STREAMS = ("pipe:", "fd:", "data:")


def strays(command: Command, folded: Sequence[roots.Folded], cwd: roots.Folded | None) -> list[int]:
    """The arguments (indexes) that name a file outside every root: such a command cannot run elsewhere.

    `folded` are the command's arguments folded; `cwd` is where relative names begin, if that is in a root.
    Protocols around a path (`concat:`, `subfile,,:`, `async:`) are not looked into: they stray.
    """
    urls = dict(zip(command.inputs, command.input_options, strict=False))
    urls.update(zip(command.outputs, command.output_options, strict=False))
    found = [
        index for index, options in urls.items() if not _is_graph(options) and is_outside(folded[index], cwd)
    ]
    for index, option in command.values.items():
        if option.lstrip("/").partition(":")[0] not in _WORDS and _is_absolute(folded[index]):
            found.append(index)
    return sorted(set(found))


def is_outside(folded: roots.Folded, cwd: roots.Folded | None) -> bool:
    """Whether an input or output is a file that lies outside every root."""
    pieces = _path(folded)
    first = pieces[0] if pieces else ""
    if isinstance(first, dict):
        return roots.climbs_out(_text(pieces[1:]))
    if _is_no_file(first):
        return False
    if first.startswith("/") or (":" in first and pieces == _listed(folded)):
        return True
    return cwd is None or roots.climbs_out(_text(_path(cwd)[1:]) + "/" + _text(pieces))


def _is_graph(options: dict[str, str]) -> bool:
    return options.get("f") in ("lavfi", "null")


def _is_absolute(folded: roots.Folded) -> bool:
    pieces = _path(folded)
    first = pieces[0] if pieces else ""
    return isinstance(first, str) and first.startswith("/") and not _is_no_file(first)


def _is_no_file(url: str) -> bool:
    """A stream, a device or an address of the network."""
    return url in _NOWHERE or url in ("", "-") or url.startswith((*_DEVICES, *_STREAMS)) or _is_address(url)


def _is_address(url: str) -> bool:
    scheme, separator, _ = url.partition("://")
    return bool(separator) and scheme.isalnum() and scheme != "file"


def _path(folded: roots.Folded) -> list[roots.Piece]:
    """The pieces without a leading `file:`; bytes as text."""
    pieces = _listed(folded)
    if pieces and isinstance(pieces[0], str) and pieces[0].startswith("file:"):
        rest = pieces[0].removeprefix("file:")
        return [rest, *pieces[1:]] if rest else pieces[1:]
    return pieces


def _listed(folded: roots.Folded) -> list[roots.Piece]:
    pieces: list[roots.Piece] = [folded] if isinstance(folded, str) else list(folded)
    return [
        piece if isinstance(piece, dict) and "root" in piece else roots.unfold([piece], {})
        for piece in pieces
    ]


def _text(pieces: list[roots.Piece]) -> str:
    return "".join(piece for piece in pieces if isinstance(piece, str))
