"""Who signed this request: the checks of DESIGN section 4, in their order.

    framing and path  ->  headers' form  ->  time  ->  MAC  ->  address  ->  body and digest  ->  nonce

The MAC is checked before a byte of the body is read, the nonce is burnt last, and every failure but those
of framing and size has one and the same answer.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from app.state.clients import Client, Clients, Master
from app.state.connect import UNREACHABLE
from app.web.problems import Problem, Unauthorized, from_error
from app.wire import signing
from app.wire.messages import BODY_LIMIT

CACHE_SECONDS = 1.0  # how long a key's record is trusted without asking Redis again
_PATH = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.~/-")
_QUERY = _PATH | frozenset(b"%+=&:,")
_ONCE = frozenset((b"signature", b"signature-input", b"content-digest", b"host", b"content-length"))


class Verifier:
    """Checks signatures. Keeps records of keys for a second; derives secrets once."""

    def __init__(self, clients: Clients, master: Master) -> None:
        self._clients = clients
        self._master = master
        self._records: dict[str, tuple[float, Client | None]] = {}
        self._secrets: dict[tuple[str, str, int], bytes] = {}

    async def signer(
        self, connection: HTTPConnection, body: Callable[[], Awaitable[bytes]]
    ) -> tuple[Client, bytes]:
        """Who signed it, and its body. Raises Problem."""
        claim = _claim(check_framing(connection))
        client = await self._record(claim.key_id)
        if not self._is_genuine(claim, client, connection) or client is None:
            raise Unauthorized
        content = await body()
        if signing.digest(content) != claim.digest or not await self._clients.burn(client.id, claim.nonce):
            raise Unauthorized
        return client, content

    async def _record(self, key_id: str) -> Client | None:
        now = time.monotonic()
        expires, client = self._records.get(key_id, (0.0, None))
        if now >= expires:
            client = await self._clients.get(key_id)
            if len(self._records) > 10_000:  # ids nobody has, tried by somebody
                self._records.clear()
            self._records[key_id] = (now + CACHE_SECONDS, client)
        return client

    def _is_genuine(self, claim: signing.Claim, client: Client | None, connection: HTTPConnection) -> bool:
        now = time.time()
        method = connection.scope.get("method", "GET")
        path, query = (
            connection.scope["raw_path"].decode("latin-1"),
            connection.scope["query_string"].decode("latin-1"),
        )
        versions = client.versions(now) if client else []
        secrets = [self._secret(client, version) for version in versions if client] or [bytes(32)]
        # Every step is taken for an unknown key too, so that the time it takes tells nothing.
        signed = [signing.verify(claim, secret, method, path, query) for secret in secrets]
        address = connection.client.host if connection.client else ""
        return (
            bool(versions)
            and any(signed)
            and signing.is_fresh(claim, now)
            and bool(client and client.admits(address))
        )

    def _secret(self, client: Client, version: int) -> bytes:
        key = (client.id, client.role, version)
        if key not in self._secrets:
            self._secrets[key] = self._master.secret(*key)
        return self._secrets[key]


async def read_body(request: Request) -> bytes:
    """The body, at most BODY_LIMIT bytes. Raises Problem 413."""
    announced = request.headers.get("content-length", "0")
    if not announced.isdigit() or int(announced) > BODY_LIMIT:
        raise _too_large()
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > BODY_LIMIT:
            raise _too_large()
        parts.append(part)
    return b"".join(parts)


def check_framing(connection: HTTPConnection) -> dict[bytes, bytes]:
    """Refuses requests that two parsers could read differently; the headers. Raises Problem 400."""
    headers: dict[bytes, bytes] = {}
    doubled = False
    for name, value in connection.scope["headers"]:
        doubled = doubled or (name in headers and name in _ONCE)
        headers[name] = value
    if (
        doubled
        or (b"content-length" in headers and b"transfer-encoding" in headers)
        or b"content-encoding" in headers
    ):
        raise Problem(
            400, "malformed", "the request's framing is ambiguous: a header is doubled or contradicts another"
        )
    path, query = connection.scope["raw_path"], connection.scope["query_string"]
    strange = not _PATH.issuperset(path) or not _QUERY.issuperset(query)
    if strange or b"//" in path or b"/." in path or path.decode("latin-1") != connection.scope["path"]:
        raise Problem(400, "malformed", "the request's path holds characters that no path of this API has")
    return headers


def _claim(headers: dict[bytes, bytes]) -> signing.Claim:
    names = (b"signature-input", b"signature", b"content-digest")
    try:
        return signing.read(*(headers.get(name, b"").decode("latin-1") for name in names))
    except signing.BadSignature:
        raise Unauthorized from None


def _too_large() -> Problem:
    return Problem(413, "too-large", f"the body is larger than {BODY_LIMIT} bytes")


Handler = Callable[[Request, Client, bytes], Awaitable[Response]]


def signed(*roles: str) -> Callable[[Handler], Callable[[Request], Awaitable[Response]]]:
    """Makes an endpoint of a handler `(request, client, body)` that only keys of these roles may call."""

    def wrap(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            verifier: Verifier = request.app.state.verifier
            try:
                client, body = await verifier.signer(request, lambda: read_body(request))
            except UNREACHABLE as error:  # who asks may do what he wanted elsewhere, or not at all
                problem = from_error(error)
                problem.more["nothing_done"] = True
                raise problem from None
            demand_role(client, roles)
            return await handler(request, client, body)

        endpoint.__doc__ = handler.__doc__
        endpoint.__name__ = handler.__name__
        return endpoint

    return wrap


def demand_role(client: Client, roles: tuple[str, ...]) -> None:
    """Raises Problem 403."""
    if client.role not in roles:
        raise Problem(
            403, "forbidden", f"a key of role {client.role} may not do this: it takes {' or '.join(roles)}"
        )
