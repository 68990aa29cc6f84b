"""How another machine becomes a worker: the lines to type there. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from shlex import quote
from urllib.parse import urlsplit

from app.state.workers import Worker
from app.web.words import visible

OWN = ("localhost", "127.0.0.1", "::1")
MOST = 4  # roots that the example names


@dataclass(frozen=True)
class Joining:
    """Lines for a shell. `note` is what has to be known besides, or ""."""

    key: str
    install: str
    start: str
    note: str


def lines(address: str, host: str, known: Iterable[Worker]) -> Joining:
    """For a queue at `address` (without what is secret in it) and this coordinator under the name `host`."""
    redis, note = _reachable(address, host)
    named = sorted({str(root) for worker in known for root in worker.about.get("roots", ())})[:MOST] or [
        "Movies"
    ]
    roots = ":".join(f"{root}=/path/to/{root}" for root in named)
    return Joining(
        key="ffgrid keys add NAME --role worker --out NAME.key",
        install="pipx install 'ffgrid[worker]'",
        start=visible(
            f"export FFGRID_REDIS_URL={quote(redis)}\n"
            f"export FFGRID_KEY_FILE=NAME.key FFGRID_ROOTS={quote(roots)}\n"
        ).replace("\\x0a", "\n")
        + "ffgrid worker",
        note=note,
    )


def _reachable(address: str, host: str) -> tuple[str, str]:
    """The queue's address as another machine would write it."""
    if address.startswith("unix:"):
        return "redis://HOST:6379/0", (
            "The queue of this coordinator is open to this host only. For workers elsewhere, let it use a Redis "
            "that they reach too: set FFGRID_REDIS_URL for it as well."
        )
    if urlsplit(address).hostname in OWN:
        note = "Redis has to listen on that address, with a password; a user and password go before the host."
        for name in OWN:
            address = address.replace(f"//[{name}]" if ":" in name else f"//{name}", f"//{host or 'HOST'}", 1)
        return address, note
    return address, "A user and password of Redis go before the host."
