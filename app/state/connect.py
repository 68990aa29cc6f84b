"""One way to open Redis: timeouts, retries and pool sizes are decided here.

redis-py 8 gives up on any read after 5 s and repeats commands by itself. Both are wrong for a blocking
read, and the second would be wrong for any write that is not idempotent (all of ours are).
"""

from __future__ import annotations

import asyncio
from typing import Any

from redis.asyncio import BlockingConnectionPool, ConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.exceptions import (
    BusyLoadingError,
    ConnectionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    TimeoutError,
)

from app.state.batching import Batching

BLOCK = 2.0  # seconds a blocking read waits
SCHEMES = ("redis://", "rediss://", "unix://")

# redis-py types a reply as the union of what all protocols and decodings might give; ours are always bytes.
Connection = Any

# Redis refuses what would need more memory (maxmemory, noeviction).
FULL = OutOfMemoryError

# What a caller should take for "the queue cannot be reached": it may answer later.
UNREACHABLE = (ConnectionError, TimeoutError, BusyLoadingError, ReadOnlyError)

__all__ = [
    "BLOCK",
    "FULL",
    "UNREACHABLE",
    "BadURL",
    "Connection",
    "RedisError",
    "check",
    "open_blocking",
    "open_commands",
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
    """The URL, if its scheme is one that is served. Raises BadURL."""
    if not url.startswith(SCHEMES):
        raise BadURL(f"cannot use the Redis URL {url!r}: expected one that starts with {', '.join(SCHEMES)}")
    return url


class _Direct:
    """Sends without `asyncio.wait_for`: that costs a task for each command, and swallows cancellations."""

    async def send_packed_command(self: Any, command: Any, check_health: bool = True) -> None:
        """In the place of redis-py's; a write that a server does not take is given up as a read is."""
        if not self.is_connected:
            await self.connect_check_health(check_health=False)
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


def _direct(pool: ConnectionPool) -> ConnectionPool:
    pool.connection_class = type("Direct", (_Direct, pool.connection_class), {})
    return pool


def open_commands(url: str, connections: int = 16) -> Connection:
    """A client for commands that answer at once, batched; a lost connection is tried again within a second."""
    # A connection that is lost is made again; a server that hangs is not asked twice.
    retry = Retry(ExponentialBackoff(cap=0.2, base=0.02), 3, supported_errors=(ConnectionError,))
    pool: ConnectionPool = BlockingConnectionPool.from_url(
        check(url),
        max_connections=connections,
        timeout=5,  # seconds to wait for a connection when all are busy
        socket_timeout=5.0,
        socket_connect_timeout=1.0,
        retry=retry,
        health_check_interval=0,
    )
    return Batching.from_pool(_direct(pool))


def open_blocking(url: str, connections: int = 4096) -> Connection:
    """A client for reads that block up to BLOCK seconds; errors reach the caller at once."""
    pool: ConnectionPool = ConnectionPool.from_url(
        check(url),
        max_connections=connections,
        socket_timeout=BLOCK + 5.0,
        socket_connect_timeout=1.0,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
    )
    return Redis.from_pool(_direct(pool))
