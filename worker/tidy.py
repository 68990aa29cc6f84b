"""Removes what lost attempts have left: files of jobs that have ended, which nobody else will look for."""

from __future__ import annotations

import asyncio
import logging
import time

from app.state.connect import RedisError
from app.state.leases import Leases
from app.state.seal import BadSeal, Seal
from worker import files
from worker.aside import Hung, aside
from worker.machine import Machine
from worker.plan import CannotRun, folders

REST = 300.0  # seconds after a directory has hung: each look at such a one holds a thread

log = logging.getLogger("ffgrid.worker")


class Tidier:
    """One at a time, beside the heartbeat."""

    def __init__(self, leases: Leases, seal: Seal, machine: Machine) -> None:
        self._leases = leases
        self._seal = seal
        self._machine = machine
        self._task: asyncio.Task[None] | None = None
        self._next = 0.0  # when it may look again, by time.monotonic()

    def wake(self, classes: list[str]) -> None:
        """There may be something to do for a worker of these classes."""
        if (self._task is None or self._task.done()) and time.monotonic() >= self._next:
            self._task = asyncio.create_task(self._tidy(list(classes)))

    async def _tidy(self, classes: list[str]) -> None:
        looked_after: list[str] = []
        hung: set[str] = set()
        while True:
            try:
                found = await self._leases.tidy(classes, looked_after)
            except RedisError:
                return  # the next heartbeat tells of it again
            if not found:
                return
            looked_after = [
                job_id for job_id, sealed in found if await self._look_after(job_id, sealed, hung)
            ]
            if hung:
                self._next = time.monotonic() + REST

    async def _look_after(self, job_id: str, sealed: bytes, hung: set[str]) -> bool:
        """Whether the job's directories are clean now. Those that have hung are `hung`: they are left alone."""
        where: set[str] = set()
        try:
            where = folders(self._seal.open(job_id, sealed), self._machine)
            if where & hung:
                return False
            await aside(files.sweep, where, job_id)
        except (BadSeal, CannotRun):
            return True  # nothing of it was run here, or could be
        except (Hung, OSError) as error:
            log.warning("job %s: cannot look for what it has left: %s", job_id, error)
            if isinstance(error, Hung):
                hung |= where
            return False
        return True
