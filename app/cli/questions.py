"""The four questions of `ffgrid init`, and what tests each answer at once."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.cli.checks.finding import BAD, OK
from app.cli.checks.server import SECONDS, look
from app.cli.config import without_secrets
from app.cli.errors import USAGE, Failure, explain
from app.cli.terminal import line, painted, printable, put
from app.wire import roots
from app.wire.signing import ID_LENGTHS, is_word

FATAL = ("redis version", "redis eviction")  # with these a farm loses jobs; the rest is said


@dataclass(frozen=True)
class Question:
    """`test` says what it has found, a sentence a line, or raises Failure with what was expected."""

    flag: str
    text: str
    default: str
    test: Callable[[str], Sequence[str]]


def answer(question: Question, given: str | None, is_asked: bool) -> str:
    """The answer of the flag, the person or the default, tested. Asks again while somebody is there. Raises Failure."""
    text = given
    while True:
        if text is None:
            text = _asked(question) if is_asked else question.default
        try:
            notes = question.test(text)
        except Failure as failure:
            if not is_asked:
                raise Failure(f"{question.flag}: {failure}", failure.status) from None
            put(f"  {painted('✗', 'red', sys.stdout)} {printable(str(failure))}")
            text = None
        else:
            for note in notes:
                put(f"  {painted('✓', 'green', sys.stdout)} {printable(note)}")
            return text


def _asked(question: Question) -> str:
    shown = f" [{without_secrets(question.default)}]" if question.default else ""
    return line(f"{question.text}{shown}: ").strip() or question.default


def redis(url: str) -> list[str]:
    """It answers, is new enough and evicts nothing."""
    try:
        found = asyncio.run(look(url))
    except ModuleNotFoundError:
        raise
    except Exception as error:
        why = f"no answer within {SECONDS:.0f} s" if isinstance(error, TimeoutError) else explain(error)[1]
        raise Failure(f"{without_secrets(url)}: {why}. Without a Redis: ffgrid web --embedded") from None
    for one in found:
        if one.verdict == BAD and one.check in FATAL:
            raise Failure(f"{one.sentence}. Mend it: {one.mend}")
    return [
        one.sentence + (f". Mend it: {one.mend}" if one.verdict != OK and one.mend else "") for one in found
    ]


def media(text: str) -> list[str]:
    """Each directory is there and can be read; whether it can be written is said."""
    try:
        named = roots.parse(text)
    except roots.BadRoots as error:
        raise Failure(str(error), USAGE) from None
    if not named:
        raise Failure(
            "expected Name=/directory, several joined with ':', such as Movies=/media/movies", USAGE
        )
    for name, path in named.items():
        if not os.path.isdir(path):
            raise Failure(f"{name}: there is no directory {path}")
        if not os.access(path, os.R_OK | os.X_OK):
            raise Failure(f"{name}: you cannot read {path}")
    return [f"{name}: {path} can be read{_and_written(path)}" for name, path in named.items()]


def _and_written(path: str) -> str:
    return (
        " and written"
        if os.access(path, os.W_OK)
        else ", and not written by you: no job of yours can write there"
    )


def listen(text: str) -> list[str]:
    """Somebody can listen there."""
    host, port = place(text)
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise Failure(f"cannot listen at {text}: {str(error.strerror or error).lower()}") from None
    only = " (only this host reaches it)" if host in ("127.0.0.1", "::1", "localhost") else ""
    return [f"{text} is free{only}"]


def place(text: str) -> tuple[str, int]:
    """Host and port of `0.0.0.0:8000`, `[::]:8000`, `:8000` or `8000`. Raises Failure."""
    host, _, port = text.rpartition(":")
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65_536):
        raise Failure(f"expected HOST:PORT, such as 0.0.0.0:8000, got {text!r}", USAGE)
    return host.strip("[]") or "127.0.0.1", int(port)


def name(text: str) -> list[str]:
    """It can name a user and a key."""
    if not is_word(text, ID_LENGTHS) or not is_word(f"{text}-shim", ID_LENGTHS):
        raise Failure(f"expected up to 59 letters, digits, '.', '_' or '-', got {text!r}", USAGE)
    return []
