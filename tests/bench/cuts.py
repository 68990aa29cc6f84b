"""A network that resets every connection again and again, between the stand-in and the coordinator.

Numbered lines on stderr, for some seconds: how many are lost, doubled, out of order. Random bytes on stdout:
whether the hash is equal. The calls end with status 0, or the benchmark is broken.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from tests.bench.figure import Aim, Figure
from tests.bench.harness import CALLED, Options, Stage
from tests.bench.timing import Broken
from tests.cutter import Cutter

EVERY = 1.0  # seconds between two cuts
LINES = 10_000
SIZE, LONG_SIZE = 200 << 20, 2000 << 20
NONE = Aim(0)
# In ffmpeg's place: numbered lines, for about six seconds.
TALKATIVE = (
    CALLED
    + f"""exec {sys.executable} -I -S -c '
import os, time
for number in range({LINES}):
    os.write(2, b"%d\\n" % number)
    if number % 10 == 0: time.sleep(0.006)
'
"""
)
# Pictures of 800 KiB that ffmpeg only passes on, so many a second: 50 MiB.
PACE = 64
COPY = ["-f", "rawvideo", "-pixel_format", "gray", "-video_size", "1024x800", "-framerate", str(PACE)]


def run(options: Options) -> Iterator[Figure]:
    """The figures."""
    ffmpeg = shutil.which("ffmpeg")
    if not ffmpeg:
        raise Broken("ffmpeg is not installed: `make bench` installs it")
    with Stage(options) as stage:
        port = stage.web()
        with Cutter(port, EVERY) as cutter:
            launcher = stage.shim(cutter.port) / "ffmpeg"
            worker = stage.worker("talkative", 2, stage.script("talkative", TALKATIVE), "none")
            yield from _lines(launcher, cutter)
            stage.stop(worker)
            stage.worker("w", 2)
            yield from _bytes(stage, launcher, cutter, LONG_SIZE if options.long else SIZE)


def _lines(launcher: Path, cutter: Cutter) -> Iterator[Figure]:
    before = cutter.cuts
    with subprocess.Popen([launcher, "-nostdin"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as call:
        assert call.stderr
        numbers = [int(line) for line in call.stderr]
    _must_be_right(call)
    beside = f"lines, {cutter.cuts - before} cuts"
    lost = LINES - len(set(numbers))
    yield Figure("cuts.lines.lost", lost, "", LINES, beside, aim=NONE)
    yield Figure("cuts.lines.doubled", len(numbers) - len(set(numbers)), "", LINES, beside, aim=NONE)
    disordered = sum(later < earlier for earlier, later in pairwise(numbers))
    yield Figure("cuts.lines.disordered", disordered, "", LINES, beside, aim=NONE)


def _bytes(stage: Stage, launcher: Path, cutter: Cutter, size: int) -> Iterator[Figure]:
    path, expected = stage.movies / "random.raw", hashlib.sha256()
    with path.open("wb") as file:
        for _ in range(size >> 20):
            block = os.urandom(1 << 20)
            expected.update(block)
            file.write(block)
    before, count, got = cutter.cuts, 0, hashlib.sha256()
    command = [launcher, "-v", "error", "-re", *COPY, "-i", path, "-c", "copy", "-f", "rawvideo", "-"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as call:
        assert call.stdout
        while data := call.stdout.read(1 << 18):
            got.update(data)
            count += len(data)
    _must_be_right(call)
    beside = f"MiB of random bytes, {cutter.cuts - before} cuts"
    yield Figure("cuts.bytes.missing", abs(size - count), "B", size >> 20, beside, aim=NONE)
    is_wrong = got.digest() != expected.digest()
    yield Figure("cuts.bytes.wrong_hashes", is_wrong, "", size >> 20, beside, aim=NONE)


def _must_be_right(call: subprocess.Popen[bytes]) -> None:
    if call.returncode:
        words: Sequence[object] = call.args if isinstance(call.args, list) else [call.args]
        raise Broken(f"{words[0]} ended with status {call.returncode} after a cut")
