"""One attempt at one job: plan, start, follow, publish, end. The lease is the right to say anything about it."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

from app.guard import Guard
from app.state.connect import UNREACHABLE, RedisError
from app.state.job import LeaseLost
from app.state.leases import Lease, Leases
from app.state.output import Output
from app.state.seal import BadSeal, Seal
from app.wire import command
from worker import files, outcome
from worker.aside import PATIENCE, Hung, aside, unless
from worker.child import Child, reach, spawn
from worker.follow import follow
from worker.inbound import Inbound
from worker.limits import Watch
from worker.lists import localize
from worker.machine import Machine
from worker.outcome import Outcome
from worker.place import Place, Places
from worker.plan import CannotRun, Plan, plan
from worker.relay import DRAIN_SECONDS, Relay
from worker.report import Caller, LastWord, Log

log = logging.getLogger("ffgrid.worker")

CANCEL_SECONDS = 1.0  # from SIGTERM to SIGKILL
STUCK_SECONDS = 6.0  # from SIGKILL to giving up a process that does not end
FLUSH_SECONDS = 600.0  # until outputs are on the disk, which may have much else to write
PUBLISH_SECONDS = 60.0  # until they have their names
STDIN_SECONDS = 5.0  # how long a job waits for input that its caller says is there
CALLER_SECONDS = 2.0  # between two looks whether a caller has come, which its coordinator also says at once
RETRY = 0.5  # seconds before Redis is told again how a job ended

T = TypeVar("T")


class Stuck(Exception):
    """A process does not end, not even by SIGKILL."""


class Run:
    """One attempt. `stop` may be called at any time; `stuck` is what still waits for a process that does not end."""

    def __init__(
        self,
        lease: Lease,
        leases: Leases,
        output: Output,
        seal: Seal,
        machine: Machine,
        places: Places,
        guard: Guard,
        mark: str,
    ) -> None:
        self.lease = lease
        self.stuck: asyncio.Task[int] | None = None
        self._leases = leases
        self._output = output
        self._seal = seal
        self._machine = machine
        self._places = places
        self._guard = guard
        self._mark = mark
        self._log = Log(output, lease, leases.silent)
        self._caller: Caller | None = None
        self._called = asyncio.Event()  # its caller has come
        self._child: Child | None = None
        self._in_place = False
        self._paused = asyncio.Event()
        self._told = 0.0  # when it was last said whether to pause, by time.monotonic()
        self._stopping: str | None = None
        self._stopped = asyncio.Event()
        self._publishing = False  # the outputs get their names: nothing but the lease's loss stops that
        self._untidy = False  # it may leave files
        self._killer: asyncio.Task[None] | None = None
        if lease.called:
            self._called.set()

    def stop(self, how: str) -> None:
        """Ends the process: "cancel" (asks first), "kill", "lost" (says nothing afterwards) or "release".

        Also "timeout" and "stalled", when it has reached a limit.
        """
        if self._stopping == how or (self._publishing and how != "lost"):
            return
        self._stopping = how
        self._stopped.set()
        if how == "lost":
            self._log.lose()
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
        if paused != self._paused.is_set() and self._stopping is None:
            (self._paused.set if paused else self._paused.clear)()
            if self._child:
                self._child.signal_group(signal.SIGSTOP if paused else signal.SIGCONT)

    def call(self) -> None:
        """The job's caller has come."""
        self._called.set()

    def fence(self) -> None:
        """Nobody may know any more that this runs: ends it if another attempt would write the same files."""
        if self._in_place:
            self.stop("lost")

    async def run(self) -> None:
        """Runs it to its end and says how it ended, unless the lease is lost."""
        with suppress(LeaseLost):
            ended = await self._outcome()
            log.info("job %s: %s", self.lease.id, ended.words())
            await self._say(ended)

    async def _outcome(self) -> Outcome:
        try:
            return await self._attempt(self._seal.open(self.lease.id, self.lease.sealed))
        except (BadSeal, CannotRun, files.Exists) as error:
            return outcome.refused(str(error))
        except (Hung, Stuck) as error:
            return self._given_up(error)
        except OSError as error:
            return outcome.no_file(error, "publish" if self._publishing else "start")

    def _given_up(self, error: Exception) -> Outcome:
        """Something does not react any more. What has not begun, because a root is silent, can begin elsewhere."""
        if not self.stuck:
            log.warning("job %s: %s", self.lease.id, error)
        if self._stopping in ("cancel", "kill"):
            return outcome.of_status(-signal.SIGKILL, cancelled=True)
        if self._places.mounts.silent and not (self._child or self._publishing):
            self._stopping = "release"
        return outcome.stuck(str(error), again=not self._in_place)

    async def _attempt(self, spec: dict[str, Any]) -> Outcome:
        self._in_place = spec["in_place"]
        if spec["attach"]:
            self._caller = Caller(self._output, self.lease)
            if self.lease.attempt > 1 and await self._output.was_used(self.lease.id):
                return outcome.refused("its worker was lost after it had sent or taken data")
        place = await unless(self._stopped, self._places.find(spec))
        ready = await self._aside(plan, spec, self.lease, self._machine, place, self._mark)
        if self.lease.published and ready.renames:
            left = await self._aside(files.whole, ready.renames, ready.stem, self.lease.published)
            if left is not None:
                return await self._publish(ready, left, self.lease.published)
        if ready.renames and not ready.command.overwrite:
            await self._aside(files.check_free, ready.renames.values())
        try:
            if place.names:
                ready = await self._aside(localize, ready, place, place.names.there)
            return await self._execute(ready, place, spec)
        finally:
            await self._clean(ready)

    async def _execute(self, ready: Plan, place: Place, spec: dict[str, Any]) -> Outcome:
        if not await self._has_begun(ready):
            return outcome.of_status(-signal.SIGKILL, cancelled=True)
        await reach(ready)
        child = spawn(ready, self._guard)
        self._child = child
        child.yield_to_others(ready.nice)
        if self._paused.is_set():
            child.signal_group(signal.SIGSTOP)
        began = time.monotonic()
        watch = Watch(child.pid, spec.get("max_seconds", 0), spec.get("stall_seconds", 0))
        relay = Relay(child, self._log, self._caller, watch)
        try:
            status = await self._attend(child, ready, place, relay, watch)
        finally:
            child.kill()
            child.close()
        if status == -signal.SIGKILL and not self._stopping and self._guard.has_struck(began):
            self._stopping = "release"  # it was this worker that was frozen: the job is not to blame
        if self._stopping in ("timeout", "stalled"):
            limit = spec["max_seconds"] if self._stopping == "timeout" else spec["stall_seconds"]
            return outcome.overdue(self._stopping, status, limit)
        is_killed = self._stopping in ("cancel", "kill")
        ended = outcome.of_status(status, is_killed, relay.tail, watch.memory_was_short())
        if ended.event == "succeed" and ready.renames and not self._stopping:
            if outcome.lacks_room(relay.tail):
                return outcome.no_room(status)
            described = await self._aside(files.settled, ready.renames, ready.stem, within=FLUSH_SECONDS)
            return await self._publish(ready, ready.renames, described)
        return ended

    async def _has_begun(self, ready: Plan) -> bool:
        """Waits for what has to be there first. False when the job was stopped meanwhile.

        What writes under its own names waits for its caller: one that got no answer may be running it himself.
        """
        if self._caller and command.kind(ready.command) != "none":
            while not (self._called.is_set() or self._stopping):
                with suppress(TimeoutError, RedisError):
                    async with asyncio.timeout(CALLER_SECONDS):
                        await self._called.wait()
                with suppress(RedisError):
                    if not self._called.is_set() and await self._leases.is_called(self.lease):
                        self._called.set()
        if ready.awaits_stdin and not self._stopping:
            with suppress(RedisError):  # it comes later then
                await self._output.receive_in(self.lease.id, "0-0", STDIN_SECONDS)
        return self._stopping is None

    async def _attend(self, child: Child, ready: Plan, place: Place, relay: Relay, watch: Watch) -> int:
        """Relays until the process has ended and its pipes are empty; its status. Raises Stuck."""
        relay.begin(place.names, is_report=ready.command.binary == "ffprobe", has_progress=ready.progress)
        watching = asyncio.create_task(self._end_when_overdue(watch))
        beside = [watching]
        inbound = (
            Inbound(self._output, self.lease.id, self._caller, child, relay.pumps[0])
            if self._caller
            else None
        )
        listening = asyncio.create_task(inbound.run()) if inbound else None
        if ready.progress:
            work = follow(child, ready, self._machine, self._leases, self.lease, watch)
            beside.append(asyncio.create_task(work))
        try:
            status = await self._ended(child)
            if self._caller:
                self._caller.end()
            await relay.emptied(self._stopped, asked_to_end=self._stopping == "cancel")
        finally:
            if inbound and listening:
                await inbound.stop()
                await asyncio.wait((listening,), timeout=DRAIN_SECONDS)
                beside.append(listening)
            await relay.end(self.lease.id, *beside)
        return status

    async def _ended(self, child: Child) -> int:
        """Its status, once it has ended. Raises Stuck when it does not although it was killed."""
        ending = asyncio.create_task(child.wait())
        stopped = asyncio.create_task(self._stopped.wait())
        await asyncio.wait((ending, stopped), return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        await asyncio.wait((ending,), timeout=CANCEL_SECONDS + STUCK_SECONDS)
        if not ending.done():
            self.stuck = ending
            raise Stuck(f"process {child.pid} does not end, it hangs in the kernel")
        return ending.result()

    async def _end_when_overdue(self, watch: Watch) -> None:
        self.stop(await watch.overdue(self._paused))

    async def _publish(self, ready: Plan, renames: Mapping[str, str], described: str) -> Outcome:
        """Gives whole outputs their names, if nobody else has the job and nobody has asked for its end."""
        verdict = await self._ask_to_publish(described)
        if verdict != "ok":
            return outcome.of_status(0, cancelled=True)
        self._publishing = True
        await aside(files.publish, renames, bool(ready.command.overwrite), within=PUBLISH_SECONDS)
        if self.lease.attempt > 1:
            folders = {os.path.dirname(path) for path in ready.renames}
            with suppress(Hung, OSError):
                await aside(files.sweep, folders, self.lease.id)
        return Outcome("succeed", 0)

    async def _ask_to_publish(self, described: str) -> str:
        while True:
            try:
                return await self._leases.publish(self.lease, described)
            except UNREACHABLE:
                await asyncio.sleep(RETRY)

    async def _clean(self, ready: Plan) -> None:
        """Removes what it has not published. A file system that hangs keeps it, for whoever tidies later."""
        if ready.renames or ready.copies:
            try:
                await self._aside(files.remove, [*ready.renames, *ready.copies])
            except (Hung, OSError):
                self._untidy = True

    async def _aside(self, work: Callable[..., T], *arguments: Any, within: float = PATIENCE) -> T:
        """Like `aside`, unless this is stopped."""
        return await unless(self._stopped, aside(work, *arguments, within=within))

    async def _say(self, ended: Outcome) -> None:
        """Tells the queue, unless the lease is another's by now. Raises LeaseLost."""
        last_word = LastWord(self._leases, self.lease, self._log, lambda: self._stopping == "lost")
        may_still_write = self.stuck is not None and self._in_place  # as another attempt would
        if self._stopping == "release" and not (self._publishing or may_still_write):
            return await last_word.release(self._untidy)
        await last_word.finish(ended, self._untidy)
        try:
            if self._caller:
                await self._caller.exit(ended.frame())
            await self._output.end(self.lease.id, attached=bool(self._caller))
        except RedisError:
            return None  # the job's hash says how it ended; whoever waits reads it there

    async def _kill_later(self) -> None:
        await asyncio.sleep(CANCEL_SECONDS)
        if self._child:
            self._child.kill()
