"""How far a running job is: reads ffmpeg's own reports and stores them, at most twice a second."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from typing import Any

from app.state.connect import UNREACHABLE, stop
from app.state.job import LeaseLost
from app.state.leases import Lease, Leases
from app.wire import command, mediatime
from worker.child import Child
from worker.duration import durations
from worker.limits import Watch
from worker.machine import Machine
from worker.plan import Plan
from worker.progress import Progress, Reader, fraction, time_left

EVERY = 0.5  # seconds between two reports that are stored
PROBE_AFTER = 0.3  # seconds a job runs before it is worth asking how long its inputs are


async def follow(
    child: Child, ready: Plan, machine: Machine, leases: Leases, lease: Lease, watch: Watch
) -> None:
    """Stores progress until ffmpeg closes its reports, and tells `watch` of it."""
    reader, next_store = Reader(), 0.0
    probing = asyncio.create_task(_expected(ready, machine))
    try:
        while data := await child.read("progress"):
            reports = reader.feed(data)
            if reports:
                watch.reports(reports[-1])
            now = time.monotonic()
            if not reports or (now < next_store and not reports[-1].ended):
                continue
            next_store = now + EVERY - 0.05
            expected = probing.result() if probing.done() and not probing.cancelled() else None
            await _store(leases, lease, shown(reports[-1], ready.command, expected))
    finally:
        await stop(probing)


def shown(progress: Progress, read: command.Command, expected: float | None) -> dict[str, Any]:
    """A report as it is stored: what ffmpeg said, the fraction done (0 to 1, or None) and seconds left."""
    offset = mediatime.offset(read)
    return {
        **asdict(progress),
        "fraction": fraction(progress, expected, mediatime.frames(read), offset),
        "left": time_left(progress, expected, offset),
        "expected": expected,
    }


async def _expected(ready: Plan, machine: Machine) -> float | None:
    await asyncio.sleep(PROBE_AFTER)
    return mediatime.expected(ready.command, await durations(ready, machine))


async def _store(leases: Leases, lease: Lease, progress: dict[str, Any]) -> None:
    try:
        await leases.progress(lease, progress)
    except (LeaseLost, *UNREACHABLE):
        return  # the heartbeat finds out, and acts on it
