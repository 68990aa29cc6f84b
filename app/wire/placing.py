"""Where the files of a command lie: inside the roots that everybody shares, or somewhere else."""

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
_NOWHERE = frozenset(("/dev/null", "/dev/stdin", "/dev/stdout", "/dev/stderr", "/dev/zero"))


def strays(command: Command, folded: Sequence[roots.Folded], has_cwd: bool) -> list[int]:
    """The arguments (indexes) that name a file outside every root: such a command cannot run elsewhere.

    `folded` are the command's arguments folded; `has_cwd` says whether relative names have a place.
    """
    urls = dict(zip(command.inputs, command.input_options, strict=False))
    urls.update(zip(command.outputs, command.output_options, strict=False))
    found = [index for index, options in urls.items() if _strays(folded[index], options, has_cwd)]
    for index, option in command.values.items():
        if option.lstrip("/").partition(":")[0] not in _WORDS and _is_absolute(folded[index]):
            found.append(index)
    return sorted(set(found))


def _strays(folded: roots.Folded, options: dict[str, str], has_cwd: bool) -> bool:
    if options.get("f") in ("lavfi", "null"):
        return False
    return _is_absolute(folded) or (not has_cwd and _is_relative(folded))


def _is_absolute(folded: roots.Folded) -> bool:
    head = _head(folded)
    path = head.removeprefix("file:")
    return path.startswith("/") and path not in _NOWHERE and not path.startswith(("/dev/dri/", "/dev/nvidia"))


def _is_relative(folded: roots.Folded) -> bool:
    head = _head(folded)
    if head.startswith("file:"):
        return not head.startswith("file:/")
    scheme = head.partition(":")[0]
    is_url = ":" in head and scheme.replace("+", "").replace(",", "").isalnum() and len(scheme) > 1
    return head not in ("", "-") and not head.startswith("/") and not is_url


def _head(folded: roots.Folded) -> str:
    """The text an argument begins with; "" when it begins with a root."""
    if isinstance(folded, str):
        return folded
    if not folded or (isinstance(folded[0], dict) and "root" in folded[0]):
        return ""
    if folded[0] == "file:" and len(folded) > 1 and isinstance(folded[1], dict) and "root" in folded[1]:
        return ""
    return roots.unfold(folded[:1], {})
