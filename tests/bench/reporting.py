"""A worker on the side whose jobs do nothing but tell how far they are, through the real scripts."""

from __future__ import annotations

import asyncio
import secrets
import time

from app.state.leases import Lease, Leases
from app.state.requirements import class_id
from app.state.seal import Seal
from app.state.store import Store
from app.state.workers import BEAT
from tests.bench import noop
from tests.bench.harness import say
from tests.bench.pickup import submission

LABEL = "reporting"
SCALE = 10_000  # reports that can be told apart: a bar shows four digits


def report(url: str, jobs: int, every: float) -> None:
    """Reports by that many jobs in turn, every so many seconds.

    Says "ready", then [number, when it was reported] of each, in monotonic seconds: the bar shows the number / SCALE.
    """
    asyncio.run(_report(url, jobs, every))


async def _report(url: str, jobs: int, every: float) -> None:
    store = Store(url)
    leases = store.leases(LABEL, secrets.token_hex(6))
    about = {"slots": jobs, "host": "side", "roots": [], "binaries": {"ffmpeg": "0"}, "encoders": []}
    await store.workers.register(LABEL, leases.boot, {**about, "labels": {"bench": LABEL}})
    held = [await _begin(store, leases, number) for number in range(jobs)]
    beating = asyncio.create_task(_beat(leases, held))
    say("ready")
    for number in range(1, SCALE):
        await asyncio.sleep(every)
        lease = held[number % jobs]
        told = {
            "fraction": number / SCALE,
            "fps": 24.0 + number % 7,
            "speed": 1.5,
            "out_time": number * every,
        }
        at = time.monotonic()
        await leases.progress(lease, {**told, "frame": number, "total_size": number * 100_000, "left": 60.0})
        say([number, at])
    await beating


async def _begin(store: Store, leases: Leases, number: int) -> Lease:
    wanted = submission(LABEL, number)
    await store.jobs(Seal(noop.SEAL)).submit(wanted)
    (lease,) = await leases.claim([store.keys.queue(class_id(wanted.needs), wanted.lane)], 1)
    return lease


async def _beat(leases: Leases, held: list[Lease]) -> None:
    while True:
        await leases.beat(len(held), [], {lease.id: lease.token for lease in held})
        await asyncio.sleep(BEAT)
