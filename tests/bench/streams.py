"""Binary standard output, end to end: program -> worker -> Redis -> coordinator -> stand-in -> pipe.

MiB/s from the first byte to the last, beside the same program on a plain pipe, and beside one hop through Redis
alone (frames of the same size and the same window, no program, no coordinator). By turns; the median.

Memory: how far the resident memory of each part rises above its idle state while that flows.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from app.state.connect import BLOCK
from app.state.leases import Lease
from app.state.store import Store
from app.wire import attach
from tests.bench.figure import Aim, Figure, ratio
from tests.bench.harness import CALLED, Options, Stage, say
from tests.bench.proc import forget_peak, peak, resident
from tests.bench.stats import median
from tests.bench.timing import Broken
from worker.report import Caller

SIZE, LONG_SIZE = 256 << 20, 2048 << 20
ROUNDS = 3
RATE = Aim(120, at_least=True)
MORE = Aim(64)  # MiB
# In ffmpeg's place: as many bytes as its last argument says.
FLOOD = (
    CALLED
    + """for last; do :; done
exec head -c "${last#title=}" /dev/zero
"""
)
JOB = "0" * 26
LOOK_EVERY = 16 << 20  # bytes read between two looks at a program's memory


class Drained(NamedTuple):
    """What was seen of a program: MiB/s after its first byte, its peak memory (MiB) then and in all."""

    rate: float
    before: float
    peak: float


def run(options: Options) -> Iterator[Figure]:
    """The figures."""
    size = LONG_SIZE if options.long else SIZE
    with Stage(options) as stage:
        port, coordinator = stage.coordinator()
        launcher = stage.shim(port) / "ffmpeg"
        program = stage.script("flood", FLOOD)
        worker = stage.worker("w", 2, program, "none")
        parts = {"worker": worker.pid, "coordinator": coordinator.pid}
        drain([launcher, *words(1)], 1)
        idle = {name: resident(pid) for name, pid in parts.items()}
        for pid in parts.values():
            forget_peak(pid)
        rows = [_round(stage, launcher, program, size) for _ in range(ROUNDS)]
        peaks = {name: peak(pid) for name, pid in parts.items()}
    through, pipe, hop = (median(rates) for rates in zip(*(row[:3] for row in rows), strict=True))
    yield ratio("streams.stdout", through, "MiB/s", pipe, "a plain pipe", RATE)
    yield ratio("streams.stdout", through, "MiB/s", hop, "one hop through Redis", RATE)
    idle["stand-in"], peaks["stand-in"] = rows[0][3].before, max(row[3].peak for row in rows)
    for name, before in idle.items():
        more = peaks[name] - before
        yield Figure(f"  more memory, {name}", more, "MiB", before, "its idle state", aim=MORE)


def words(size: int) -> list[str]:
    """The arguments that ask for so many bytes."""
    return ["-nostdin", "-metadata", f"title={size}"]


def drain(argv: Sequence[str | Path], size: int) -> Drained:
    """Reads all that a program prints. Raises Broken unless it prints so many bytes and ends with 0."""
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        assert process.stdout
        buffer, got, looked = bytearray(1 << 20), 0, 0
        before = after = began = 0.0
        while count := os.readv(process.stdout.fileno(), [buffer]):
            began = began or time.perf_counter()
            if not got or got - looked >= LOOK_EVERY:
                looked = got
                with suppress(ProcessLookupError):  # it has ended, and what is left lies in the pipe
                    after = peak(process.pid)
                    before = before or after
            got += count
        seconds = time.perf_counter() - began
    if process.returncode or got != size:
        raise Broken(f"{argv[0]} printed {got} of {size} bytes and ended with status {process.returncode}")
    return Drained(got / seconds / 2**20, before, after)


def _round(stage: Stage, launcher: Path, program: str, size: int) -> tuple[float, float, float, Drained]:
    through = drain([launcher, *words(size)], size)
    pipe = drain([program, *words(size)], size)
    sender = stage.side(send, size=size)
    receiver = stage.side(receive, size=size)
    hop = float(receiver.hear())
    sender.hear()
    return through.rate, pipe.rate, hop, through


def send(url: str, size: int) -> None:
    """Sends so many bytes into a job's stream, within the window; says when it has."""
    asyncio.run(_send(url, size))


async def _send(url: str, size: int) -> None:
    store, data = Store(url), bytes(attach.CHUNK)
    caller = Caller(store.output, Lease(JOB, "token", 1, b""))

    async def listen() -> None:
        after = "0-0"
        while True:
            for entry in await store.output.receive_in(JOB, after, BLOCK):
                after = entry.id
                await caller.consumed(attach.unpack(entry.data))

    listening = asyncio.create_task(listen())
    for _ in range(size // len(data)):
        await caller.write(attach.STDOUT, data)
    say("sent")
    await asyncio.wait((listening,))  # until the stage ends it


def receive(url: str, size: int) -> None:
    """Takes so many bytes out of it; says how many MiB/s."""
    asyncio.run(_receive(url, size))


async def _receive(url: str, size: int) -> None:
    store, got, told, after, began = Store(url), 0, 0, "0-0", 0.0
    while got < size:
        for entry in await store.output.receive(JOB, after, BLOCK):
            began = began or time.perf_counter()
            after, got = entry.id, got + len(entry.data)
            if got - told >= attach.WINDOW_BYTES // 4:
                told = got
                await store.output.send_in(JOB, entry.number, attach.WINDOW, attach.pack(entry.number))
    say(got / (time.perf_counter() - began) / 2**20)
    await store.redis.delete(store.keys.output(JOB), store.keys.input(JOB))
    await store.close()
