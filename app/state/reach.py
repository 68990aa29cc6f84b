"""The first contact of a daemon with Redis: it waits for one that is away, and not for one that will never serve it."""

from __future__ import annotations

import asyncio
import logging
import time

from app.state.connect import Connection, RedisError, open_commands, shown
from app.state.keys import SCHEMA, Keys
from app.state.trouble import hopeless

RETRY = 0.25  # seconds before Redis is asked again
SAY_EVERY = 5.0  # seconds between two lines in the log about a Redis that is away
GLANCE = 2.0  # seconds that a first look may take

log = logging.getLogger("ffgrid.redis")


class Unusable(Exception):
    """Redis answers, and will not serve us whatever we wait for; the text says why, without any password."""


async def reach(redis: Connection, url: str, was_away: bool = False) -> None:
    """Waits until Redis answers; says in the log what it waits for. Raises Unusable."""
    waits, said = was_away, 0.0
    while True:
        try:
            await demand_known(redis, url)
            break
        except RedisError as error:
            _demand_hope(error, url)
            if not waits or time.monotonic() - said > SAY_EVERY:
                waits, said = True, time.monotonic()
                log.warning("waiting for Redis at %s: %s", shown(url), error)
        await asyncio.sleep(RETRY)
    if waits:
        log.warning("Redis at %s answers", shown(url))
    await _advise(redis, url)


async def watch(redis: Connection, url: str) -> None:
    """Says in the log, until cancelled, that Redis is away, that it is back, and what is wrong with it."""
    is_wrong = False
    while True:
        try:
            await reach(redis, url, is_wrong)
            is_wrong = False
            while await _answers(redis):  # noqa: ASYNC110 - a server that goes tells nobody
                await asyncio.sleep(SAY_EVERY)
        except Unusable as error:
            is_wrong = True
            log.error("%s", error)
            await asyncio.sleep(SAY_EVERY)


async def glance(url: str) -> None:
    """Looks once whether Redis would serve us; one that is away may do so later. Raises Unusable."""
    redis = open_commands(url)
    try:
        async with asyncio.timeout(GLANCE):
            await demand_known(redis, url)
    except RedisError as error:
        _demand_hope(error, url)
    except TimeoutError:
        return
    finally:
        await redis.aclose()


async def demand_known(redis: Connection, url: str) -> None:
    """What a newer ffgrid has stored is not ours to change. Raises Unusable, a RedisError."""
    stored = int(await redis.get(Keys().schema) or 0)
    if stored > SCHEMA:
        raise Unusable(
            f"a newer ffgrid has stored what is in Redis at {shown(url)} (schema {stored}, this one knows {SCHEMA}): "
            "upgrade ffgrid here, or name another Redis"
        )


async def _answers(redis: Connection) -> bool:
    try:
        await redis.ping()
    except RedisError:
        return False
    return True


def _demand_hope(error: RedisError, url: str) -> None:
    if why := hopeless(error):
        raise Unusable(f"Redis at {shown(url)} does not serve us: {why}") from None


async def _advise(redis: Connection, url: str) -> None:
    """A server that evicts loses jobs without a word to anybody."""
    try:
        policy = (await redis.info("memory")).get("maxmemory_policy", "noeviction")
    except RedisError:  # it is away again, or our user may not ask this
        return
    if policy != "noeviction":
        log.warning(
            "Redis at %s has the maxmemory-policy %s: it throws jobs away when it is full. Set it to noeviction",
            shown(url),
            policy,
        )
