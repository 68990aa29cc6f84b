"""`ffprobe` through the stand-in, as a library scan calls it.

One file: run directly, through the stand-in, and through it again for a file that it has seen (a minute old, so
that no cache has to fear a change within the clock's step). Each beside the direct call, by turns.

Two hundred files, eight at a time: how many a second, directly and through the stand-in, in batches by turns.
Every file is one that nobody has asked for before.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from shim.recording import SETTLED_SECONDS
from tests.bench.figure import Aim, Figure, ratio
from tests.bench.harness import Options, Stage, say
from tests.bench.shim import make_sample
from tests.bench.stats import differences, median
from tests.bench.timing import Broken, Called, by_turns

PAIRS, LONG_PAIRS = 20, 100
FILES, AT_A_TIME, BATCHES = 200, 8, 4
OLD = 3600.0  # seconds since a file was written
JSON = ["-v", "error", "-print_format", "json", "-show_format", "-show_streams"]
ADDED = Aim(25, of_comparison=True)
CACHED = Aim(25)
SHARE = Aim(0.8, at_least=True, of_comparison=True)


def run(options: Options) -> Iterator[Figure]:
    """The figures."""
    ffmpeg, ffprobe = shutil.which("ffmpeg"), shutil.which("ffprobe")
    if not ffmpeg or not ffprobe:
        raise Broken("ffmpeg is not installed: `make bench` installs it")
    with Stage(options) as stage:
        port = stage.web()
        launcher = stage.shim(port) / "ffprobe"
        stage.worker("w", AT_A_TIME)
        sample = stage.movies / "sample.mkv"
        make_sample(ffmpeg, sample, seconds=1)
        pairs = LONG_PAIRS if options.long else PAIRS
        remembering = stage.shim(port, cache=True) / "ffprobe"
        yield from _one_file(ffprobe, launcher, remembering, sample, pairs)
        yield _many_files(stage, ffprobe, launcher, sample)


def _one_file(ffprobe: str, launcher: Path, remembering: Path, sample: Path, pairs: int) -> Iterator[Figure]:
    fresh = copies(sample, "fresh", pairs + 1)
    (old,) = copies(sample, "old", 1)
    time.sleep(SETTLED_SECONDS + 0.5)  # by its ctime, which cannot be set
    direct, cached = by_turns(pairs, [ffprobe, *JSON, old], [remembering, *JSON, old])
    if direct[0].out != cached[0].out:
        raise Broken("the stand-in's ffprobe says something else than ffprobe")
    both = [by_turns(1, [launcher, *JSON, one], [ffprobe, *JSON, one]) for one in fresh[1:]]
    first, beside = ([calls[number][0] for calls in both] for number in (0, 1))
    added = median(differences([one.seconds for one in first], [one.seconds for one in beside])) * 1e3
    yield Figure("probe.through", _ms(first), "ms", _ms(beside), "run directly", added, aim=ADDED)
    yield Figure("probe.again", _ms(cached), "ms", _ms(direct), "run directly", aim=CACHED)


def _many_files(stage: Stage, ffprobe: str, launcher: Path, sample: Path) -> Figure:
    names = [str(path) for path in copies(sample, "many", FILES)]
    size = FILES // BATCHES
    seconds = {ffprobe: 0.0, str(launcher): 0.0}
    for start in range(0, FILES, size):
        for program in seconds:
            batch = names[start : start + size]
            seconds[program] += float(stage.side(probe_all, program=program, names=batch).hear())
    rates = [FILES / spent for spent in seconds.values()]
    return ratio("probe.many", rates[1], "/s", rates[0], f"directly, {AT_A_TIME} at a time", SHARE)


def probe_all(url: str, program: str, names: Sequence[str]) -> None:
    """Probes these files, some at a time; says the seconds it took."""
    null = os.open(os.devnull, os.O_RDWR)
    actions = [(os.POSIX_SPAWN_DUP2, null, number) for number in (0, 1, 2)]
    began, failed = time.perf_counter(), 0
    for number, name in enumerate(names):
        if number >= AT_A_TIME:
            failed += bool(os.wait()[1])
        os.posix_spawn(program, [program, *JSON, name], os.environ, file_actions=actions)
    for _ in range(min(len(names), AT_A_TIME)):
        failed += bool(os.wait()[1])
    if failed:
        raise SystemExit(f"{failed} of {len(names)} probes have failed")
    say(time.perf_counter() - began)


def copies(sample: Path, name: str, count: int) -> list[Path]:
    """That many files with this content, written long ago."""
    paths = [sample.with_name(f"{name}-{number}.mkv") for number in range(count)]
    then = time.time() - OLD
    for path in paths:
        shutil.copyfile(sample, path)
        os.utime(path, (then, then))
    return paths


def _ms(calls: Sequence[Called]) -> float:
    return median(one.seconds for one in calls) * 1e3
