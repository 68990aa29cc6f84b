"""Who may sign requests. Secrets are derived, not stored:

    secret = HKDF-SHA256(master, info = id | role | version)

Redis holds an id's role and version only, so a dump of Redis holds no secret, and whoever raises a role in
Redis makes the signature wrong. The master key is a 0600 file on the coordinator's hosts.
"""

from __future__ import annotations

import hmac
import ipaddress
import json
import os
import secrets
import time
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path

from app.state.connect import FULL, Connection
from app.state.keys import Keys
from app.state.scripting import Scripts
from app.wire.signing import ID_LENGTHS, WINDOW, is_word

ROLES = ("client", "worker", "admin")
OVERLAP = 24 * 3600  # seconds for which the version before a rotation stays good


class BadKey(Exception):
    """A key cannot be made, changed or read; the text says why."""


@dataclass(frozen=True)
class Client:
    """A key's record: everything but its secret. Times are Unix seconds."""

    id: str
    role: str
    version: int = 1
    networks: tuple[str, ...] = ()
    created: float = 0.0
    rotated: float = 0.0
    previous: int = 0  # the version before, which stays good for a while; 0: none
    revoked: bool = False

    def versions(self, now: float) -> list[int]:
        """The versions that are good now, the newest first."""
        if self.revoked:
            return []
        if self.previous and now - self.rotated < OVERLAP:
            return [self.version, self.previous]
        return [self.version]

    def admits(self, address: str) -> bool:
        """Whether the key may be used from this address."""
        if not self.networks:
            return True
        try:
            peer = ipaddress.ip_address(address)
        except ValueError:
            return False
        peer = getattr(peer, "ipv4_mapped", None) or peer
        return any(peer in ipaddress.ip_network(network) for network in self.networks)


class Master:
    """The key all others are derived from."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    @classmethod
    def load(cls, path: Path, create: bool = False) -> Master:
        """Reads the file, or makes it with mode 0600 if `create`. Raises BadKey."""
        if create and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_private(path, secrets.token_hex(32) + "\n")
        text = read_private(path).strip()
        if len(text) != 64 or not all(digit in "0123456789abcdef" for digit in text.lower()):
            raise BadKey(f"{path} holds no master key: expected 64 hexadecimal digits")
        return cls(bytes.fromhex(text))

    def derive(self, *info: str | int) -> bytes:
        """32 bytes for these words (HKDF, RFC 5869, with no salt and one block)."""
        extracted = hmac.digest(bytes(32), self._secret, sha256)
        return hmac.digest(extracted, "|".join(map(str, info)).encode() + b"\x01", sha256)

    def secret(self, client_id: str, role: str, version: int) -> bytes:
        """What this version of this key signs with."""
        return self.derive("ffgrid key", client_id, role, version)

    def seal_key(self) -> bytes:
        """What coordinators seal jobs with, and workers check them with."""
        return self.derive("ffgrid seal")

    def user_key(self) -> bytes:
        """What records of the dashboard's users are sealed with."""
        return self.derive("ffgrid user")

    def session_key(self) -> bytes:
        """What cookies and one-time links are signed with."""
        return self.derive("ffgrid session")


class Clients:
    """The records of all keys, and the nonces they have burnt. Changes of keys are `replicated`: see `Store`."""

    def __init__(self, redis: Connection, keys: Keys, scripts: Scripts, replicated: Connection) -> None:
        self._redis = redis
        self._keys = keys
        self._scripts = scripts
        self._replicated = replicated

    async def get(self, client_id: str) -> Client | None:
        """The record, or None."""
        stored = await self._redis.hget(self._keys.clients, client_id)
        return _client(client_id, stored) if stored else None

    async def list(self) -> list[Client]:
        """All records, by id."""
        stored = await self._redis.hgetall(self._keys.clients)
        return sorted(
            (_client(name.decode(), value) for name, value in stored.items()), key=lambda one: one.id
        )

    async def add(self, client_id: str, role: str, networks: tuple[str, ...] = ()) -> Client:
        """A new key. Raises BadKey when the id is taken or a value cannot be used."""
        if not is_word(client_id, ID_LENGTHS):
            raise BadKey(f"cannot name a key {client_id!r}: use up to 64 letters, digits, '.', '_' or '-'")
        if role not in ROLES:
            raise BadKey(f"there is no role {role!r}: expected one of {', '.join(ROLES)}")
        client = Client(client_id, role, networks=tuple(map(_network, networks)), created=time.time())
        if not await self._replicated.hsetnx(self._keys.clients, client_id, _stored(client)):
            raise BadKey(f"there is a key {client_id!r} already: rotate or revoke it, or choose another name")
        return client

    async def rotate(self, client_id: str) -> Client:
        """A new version; the one before stays good for a day. Raises BadKey."""
        client = await self._existing(client_id)
        previous = 0 if client.revoked else client.version
        fresh = replace(
            client, version=client.version + 1, previous=previous, rotated=time.time(), revoked=False
        )
        return await self._put(fresh)

    async def revoke(self, client_id: str) -> Client:
        """No version is good any more, within a second. Raises BadKey."""
        return await self._put(replace(await self._existing(client_id), revoked=True))

    async def burn(self, client_id: str, nonce: str) -> bool:
        """Whether this nonce is used for the first time."""
        mark = secrets.token_bytes(8)  # so that a command repeated after a lost reply is known again
        key, lifetime = self._keys.nonce(client_id, nonce), 2 * WINDOW * 1000 + 5000
        try:
            found = await self._redis.set(key, mark, nx=True, get=True, px=lifetime)
        except FULL:
            found = await self._scripts.run("burn", [key], [mark, lifetime])
        return found is None or bytes(found) == mark

    async def _existing(self, client_id: str) -> Client:
        client = await self.get(client_id)
        if client is None:
            raise BadKey(f"there is no key {client_id!r}")
        return client

    async def _put(self, client: Client) -> Client:
        await self._replicated.hset(self._keys.clients, client.id, _stored(client))
        return client


def read_private(path: Path) -> str:
    """The text of a file that only its owner may read. Raises BadKey."""
    try:
        status = path.stat()
        text = path.read_text()
    except OSError as error:
        raise BadKey(f"cannot read the key file {path}: {error.strerror}") from None
    if status.st_mode & 0o077:
        raise BadKey(f"others can read the key file {path}: run chmod 600 {path}")
    return text


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner may read. Raises BadKey if it exists."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise BadKey(f"{path} exists already: remove it or choose another name") from None
    except OSError as error:
        raise BadKey(f"cannot write {path}: {error.strerror}") from None
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text))
    except ValueError as error:
        raise BadKey(f"cannot read the network {text!r}: {error}") from None


def _stored(client: Client) -> str:
    fields = asdict(client)
    del fields["id"]
    return json.dumps(fields)


def _client(client_id: str, stored: bytes) -> Client:
    fields = json.loads(stored)
    fields["networks"] = tuple(fields["networks"])
    return Client(id=client_id, **fields)
