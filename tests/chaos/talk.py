"""R23: a gigabyte on stderr. How much memory that costs the worker, and how much longer the program takes than
with a reader that throws everything away.

The program stands in ffmpeg's place: lines as long as ffmpeg's, one write each, as ffmpeg writes them, and nothing
else; no ffmpeg talks that fast. Beside it, by turns: the same program into `cat >/dev/null`.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Collection, Iterator

from app.state.store import Store
from tests.bench.harness import CALLED
from tests.bench.proc import forget_peak, peak, resident
from tests.chaos.row import Row, Settings
from tests.chaos.scene import Scene

MIB = 1 << 20
SIZE, SHORT_SIZE = 1024, 48  # MiB
LINE = 128  # bytes
TALK = 'exec perl -e \'$line = "x" x {length} . "\\n"; syswrite(STDERR, $line) for 1..{count}\'\n'


def run(settings: Settings, wanted: Collection[str]) -> Iterator[Row]:
    """The row."""
    size = SHORT_SIZE if settings.short else SIZE
    with Scene() as scene:
        program = scene.script("talk", CALLED + TALK.format(length=LINE - 1, count=size * MIB // LINE))
        worker = scene.hire("w", 1, ffmpeg=program, env={"FFGRID_SANDBOX": "auto"})
        bare = _bare(program)
        before, stored = resident(worker.pid), scene.ask(_memory)
        forget_peak(worker.pid)
        took = _through(scene)
        grown, kept = peak(worker.pid) - before, (scene.ask(_memory) - stored) / MIB
        yield Row(
            "R23", f"{size} MiB of stderr: the worker's memory grows by", grown, 100, "MiB", exact=False
        )
        slower = 100 * (took / bare - 1)
        what = f"... slower than into cat, which takes {bare:.1f} s, by"
        yield Row("R23", what, slower, 5, "%", exact=False)
        yield Row("R23", "... Redis' memory grows by", kept, 100, "MiB", exact=False)


def _bare(program: str) -> float:
    """Seconds that it takes with a reader that does nothing."""
    began = time.perf_counter()
    with subprocess.Popen([program, "-nostdin"], stderr=subprocess.PIPE) as talking:
        with subprocess.Popen(["cat"], stdin=talking.stderr, stdout=subprocess.DEVNULL):
            assert talking.stderr
            talking.stderr.close()
    return time.perf_counter() - began


def _through(scene: Scene) -> float:
    """Seconds that it takes as a job, by Redis' clock."""
    job_id = scene.submit(["-nostdin"])
    scene.until_states([job_id], ["done"], within=120)
    job = scene.job(job_id)
    assert job.finished
    assert job.started
    return job.finished - job.started


async def _memory(store: Store) -> int:
    """Bytes that Redis' data takes."""
    return int((await store.redis.info("memory"))["used_memory_dataset"])
