"""Named roots: the same file under its local name and its shared name.

    /mnt/media/a.mkv  --fold-->  [{"root": "Movies"}, "/a.mkv"]  --unfold-->  /srv/nas/media/a.mkv
    (client's host)              (stored in the job)                          (worker's host)

A folded argument is a string that names no root, or a list of pieces: text, `{"root": name}` where a root's
path stood, `{"b64": ...}` for bytes that are not UTF-8. Unfolding with the client's own view gives back the
caller's exact bytes. Arguments are `str` with surrogateescape, as Python has them from the kernel.
`app.wire.folding` folds a whole command.
"""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64

TYPES = False
if TYPES:
    from collections.abc import Iterable, Mapping

    Piece = str | dict[str, str]
    Folded = str | list[Piece]

NAME_FIRST = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
NAME_REST = NAME_FIRST | frozenset("0123456789_-")


class BadRoots(ValueError):
    """The text that maps root names to directories cannot be read."""


class UnknownRoot(KeyError):
    """A folded argument names a root that this host does not have."""


def is_name(text: str) -> bool:
    """Whether the text can name a root: a letter, then letters, digits, `_` or `-`, 64 at most."""
    return 0 < len(text) <= 64 and text[0] in NAME_FIRST and NAME_REST.issuperset(text)


def parse(text: str) -> dict[str, str]:
    """`Movies=/media/movies:TV=/media/tv` as a mapping. A path may hold `:` and `=`.

    Raises BadRoots with what is wrong.
    """
    roots: dict[str, str] = {}
    for part in _split(text):
        name, _, path = part.partition("=")
        if not is_name(name) or not path.startswith("/"):
            raise BadRoots(
                f"cannot read {part!r} in the roots: expected Name=/absolute/path, joined with ':'"
            )
        if name in roots:
            raise BadRoots(f"the root {name!r} is named twice")
        roots[name] = path.rstrip("/") or "/"
    return roots


def fold(text: str, roots: Mapping[str, str]) -> Folded:
    """One argument with its root replaced by the root's name, if it is a path inside one.

    `/path`, `//path` and `file:///path` are paths. The longest matching root wins; a path that climbs out of its
    root with `..` is not inside it.
    """
    path = text.removeprefix("file:")
    if path.startswith("//"):  # the same file as with one slash
        path = "/" + path.lstrip("/")
    prefix = text[: len(text) - len(path)]
    name = holder(path, roots)
    if name is None:
        return _plain(text)
    rest = path[len(roots[name].rstrip("/")) :]
    pieces: list[Piece] = [prefix] if prefix else []
    pieces.append({"root": name})
    if rest:
        pieces.append(piece(rest))
    return pieces


def holder(path: str, roots: Mapping[str, str]) -> str | None:
    """The name of the root that holds this absolute path, or None."""
    best = None
    for name, top in roots.items():
        if within(path, top) and (best is None or len(top) > len(roots[best])):
            best = name
    return best


def within(path: str, top: str) -> bool:
    """Whether an absolute path lies at or below `top`, judged by its text alone."""
    if not path.startswith("/"):
        return False
    stem = top.rstrip("/")
    if not path.startswith(stem) or path[len(stem) : len(stem) + 1] not in ("", "/"):
        return False
    return not climbs_out(path[len(stem) :])


def unfold(folded: Folded, view: Mapping[str, str], *, as_written: bool = False) -> str:
    """A folded argument with each root's name replaced by its path in `view`.

    With `as_written`, and the view of who has folded it, it is that one's exact bytes: a root that stood there
    with escapes has them again. Without it, the paths in `view` must need no escapes inside a filter.
    Raises UnknownRoot.
    """
    if isinstance(folded, str):
        return folded
    text = "".join(_text(piece, view, as_written) for piece in folded)
    return text + "/" if text in ("", "file:") and names([folded]) else text  # a root that is / itself


def names(folded: Iterable[Folded]) -> set[str]:
    """The roots that these folded arguments name."""
    found: set[str] = set()
    for argument in folded:
        if not isinstance(argument, str):
            found.update(piece["root"] for piece in argument if isinstance(piece, dict) and "root" in piece)
    return found


def _split(text: str) -> list[str]:
    """Splits at each `:` that is followed by the start of another `Name=/`."""
    parts: list[str] = []
    for part in text.split(":"):
        name, equals, path = part.partition("=")
        if parts and not (equals and is_name(name) and path.startswith("/")):
            parts[-1] += ":" + part
        else:
            parts.append(part)
    return [part for part in parts if part]


def climbs_out(rest: str) -> bool:
    """Whether a path below a root leads out of it, by its text alone."""
    depth = 0
    for step in rest.split("/"):
        if step == "..":
            depth -= 1
        elif step not in ("", "."):
            depth += 1
        if depth < 0:
            return True
    return False


def _plain(text: str) -> Folded:
    plain = piece(text)
    return plain if isinstance(plain, str) else [plain]


def piece(text: str) -> Piece:
    """Text that names no root, as a piece of a folded argument."""
    if is_text(text):
        return text
    return {"b64": b2a_base64(text.encode("utf-8", "surrogateescape"), newline=False).decode()}


def is_text(text: str) -> bool:
    """Whether its bytes are UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _text(piece: Piece, view: Mapping[str, str], as_written: bool) -> str:
    if isinstance(piece, str):
        return piece
    if "b64" in piece:
        return decode(piece["b64"])
    if piece["root"] not in view:
        raise UnknownRoot(piece["root"])
    return piece["written"] if as_written and "written" in piece else view[piece["root"]].rstrip("/")


def decode(text: str) -> str:
    """The bytes of a `b64` piece as an argument. Raises ValueError when it is not base64."""
    try:
        return a2b_base64(text, strict_mode=True).decode("utf-8", "surrogateescape")
    except Base64Error as error:
        raise ValueError(str(error)) from None
