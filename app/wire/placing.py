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
        if option.lstrip("/").partition(":")[0] not in _WORDS and _is_value_outside(folded[index], cwd):
            found.append(index)
    return sorted(set(found))


def files(command: Command) -> list[int]:
    """The inputs and outputs that are files: no stream, device, address, graph or nothing at all."""
    urls = dict(zip(command.inputs, command.input_options, strict=False))
    urls.update(zip(command.outputs, command.output_options, strict=False))
    return [
        index
        for index, options in urls.items()
        if not _is_graph(options) and not _is_no_file(command.args[index])
    ]


def is_outside(folded: roots.Folded, cwd: roots.Folded | None) -> bool:
    """Whether an input or output is a file that lies outside every root."""
    root, text = _place(folded)
    if root is not None:
        return _leaves(text)
    if _is_no_file(text):
        return False
    return (
        text.startswith("/") or (":" in text and not _whole(folded).startswith("file:")) or _climbs(text, cwd)
    )


def _is_graph(options: dict[str, str]) -> bool:
    return options.get("f") in ("lavfi", "null")


def _is_value_outside(folded: roots.Folded, cwd: roots.Folded | None) -> bool:
    """The same for an option's value, which may be anything: only what looks like a path is taken for one."""
    root, text = _place(folded)
    if root is not None:
        return _leaves(text)
    return (text.startswith("/") and not _is_no_file(text)) or (text.startswith("../") and _climbs(text, cwd))


def _climbs(relative: str, cwd: roots.Folded | None) -> bool:
    return cwd is None or roots.climbs_out(_place(cwd)[1] + "/" + relative)


def _leaves(rest: str) -> bool:
    """Whether what follows a root is no path below it."""
    return (rest != "" and not rest.startswith("/")) or roots.climbs_out(rest)


def _is_no_file(url: str) -> bool:
    """A stream, a device or an address of the network."""
    is_device = url.startswith(_DEVICES) and ".." not in url
    return url in _NOWHERE or url in ("", "-") or is_device or url.startswith(_STREAMS) or _is_address(url)


def _is_address(url: str) -> bool:
    scheme, separator, _ = url.partition("://")
    return bool(separator) and scheme.isalnum() and scheme != "file"


def _place(folded: roots.Folded) -> tuple[str | None, str]:
    """The root that an argument begins with, behind `file:` or not, and the text that follows."""
    pieces: list[roots.Piece] = [folded] if isinstance(folded, str) else list(folded)
    before = ""
    for at, piece in enumerate(pieces):
        if isinstance(piece, dict) and "root" in piece:
            is_first = before in ("", "file:")
            return (piece["root"], _whole(pieces[at + 1 :])) if is_first else (None, before)
        before += _whole([piece])
    return None, before.removeprefix("file:")


def _whole(folded: roots.Folded) -> str:
    """The text of the pieces as they will be joined, roots left out."""
    pieces = [folded] if isinstance(folded, str) else folded
    return "".join(
        roots.unfold([piece], {}) for piece in pieces if isinstance(piece, str) or "root" not in piece
    )
