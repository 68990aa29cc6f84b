"""One way to open Redis: timeouts, retries and pool sizes are decided here.

redis-py 8 gives up on any read after 5 s and repeats commands by itself. Both are wrong for a blocking
read, and the second would be wrong for any write that is not idempotent (all of ours are).
"""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio import BlockingConnectionPool, ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.exceptions import (
    ConnectionError,
    MasterDownError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TimeoutError,
)

from app.state import sentinel
from app.state.batching import Batching, Replicated
from app.state.trouble import FULL, UNREACHABLE, classified

BLOCK = 2.0  # seconds a blocking read waits
SCHEMES = ("redis://", "rediss://", "unix://", sentinel.SCHEME)

# redis-py types a reply as the union of what all protocols and decodings might give; ours are always bytes.
Connection = Any

__all__ = [
    "BLOCK",
    "FULL",
    "UNREACHABLE",
    "BadURL",
    "Connection",
    "ConnectionError",
    "RedisError",
    "check",
    "open_blocking",
    "open_commands",
    "open_replicated",
    "shown",
    "stop",
]


class BadURL(ValueError):
    """The Redis URL cannot be used."""


async def stop(*tasks: asyncio.Task[Any]) -> None:
    """Cancels tasks until they have ended; their errors are not raised.

    Once is not enough: a library under them can swallow a cancellation, as `asyncio.wait_for` does before
    Python 3.12 when what it waits for ends in the same turn.
    """
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=0.2)


def check(url: str) -> str:
    """The URL, if it is one that is served. Raises BadURL, whose text holds no password."""
    if url.startswith(("redis+cluster://", "rediss+cluster://")):
        raise BadURL(
            f"{shown(url)}: Redis Cluster is not served yet. Name one server with redis://, "
            "or Sentinels with redis+sentinel://"
        )
    if not url.startswith(SCHEMES):
        *others, last = SCHEMES
        expected = f"{', '.join(others)} or {last}"
        raise BadURL(f"cannot use the Redis URL {shown(url)!r}: expected one that starts with {expected}")
    try:
        if url.startswith(sentinel.SCHEME):
            sentinel.read(url)
        elif not url.startswith("unix:"):
            _ = urlsplit(url).port
    except sentinel.BadPlace as error:
        raise BadURL(f"cannot use the Redis URL {shown(url)!r}: {error}") from None
    except ValueError:
        raise BadURL(f"cannot use the Redis URL {shown(url)!r}: its host or port cannot be read") from None
    return url


def shown(url: str) -> str:
    """The URL without what may be secret in it."""
    scheme, mark, place = url.partition("://") if "://" in url else ("", "", url)
    place = place.partition("?")[0]
    return scheme + mark + (place if place.startswith("/") else place.rpartition("@")[2])


class _Direct:
    """A connection as we need it, whatever it goes through: see its two methods."""

    async def read_response(self: Any, *args: Any, **options: Any) -> Any:
        """In the place of redis-py's: errors are of the kinds in `trouble`, and a server that is a replica is left.

        Who left it may find the master behind the same name, or may hear from a Sentinel where that is now.
        """
        plain: Any = super()
        try:
            return await plain.read_response(*args, **options)
        except (ReadOnlyError, MasterDownError) as error:
            await self.disconnect(nowait=True)
            raise ConnectionError(f"it is a replica: {error}") from error
        except ResponseError as error:
            raise classified(error) from None

    async def send_packed_command(self: Any, command: Any, check_health: bool = True) -> None:
        """In the place of redis-py's; a write that a server does not take is given up as a read is.

        Without `asyncio.wait_for`: that costs a task for each command, and swallows cancellations.
        """
        if not self.is_connected:
            await self.connect()  # asks the Sentinels again, where there are some
        if check_health:
            await self.check_health()
        try:
            self._writer.writelines([command] if isinstance(command, bytes) else command)
            if self._writer.transport.get_write_buffer_size():
                async with asyncio.timeout(self.socket_timeout):
                    await self._writer.drain()
        except BaseException as error:
            await self.disconnect(nowait=True)
            if isinstance(error, asyncio.TimeoutError):
                raise TimeoutError("the server does not take what is sent") from None
            if isinstance(error, OSError):
                raise ConnectionError(str(error)) from error
            raise


def open_commands(url: str, connections: int = 16) -> Connection:
    """A client for commands that answer at once, batched; a lost connection is tried again within a second."""
    return Batching.from_pool(_patient(url, connections))


def open_replicated(url: str, replicas: int, channel: str) -> Connection:
    """The same for commands whose answers hold once so many replicas have them: see `Replicated`."""
    client: Any = Replicated.from_pool(_patient(url, 4))
    client.wait_for(replicas, channel)
    return client


def open_blocking(url: str, connections: int = 4096) -> Connection:
    """A client for reads that block up to BLOCK seconds; errors reach the caller at once."""
    timeouts = {"socket_timeout": BLOCK + 5.0, "socket_connect_timeout": 1.0}
    return Redis.from_pool(_pool(url, connections, retry=Retry(NoBackoff(), 0), **timeouts))


def _patient(url: str, connections: int) -> ConnectionPool:
    # A connection that is lost is made again; a server that hangs is not asked twice.
    retry = Retry(ExponentialBackoff(cap=0.2, base=0.02), 3, supported_errors=(ConnectionError,))
    return _pool(url, connections, retry=retry, socket_timeout=5.0, socket_connect_timeout=1.0)


def _pool(url: str, connections: int, **options: Any) -> ConnectionPool:
    check(url)
    options |= {"max_connections": connections, "timeout": 5, "health_check_interval": 0}
    pool: ConnectionPool
    if url.startswith(sentinel.SCHEME):
        pool = sentinel.pool(url, **options)
    else:
        pool = BlockingConnectionPool.from_url(url, **options)
    pool.connection_class = type("Direct", (_Direct, pool.connection_class), {})
    return pool
