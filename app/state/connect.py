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
from redis.exceptions import BusyLoadingError, ConnectionError, ReadOnlyError, RedisError, TimeoutError

BLOCK = 2.0  # seconds a blocking read waits
SCHEMES = ("redis://", "rediss://", "unix://")

# redis-py types a reply as the union of what all protocols and decodings might give; ours are always bytes.
Connection = Any

# What a caller should take for "the queue cannot be reached": it may answer later.
UNREACHABLE = (ConnectionError, TimeoutError, BusyLoadingError, ReadOnlyError)

__all__ = [
    "BLOCK",
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

    Once is not enough: redis-py can take a cancellation for a timeout of its own and swallow it.
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


def open_commands(url: str, connections: int = 64) -> Connection:
    """A client for commands that answer at once; a lost connection is tried again within a second."""
    retry = Retry(ExponentialBackoff(cap=0.2, base=0.02), 3)
    pool: ConnectionPool = BlockingConnectionPool.from_url(
        check(url),
        max_connections=connections,
        timeout=5,  # seconds to wait for a connection when all are busy
        socket_timeout=5.0,
        socket_connect_timeout=1.0,
        retry=retry,
        health_check_interval=0,
    )
    return Redis.from_pool(pool)


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
    return Redis.from_pool(pool)
