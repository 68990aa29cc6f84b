"""Who may use the dashboard: names, roles and hashes of passwords.

    {ff}:users   name -> JSON . seal

A record is sealed with a key of the master's, so that whoever can write to Redis can neither make a user nor
raise a role. The hashes are made by `passwords`.
"""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from typing import Any

from itsdangerous import BadSignature, Signer

from app.state.connect import Connection
from app.state.keys import Keys
from app.state.scripting import Scripts
from app.wire.signing import ID_LENGTHS, is_word

ROLES = ("viewer", "operator", "admin")  # each may do what those before it may


class BadUser(Exception):
    """A user cannot be made or changed; the text says why."""


class BadLink(Exception):
    """The one-time link has been used, or is too old, or was not made here."""


@dataclass(frozen=True)
class User:
    """A user. `stamp` changes with the password, and ends all sessions; no role: the record is not of this master."""

    name: str
    role: str
    password: str = ""
    stamp: str = ""
    created: float = 0.0

    def may(self, role: str) -> bool:
        """Whether this user has that role or one above it."""
        return self.role in ROLES and ROLES.index(self.role) >= ROLES.index(role)


class Users:
    """The users of one installation."""

    def __init__(self, redis: Connection, keys: Keys, scripts: Scripts, key: bytes) -> None:
        self._redis = redis
        self._keys = keys
        self._scripts = scripts
        self._signer = Signer(key, salt="ffgrid.user", key_derivation="hmac", digest_method=sha256)

    async def any(self) -> bool:
        """Whether there is a user at all."""
        return bool(await self._redis.hlen(self._keys.users))

    async def get(self, name: str) -> User | None:
        """The user, or None."""
        stored = await self._redis.hget(self._keys.users, name)
        return self.read(name, stored) if stored else None

    async def list(self) -> list[User]:
        """All users, by name."""
        stored = await self._redis.hgetall(self._keys.users)
        found = ((name.decode("utf-8", "replace"), record) for name, record in stored.items())
        return sorted((self.read(name, record) for name, record in found), key=lambda one: one.name)

    async def add(self, name: str, role: str, password: str, link: str = "") -> User:
        """A new user; the first of all where a link's id is named. Raises BadUser, BadLink."""
        if not is_word(name, ID_LENGTHS):
            raise BadUser(f"cannot name a user {name!r}: use up to 64 letters, digits, '.', '_' or '-'")
        user = User(name, _role(role), password, secrets.token_hex(8), time.time())
        said = await self._put(name, b"", self._sealed(user), link)
        if said == b"changed":
            raise BadUser(f"there is a user {name!r} already: choose another name")
        return user

    async def set_role(self, name: str, role: str) -> User:
        """The user with another role, from the next request on; open pages are loaded anew. Raises BadUser."""
        return await self._change(name, role=_role(role))

    async def set_password(self, name: str, password: str) -> User:
        """The user with another password; whoever is signed in with the old one is so no longer. Raises BadUser."""
        return await self._change(name, password=password, stamp=secrets.token_hex(8))

    async def remove(self, name: str) -> None:
        """Raises BadUser."""
        await self._put(name, await self._stored(name), b"")

    def read(self, name: str, stored: bytes) -> User:
        """The user of a record, without a role where the record was not sealed here for this name."""
        try:
            fields = json.loads(self._signer.unsign(stored))
        except BadSignature:
            return User(name, "")
        return User(**fields) if fields["name"] == name else User(name, "")

    async def _change(self, name: str, **fields: Any) -> User:
        while True:
            stored = await self._stored(name)
            user = self.read(name, stored)
            if not user.role:
                raise BadUser(
                    f"the record of {name!r} is not of this installation: remove it and add it again"
                )
            fresh = replace(user, **fields)
            if await self._put(name, stored, self._sealed(fresh)) == b"ok":
                return fresh

    async def _stored(self, name: str) -> bytes:
        stored: bytes | None = await self._redis.hget(self._keys.users, name)
        if not stored:
            raise BadUser(f"there is no user {name!r}")
        return stored

    async def _put(self, name: str, before: bytes, after: bytes, link: str = "") -> bytes:
        """What the script says: "ok" or "changed"."""
        names = [self._keys.users, *([self._keys.link(link)] if link else [])]
        said: bytes = await self._scripts.run("user", names, [name, before, after])
        if said == b"last":
            raise BadUser(f"{name!r} is the last admin: make another one first")
        if said == b"burnt":
            raise BadLink("this link has been used, or is too old")
        return said

    def _sealed(self, user: User) -> bytes:
        return self._signer.sign(json.dumps(asdict(user)).encode())


def _role(role: str) -> str:
    if role not in ROLES:
        raise BadUser(f"there is no role {role!r}: expected one of {', '.join(ROLES)}")
    return role
