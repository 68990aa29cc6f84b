"""The tick that keeps the queue true: it runs in every web process and every worker, and needs no leader."""

from __future__ import annotations

import asyncio
import logging
import random

from app.state.connect import RedisError
from app.state.history import History
from app.state.keys import Keys
from app.state.scripting import Scripts
from app.state.workers import LEASE_MS, PROOF_MS

TICK = 0.5  # seconds between ticks, whoever makes them
OUTAGE_MS = 3_000  # a pause between ticks that counts as an outage: everybody gets another lease
HICCUP_MS = 2_000  # one in which heartbeats may have been missed ...
HICCUP_GRACE_MS = 2_500  # ... and what workers get to make up for that
CALLER_GRACE_MS = 45_000  # what an attached caller gets after an outage to come back
KEEP_MS = 7 * 86_400_000  # how long an ended job is kept
KEEP_IDLE_MS = 86_400_000  # how long a dead worker or an unused class is kept
EXPIRE_EVERY = 60.0  # seconds
AUDITED = 100  # jobs of a state that are compared with their entries in one tick

log = logging.getLogger("ffgrid.reaper")


class Reaper:
    """Bounded, idempotent housekeeping."""

    def __init__(self, keys: Keys, scripts: Scripts, history: History) -> None:
        self._keys = keys
        self._scripts = scripts
        self._history = history

    async def run(self) -> None:
        """Ticks until cancelled. An unreachable Redis is waited for."""
        next_expiry = next_sample = 0.0
        loop = asyncio.get_running_loop()
        while True:
            try:
                if await self.reap() is not None:
                    await self.audit()
                    if loop.time() >= next_sample:
                        next_sample = loop.time() + await self._history.record()
                if loop.time() >= next_expiry:
                    next_expiry = loop.time() + EXPIRE_EVERY
                    await self.expire()
            except RedisError as error:
                log.debug("no tick: %s", error)
            await asyncio.sleep(TICK * random.uniform(0.8, 1.2))  # noqa: S311 - spreads load, guards nothing

    async def reap(self) -> list[tuple[str, str]] | None:
        """One tick; what was done, as (job id, new state). None when somebody else has just ticked."""
        pauses = [OUTAGE_MS, HICCUP_MS, HICCUP_GRACE_MS, CALLER_GRACE_MS]
        arguments = [LEASE_MS, PROOF_MS, *pauses, int(TICK * 800)]
        done = await self._scripts.run("reap", [self._keys.reaper], arguments)
        if done is None:
            return None
        answers = [(job_id.decode(), what.decode()) for job_id, what in done]
        for job_id, what in answers:
            log.warning("job %s: %s", job_id, what, extra={"job_id": job_id})
        return answers

    async def audit(self, count: int = AUDITED) -> list[str]:
        """Looks for jobs that nothing points at, the next few; those that were found and mended."""
        found = await self._scripts.run("audit", [self._keys.reaper], [count])
        for job_id in found:
            told = "job %s: nothing pointed at it any more, it is queued anew"
            log.warning(told, job_id.decode(), extra={"job_id": job_id.decode()})
        return [job_id.decode() for job_id in found]

    async def expire(self, keep_ms: int = KEEP_MS, keep_idle_ms: int = KEEP_IDLE_MS) -> list[str]:
        """Forgets what is old; the ids of the jobs forgotten."""
        gone = await self._scripts.run("expire", [self._keys.jobs], [keep_ms, keep_idle_ms, 100])
        return [job_id.decode() for job_id in gone]
