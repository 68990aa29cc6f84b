"""One job: plan, start, follow, end. The lease is the right to say anything about it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress

from app.guard import Guard
from app.state.connect import UNREACHABLE, RedisError, stop
from app.state.job import LeaseLost
from app.state.leases import Lease, Leases
from app.state.output import Output
from app.state.seal import BadSeal, Seal
from app.wire import attach
from worker.child import Child, spawn
from worker.follow import follow
from worker.inbound import Inbound
from worker.lists import localize
from worker.machine import Machine
from worker.outcome import Outcome, of_status, refused
from worker.place import Place, Places
from worker.plan import CannotRun, Plan, plan
from worker.report import Caller, Log
from worker.rewrite import Names

log = logging.getLogger("ffgrid.worker")

CANCEL_SECONDS = 1.0  # from SIGTERM to SIGKILL
STDIN_SECONDS = 1.0  # how long a job waits for input that its caller says is there
RETRY = 0.5  # seconds before Redis is told again how a job ended
DRAIN_SECONDS = 1.0  # for pipes that a grandchild of ffmpeg still holds open


class Run:
    """One attempt at one job. `stop` may be called at any time."""

    def __init__(
        self,
        lease: Lease,
        leases: Leases,
        output: Output,
        seal: Seal,
        machine: Machine,
        places: Places,
        guard: Guard,
    ) -> None:
        self.lease = lease
        self._leases = leases
        self._output = output
        self._seal = seal
        self._machine = machine
        self._places = places
        self._guard = guard
        self._log = Log(output, lease)
        self._caller: Caller | None = None
        self._child: Child | None = None
        self._in_place = False
        self._paused = False
        self._told = 0.0  # when it was last said whether to pause, by time.monotonic()
        self._stopping: str | None = None
        self._stopped = asyncio.Event()
        self._killer: asyncio.Task[None] | None = None

    def stop(self, how: str) -> None:
        """Ends the process: "cancel" (asks first), "kill", "lost" (says nothing afterwards) or "release"."""
        if self._stopping == how:
            return
        self._stopping = how
        self._stopped.set()
        if self._child and how == "cancel":
            self._child.signal_group(signal.SIGCONT)
            self._child.signal(signal.SIGTERM)
            self._killer = asyncio.create_task(self._kill_later())
        elif self._child:
            self._child.kill()

    def pause(self, paused: bool, as_of: float | None = None) -> None:
        """Stops the process and all that it has started, or lets them go on; again and again is harmless.

        `as_of` is when this was known to be so, if that may be older than what was said since.
        """
        if as_of is not None and as_of < self._told:
            return
        self._told = time.monotonic()
        if paused != self._paused and self._stopping is None:
            self._paused = paused
            if self._child:
                self._child.signal_group(signal.SIGSTOP if paused else signal.SIGCONT)

    def fence(self) -> None:
        """Nobody may know any more that this runs: ends it if another attempt would write the same files."""
        if self._in_place:
            self.stop("lost")

    async def run(self) -> None:
        """Runs it to its end and says how it ended, unless the lease is lost."""
        try:
            await self._say(await self._outcome())
        except LeaseLost:
            return

    async def _outcome(self) -> Outcome:
        try:
            spec = self._seal.open(self.lease.id, self.lease.sealed)
            self._in_place = spec["in_place"]
            if spec["attach"]:
                self._caller = Caller(self._output, self.lease)
                if self.lease.attempt > 1 and await self._output.was_used(self.lease.id):
                    return refused("its worker was lost after it had sent or taken data")
            place = await self._places.find(spec)
            ready = plan(spec, self.lease.id, self.lease.attempt, self._machine, place)
            if place.names:
                stem = f"{self.lease.id}-{self.lease.attempt}"
                ready = await asyncio.to_thread(localize, ready, place, place.names.there, stem)
            _check_outputs(ready)
            return await self._execute(ready, place)
        except (BadSeal, CannotRun) as error:
            return refused(str(error))
        except OSError as error:
            return refused(f"cannot start {error.filename or 'it'}: {error.strerror}")

    async def _execute(self, ready: Plan, place: Place) -> Outcome:
        if ready.awaits_stdin:
            with suppress(RedisError):  # it comes later then
                await self._output.receive_in(self.lease.id, "0-0", STDIN_SECONDS)
        if self._stopping:
            return of_status(-signal.SIGKILL, cancelled=True)
        child = spawn(ready, self._guard)
        self._child = child
        child.yield_to_others(ready.nice)
        if self._paused:
            child.signal_group(signal.SIGSTOP)
        began = time.monotonic()
        try:
            status = await self._attend(child, ready, place)
        finally:
            child.kill()
            child.close()
        if status == -signal.SIGKILL and not self._stopping and self._guard.has_struck(began):
            self._stopping = "release"  # it was this worker that was frozen: the job is not to blame
        outcome = of_status(status, cancelled=self._stopping in ("cancel", "kill"))
        await self._settle_files(ready, outcome)
        return outcome

    async def _attend(self, child: Child, ready: Plan, place: Place) -> int:
        """Relays until the process has ended and its pipes are empty; its status."""
        is_report = ready.command.binary == "ffprobe"  # media that ffmpeg prints holds names only by chance
        pumps = [
            asyncio.create_task(
                self._pump(child, "stdout", attach.STDOUT, place.names if is_report else None)
            ),
            asyncio.create_task(self._pump(child, "stderr", attach.STDERR, place.names)),
        ]
        inbound = (
            Inbound(self._output, self.lease.id, self._caller, child, pumps[0]) if self._caller else None
        )
        listening = [asyncio.create_task(inbound.run())] if inbound else []
        if ready.progress:
            listening.append(
                asyncio.create_task(follow(child, ready, self._machine, self._leases, self.lease))
            )
        try:
            status = await child.wait()
            if self._caller:
                self._caller.end()
            await self._emptied(pumps)
        finally:
            if inbound:
                await inbound.stop()
                await asyncio.wait(listening[:1], timeout=DRAIN_SECONDS)
            await stop(*pumps, *listening)
        for task in (*pumps, *listening):
            if not task.cancelled() and task.exception():
                log.error("job %s: relaying failed", self.lease.id, exc_info=task.exception())
        return status

    async def _emptied(self, pumps: list[asyncio.Task[None]]) -> None:
        """Waits until all that was printed has gone on its way; after a stop, not for long."""
        stopped = asyncio.create_task(self._stopped.wait())
        pending: set[asyncio.Task[None]] = set(pumps)
        while pending and not stopped.done():
            limit = None if self._caller else DRAIN_SECONDS
            done, _ = await asyncio.wait(
                (*pending, stopped), timeout=limit, return_when=asyncio.FIRST_COMPLETED
            )
            if not done:
                break
            pending -= done
        if pending and stopped.done() and self._stopping == "cancel":
            await asyncio.wait(pending, timeout=DRAIN_SECONDS)
        stopped.cancel()

    async def _pump(self, child: Child, name: str, kind: bytes, names: Names | None) -> None:
        """From one of the process's pipes to where it belongs, byte for byte, until it ends."""
        shown = names.stream() if names else None
        try:
            while data := await child.read(name):
                await self._print(kind, shown.feed(data) if shown else data)
            if shown:
                await self._print(kind, shown.end())
        finally:
            child.shut(name)

    async def _print(self, kind: bytes, data: bytes) -> None:
        if data and self._caller:
            await self._caller.write(kind, data)
        if data and (not self._caller or kind == attach.STDERR):
            await self._keep(kind, data)

    async def _keep(self, kind: bytes, data: bytes) -> None:
        try:
            await self._log.write(kind, data)
        except RedisError:
            return  # a log is for people: a job does not fail for it

    async def _settle_files(self, ready: Plan, outcome: Outcome) -> None:
        """Gives finished outputs their names, while the lease holds; removes unfinished ones."""
        if outcome.event == "succeed" and ready.renames:
            await self._still_ours()
            await asyncio.to_thread(_publish, ready.renames)
        for temporary in (*ready.renames, *ready.leftovers):
            await asyncio.to_thread(_remove, temporary)

    async def _still_ours(self) -> None:
        """Waits until Redis confirms the lease. Raises LeaseLost."""
        while True:
            try:
                return await self._leases.check(self.lease)
            except UNREACHABLE:
                await asyncio.sleep(RETRY)

    async def _say(self, outcome: Outcome) -> None:
        """Tells the queue, however long Redis takes to answer. Raises LeaseLost."""
        if self._stopping == "lost":
            raise LeaseLost
        while True:
            try:
                await self._log.close()
                if self._stopping == "release":
                    return await self._leases.release(self.lease)
                await self._leases.finish(self.lease, outcome.event, outcome.fields())
                break
            except UNREACHABLE:
                await asyncio.sleep(RETRY)
        try:
            if self._caller:
                await self._caller.exit(outcome.frame())
            await self._output.end(self.lease.id, attached=bool(self._caller))
        except RedisError:
            return None  # the job's hash says how it ended; whoever waits reads it there

    async def _kill_later(self) -> None:
        await asyncio.sleep(CANCEL_SECONDS)
        if self._child:
            self._child.kill()


def _check_outputs(ready: Plan) -> None:
    """An output that exists is replaced only if the command says so. Raises CannotRun."""
    if ready.command.overwrite:
        return
    for final in ready.renames.values():
        if os.path.exists(final):
            raise CannotRun(f"{os.path.basename(final)!r} exists already: add -y to replace it")


def _publish(renames: Mapping[str, str]) -> None:
    for temporary, final in renames.items():
        descriptor = os.open(temporary, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(temporary, final)


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
