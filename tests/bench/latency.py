"""From a worker's report to the change in a page: at a stream of one coordinator, and in the DOM of a real Chromium
that looks at another one.

The report is written by the real script in a process of its own; all clocks are this host's. Beside it: how long a
page takes that is asked for anew. Reports come every 0.37 s, so that they meet all phases of what happens four times
a second.
"""

from __future__ import annotations

import re
import select
import time
from collections.abc import Iterator
from typing import Any

from tests.bench import reporting
from tests.bench.figure import Aim, Figure
from tests.bench.harness import Options, Side, Stage
from tests.bench.reporting import SCALE
from tests.bench.stats import median, percentile
from tests.bench.visitor import get, sessions, streams

EVERY = 0.37
SAMPLES, LONG_SAMPLES = 50, 300
WARMING = 5  # reports that are not counted
PAGES = 10
SOON = Aim(500)
BAR = re.compile(rb'<progress[^>]* value="0\.(\d{4})"')
# Keeps when a bar had which value first.
WATCH = """() => {
  window.seen = {};
  const look = () => document.querySelectorAll("#running progress[value]").forEach(bar => {
    const value = Number(bar.getAttribute("value")).toFixed(4);
    window.seen[value] ??= performance.timeOrigin + performance.now();
  });
  new MutationObserver(look).observe(document.body, {subtree: true, childList: true, attributes: true});
}"""


def run(options: Options) -> Iterator[Figure]:
    """The figures."""
    count = LONG_SAMPLES if options.long else SAMPLES
    with Stage(options) as stage:
        first, second = stage.web(), stage.web()
        (cookie,) = sessions(stage, 1)
        side = stage.side(reporting.report, jobs=1, every=EVERY)
        side.hear()
        took = median(get(second, "/", cookie).seconds * 1e3 for _ in range(PAGES))
        streamed = _streamed(side, first, cookie, count)
        yield from _figures("stream", streamed, took)
        shown = _shown(side, second, cookie, count)
        yield from _figures("dom", shown, took)


def _figures(name: str, took: list[float], page: float) -> Iterator[Figure]:
    for percent in (50, 95):
        value = percentile(took, percent)
        aim = SOON if percent == 95 else None
        yield Figure(f"latency.{name}.p{percent}", value, "ms", page, "a whole page", value - page, aim=aim)


def _streamed(side: Side, port: int, cookie: str, count: int) -> list[float]:
    """How many ms a report takes to come out of a stream, for each that was seen."""
    topics = get(port, "/", cookie).events.partition("t=")[2].partition("&")[0]
    (stream,) = streams(port, topics, [cookie])
    reported, seen, rest = {}, {}, b""
    assert side.process.stdout
    while len(reported) < count + WARMING:
        ready, _, _ = select.select([stream, side.process.stdout], [], [])
        if side.process.stdout in ready:
            number, at = side.hear()
            reported[number] = at
        if stream in ready:
            now, text = time.monotonic(), rest + stream.recv(1 << 18)
            *_, rest = text.rsplit(b"\n", 1)
            for value in BAR.findall(text):
                seen.setdefault(int(value), now)
    stream.close()
    return _between(reported, seen)


def _shown(side: Side, port: int, cookie: str, count: int) -> list[float]:
    """The same for a page in a browser."""
    from tests.whole.browser.tabs import chromium

    with chromium() as browser:
        context = browser.new_context()
        name, _, value = cookie.partition("=")
        context.add_cookies([{"name": name, "value": value, "url": f"http://127.0.0.1:{port}"}])
        page = context.new_page()
        page.goto(f"http://127.0.0.1:{port}/")
        page.evaluate(WATCH)
        began = time.monotonic()
        reported = {}
        while len(reported) < count + WARMING:
            number, at = side.hear()
            if at > began:  # not one that was waiting to be heard
                reported[number] = at
        offset = time.time() - time.monotonic()
        told: dict[str, Any] = page.evaluate("() => window.seen")
        context.close()
    seen = {round(float(value) * SCALE): at / 1e3 - offset for value, at in told.items()}
    return _between(reported, seen)


def _between(reported: dict[int, float], seen: dict[int, float]) -> list[float]:
    """Of those that were seen: a report that the next has overtaken never is."""
    numbers = sorted(number for number in reported if number in seen)[WARMING:]
    return [(seen[number] - reported[number]) * 1e3 for number in numbers]
