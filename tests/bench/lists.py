"""The list of 100 000 jobs: its first page, filtered, and a hundred pages deep. Server time, and bytes on the wire.

A page is asked for over an open connection, as a browser has one. Beside it: the same page of a coordinator that has 50
jobs. By turns; the median. Where filling takes too long, a fifth of it is measured, and the names say so.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack

from tests.bench import scale
from tests.bench.figure import Aim, Figure
from tests.bench.harness import Options, Stage
from tests.bench.stats import median
from tests.bench.timing import Broken
from tests.bench.visitor import WITHIN, Page, ask, get, sessions

WAYS = {
    "newest": "/jobs",
    "state": "/jobs?state=queued",
    "two": "/jobs?state=queued&lane=normal",
    "none": "/jobs?state=failed",
}
DEEP = 100  # pages
TURNS, LONG_TURNS = 20, 100
SOON, SMALL = Aim(50), Aim(20)
OLDER = re.compile(r'href="(/jobs\?[^"]*before=[^"]+)"')


def run(options: Options) -> Iterator[Figure]:
    """The figures."""
    with ExitStack() as stack:
        full, empty = (stack.enter_context(Stage(options)) for _ in range(2))
        size, _, _ = scale.fill(full, options.long)
        scale.filled(empty, "page", scale.PAGE)
        sides = [(stage.web(), *sessions(stage, 1)) for stage in (full, empty)]
        ways = {**WAYS, "deep": _deep(*sides[0])}
        name = f"lists-{size.jobs // 1000}k"
        for way, path in ways.items():
            pages = _turns(sides, path, LONG_TURNS if options.long else TURNS)
            took, beside = (median(page.seconds * 1e3 for page in some) for some in pages)
            yield Figure(f"{name}.{way}", took, "ms", beside, "50 jobs", took - beside, aim=SOON)
            yield Figure(f"{name}.{way}.bytes", pages[0][-1].carried / 1024, "KiB", aim=SMALL)


def _turns(sides: list[tuple[int, str]], path: str, count: int) -> list[list[Page]]:
    """The page, so many times, of each side by turns. Raises Broken."""
    with ExitStack() as stack:
        lines = [
            (stack.enter_context(socket.create_connection(("127.0.0.1", port), WITHIN)), cookie)
            for port, cookie in sides
        ]
        rounds = [[ask(line, path, cookie) for line, cookie in lines] for _ in range(count + 1)][1:]
    pages = [list(some) for some in zip(*rounds, strict=True)]
    if {page.status for some in pages for page in some} != {200}:
        raise Broken(f"{path} answers {pages[0][0].status}")
    return pages


def _deep(port: int, cookie: str) -> str:
    """Where a hundred clicks on the older ones lead. Raises Broken."""
    path = "/jobs"
    for _ in range(DEEP):
        found = OLDER.search(get(port, path, cookie).text)
        if not found:
            raise Broken(f"{path} leads to no older jobs")
        path = found[1].replace("&amp;", "&")
    return path
