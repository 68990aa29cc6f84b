"""The tick of operations on many jobs: each web process does what steps nobody else is at."""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
from collections import Counter
from contextlib import suppress

from app.state.connect import RedisError
from app.state.job import Job
from app.state.jobs import Jobs
from app.state.lifecycle import CANCELLED, QUEUED
from app.state.operations import Operation, Operations, Outcome, Work
from app.state.output import Output
from app.web import preparing
from app.web.problems import from_error

TICK = 2.0  # seconds between looks for what was begun at other processes
DONE, SKIPPED, FAILED = "done", "skipped", "failed"

log = logging.getLogger("ffgrid.bulk")


class BulkWork:
    """One process' part in all operations."""

    def __init__(self, operations: Operations, jobs: Jobs, output: Output) -> None:
        self._operations = operations
        self._jobs = jobs
        self._output = output
        self._token = secrets.token_hex(8)
        self._begun = asyncio.Event()

    async def begin(self, key: str, work: Work, budget: float) -> Operation:
        """Begins it and works at it at once: see `Operations.undertake`."""
        operation = await self._operations.undertake(key, work, budget)
        self._begun.set()
        return operation

    async def run(self) -> None:
        """Works until cancelled. An unreachable Redis is waited for."""
        while True:
            self._begun.clear()
            try:
                while await self.round():
                    pass
            except RedisError as error:
                log.debug("no step: %s", error)
            except Exception:
                log.exception("an operation on many jobs failed in a way that nobody foresaw")
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK * random.uniform(0.8, 1.2)):  # noqa: S311 - spreads load, guards nothing
                    await self._begun.wait()

    async def round(self) -> bool:
        """A step of each operation; whether there may be more to do at once."""
        steps = [await self.step(one) for one in await self._operations.going_on()]
        return any(steps)

    async def step(self, operation_id: str) -> bool:
        """The next step, if it is ours; whether the operation goes on. Raises a RedisError; it is done again then."""
        operation = await self._operations.proceed(operation_id, self._token)
        if operation is None:
            return False
        try:
            outcome = await self._outcome(operation)
        except RedisError as error:
            waits = Outcome(operation.place, note=f"it waits: {from_error(error).detail}")
            with suppress(RedisError):
                await self._operations.account(operation_id, self._token, waits, is_over=False)
            raise
        is_over = not outcome.place
        return (
            await self._operations.account(operation_id, self._token, outcome, is_over=is_over) == "running"
        )

    async def _outcome(self, operation: Operation) -> Outcome:
        jobs, missing, place = await self._operations.step(operation)
        ends = await asyncio.gather(*(self._end(operation, job) for job in jobs))
        count = Counter(end for end, _ in ends)
        notes = [note for _, note in ends if note] or [operation.note.removeprefix("it waits: ")]
        note = notes[0] if count[FAILED] or operation.failed else ""
        return Outcome(place, count[DONE], count[SKIPPED] + missing, count[FAILED], note)

    async def _end(self, operation: Operation, job: Job) -> tuple[str, str]:
        """How it went with this job, and a word about what went wrong."""
        try:
            return (DONE if await self._act(operation, job) else SKIPPED), ""
        except RedisError:
            raise
        except Exception as error:  # whatever is the matter with one job, the others are done
            return FAILED, f"{job.id}: {from_error(error).detail}"

    async def _act(self, operation: Operation, job: Job) -> bool:
        """Whether something was done. Doing it twice comes to the same."""
        work = operation.work
        match work.action:
            case "cancel":
                return await self._cancel(job, work.which.state, f"cancelled by {work.by.partition(' ')[2]}")
            case "retry":
                key = f"{operation.id}-{job.id}"
                await preparing.submit(self._jobs, await preparing.again(self._jobs, job, key, job.owner))
                return True
        return await self._jobs.relane(job.id, work.lane) == "moved"

    async def _cancel(self, job: Job, only: str, reason: str) -> bool:
        """Who asks for queued ones does not mean one that has begun meanwhile."""
        cancel = self._jobs.interrupt if only == QUEUED else self._jobs.cancel
        state = await cancel(job.id, reason=reason)
        if state == CANCELLED and job.spec.get("attach"):
            await self._output.wake(job.id)
        return state in (CANCELLED, "cancelling")
