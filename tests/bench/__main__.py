"""`python -m tests.bench [NAME ...]`: measures, and prints a table. Writes nothing else."""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from types import FrameType
from typing import Any

from tests.bench.figure import HEADS, Figure, line
from tests.bench.harness import Options
from tests.bench.timing import Broken, within

WHOLE_SECONDS = 700.0
# name -> (module and function, seconds it may take, what it measures)
BENCHMARKS = {
    "shim": ("shim:run", 75, "added time of a call through the stand-in, and what each part of it costs"),
    "probe": ("probe:run", 120, "ffprobe of one file, of one file again, of many files at once"),
    "streams": ("streams:run", 60, "MiB/s of binary output, and the memory that it takes"),
    "interactive": ("interactive:run", 75, "what somebody waits for: first byte, log line, first segment"),
    "crowd": ("crowd:run", 60, "a hundred calls at once: are they right, and how large is each"),
    "cuts": ("cuts:run", 60, "a network that resets every connection each second: what is lost"),
    "pickup": ("pickup:run", 40, "how long a job waits for an idle worker"),
    "queue": ("queue:run", 50, "jobs a second through the queue alone, one worker process"),
    "processes": ("processes:run", 60, "jobs a second with a process each, against bare spawning"),
    "requests": ("requests:run", 50, "signed requests a second of one coordinator process"),
    "recovery": ("recovery:run", 75, "from the kill of a worker to its job running on another"),
    "memory": ("memory:run", 25, "memory of the idle parts"),
    "tabs": (
        "tabs:run",
        75,
        "200 open first pages: what they take of a processor, idle and at 4 changes a second",
    ),
    "latency": ("latency:run", 90, "from a worker's report to the change in a page, also in a real browser"),
    "overview": ("overview:run", 20, "bytes of the first page for a browser that has never been here"),
    "lists": ("lists:run", 200, "the list of 100 000 jobs: newest, filtered, a hundred pages deep"),
    "scale": ("scale:run", 300, "100 000 queued jobs and 1 000 idle workers: what gets slower, is any lost"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs what was asked for; 1 when a benchmark could not be measured, 0 whatever the figures are."""
    arguments = _parser().parse_args(argv)
    if arguments.list:
        for name, (_, _, what) in BENCHMARKS.items():
            print(f"{name:<10} {what}")
        return 0
    signal.signal(signal.SIGTERM, _interrupt)
    options = Options(arguments.server, arguments.long)
    ends = time.monotonic() + (3600 if arguments.long else WHOLE_SECONDS)
    show = _Json() if arguments.json else _Table()
    broken = False
    try:
        for name in arguments.names or BENCHMARKS:
            broken |= _measure(name, options, show, ends - time.monotonic())
    except KeyboardInterrupt:
        return 130
    finally:
        show.end()
    return int(broken)


def _measure(name: str, options: Options, show: _Table | _Json, left: float) -> bool:
    """Shows the figures of one benchmark, which has what is left of the whole run's time; whether it broke."""
    place, seconds, _ = BENCHMARKS[name]
    module, _, function = place.partition(":")
    run: Callable[[Options], Iterator[Figure]] = getattr(import_module(f"tests.bench.{module}"), function)
    try:
        with within(max(1.0, min(left, seconds * (10 if options.long else 1)))):
            for figure in run(options):
                show.figure(figure)
    except (Broken, OSError, EOFError) as error:
        show.broken(name, str(error))
        return True
    return False


class _Table:
    """A line for each figure, as soon as it is known."""

    def __init__(self) -> None:
        print(_machine())
        print(line(HEADS), flush=True)

    def figure(self, figure: Figure) -> None:
        print(line(figure.row()), flush=True)

    def broken(self, name: str, why: str) -> None:
        print(f"{name}: broken: {why}", file=sys.stderr, flush=True)

    def end(self) -> None:
        """All is said."""


class _Json:
    """One document at the end."""

    def __init__(self) -> None:
        self._figures: list[dict[str, Any]] = []
        self._broken: dict[str, str] = {}

    def figure(self, figure: Figure) -> None:
        self._figures.append(figure.json())

    def broken(self, name: str, why: str) -> None:
        self._broken[name] = why

    def end(self) -> None:
        print(json.dumps({"machine": _machine(), "figures": self._figures, "broken": self._broken}, indent=1))


def _machine() -> str:
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg()[:2])
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"{time.strftime('%Y-%m-%d %H:%M')}, {os.cpu_count()} cores, load {load}, {system}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", type=_known, help="default: all of them")
    parser.add_argument("--list", action="store_true", help="say what there is, and measure nothing")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--long", action="store_true", help="take more samples, for minutes")
    parser.add_argument(
        "--server",
        choices=("redis", "embedded"),
        default="redis",
        help="redis-server of PATH, or the embedded Valkey",
    )
    return parser


def _known(name: str) -> str:
    if name not in BENCHMARKS:
        raise argparse.ArgumentTypeError(f"there is no {name!r}: choose from {', '.join(BENCHMARKS)}")
    return name


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
