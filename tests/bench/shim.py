"""What a call through the stand-in costs more than the call itself, and where that time goes.

Pairs by turns: the program run directly, then through a launcher that `ffgrid shim install` wrote. The added
time is the median of the differences. For `ffmpeg -version`, for an `ffprobe` of a small file, and for a shell
script that prints the time and ends.

The parts come from `caller.py`, a process that does the stand-in's steps with the stand-in's modules, by turns
with the calls; nothing that is measured was changed. Redis' MONITOR gives the moments at which the submit and
the start were run, the shell script its own first moment.

    interpreter  from the spawn to the first line       wake-up  the submit -> the start, both at Redis
    imports      all that the stand-in loads            spawn    the start -> the program's first moment
    prepare      settings, the command read and folded  relay    that moment -> its exit is known to the caller
    connect      to the coordinator                     exit     until the caller of the caller has its status
    ask          the request -> the submit at Redis

These follow one another. Beside them goes the `answer`: the caller waits for it while the worker goes on.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.bench.caller import ARGUMENTS, STEPS
from tests.bench.figure import Aim, Figure
from tests.bench.harness import MOVIES, ROOT, Options, Stage
from tests.bench.monitor import Monitor
from tests.bench.stats import differences, median
from tests.bench.timing import Broken, Called, Command, by_turns

PAIRS, LONG_PAIRS = 40, 200
ADDED = Aim(25, of_comparison=True)
CACHED = Aim(6, of_comparison=True)
BARE = [sys.executable, "-I", "-S", "-c", "pass"]
CALLER = Path(__file__).with_name("caller.py")
# Answers as ffmpeg does where a worker asks, and says when it has begun otherwise.
CLOCK = '#!{bash}\ncase "$1" in -version) echo "ffmpeg version 0";; *) echo $EPOCHREALTIME;; esac\n'


def run(options: Options) -> Iterator[Figure]:
    """The figures."""
    pairs = LONG_PAIRS if options.long else PAIRS
    with Stage(options) as stage:
        port = stage.web()
        launchers = stage.shim(port)
        yield from _real(stage, port, launchers, pairs)
        yield from _trivial(stage, port, launchers, pairs)


def _real(stage: Stage, port: int, launchers: Path, pairs: int) -> Iterator[Figure]:
    """The real programs."""
    ffmpeg, ffprobe = shutil.which("ffmpeg"), shutil.which("ffprobe")
    if not ffmpeg or not ffprobe:
        raise Broken("ffmpeg is not installed: `make bench` installs it")
    sample = stage.movies / "sample.mkv"
    make_sample(ffmpeg, sample, seconds=1)
    worker = stage.worker("real", 2)
    look = ["-v", "error", "-show_format", str(sample)]
    for name, program, args in (("ffmpeg", ffmpeg, ["-version"]), ("ffprobe", ffprobe, look)):
        direct, through = by_turns(pairs, [program, *args], [launchers / name, *args])
        yield _added(f"shim.{name}", direct, through)
    bare, cached = by_turns(pairs, BARE, [stage.shim(port, cache=True) / "ffmpeg", "-version"])
    yield Figure(
        "shim.cached",
        _ms(cached),
        "ms",
        _ms(bare),
        "python -I -S -c pass",
        _ms(cached) - _ms(bare),
        aim=CACHED,
    )
    stage.stop(worker)


def _trivial(stage: Stage, port: int, launchers: Path, pairs: int) -> Iterator[Figure]:
    """The shell script, and what the parts of its call cost."""
    bash = shutil.which("bash")
    if bash is None:
        raise Broken("bash is not installed: only it tells the time without another program")
    program = stage.script("clock", CLOCK.format(bash=bash))
    worker = stage.worker("clock", 2, program, "none")
    words: list[str | Path] = [
        f"http://127.0.0.1:{port}",
        stage.key("caller", "client"),
        f"{MOVIES}={stage.movies}",
    ]
    steps: Command = [*BARE[:3], CALLER, ROOT, *words]
    with Monitor(stage.url) as monitor:
        calls = by_turns(pairs, [program, *ARGUMENTS], [launchers / "ffmpeg", *ARGUMENTS], BARE, steps)
        direct, through, bare, stepped = calls
        parts = [_parts(one, monitor) for one in stepped]
    stage.stop(worker)
    whole = _added("shim.trivial", direct, through)
    yield whole
    for name in parts[0]:
        beside = (_ms(bare), "python -I -S -c pass") if name == "interpreter" else (None, "")
        yield Figure(f"  {name}", median(part[name] for part in parts), "ms", *beside)
    yield Figure("  together", _ms(stepped), "ms", whole.value, "shim.trivial")


def make_sample(ffmpeg: str, path: Path, seconds: int) -> None:
    """A small video with sound."""
    video, sound = f"testsrc2=s=320x180:r=25:d={seconds}", f"sine=d={seconds}"
    inputs = ["-f", "lavfi", "-i", video, "-f", "lavfi", "-i", sound]
    command = [ffmpeg, "-v", "error", "-y", *inputs, "-c:v", "mpeg4", "-c:a", "aac", str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def _added(name: str, direct: list[Called], through: list[Called]) -> Figure:
    added = differences([one.seconds for one in through], [one.seconds for one in direct])
    return Figure(name, _ms(through), "ms", _ms(direct), "run directly", median(added) * 1e3, aim=ADDED)


def _ms(calls: list[Called]) -> float:
    return median(one.seconds for one in calls) * 1e3


def _parts(called: Called, monitor: Monitor) -> dict[str, float]:
    """What each part of a call has cost, in ms."""
    job_id, printed, *moments = called.out.decode().split()
    at = dict(zip(STEPS, map(float, moments), strict=True))
    submitted, started = monitor.moment(job_id, "submit"), monitor.moment(job_id, "start")
    seconds = {
        "interpreter": at["begun"] - called.began,
        "imports": at["imports"] - at["begun"],
        "prepare": at["prepare"] - at["imports"],
        "connect": at["connect"] - at["prepare"],
        "ask": submitted - at["connect"],
        "wake-up": started - submitted,
        "spawn": float(printed) - started,
        "relay": at["relay"] - float(printed),
        "exit": called.began + called.seconds - at["relay"],
        "answer": at["answer"] - at["connect"],
    }
    return {name: value * 1e3 for name, value in seconds.items()}
