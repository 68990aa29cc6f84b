"""What a call through the stand-in costs more than the call itself, and where that time goes.

Pairs by turns: the program run directly, then through a launcher that `ffgrid shim install` wrote. The added
time is the median of the differences. For `ffmpeg -version`, for an `ffprobe` of a small file, and for a shell
script that ends at once.

The parts are measured beside it, without a change to what runs: interpreter and imports as processes of their
own; the rest by a client in this process that does the shim's steps with the shim's modules, while MONITOR
gives the moments at which Redis ran the submit and the start, and the program prints its own first moment.

    interpreter + imports + prepare + connect + ask + wake-up + spawn + relay (+ rest)  =  a call
                                              \\__ answer: the caller waits for it, the worker does not
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from app.wire import attach, messages, websocket
from shim import config, submit
from shim.http import Connection
from tests.bench.figure import Aim, Figure
from tests.bench.harness import MOVIES, ROOT, TRIVIAL, Options, Stage
from tests.bench.monitor import Monitor
from tests.bench.stats import differences, median
from tests.bench.timing import Broken, by_turns, run_for

PAIRS, LONG_PAIRS = 40, 200
ADDED = Aim(25, of_comparison=True)
BARE = [sys.executable, "-I", "-S", "-c"]
IMPORTS = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import shim.main"
NOTHING = ["-hide_banner"]
# Says when it has begun; the shell that can (its start costs a millisecond more than sh).
CLOCK = '#!{bash}\ncase "$1" in -version) echo "ffmpeg version 0";; *) echo $EPOCHREALTIME;; esac\n'


def run(options: Options) -> Iterator[Figure]:
    """The figures."""
    pairs = LONG_PAIRS if options.long else PAIRS
    with Stage(options) as stage:
        port = stage.web()
        launchers = stage.shim(port)
        yield from _real(stage, launchers, pairs)
        program = stage.script("trivial", TRIVIAL)
        worker = stage.worker("trivial", 2, program, "none")
        trivial = _pairs("shim.trivial", [program, *NOTHING], [launchers / "ffmpeg", *NOTHING], pairs)
        stage.stop(worker)
        yield trivial
        parts = {**_processes(pairs), **_steps(stage, port, pairs)}
    for name, value in parts.items():
        yield Figure(f"  {name}", value, "ms")
    path = sum(value for name, value in parts.items() if name != "answer")
    yield Figure("  rest", trivial.value - path, "ms", trivial.value, "the whole call of shim.trivial")


def _real(stage: Stage, launchers: Path, pairs: int) -> Iterator[Figure]:
    """The real programs."""
    ffmpeg, ffprobe = shutil.which("ffmpeg"), shutil.which("ffprobe")
    if not ffmpeg or not ffprobe:
        raise Broken("ffmpeg is not installed: `make bench` installs it")
    sample = stage.movies / "sample.mkv"
    make_sample(ffmpeg, sample, seconds=1)
    worker = stage.worker("real", 2)
    yield _pairs("shim.ffmpeg", [ffmpeg, "-version"], [launchers / "ffmpeg", "-version"], pairs)
    look: list[str | Path] = ["-v", "error", "-show_format", sample]
    yield _pairs("shim.ffprobe", [ffprobe, *look], [launchers / "ffprobe", *look], pairs)
    stage.stop(worker)


def make_sample(ffmpeg: str, path: Path, seconds: int) -> None:
    """A small video with sound."""
    size = "320x180"
    inputs = [
        "-f",
        "lavfi",
        "-i",
        f"testsrc2=s={size}:r=25:d={seconds}",
        "-f",
        "lavfi",
        "-i",
        f"sine=d={seconds}",
    ]
    command = [ffmpeg, "-v", "error", "-y", *inputs, "-c:v", "mpeg4", "-c:a", "aac", str(path)]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def _pairs(name: str, direct: list[str | Path], through: list[str | Path], count: int) -> Figure:
    plain, called = by_turns(count, lambda: run_for(direct) * 1e3, lambda: run_for(through) * 1e3)
    added = median(differences(called, plain))
    return Figure(name, median(called), "ms", median(plain), "run directly", added, aim=ADDED)


def _processes(count: int) -> dict[str, float]:
    """What can only be seen from outside: the interpreter's start, and the imports on top of it."""
    bare, loaded = by_turns(
        count, lambda: run_for([*BARE, "pass"]) * 1e3, lambda: run_for([*BARE, IMPORTS]) * 1e3
    )
    return {"interpreter": median(bare), "imports": median(differences(loaded, bare))}


def _steps(stage: Stage, port: int, count: int) -> dict[str, float]:
    """What a client in this process sees, in ms; nothing where there is no bash."""
    bash = shutil.which("bash")
    if bash is None:
        return {}
    worker = stage.worker("clock", 2, stage.script("clock", CLOCK.format(bash=bash)), "none")
    baked = {
        "url": f"http://127.0.0.1:{port}",
        "key_file": str(stage.key("caller", "client")),
        "roots": f"{MOVIES}={stage.movies}",
    }
    with Monitor(stage.url) as monitor:
        rows = [_call(baked, monitor) for _ in range(count + 1)][1:]
    stage.stop(worker)
    return {name: median(row[name] for row in rows) for name in rows[0]}


def _call(baked: dict[str, str], monitor: Monitor) -> dict[str, float]:
    """One call, step by step."""
    clock = _Clock()
    loaded = config.load(baked)
    body, _ = submit.submission("ffmpeg", NOTHING, loaded)
    clock.mark("prepare")
    connection = Connection(loaded.urls[0], loaded.key)
    asked = clock.mark("connect")
    _, headers, _ = connection.request("POST", messages.JOBS, body)
    job_id = headers["location"].rpartition("/")[2]
    rest = connection.upgrade(messages.job_path(job_id, "attach"))
    clock.mark("answer")
    began, ended = _follow(connection, rest)
    connection.close()
    submitted, started = monitor.moment(job_id, "submit"), monitor.moment(job_id, "start")
    moments = {
        "ask": submitted - asked,
        "wake-up": started - submitted,
        "spawn": began - started,
        "relay": ended - began,
    }
    return clock.took | {name: seconds * 1e3 for name, seconds in moments.items()}


def _follow(connection: Connection, rest: bytes) -> tuple[float, float]:
    """When the program began, as it says, and when its exit was known here."""
    decoder, printed = websocket.Decoder(), b""
    while True:
        for opcode, message in decoder.feed(rest):
            if opcode != websocket.BINARY:
                continue
            kind, _, payload = attach.decode(message)
            if kind == attach.STDOUT:
                printed += payload
            if kind == attach.EXIT:
                return float(printed), time.time()
        rest = connection.socket.recv(1 << 18)
        if not rest:
            raise Broken("the coordinator has closed the connection")


class _Clock:
    """The ms from mark to mark."""

    def __init__(self) -> None:
        self.took: dict[str, float] = {}
        self._last = time.time()

    def mark(self, name: str) -> float:
        """Ends a step here; the moment."""
        now = time.time()
        self.took[name] = (now - self._last) * 1e3
        self._last = now
        return now
