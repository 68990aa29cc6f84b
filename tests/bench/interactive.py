"""What somebody waits for: the first byte of a long job, a line of its log, the first segment of a film.

The first byte on stderr of an ffmpeg that reads at the speed of playing, and the moment at which the first HLS
segment is seen in the root: directly and through the stand-in, by turns, from the spawn; the job is ended then.

A line's way: a program in ffmpeg's place writes its clock to stderr; the caller compares that with its own when
it reads it (one host, one monotonic clock). Beside it: the same program on a plain pipe.
"""

from __future__ import annotations

import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.bench.figure import Aim, Figure
from tests.bench.harness import CALLED, Options, Stage
from tests.bench.shim import make_sample
from tests.bench.stats import differences, median, percentile
from tests.bench.timing import Broken, wait_until

ROUNDS, LONG_ROUNDS = 8, 40
LINES, LONG_LINES = 400, 4000
FIRST_SECONDS = 10.0
FIRST = Aim(300, of_comparison=True)
SEGMENT = Aim(150, of_comparison=True)
LINE = Aim(10)
# In ffmpeg's place: the time, again and again.
CLOCK = (
    CALLED
    + f"""exec {sys.executable} -I -S -c '
import os, time
while True:
    os.write(2, b"%d\\r" % time.monotonic_ns())
    time.sleep(0.005)
'
"""
)


def run(options: Options) -> Iterator[Figure]:
    """The figures."""
    ffmpeg = shutil.which("ffmpeg")
    if not ffmpeg:
        raise Broken("ffmpeg is not installed: `make bench` installs it")
    rounds = LONG_ROUNDS if options.long else ROUNDS
    with Stage(options) as stage:
        launcher = stage.shim(stage.web()) / "ffmpeg"
        worker = stage.worker("w", 2)
        sample = stage.movies / "sample.mkv"
        make_sample(ffmpeg, sample, seconds=20)
        yield _waits(
            "interactive.first", rounds, ffmpeg, launcher, lambda one: _first_byte(one, sample), FIRST
        )
        yield _waits(
            "interactive.segment", rounds, ffmpeg, launcher, lambda one: _segment(one, sample), SEGMENT
        )
        stage.stop(worker)
        program = stage.script("clock", CLOCK)
        stage.worker("clock", 2, program, "none")
        yield from _lines(program, launcher, LONG_LINES if options.long else LINES)


def _waits(
    name: str, rounds: int, ffmpeg: str, launcher: Path, wait: Callable[[str | Path], float], aim: Aim
) -> Figure:
    """The median of the waits through the stand-in, beside the direct ones; the first pair warms up."""
    pairs = [(wait(ffmpeg), wait(launcher)) for _ in range(rounds + 1)][1:]
    direct, through = zip(*pairs, strict=True)
    added = median(differences(through, direct)) * 1e3
    return Figure(name, median(through) * 1e3, "ms", median(direct) * 1e3, "run directly", added, aim=aim)


def _first_byte(program: str | Path, sample: Path) -> float:
    """Seconds from the spawn to the first byte on stderr."""
    command = [program, "-re", "-i", sample, "-f", "null", "-"]
    began = time.perf_counter()
    with _started(command, stderr=subprocess.PIPE) as process:
        assert process.stderr
        ready, _, _ = select.select([process.stderr], [], [], FIRST_SECONDS)
        seconds = time.perf_counter() - began
        _end(process)
    if not ready:
        raise Broken(f"{program} says nothing")
    return seconds


def _segment(program: str | Path, sample: Path) -> float:
    """Seconds from the spawn to the first whole segment in the root."""
    folder = sample.with_name("hls")
    folder.mkdir()
    coded = ["-c:v", "libx264", "-preset", "ultrafast", "-threads", "1", "-g", "25", "-an"]
    hls = [
        "-f",
        "hls",
        "-hls_time",
        "1",
        "-hls_flags",
        "temp_file",
        "-hls_segment_filename",
        folder / "%d.ts",
    ]
    command = [program, "-v", "error", "-y", "-i", sample, *coded, *hls, folder / "film.m3u8"]
    try:
        began = time.perf_counter()
        with _started(command) as process:
            wait_until((folder / "0.ts").exists, f"{program} makes no segment", FIRST_SECONDS)
            seconds = time.perf_counter() - began
            _end(process)
    finally:
        shutil.rmtree(folder)
    return seconds


def _lines(program: str, launcher: Path, count: int) -> Iterator[Figure]:
    ways = [_ways([one, "-nostdin"], count) for one in (program, launcher)]
    for percent in (50, 99):
        direct, through = (percentile(way, percent) / 1e6 for way in ways)
        aim = LINE if percent == 50 else None
        yield Figure(f"interactive.line.p{percent}", through, "ms", direct, "a plain pipe", aim=aim)


def _ways(command: Sequence[str | Path], count: int) -> list[int]:
    """For each of so many lines, the ns from its writing to its reading."""
    ways: list[int] = []
    rest = b""
    with _started(command, stderr=subprocess.PIPE) as process:
        assert process.stderr
        while len(ways) < count and (data := process.stderr.read1(1 << 16)):
            now = time.monotonic_ns()
            *whole, rest = (rest + data).split(b"\r")
            ways += [now - int(line) for line in whole]
        _end(process)
    if len(ways) < count:
        raise Broken(f"{command[0]} printed {len(ways)} lines of {count}: {rest.decode('utf-8', 'replace')}")
    return ways[20:]  # the first ones wait for the stand-in to be attached


def _started(command: Sequence[str | Path], stderr: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends it for good and takes what it still prints."""
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=FIRST_SECONDS)
