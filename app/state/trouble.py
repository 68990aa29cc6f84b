"""What can go wrong with Redis, in three kinds.

UNREACHABLE   it may do this later, or has done it and the answer got lost: ask again, twice is harmless
FULL          it takes no new jobs (maxmemory, noeviction)
the rest      waiting changes nothing: a wrong password, or a fault of ours
"""

from __future__ import annotations

from redis.asyncio.sentinel import MasterNotFoundError
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    ClusterDownError,
    ConnectionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TimeoutError,
    TryAgainError,
)

# The first words of refusals that end by themselves; redis-py has classes for some of them, some of the time.
PASSING = frozenset(
    """BUSY CLUSTERDOWN LOADING MASTERDOWN MISCONF NOREPLICAS READONLY TRYAGAIN UNBLOCKED""".split()
)


class NotNow(ResponseError):
    """Redis answers and refuses, for now; or it cannot say yet that enough replicas have what it was told."""


class NoSuchMaster(MasterNotFoundError):
    """Every Sentinel that answers knows no master of this name."""


FULL = OutOfMemoryError
UNREACHABLE = (ConnectionError, TimeoutError, NotNow, ReadOnlyError, ClusterDownError, TryAgainError)


def classified(error: ResponseError) -> ResponseError:
    """The same error as one of the kinds above, by the first word of what Redis says."""
    if type(error) is not ResponseError:
        return error
    word = str(error).partition(" ")[0].removeprefix("-")  # a script's own error replies begin so
    if word in PASSING or "max number of clients" in str(error):
        return NotNow(str(error))
    return FULL(str(error)) if word == "OOM" else error


def hopeless(error: BaseException) -> str:
    """Why waiting is of no use, in Redis' own words; "" where it may be of use.

    On a Unix socket redis-py wraps every error while it connects into one that looks passing.
    """
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, AuthenticationError | AuthorizationError | NoSuchMaster):
            return str(link)
        if isinstance(link, RedisError) and not isinstance(link, (*UNREACHABLE, FULL)):
            return str(link)
        link = link.__cause__
    return ""
