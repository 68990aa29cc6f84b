"""The worker's process: settings in, a drained worker out."""

from __future__ import annotations

import asyncio
import logging
import secrets
import signal
from importlib.metadata import version

from app.guard import Guard
from app.settings import Settings
from app.state.clients import read_private
from app.state.connect import UNREACHABLE, stop
from app.state.reach import RETRY, reach
from app.state.seal import Seal
from app.state.store import Store
from app.state.workers import HELD_MS
from app.wire import keyfile
from worker.loop import Loop, NameTaken
from worker.machine import inspect
from worker.place import Places

DRAIN_SECONDS = 3600.0  # how long SIGTERM waits for running jobs before it hands them back

log = logging.getLogger("ffgrid.worker")


class CannotWork(Exception):
    """The worker cannot start; the text says why and what to do."""


async def work(settings: Settings, drain_seconds: float = DRAIN_SECONDS) -> None:
    """Works until SIGTERM or SIGINT: takes nothing new, ends its jobs, leaves. A second signal hands them back.

    A Redis that is away is waited for. Raises CannotWork, BadKey, NoFFmpeg, NoSandbox, Unusable, Replaced.
    """
    key = read_key(settings)
    labels = {**settings.labels, "worker": settings.worker_id}  # a job can ask for this very worker
    machine = await inspect(settings.ffmpeg, settings.ffprobe, settings.roots, settings.slots, labels)
    places = Places(machine, settings.sandbox)
    if places.mode == "rewrite" and settings.sandbox == "auto":
        log.warning("jobs run without a namespace, their paths rewritten: %s", places.why)
    store, guard = Store(settings.redis_url, replicas=settings.replicas), Guard()
    try:
        await reach(store.redis, settings.redis_url)
        leases = store.leases(settings.worker_id, secrets.token_hex(6))
        loop = Loop(
            leases, store.workers, store.output, Seal(key.seal), machine, places, guard, version("ffgrid")
        )
        _obey_signals(loop, drain_seconds)
        ticking = asyncio.create_task(store.reaper.run())
        log.info(
            "worker %s: %d slots, ffmpeg %s, sandbox %s",
            settings.worker_id,
            machine.slots,
            machine.versions["ffmpeg"],
            places.mode,
        )
        try:
            await _run(loop)
        finally:
            await stop(ticking)
    finally:
        guard.close()
        places.close()
        await store.close()


def read_key(settings: Settings) -> keyfile.Key:
    """The worker's key. Raises CannotWork, BadKey."""
    if settings.key_file is None:
        raise CannotWork("a worker needs a key: set FFGRID_KEY_FILE to the file that `ffgrid keys add` wrote")
    try:
        key = keyfile.parse(read_private(settings.key_file))
    except keyfile.BadKeyFile as error:
        raise CannotWork(f"{settings.key_file}: {error}") from None
    if not key.seal:
        raise CannotWork(
            f"{settings.key_file} is no worker's key: make one with `ffgrid keys add NAME --role worker`"
        )
    return key


async def _run(loop: Loop) -> None:
    """Runs it, waiting first for a holder of the same name that may have died a moment ago, and for Redis."""
    now = asyncio.get_running_loop().time
    deadline = now() + HELD_MS / 1000 + 0.5
    while True:
        try:
            return await loop.run()
        except NameTaken as taken:
            if now() > deadline:
                raise CannotWork(f"{taken}: stop it, or give this one another FFGRID_WORKER_ID") from None
            await asyncio.sleep(0.2)
        except UNREACHABLE as error:  # it went away while the worker registered: nothing runs yet
            log.warning("Redis cannot be reached (%s), trying again", error)
            await asyncio.sleep(RETRY)
            deadline = now() + HELD_MS / 1000 + 0.5


def _obey_signals(loop: Loop, drain_seconds: float) -> None:
    running = asyncio.get_running_loop()

    def stop() -> None:
        hand_back = loop.draining
        log.info("stopping: %s", "handing jobs back" if hand_back else "finishing what runs")
        loop.drain(hand_back)
        running.call_later(drain_seconds, loop.drain, True)

    for number in (signal.SIGTERM, signal.SIGINT):
        running.add_signal_handler(number, stop)
