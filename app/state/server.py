"""The Redis server itself: what it is, and what is to be said of its settings."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from redis.exceptions import AuthorizationError, ResponseError

from app.state.connect import Connection
from app.state.trouble import NotNow
from app.state.verdicts import Verdict, product, verdicts

SETTINGS = ("appendfsync", "save")


class Server:
    """One look at the server costs two commands."""

    def __init__(self, redis: Connection) -> None:
        self._redis = redis

    async def verdicts(self) -> list[Verdict]:
        """See `verdicts.verdicts`."""
        return verdicts(await self._asked(self._redis.info), await self._asked(self._settings))

    async def version(self) -> str:
        """ "redis 7.4.1", "valkey 8.1.0"."""
        return " ".join(product(await self._asked(self._redis.info)))

    async def _settings(self) -> dict[str, Any]:
        found = await self._redis.config_get(*SETTINGS)
        return {_text(name): _text(value) for name, value in found.items()}

    async def _asked(self, ask: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        """Nothing where the server, or its list of rights, does not let us ask: that is usual where it is rented."""
        try:
            return await ask()
        except NotNow:
            raise
        except (ResponseError, AuthorizationError):
            return {}


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
