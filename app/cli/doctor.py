"""`ffgrid doctor`: is all well? A line for each check, with the command that mends what is wrong."""

from __future__ import annotations

import json
import os
import sys
from argparse import Namespace
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import asdict
from functools import partial
from time import monotonic

from app.cli.checks.coordinators import coordinator
from app.cli.checks.disk import disk
from app.cli.checks.finding import BAD, OK, SKIPPED, WARN, Check, Finding, together
from app.cli.checks.launchers import shim
from app.cli.checks.machines import frame, hardware, worker
from app.cli.checks.roots import NO_ROOTS, root
from app.cli.checks.scene import Scene, Worker
from app.cli.checks.server import redis
from app.cli.checks.stream import stream
from app.cli.client import Client
from app.cli.errors import FAILED, Failure
from app.cli.terminal import painted, printable, put
from app.cli.waiting import Stopped, stoppable
from app.settings import Settings
from app.wire.messages import WORKERS

SECONDS = 30.0  # for all checks together, if nothing else is said
SIGNS = {
    OK: ("✓", "+", "green"),
    WARN: ("!", "!", "yellow"),
    BAD: ("✗", "x", "red"),
    SKIPPED: ("-", "-", "cyan"),
}
NO_WORKER = "start one: ffgrid worker (on a host with ffmpeg; `ffgrid init` prints the lines)"


def run(arguments: Namespace) -> int:
    """Makes all checks; 1 when something is bad."""
    found = []
    settings = Settings.load(os.environ, vars(arguments))
    try:
        with stoppable(), closing(examine(settings, arguments.shim, arguments.timeout)) as findings:
            for one in findings:
                found.append(one)
                if not arguments.json:
                    tell(one)
    except Stopped as stop:
        return 128 + stop.number
    is_well = all(one.verdict != BAD for one in found)
    if arguments.json:
        print(json.dumps({"ok": is_well, "checks": [asdict(one) for one in found]}))
    else:
        put(summary(found))
    return 0 if is_well else FAILED


def examine(
    settings: Settings, launchers: str | None, seconds: float = SECONDS
) -> Generator[Finding, None, None]:
    """All findings, as they come."""
    until = monotonic() + seconds
    alone = Scene(settings, (), until)
    first: list[tuple[str, Check]] = [("redis", partial(redis, settings)), ("disk", partial(disk, settings))]
    first += [("coordinator", partial(coordinator, alone, url)) for url in settings.urls]
    yield from together(first, until)
    try:
        workers = Client.of(settings).get(WORKERS)["workers"]
    except Failure:
        for name in ("worker", "root", "encoder", "stream"):
            yield Finding(name, SKIPPED, "no coordinator could be asked: see above")
        yield from together([("shim", partial(shim, launchers))], until)
        return
    live = [one for one in workers if one["state"] != "offline"]
    if not live:
        yield Finding("worker", BAD, "no live worker: nothing can run", NO_WORKER)
    scene = Scene(
        settings,
        [one for one in live if not one["draining"] and not one.get("paused")],
        until,
        seconds / SECONDS,
    )
    try:
        yield from together(
            [*_machines(scene, live), *_places(scene), ("shim", partial(shim, launchers))], until
        )
    finally:
        scene.mess.clear()


def _machines(scene: Scene, live: list[Worker]) -> Iterator[tuple[str, Check]]:
    for one in live:
        yield "worker", partial(worker, one)
    for one in scene.workers:
        for encoder in hardware(one):
            yield "encoder", partial(frame, scene, one["id"], encoder)


def _places(scene: Scene) -> Iterator[tuple[str, Check]]:
    for name, path in scene.settings.roots.items():
        yield "root", partial(root, scene, name, path)
    if not scene.settings.roots:
        yield "root", lambda: [Finding("root", SKIPPED, NO_ROOTS)]
    for url in scene.settings.urls:
        yield "stream", partial(stream, scene, url)


def tell(one: Finding) -> None:
    """Prints a finding: a sign, a word, the check and the sentence; below it what mends it."""
    sign, plain, colour = SIGNS[one.verdict]
    if not sys.stdout.encoding.lower().startswith("utf"):
        sign = plain
    word = painted(f"{sign} {one.verdict:<7}", colour, sys.stdout)
    put(f"{word} {one.check:<17} {printable(one.sentence)}")
    if one.mend:
        put(f"{'':<28}mend it: {printable(one.mend)}")


def summary(found: list[Finding]) -> str:
    """The last line."""
    counts = [(sum(one.verdict == verdict for one in found), verdict) for verdict in SIGNS]
    return ", ".join(f"{count} {verdict}" for count, verdict in counts if count)
