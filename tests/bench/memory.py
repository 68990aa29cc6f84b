"""Memory of the idle parts: PSS, which divides what processes share among them (/proc/PID/smaps_rollup).

A worker and its guard, a coordinator, and a stand-in that is attached and waits for its ffmpeg. Beside each: a
bare interpreter that sleeps, at the same time.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

from tests.bench.figure import Figure
from tests.bench.harness import Options, Stage
from tests.bench.proc import children, pss
from tests.bench.timing import wait_until

SETTLE = 2.0  # seconds after which a part is taken for idle
BARE = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(99)"]
# Waits for its input for ever.
WAITING = ["-v", "error", "-f", "s16le", "-i", "pipe:0", "-f", "null", "-"]


def run(options: Options) -> Iterator[Figure]:
    """The figures."""
    with Stage(options) as stage:
        sizes = _sizes(stage)
    bare = sizes.pop("bare")
    for name, size in sizes.items():
        yield Figure(f"memory.{name}", size, "MiB", bare, "a bare interpreter", size - bare)


def _sizes(stage: Stage) -> dict[str, float]:
    """Each part's size, and the bare interpreter's, in MiB."""
    bare = stage.start(BARE, stage.environment())
    port, coordinator = stage.coordinator()
    launchers = stage.shim(port)
    worker = stage.worker("w", 2)
    guards = children(worker.pid)
    time.sleep(SETTLE)
    sizes = {
        "worker": pss(worker.pid),
        "guard": sum(pss(guard.pid) for guard in guards),
        "coordinator": pss(coordinator.pid),
    }
    shim = stage.start([launchers / "ffmpeg", *WAITING], stage.environment(), stdin=subprocess.PIPE)
    wait_until(lambda: len(children(worker.pid)) > len(guards), "the stand-in's job does not start")
    time.sleep(SETTLE)
    return {**sizes, "shim": pss(shim.pid), "bare": pss(bare.pid)}
