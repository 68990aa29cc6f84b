"""Brings a store up to the schema of this ffgrid, `keys.SCHEMA`, when an older one has filled it.

    0 --> 1    each job has its place in `{ff}:made:<state>`, and its labels are fields of its hash; ffgrid's own are in
               `{ff}:own:<state>` alone

Each coordinator that starts does it, beside serving: jobs that are made or moved meanwhile are right already, and a
list by state lacks old jobs until it is over. Each step is small and may come twice. Only who came to the end writes
the number: after a crash, or when a step cannot be made sure of, all of it is done again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

from app.state.connect import Connection
from app.state.keys import SCHEMA, Keys
from app.state.listing import Filter, Listing, Row
from app.state.scripting import Scripts
from app.state.seal import Seal

BATCH = 100  # jobs in one script: Redis does nothing else meanwhile
REST = 0.002  # seconds between two batches, for others

log = logging.getLogger("ffgrid.schema")


class Schema:
    """The schema of what one namespace holds."""

    def __init__(self, redis: Connection, keys: Keys, scripts: Scripts, listing: Listing) -> None:
        self._redis = redis
        self._keys = keys
        self._scripts = scripts
        self._listing = listing
        self._has_told = False

    async def bring_up(self) -> None:
        """Does what is missing. Raises a RedisError: nothing is lost by that, and it has to be begun anew."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.get(self._keys.schema)
            pipe.zcard(self._keys.jobs)
            stored, count = await pipe.execute()
        if int(stored or 0) >= SCHEMA:
            return
        if count and not self._has_told:
            self._has_told = True
            told = "an older ffgrid has stored %d jobs: until each has its place, lists by state and label lack some"
            log.warning(told, count)
        began, renewed = time.monotonic(), await self._renew_all()
        if count:
            log.warning(
                "all %d jobs have their places in lists, after %.1f s", renewed, time.monotonic() - began
            )

    async def _renew_all(self) -> int:
        """All jobs, the newest first; how many they were."""
        renewed, place, is_over = 0, None, False
        while not is_over:
            rows, place = await self._listing.sift(self._keys.jobs, Filter(), place, BATCH, is_newer=False)
            is_over = place is None
            arguments = [SCHEMA if is_over else 0, *await self._described(rows)]
            renewed += await self._scripts.run("renew", [self._keys.schema], arguments)
            await asyncio.sleep(REST)
        return renewed

    async def _described(self, rows: list[Row]) -> list[Any]:
        """The jobs with their labels, as the script takes them."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for row in rows:
                pipe.hget(self._keys.job(row.id), "spec")
            specs = await pipe.execute()
        described: list[Any] = []
        for row, sealed in zip(rows, specs, strict=True):
            labels = _labels(sealed) if sealed else {}
            pairs = [word for name, value in labels.items() for word in (f"label:{name}", value)]
            described += [row.id, len(labels), *pairs]
        return described


def _labels(sealed: bytes) -> dict[str, str]:
    """Of a specification that cannot be read: none. One job that somebody has spoilt does not hold up the others."""
    try:
        labels: dict[str, str] = Seal.peek(sealed).get("labels", {})
    except (ValueError, LookupError):
        return {}
    return labels
