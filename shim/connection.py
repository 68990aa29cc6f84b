"""As much HTTP/1.1 as the shim speaks: one connection, a signed POST, then an upgrade on the same one.

Made by hand because http.client costs more milliseconds than the whole call (measured: 45 of 60).
"""

from __future__ import annotations

import _socket
from posix import urandom
from time import monotonic, time

from app.wire import signing

TYPES = False
if TYPES:
    from collections.abc import Callable
    from typing import Protocol

    from app.wire.keyfile import Key
    from shim.config import Config

    class Stream(Protocol):
        """A connected socket, plain or TLS."""

        def recv(self, size: int, /) -> bytes: ...
        def sendall(self, data: bytes, /) -> None: ...
        def send(self, data: bytes, /) -> int: ...
        def fileno(self) -> int: ...
        def settimeout(self, seconds: float | None, /) -> None: ...
        def close(self) -> None: ...


CONNECT_SECONDS = 2.0
ANSWER_SECONDS = 10.0
HEAD_LIMIT = 65_536
# The kernel finds out that the coordinator's host has vanished, in time to go on elsewhere before the caller counts
# as gone (45 s); a slow network costs nothing.
KEEPALIVE = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 3, "TCP_KEEPCNT": 4, "TCP_USER_TIMEOUT": 17_000}


_behind: dict[str, float] = {}  # by how many seconds our clock is behind a coordinator's, by its address


class Unreachable(Exception):
    """No answer from the coordinator; the text says which and why."""


class Connection:
    """One keep-alive connection to one coordinator process."""

    def __init__(self, url: str, key: Key, patience: float = ANSWER_SECONDS) -> None:
        """Connects; an answer may take `patience` seconds, and the connection too if they are few.

        Raises Unreachable.
        """
        self._patience = patience
        self._secure, self._host, self._port, self._prefix = _split(url)
        self._authority = url.split("://", 1)[1].partition("/")[0]
        self._key = key
        self.url = url
        self._knows_the_time = False
        self.socket = self._connect()
        self._rest = b""

    def request(
        self, method: str, target: str, body: bytes, meanwhile: Callable[[], object] = bool
    ) -> tuple[int, dict[str, str], bytes]:
        """A signed request: status, headers (lower case), body. `meanwhile` runs before the answer is read.

        Raises Unreachable.
        """
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        self._send(method, target, body, headers)
        meanwhile()
        status, answered = self._head()
        content = self._body(answered)
        if status == 401 and self._learns_the_time(answered):
            return self.request(method, target, body)
        return status, answered, content

    def upgrade(self, target: str) -> bytes:
        """Makes the connection a WebSocket; bytes that came behind the answer.

        Raises Refused when the coordinator says no, Unreachable when it says nothing.
        """
        from app.wire import websocket  # the relay has loaded it by now

        headers, accept = websocket.handshake_headers(urandom(16))
        self._send("GET", target, b"", headers)
        status, answered = self._head()
        if status != 101 or answered.get("sec-websocket-accept") != accept:
            content = self._body(answered)
            if status == 401 and self._learns_the_time(answered):
                return self.upgrade(target)
            raise self.refused(status, answered, content)
        self.socket.settimeout(None)
        return self._rest

    def refused(self, status: int, headers: dict[str, str], body: bytes) -> Refused:
        """What such an answer is to be raised as."""
        return Refused(status, body, headers.get("date", ""), self._now())

    def close(self) -> None:
        """Closes the connection."""
        self.socket.close()

    def _now(self) -> float:
        """The coordinator's time, as far as we know it."""
        return time() + _behind.get(self.url, 0.0)

    def _learns_the_time(self, headers: dict[str, str]) -> bool:
        """Whether a refusal says that our clock is wrong: then it is put right, and connected for one more try."""
        from app.wire.refusal import correction  # slow to import

        found = correction(headers.get("date", ""), time(), _behind.get(self.url, 0.0))
        if self._knows_the_time or found is None:
            return False
        _behind[self.url] = found
        self._knows_the_time = True
        self.close()
        self.socket, self._rest = self._connect(), b""
        return True

    def _send(self, method: str, target: str, body: bytes, headers: list[tuple[str, str]]) -> None:
        target = self._prefix + target
        signed = signing.sign(
            self._key.id,
            self._key.secret,
            method,
            target,
            body,
            created=int(self._now()),
            nonce=signing.new_nonce(urandom(16)),
        )
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self._authority}"]
        lines += [f"{name}: {value}" for name, value in headers + signed]
        try:
            self.socket.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        except OSError as error:
            raise self._unreachable(error) from None

    def _head(self) -> tuple[int, dict[str, str]]:
        data = self._rest
        while b"\r\n\r\n" not in data:
            if len(data) > HEAD_LIMIT:
                raise Unreachable(f"{self.url} does not answer as a coordinator does")
            data += self._receive()
        head, _, self._rest = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        words = first.split(" ", 2)
        if len(words) < 2 or not words[0].startswith("HTTP/1.") or not _is_digits(words[1]):
            raise Unreachable(f"{self.url} does not answer as a coordinator does")
        pairs = (line.partition(":") for line in lines)
        return int(words[1]), {name.strip().lower(): value.strip() for name, _, value in pairs}

    def _body(self, headers: dict[str, str]) -> bytes:
        length = headers.get("content-length", "0")
        if not _is_digits(length):
            raise Unreachable(f"{self.url} does not answer as a coordinator does")
        size = int(length)
        while len(self._rest) < size:
            self._rest += self._receive()
        body, self._rest = self._rest[:size], self._rest[size:]
        return body

    def _receive(self) -> bytes:
        try:
            data = self.socket.recv(65_536)
        except OSError as error:
            raise self._unreachable(error) from None
        if not data:
            raise Unreachable(f"{self.url} closed the connection")
        return data

    def _connect(self) -> Stream:
        try:
            # As bytes: a host given as text is encoded with idna, and loading that costs 8 ms.
            host = self._host.encode() if self._host.isascii() else self._host
            addresses = _socket.getaddrinfo(host, self._port, 0, _socket.SOCK_STREAM)
        except UnicodeError:
            raise Unreachable(
                f"cannot read the coordinator's address {self.url!r}: its host is no name"
            ) from None
        except OSError as error:
            raise self._unreachable(error) from None
        for last, (family, kind, protocol, _, address) in enumerate(addresses, 1 - len(addresses)):
            connection = _socket.socket(family, kind, protocol)
            connection.settimeout(min(CONNECT_SECONDS, self._patience))
            try:
                connection.connect(address)
            except OSError as error:
                connection.close()
                if last == 0:
                    raise self._unreachable(error) from None
                continue
            _tune(connection, self._patience)
            return self._secured(connection) if self._secure else connection
        raise Unreachable(f"{self.url}: no address")

    def _secured(self, connection: _socket.socket) -> Stream:
        import socket
        import ssl  # 30 ms, only for https

        wrapped = socket.socket(fileno=connection.detach())
        wrapped.settimeout(min(CONNECT_SECONDS, self._patience))
        try:
            secured = ssl.create_default_context().wrap_socket(wrapped, server_hostname=self._host)
            secured.settimeout(self._patience)
            return secured
        except OSError as error:
            raise self._unreachable(error) from None

    def _unreachable(self, error: OSError) -> Unreachable:
        what = "does not answer" if isinstance(error, TimeoutError) else error.strerror or str(error)
        return Unreachable(f"{self.url}: {what}")


class Refused(Exception):
    """The coordinator answered, and the answer is no."""

    def __init__(self, status: int, body: bytes, date: str, now: float) -> None:
        super().__init__(status)
        self.status = status
        self.body = body
        self._date = date
        self._now = now

    def sentence(self) -> str:
        """What the coordinator said, for people."""
        from app.wire.refusal import sentence  # slow to import, and nothing is in a hurry any more

        return sentence(self.status, self.body, self._date, self._now)


def tell(config: Config, target: str, body: bytes = b"", patience: float = CONNECT_SECONDS) -> int:
    """POSTs something over a connection of its own, to the first coordinator that answers; 0 when none does.

    All of it takes `patience` seconds at most, besides the look-up of a name.
    """
    deadline = monotonic() + patience
    for number, url in enumerate(config.urls):
        left = max(0.01, deadline - monotonic()) / 2  # for the connection, and as much for the answer
        try:
            connection = Connection(url, config.key, left / (len(config.urls) - number))
            status = connection.request("POST", target, body)[0]
            connection.close()
        except Unreachable:
            continue
        if status < 500:  # who cannot say anything now is passed by
            return status
    return 0


def _tune(connection: _socket.socket, patience: float) -> None:
    connection.settimeout(patience)
    connection.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
    connection.setsockopt(_socket.SOL_SOCKET, _socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        if hasattr(_socket, name):
            connection.setsockopt(_socket.IPPROTO_TCP, getattr(_socket, name), value)


def _split(url: str) -> tuple[bool, str, int, str]:
    """Whether it is https, the host, the port and the path before the API's own."""
    scheme, _, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    host, port = authority, ""
    if authority.startswith("["):
        host, _, port = authority[1:].partition("]")
        port = port[1:]
    elif ":" in authority:
        host, _, port = authority.rpartition(":")
    if scheme not in ("http", "https") or not host or not _is_port(port):
        raise Unreachable(f"cannot read the coordinator's address {url!r}: expected http://host:port")
    secure = scheme == "https"
    return secure, host, int(port) if port else (443 if secure else 80), (slash + path).rstrip("/")


def _is_port(text: str) -> bool:
    return text == "" or (_is_digits(text) and 0 < int(text) < 65_536)


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 20
