"""A command as a submission. The JSON is written by hand: the json module costs 10 ms to import."""

from __future__ import annotations

from _json import encode_basestring_ascii as quoted
from binascii import hexlify
from posix import environ, getcwdb, getegid, geteuid, getgroups, isatty, urandom

from app.wire import command, folding, messages, placing, roots
from shim import caller, stays
from shim.config import Config

COLOURS = ("NO_COLOR", "AV_LOG_FORCE_NOCOLOR", "AV_LOG_FORCE_COLOR")  # somebody has decided already


class Stays(Exception):
    """The command has to run on this host; the text says why."""


def submission(binary: str, args: list[str], config: Config) -> tuple[bytes, command.Command]:
    """The body of POST /v1/jobs, and the command as it was read. Raises Stays."""
    read = command.read(binary, args)
    folded = folding.fold(read, config.roots)
    cwd = _cwd(config)
    outside = placing.strays(read, folded, cwd, caller.is_there)
    if outside:
        raise Stays(f"{args[outside[0]]!r} lies outside every root")
    for index in placing.files(read):
        if caller.leads_out(args[index].removeprefix("file:"), config):
            raise Stays(f"{args[index]!r} leads out of every root through a link")
    if why := stays.reason(args, environ):
        raise Stays(why)
    fields = {
        "key": quoted(hexlify(urandom(16)).decode()),
        "binary": quoted(binary),
        "args": "[" + ",".join(map(_json, folded)) + "]",
        "cwd": "null" if cwd is None else _json(cwd),
        "view": "{"
        + ",".join(f"{quoted(name)}:{_json(roots.fold(path, {}))}" for name, path in config.roots.items())
        + "}",
        "lane": quoted(config.lane),
        "labels": "{" + ",".join(f"{quoted(k)}:{quoted(v)}" for k, v in config.labels.items()) + "}",
        "nice": str(config.nice),
        "env": "{"
        + ",".join(f"{quoted(name)}:{quoted(value)}" for name, value in _environment().items())
        + "}",
        "attach": "true",
        "in_place": "true",
        "stdin": quoted(caller.stdin() if read.reads_stdin else "none"),
        "umask": str(caller.umask()),
        "user": str([geteuid(), getegid(), *getgroups()[:64]]),
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
        path = getcwdb()
    except OSError:  # it has been deleted
        return None
    shown = environ.get(b"PWD", b"")  # the name by which the caller came here, if a link is on the way
    named = [path, shown] if caller.is_same(shown, path) else [path]
    for text in (name.decode("utf-8", "surrogateescape") for name in named):
        if roots.holder(text, config.roots):
            return roots.fold(text, config.roots)
    return None


def _json(folded: roots.Folded) -> str:
    if isinstance(folded, str):
        return quoted(folded)
    return "[" + ",".join(map(_piece, folded)) + "]"


def _piece(piece: roots.Piece) -> str:
    if isinstance(piece, str):
        return quoted(piece)
    return "{" + ",".join(f"{quoted(name)}:{quoted(value)}" for name, value in piece.items()) + "}"
