"""A hundred calls at once: each gets its own output, whole, and none is large.

All are attached before the first ends: the program in ffmpeg's place waits until a file is there, the other
calls wait for a slot. Memory is the PSS of each while they wait. Then the file is made, and all run.
"""

from __future__ import annotations

import asyncio
import hashlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from app.state.store import Store
from tests.bench.figure import Aim, Figure
from tests.bench.harness import CALLED, Options, Stage
from tests.bench.proc import pss
from tests.bench.stats import median
from tests.bench.timing import wait_until

CALLS, LONG_CALLS = 100, 400
SLOTS = 8
NUMBERS = 20_000  # what each prints, after its own name
SETTLE = 1.0  # seconds after which a waiting call is taken for idle
END_SECONDS = 30.0
ALL = Aim(0)
SMALL = Aim(20)
# In ffmpeg's place.
WAITS = """until [ -e {gate} ]; do sleep 0.05; done
for last; do :; done
echo "$last"
exec seq {numbers}
"""


def run(options: Options) -> Iterator[Figure]:
    """The figures."""
    count = LONG_CALLS if options.long else CALLS
    with Stage(options) as stage:
        launcher = stage.shim(stage.web()) / "ffmpeg"
        gate = stage.folder / "gate"
        stage.worker(
            "w", SLOTS, stage.script("waits", CALLED + WAITS.format(gate=gate, numbers=NUMBERS)), "none"
        )
        began = time.perf_counter()
        calls = [_call(stage, launcher, number) for number in range(count)]
        wait_until(lambda: _attached(stage) >= count, "not all calls are attached", END_SECONDS)
        arrived = time.perf_counter() - began
        time.sleep(SETTLE)
        sizes = [pss(call.pid) for call in calls]
        began = time.perf_counter()
        gate.touch()
        wrong = sum(not _is_right(number, call, stage) for number, call in enumerate(calls))
        ran = time.perf_counter() - began
    yield Figure("crowd.wrong", wrong, "", count, "calls at once", aim=ALL)
    yield Figure("crowd.attach", count / arrived, "/s")
    yield Figure("crowd.run", count / ran, "/s")
    yield Figure("crowd.memory", max(sizes), "MiB", median(sizes), "their median", aim=SMALL)


def _call(stage: Stage, launcher: Path, number: int) -> subprocess.Popen[bytes]:
    with _out(stage, number).open("wb") as out:
        words = [launcher, "-nostdin", "-metadata", f"title={number}"]
        return stage.start(words, stage.environment(), stdout=out.fileno())


def _out(stage: Stage, number: int) -> Path:
    return stage.folder / f"out-{number}"


def _attached(stage: Stage) -> int:
    """How many jobs have a caller that is connected."""

    async def count(store: Store) -> int:
        ids = [row.decode() for row in await store.redis.zrange(store.keys.callers, 0, -1)]
        callers = [store.redis.hget(store.keys.job(job_id), "caller") for job_id in ids]
        return sum(map(bool, await asyncio.gather(*callers)))

    return stage.ask(count)


def _is_right(number: int, call: subprocess.Popen[bytes], stage: Stage) -> bool:
    expected = f"title={number}\n" + "".join(f"{line}\n" for line in range(1, NUMBERS + 1))
    status = call.wait(END_SECONDS)
    got = hashlib.sha256(_out(stage, number).read_bytes()).digest()
    return status == 0 and got == hashlib.sha256(expected.encode()).digest()
