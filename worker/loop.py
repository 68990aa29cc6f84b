"""Takes jobs and keeps them alive: one task reads the queue, one beats, one a job runs it.

claim (lanes in order)  --nothing-->  block on the streams and the inbox  --hint-->  start
   ^                                                                                  |
   '------------------------ a slot is free again <------------ run <-----------------'
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress

from app import logs
from app.guard import Guard
from app.state.connect import FULL, UNREACHABLE, RedisError, stop
from app.state.leases import Lease, Leases
from app.state.output import Output
from app.state.requirements import missing
from app.state.seal import Seal
from app.state.workers import BEAT, PROOF_MS, NameTaken, NoSuchWorker, Workers
from worker import leftovers
from worker.machine import Machine
from worker.orders import Orders
from worker.place import Places
from worker.run import Run
from worker.tidy import Tidier

BACKWARDS_EVERY = 8  # each so many claims the lanes are walked from the lowest, so that none starves
# A worker that has heard nothing for so long ends what another may soon redo (see PROOF_MS).
FENCE_SECONDS = PROOF_MS / 1000 - 5.0
RETRY = 0.5  # seconds before Redis is asked again

log = logging.getLogger("ffgrid.worker")


class Replaced(Exception):
    """Another process has this worker's name now."""


class Loop:
    """A worker's life. `run` returns when it has been drained and its last job has ended."""

    def __init__(
        self,
        leases: Leases,
        workers: Workers,
        output: Output,
        seal: Seal,
        machine: Machine,
        places: Places,
        guard: Guard,
        version: str,
    ) -> None:
        self._leases = leases
        self._workers = workers
        self._machine = machine
        self._about = {**machine.about(version), "sandbox": places.mode}
        self._make: Callable[[Lease], Run] = lambda lease: Run(
            lease, leases, output, seal, machine, places, guard, self._mark
        )
        self._guard = guard
        self._mark = leftovers.mark(leases.worker, leases.boot, seal.identity)
        self._tidier = Tidier(leases, seal, machine)
        self._mounts = places.mounts
        self._silent = self._mounts.silent  # what the registry was told of them
        self._runs: dict[str, Run] = {}
        self._stuck: set[asyncio.Task[int]] = set()  # processes that do not end; each keeps its slot
        self._tasks: set[asyncio.Task[None]] = set()
        self._classes: list[str] = []
        self._hints: list[tuple[str, str, str]] = []  # delivered, and not seen to yet: stream, entry, job
        self._claims = 0
        self._waiting = False  # in a blocking read ...
        self._full = False  # ... that looks at the inbox only, because no slot was free
        self._orders = Orders()

    async def run(self) -> None:
        """Registers, works until drained, retires. Raises NameTaken or Replaced."""
        dead = await self._holder_has_died()
        if dead and (ended := await asyncio.to_thread(leftovers.end_leftovers, self._mark)):
            log.warning("ended %d processes that an earlier start of this worker has left", ended)
        await self._workers.register(self._leases.worker, self._leases.boot, self._about, take_over=dead)
        await self._look_at_classes()
        ticking = asyncio.create_task(self._tick_for_ever())
        looking = asyncio.create_task(self._mounts.watch())
        beating = asyncio.create_task(self._beat_for_ever())
        taking = asyncio.create_task(self._take_until_drained())
        try:
            await asyncio.wait((beating, taking), return_when=asyncio.FIRST_COMPLETED)
            if beating.done():
                self._stop_all("lost")
            await asyncio.gather(*self._tasks, return_exceptions=True)
        finally:
            await stop(ticking, looking, beating, taking)
        await self._leave()
        for task in (beating, taking):
            if not task.cancelled():
                task.result()

    async def _holder_has_died(self) -> bool:
        """Whether an earlier process of this name ran on this host and is gone, and so is what it has started."""
        for worker in await self._workers.all():
            if worker.id == self._leases.worker and worker.about.get("host") == self._about["host"]:
                return worker.about["pid"] == os.getpid() or not _is_alive(worker.about["pid"])
        return False

    def drain(self, hand_back: bool = False) -> None:
        """Takes nothing new and ends when the last job has; with `hand_back` the jobs go back at once."""
        if not self._orders.leaving:
            self._orders.leaving = True
            self._in_background(self._announce(self._workers.drain))
        if hand_back:
            self._stop_all("release")

    @property
    def draining(self) -> bool:
        """Whether it ends with its last job."""
        return self._orders.draining

    @property
    def _free(self) -> int:
        return 0 if self._orders.rests else self._machine.slots - len(self._runs) - len(self._stuck)

    async def _take_until_drained(self) -> None:
        while self._runs or not self.draining:
            try:
                await self._take_hints()  # those that an error has left
                if not await self._claim():
                    await self._wait()
            except (*UNREACHABLE, FULL) as error:
                log.warning("Redis cannot be reached (%s), trying again", error)
                await asyncio.sleep(RETRY)

    async def _claim(self) -> bool:
        self._claims += 1
        streams = self._leases.streams(self._classes)
        if self._claims % BACKWARDS_EVERY == 0:
            streams.reverse()
        leases = await self._leases.claim(streams, self._free)
        for lease in leases:
            self._start(lease)
        return bool(leases)

    async def _wait(self) -> None:
        self._waiting, self._full = True, not self._free
        delivery = await self._leases.wait(self._leases.streams(self._classes) if self._free else [])
        self._waiting = False
        self._hints += delivery.hints
        for message in delivery.messages:
            await self._obey(message)
        await self._take_hints()
        if not delivery.hints and not delivery.messages:
            await self._look_at_classes()

    async def _take_hints(self) -> None:
        """Starts what was delivered. A call without an answer is made again before anything else."""
        while self._hints:
            stream, entry, job_id = self._hints[0]
            if self._free < 1:
                await self._leases.put_back(entry, job_id)
            elif lease := await self._leases.start(stream, entry, job_id):
                self._start(lease)
            del self._hints[0]

    async def _obey(self, message: dict[str, str]) -> None:
        asked, run = message.get("do"), self._runs.get(message.get("job", ""))
        if asked == "class":
            await self._look_at_classes()
        elif asked in ("cancel", "kill") and run:
            run.stop(asked)
        elif asked == "call" and run:
            run.call()
        elif asked in ("pause", "resume") and run:
            run.pause(asked == "pause")
        elif asked in ("drain", "pause", "resume") and "job" not in message:
            await self._beat()  # its answer says what holds now

    async def _look_at_classes(self) -> None:
        classes = await self._workers.classes()
        able = [cls for cls, needs in classes.items() if not missing(needs, self._about)]
        if able != self._classes:
            self._classes = able
            await self._beat()

    def _start(self, lease: Lease) -> None:
        run = self._make(lease)
        self._runs[lease.id] = run
        self._in_background(self._run(run))

    def _in_background(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, run: Run) -> None:
        logs.about(job_id=run.lease.id, request_id=run.lease.request)
        log.info("job %s: attempt %d begins", run.lease.id, run.lease.attempt)
        try:
            await run.run()
        except Exception:
            log.exception("job %s: the worker failed at it", run.lease.id)
        del self._runs[run.lease.id]
        if run.stuck:
            log.error("job %s: its process does not end; its slot is lost until it does", run.lease.id)
            self._stuck.add(run.stuck)
            run.stuck.add_done_callback(functools.partial(self._let_go, run.lease.id))
        if self._waiting and (self._full or self.draining):
            await self._nudge()

    def _let_go(self, job_id: str, ended: asyncio.Task[int]) -> None:
        """A process that hung has ended at last, and may have made files until then."""
        self._stuck.discard(ended)
        if not ended.cancelled():
            log.warning("job %s: its process has ended, its slot is free again", job_id)
            self._in_background(self._look_after(job_id))

    async def _look_after(self, job_id: str) -> None:
        with suppress(RedisError):
            await self._leases.litter(job_id)
        if self._waiting and self._full:
            await self._nudge()

    async def _announce(self, order: Callable[[str], Coroutine[None, None, None]]) -> None:
        """So that nobody counts on this worker, and the blocked read looks at its inbox only."""
        with suppress(RedisError, NoSuchWorker):  # else the next heartbeat names no class
            await order(self._leases.worker)

    async def _nudge(self) -> None:
        try:
            await self._leases.nudge()
        except RedisError:
            return  # the blocking read ends by itself, a little later

    async def _tick_for_ever(self) -> None:
        """Apart from the heartbeat, which may have to wait for Redis."""
        while True:
            self._guard.tick()
            if self._leases.silent() > FENCE_SECONDS:
                for run in self._runs.values():
                    run.fence()
            await asyncio.sleep(BEAT)

    async def _beat_for_ever(self) -> None:
        while True:
            try:
                await self._beat()
                await self._tell_of_roots()
            except UNREACHABLE as error:
                log.debug("no heartbeat: %s", error)
            await asyncio.sleep(BEAT)

    async def _beat(self) -> None:
        asked = time.monotonic()
        held = {job_id: run.lease.token for job_id, run in self._runs.items()}
        busy, classes = len(self._runs) + len(self._stuck), [] if self._orders.rests else self._classes
        beat = await self._leases.beat(busy, classes, held)
        if beat.standing == "replaced":
            raise Replaced(f"another process is the worker {self._leases.worker!r} now")
        if beat.standing == "unknown":
            await self._workers.register(self._leases.worker, self._leases.boot, self._about)
            if self._orders.rests:
                await self._announce(self._workers.drain if self.draining else self._workers.pause)
            return
        if self._orders.hear(beat.order, asked):
            self._in_background(self._announce(self._workers.drain))
        for job_id in beat.lost:
            if run := self._runs.get(job_id):
                run.stop("lost")
        for job_id, how in beat.cancelled.items():
            if run := self._runs.get(job_id):
                run.stop(how)
        if beat.litter and self._classes:
            self._tidier.wake(self._classes)
        for job_id in held:
            if run := self._runs.get(job_id):
                run.pause(job_id in beat.paused, as_of=asked)

    async def _tell_of_roots(self) -> None:
        """What needs a root that does not answer is not taken, and everybody can see why."""
        silent = self._mounts.silent
        if silent != self._silent:
            roots = [name for name in self._machine.roots if name not in silent]
            self._about = {**self._about, "roots": sorted(roots), "silent_roots": sorted(silent)}
            await self._workers.register(self._leases.worker, self._leases.boot, self._about)
            self._silent = silent
            await self._look_at_classes()

    def _stop_all(self, how: str) -> None:
        for run in list(self._runs.values()):
            run.stop(how)

    async def _leave(self) -> None:
        try:
            await self._workers.retire(self._leases.worker, self._leases.boot)
        except RedisError:
            return  # it is forgotten a day after its last beat


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's, and there
        return True
    return True


__all__ = ["Loop", "NameTaken", "Replaced"]
