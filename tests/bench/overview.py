"""What the first page weighs for a browser that has never been here: the page and all that it loads, as on the wire.

Beside it: the same uncompressed. And how many other hosts it sends the browser to.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

from tests.bench import reporting
from tests.bench.figure import Aim, Figure
from tests.bench.harness import Options, Stage
from tests.bench.timing import Broken
from tests.bench.visitor import get, sessions

SMALL, NOBODY = Aim(60), Aim(0)
LOADED = re.compile(r'<(?:script|img|link|source|iframe)\b[^>]*?\b(?:src|href)="([^"]+)"')
WITHIN_STYLE = re.compile(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)")


def run(options: Options) -> Iterator[Figure]:
    """The figures."""
    with Stage(options) as stage:
        port, (cookie,) = stage.web(), sessions(stage, 1)
        side = stage.side(reporting.report, jobs=4, every=1.0)
        side.hear()
        side.hear()
        carried, whole, foreign = _load(port, cookie)
    yield Figure("overview.cold", carried / 1024, "KiB", whole / 1024, "uncompressed", aim=SMALL)
    yield Figure("overview.hosts", foreign, "hosts", aim=NOBODY)


def _load(port: int, cookie: str) -> tuple[int, int, int]:
    """Bytes on the wire, bytes of the texts, and how many other hosts are named. Raises Broken."""
    todo, done, foreign = ["/"], set[str](), set[str]()
    carried = whole = 0
    while todo:
        path = todo.pop()
        if path in done or path.startswith("data:"):
            continue
        if not path.startswith("/") or path.startswith("//"):
            foreign.add(path)
            continue
        done.add(path)
        page = get(port, path, cookie)
        if page.status != 200:
            raise Broken(f"{path} answers {page.status}")
        carried, whole = carried + page.carried, whole + len(page.text.encode())
        if path == "/":
            todo += [unescape(found) for found in LOADED.findall(page.text)]
        elif ".css" in path:
            todo += [one or other for one, other in WITHIN_STYLE.findall(page.text)]
    return carried, whole, len(foreign)
