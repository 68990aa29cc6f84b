"""Who looks at the dashboard: sessions, pages as they come over the wire, and streams without a browser."""

from __future__ import annotations

import gzip
import re
import secrets
import socket
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.state.store import Store
from tests.bench.harness import Stage
from tests.bench.timing import Broken

WITHIN = 20.0  # seconds for an answer
_EVENTS = re.compile(r'"(/events\?[^"]+)"')
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Page:
    """An answer. `carried` is how many bytes its body took on the wire."""

    status: int
    seconds: float
    carried: int
    text: str

    @property
    def events(self) -> str:
        """The address of the page's stream. Raises Broken."""
        found = _EVENTS.search(self.text)
        if not found:
            raise Broken("the page names no stream")
        return found[1].replace("&amp;", "&")


def sessions(stage: Stage, count: int) -> list[str]:
    """So many sessions of a viewer, as cookies."""

    async def begin(store: Store) -> list[str]:
        users = store.users(stage.master)
        user = await users.get("vera") or await users.add("vera", "viewer", "no hash")
        begun = store.sessions(stage.master, users)
        return [f"ffgrid={await begun.begin(user)}" for _ in range(count)]

    return stage.ask(begin)


def get(port: int, path: str, cookie: str) -> Page:
    """A page, as a browser asks for it over a connection of its own. Raises Broken."""
    with socket.create_connection(("127.0.0.1", port), WITHIN) as connection:
        return ask(connection, path, cookie)


def ask(connection: socket.socket, path: str, cookie: str) -> Page:
    """The same over a connection that is open. Raises Broken."""
    began = time.perf_counter()
    connection.sendall(request(path, cookie, "gzip, deflate, br", "text/html,*/*"))
    heard = b""
    while b"\r\n\r\n" not in heard:
        heard += _some(connection)
    head, _, body = heard.partition(b"\r\n\r\n")
    length = _LENGTH.search(head)
    if not length:
        raise Broken(f"{path} does not say how long it is: {head[:80]!r}")
    while len(body) < int(length[1]):
        body += _some(connection)
    took, status = time.perf_counter() - began, int(head.split(b" ", 2)[1])
    zipped = b"content-encoding: gzip" in head.lower()
    return Page(
        status, took, len(body), (gzip.decompress(body) if zipped else body).decode("utf-8", "replace")
    )


def request(path: str, cookie: str, encoding: str, accept: str) -> bytes:
    """What a browser says."""
    lines = [f"GET {path} HTTP/1.1", "Host: localhost", f"Cookie: {cookie}", f"Accept: {accept}"]
    return "\r\n".join([*lines, f"Accept-Encoding: {encoding}", "", ""]).encode()


def streams(port: int, topics: str, cookies: Sequence[str]) -> Iterator[socket.socket]:
    """An open stream of these topics for each session."""
    for cookie in cookies:
        connection = socket.create_connection(("127.0.0.1", port), WITHIN)
        path = f"/events?t={topics}&tab={secrets.token_hex(6)}"
        connection.sendall(request(path, cookie, "identity", "text/event-stream"))
        yield connection


def _some(connection: socket.socket) -> bytes:
    data = connection.recv(1 << 16)
    if not data:
        raise Broken("the connection has ended in the midst of an answer")
    return data
