"""A command as a submission. The JSON is written by hand: the json module costs 10 ms to import."""

from __future__ import annotations

from _json import encode_basestring_ascii as quoted
from binascii import hexlify
from posix import environ, getcwdb, isatty, urandom

from app.wire import command, messages, placing, roots
from shim import stays
from shim.config import Config

COLOURS = ("NO_COLOR", "AV_LOG_FORCE_NOCOLOR", "AV_LOG_FORCE_COLOR")  # somebody has decided already


class Stays(Exception):
    """The command has to run on this host; the text says why."""


def submission(binary: str, args: list[str], config: Config) -> tuple[bytes, command.Command]:
    """The body of POST /v1/jobs, and the command as it was read. Raises Stays."""
    read = command.read(binary, args)
    folded = [roots.fold(argument, config.roots) for argument in args]
    cwd = _cwd(config)
    outside = placing.strays(read, folded, cwd)
    if outside:
        raise Stays(f"{args[outside[0]]!r} lies outside every root")
    if why := stays.reason(args, environ):
        raise Stays(why)
    named = roots.names(folded if cwd is None else [*folded, cwd])
    fields = {
        "key": quoted(hexlify(urandom(16)).decode()),
        "binary": quoted(binary),
        "args": "[" + ",".join(map(_json, folded)) + "]",
        "cwd": "null" if cwd is None else _json(cwd),
        "view": "{"
        + ",".join(f"{quoted(name)}:{_json(roots.fold(config.roots[name], {}))}" for name in sorted(named))
        + "}",
        "lane": quoted(config.lane),
        "nice": str(config.nice),
        "env": "{"
        + ",".join(f"{quoted(name)}:{quoted(value)}" for name, value in _environment().items())
        + "}",
        "attach": "true",
        "in_place": "true",
        "require_worker": "true",
        "max_attempts": "3",
    }
    return ("{" + ",".join(f'"{name}":{value}' for name, value in fields.items()) + "}").encode(), read


def _environment() -> dict[str, str]:
    """The variables that the job gets of ours; with colours where ffmpeg would see a terminal here."""
    found = {}
    for name in messages.ENVIRONMENT:
        value = environ.get(name.encode())
        if value is not None and value.isascii() and len(value) <= messages.VALUE_LIMIT:
            found[name] = value.decode()
    if not found.keys() & COLOURS and found.get("TERM", "dumb") != "dumb" and isatty(2):
        found["AV_LOG_FORCE_COLOR"] = "1"
    return found


def _cwd(config: Config) -> roots.Folded | None:
    """The working directory folded, or None when it lies outside every root."""
    try:
        path = getcwdb().decode("utf-8", "surrogateescape")
    except OSError:  # it has been deleted
        return None
    return roots.fold(path, config.roots) if roots.holder(path, config.roots) else None


def _json(folded: roots.Folded) -> str:
    if isinstance(folded, str):
        return quoted(folded)
    return "[" + ",".join(map(_piece, folded)) + "]"


def _piece(piece: roots.Piece) -> str:
    if isinstance(piece, str):
        return quoted(piece)
    return "{" + ",".join(f"{quoted(name)}:{quoted(value)}" for name, value in piece.items()) + "}"
