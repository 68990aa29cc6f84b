"""Who is signed in: a random id in Redis, which every process can end, and a signed cookie that names it.

    {ff}:session:<id>   began at ms, lives as long as somebody comes back in time
    cookie              [id, user, stamp] . signature by a key of the master's

Neither is enough alone: what is in Redis makes no cookie, and a cookie is nothing without its id there.
"""

from __future__ import annotations

import secrets
from hashlib import sha256
from typing import Any

from itsdangerous import BadData, URLSafeSerializer

from app.state.connect import Connection
from app.state.keys import Keys
from app.state.scripting import Scripts
from app.state.users import BadLink, User, Users

IDLE_MS = 8 * 3_600_000  # without a request
OLD_MS = 7 * 86_400_000  # since it began
LINK_MS = 3_600_000  # that a one-time link is good
STREAMS = 4  # that a session may hold open: over HTTP/1.1 a browser has six connections for everything
HOLD_MS = 90_000  # for which one counts that has not been heard of
WINDOW_MS = 60_000  # in which tries of passwords are counted
TRIES_USER, TRIES_ADDRESS = 5, 20  # in that window: for one name from one address, and from one address


class Sessions:
    """Sessions, one-time links that begin them, and how often passwords may be tried."""

    def __init__(
        self,
        redis: Connection,
        keys: Keys,
        scripts: Scripts,
        users: Users,
        key: bytes,
    ) -> None:
        self._redis = redis
        self._keys = keys
        self._scripts = scripts
        self._users = users
        self._cookies = _serializer(key, "ffgrid.session")
        self._links = _serializer(key, "ffgrid.link")

    async def begin(self, user: User) -> str:
        """The cookie of a new session."""
        name = secrets.token_urlsafe(24)
        await self._scripts.run("enter", [self._keys.session(name)], [IDLE_MS])
        return str(self._cookies.dumps([name, user.name, user.stamp]))

    async def user(self, cookie: str) -> User | None:
        """Who shows this cookie, as the user is now. None: nobody who is signed in."""
        named = self.claimed(cookie)
        if named is None:
            return None
        session, name, stamp = named
        names = [self._keys.session(session), self._keys.users]
        stored = await self._scripts.run("visit", names, [name, IDLE_MS, OLD_MS])
        user = self._users.read(name, stored) if stored else None
        return user if user and user.role and user.stamp == stamp else None

    def claimed(self, cookie: str) -> list[str] | None:
        """Id, user and stamp of a cookie that was made here; its session may have ended."""
        try:
            named: list[str] = self._cookies.loads(cookie)
        except BadData:
            return None
        return named

    async def end(self, cookie: str) -> None:
        """Signs out, at every process."""
        named = self.claimed(cookie)
        if named:
            await self._scripts.run("leave", [self._keys.session(named[0])], [named[1]])

    async def hold(self, cookie: str, tab: str) -> str:
        """A new stream of this tab, which may be open for HOLD_MS; it ends an older one. "": it may not be."""
        stream = f"{tab}:{secrets.token_urlsafe(6)}"
        return stream if await self._may_hold(cookie, stream, "1") else ""

    async def hold_on(self, cookie: str, stream: str) -> bool:
        """Whether that stream may be open for HOLD_MS from now on."""
        return await self._may_hold(cookie, stream, "0")

    async def _may_hold(self, cookie: str, stream: str, is_new: str) -> bool:
        named = self.claimed(cookie)
        keys = [self._keys.streams(named[0])] if named else []
        return bool(keys) and await self._scripts.run("hold", keys, [stream, is_new, HOLD_MS, STREAMS]) == 1

    async def let_go(self, cookie: str, stream: str) -> None:
        """That stream is open no more."""
        named = self.claimed(cookie)
        if named:
            await self._redis.zrem(self._keys.streams(named[0]), stream)

    async def link(self, name: str = "") -> str:
        """The secret of a one-time link that signs this user in; without a name, that makes the first user."""
        mark = secrets.token_urlsafe(16)
        await self._redis.set(self._keys.link(mark), name or "-", px=LINK_MS)
        return str(self._links.dumps([mark, name]))

    async def linked(self, secret: str) -> tuple[str, str]:
        """The id and the user's name of a link that is still good. Raises BadLink."""
        try:
            mark, name = self._links.loads(secret)
        except BadData:
            raise BadLink("this link was not made here") from None
        if not await self._redis.exists(self._keys.link(mark)) or (not name and await self._users.any()):
            raise BadLink("this link has been used, or is too old")
        return mark, name

    async def burn(self, mark: str, name: str) -> User:
        """The user whom a link signs in, once. Raises BadLink."""
        burnt = await self._redis.delete(self._keys.link(mark))
        user = await self._users.get(name) if burnt else None
        if user is None or not user.role:
            raise BadLink("this link has been used, or is too old")
        return user

    async def attempt(self, name: str, address: str) -> float:
        """0, or the seconds after which this address may try a password again; of this name, or of any."""
        digest = sha256(f"{address} {name}".encode()).hexdigest()[:32]
        names = [self._keys.tries(f"user:{digest}"), self._keys.tries(f"address:{address}")]
        mark = secrets.token_hex(8)
        said = await self._scripts.run("attempt", names, [mark, WINDOW_MS, TRIES_USER, TRIES_ADDRESS])
        return int(said) / 1000


def _serializer(key: bytes, salt: str) -> Any:
    options = {"key_derivation": "hmac", "digest_method": sha256}
    return URLSafeSerializer(key, salt=salt, signer_kwargs=options)
