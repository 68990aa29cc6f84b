"""R17, R19 to R22: calls through the stand-in, while networks, callers and coordinators fail.

R17   answers are cut at any byte: by submissions through the stand-in, and of the command line
R19   the caller is killed; the caller and its coordinator are killed at the same moment
R20   a caller has no network for half a minute; another has none any more
R21   numbered lines, as the stand-in prints them and as `ffgrid logs -f` does, while coordinators are restarted
R22   random bytes on stdout, while connections are reset
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, redirect_stdout
from itertools import pairwise
from pathlib import Path
from typing import Any

from app.cli.client import Client, read_key
from app.wire.messages import JOBS
from tests.chaos.row import Row, Settings, none, seconds
from tests.cutter import Cutter, Hole, Shears
from tests.farm import Farm, until
from tests.whole.tools import events, ffmpegs, shim

CALLS, SHORT_CALLS = 200, 16
OURS = b"ffgrid: "  # begins what the command line itself says on stderr, such as that a coordinator is away
AT_ONCE = 4
TRIALS, SHORT_TRIALS = 8, 2
WATCHED = 1.6  # seconds after which a call has somebody who sees that it was killed
OFFLINE, GIVEN_UP = 30.0, 90.0  # seconds
LINES, SHORT_LINES, LINES_A_SECOND = 10_000, 1_500, 500
SIZE, SHORT_SIZE = 200 << 20, 20 << 20
WORDS = ["-f", "lavfi", "-i", "x", "-f", "null"]
# Pictures of 800 KiB that ffmpeg only passes on, so many a second: 50 MiB.
RAW = "-f rawvideo -pixel_format gray -video_size 1024x800 -framerate 64".split()
ENDLESS = ["-v", "error", "-re", "-f", "lavfi", "-i", "testsrc2=size=64x36:rate=25", "-f", "null"]
# An ffmpeg that does what `-metadata act=...` says, or is one.
ACTOR = f"""#!/bin/sh
case "$*" in
    *act=nothing*) exit 0;;
    *act=talk*) exec {sys.executable} -I -S -c '
import os, sys, time
lines, pace = int(sys.argv[1]), float(sys.argv[2])
began = time.monotonic()
for number in range(lines):
    os.write(2, b"line %%d\\n" %% number)
    time.sleep(max(0.0, began + number / pace - time.monotonic()))
' $(echo "$*" | sed 's/.*act=talk,\\([0-9]*\\),\\([0-9]*\\).*/\\1 \\2/');;
esac
exec {shutil.which("ffmpeg")} "$@"
""".replace("%%", "%")


def run(settings: Settings, wanted: Collection[str]) -> Iterator[Row]:
    """The rows."""
    rows: dict[str, Callable[[Farm, Settings], Iterator[Row]]] = {
        "R17": r17,
        "R19": r19,
        "R20": r20,
        "R21": r21,
        "R22": r22,
    }
    with tempfile.TemporaryDirectory(prefix="ffgrid-calls-") as folder:
        actor = Path(folder) / "actor"
        actor.write_text(ACTOR)
        actor.chmod(0o755)
        with ExitStack() as stack:
            with redirect_stdout(sys.stderr):  # where keys were written
                farm = stack.enter_context(Farm.start(Path(folder) / "farm", "redis", workers=0))
                # This interpreter is in no namespace.
                env = {"FFGRID_SANDBOX": "rewrite"}
                farm.start_worker("actor", slots=2 * TRIALS, ffmpeg=str(actor), env=env)
            farm.install_shim("--no-local")
            for name in rows:
                if name in wanted:
                    yield from rows[name](farm, settings)
                    farm.tidy()


# R17


def r17(farm: Farm, settings: Settings) -> Iterator[Row]:
    """Submissions whose answers are cut."""
    count = SHORT_CALLS if settings.short else CALLS
    for who, submit in (("the stand-in", _call), ("the command line", _post)):
        before = events(farm)
        with Shears(farm.webs[0].port, settings.random(f"R17 {who}")) as shears:
            url = f"http://127.0.0.1:{shears.port}"
            with ThreadPoolExecutor(AT_ONCE) as pool:
                failed = sum(not done for done in pool.map(submit, [farm] * count, [url] * count))
        made = {job: found for job, found in events(farm).items() if job not in before}
        twice = len(made) - count + failed + sum(found["start"] > 1 for found in made.values())
        beside = f"{count} of {who}, {shears.cuts} cuts"
        yield none("R17", f"jobs made or run twice, {beside}", max(0, twice))
        yield none("R17", "... that failed", failed)


def _call(farm: Farm, url: str) -> bool:
    call = _begin(farm, "act=nothing", url=url)
    call.communicate(timeout=60)
    return call.returncode == 0


def _post(farm: Farm, url: str) -> bool:
    body = {
        "key": secrets.token_hex(16),
        "binary": "ffmpeg",
        "args": [*WORDS, "-metadata", "act=nothing", "-"],
    }
    client = Client([url], read_key(farm.key_file))
    made = client.post(JOBS, body)["id"]
    return bool(client.post(JOBS, body)["id"] == made)


# R19


def r19(farm: Farm, settings: Settings) -> Iterator[Row]:
    """Callers that are killed."""
    count = SHORT_TRIALS if settings.short else TRIALS
    for what, with_web in (("a killed caller", False), ("... with its coordinator", True)):
        markers = [secrets.token_hex(8) for _ in range(count)]
        calls = [shim(farm, *ENDLESS, "-metadata", f"title={marker}", "-") for marker in markers]
        until(lambda markers=markers: all(map(ffmpegs, markers)))  # type: ignore[misc]
        time.sleep(WATCHED)
        began = time.monotonic()
        for call in calls:
            call.kill()
        if with_web:
            farm.webs[0].kill()
        died: dict[str, float] = {}
        while len(died) < count and time.monotonic() < began + 60:
            alive = _alive(markers)
            died.update(
                {one: time.monotonic() - began for one in markers if one not in alive and one not in died}
            )
            time.sleep(0.02)
        worst = max(died.values()) if len(died) == count else float("inf")
        yield seconds("R19", f"{what} -> its ffmpeg is gone, longest of {count}", worst, 3)
        if with_web:
            farm.restart_web(0)


def _alive(markers: Collection[str]) -> set[str]:
    return {marker for marker in markers if ffmpegs(marker)}


# R20


def r20(farm: Farm, settings: Settings) -> Iterator[Row]:
    """Callers without a network. A short run leaves out the one that never gets it back."""
    lines, pace = int((OFFLINE + 6) * 20), 20
    with Hole(farm.webs[0].port) as back, Hole(farm.webs[0].port) as gone:
        calls = [_talk(farm, lines * (1 + 9 * (hole is gone)), pace, hole.port) for hole in (back, gone)]
        jobs = until(lambda: running if len(running := _running(farm)) == len(calls) else None)
        time.sleep(2.0)
        began = time.monotonic()
        back.vanish()
        gone.vanish()
        time.sleep(OFFLINE)
        states = [farm.job(job)["state"] for job in jobs]
        back.appear()
        _, printed = calls[0].communicate(timeout=60)
        yield none(
            "R20",
            f"jobs killed of callers offline for {OFFLINE:.0f} s",
            len(states) - states.count("running"),
        )
        yield none("R20", f"... that did not end well ({lines} lines)", int(calls[0].returncode != 0))
        yield from _compared("R20", "...", [printed], lines)
        if not settings.short:
            (job,) = [job for job in jobs if farm.job(job)["state"] == "running"]
            until(lambda: farm.job(job)["state"] == "cancelled", within=GIVEN_UP)
            took = time.monotonic() - began
            yield seconds("R20", "a caller offline for good -> its job is cancelled", took, 60)
            yield Row("R20", "... and not before", took, 45, "s", at_least=True, exact=False)
        calls[1].kill()


def _running(farm: Farm) -> list[str]:
    return [job["id"] for job in farm.json("jobs", "--state", "running")["jobs"]]


# R21


def r21(farm: Farm, settings: Settings) -> Iterator[Row]:
    """Lines across restarts: one after the other, every other one by kill."""
    lines, every = (SHORT_LINES, 1.0) if settings.short else (LINES, 2.0)
    over, ways = threading.Event(), []

    def restart() -> None:
        while not over.wait(max(0.1, began + every * (len(ways) + 1) - time.monotonic())):
            gently = len(ways) % 4 in (0, 3)
            farm.restart_web(len(ways) % 2, gently)
            ways.append(gently)

    began = time.monotonic()
    submitted = farm.ffgrid("submit", "--", "ffmpeg", *_talking(lines, LINES_A_SECOND)).stdout.strip()
    follower = farm.begin("logs", "-f", submitted)
    call = _talk(farm, lines, LINES_A_SECOND)
    restarting = threading.Thread(target=restart)
    restarting.start()
    try:
        with ThreadPoolExecutor(2) as pool:
            said = list(pool.map(lambda one: one.communicate(timeout=120), (call, follower)))
    finally:
        over.set()
        restarting.join()
    failed = [one for one in (call, follower) if one.returncode != 0]
    how = f"{ways.count(False)} kills and {ways.count(True)} ends of coordinators"
    yield none("R21", f"calls and commands that failed, {how}", len(failed))
    yield from _compared("R21", "stand-in:", [said[0][1]], lines)
    yield from _compared("R21", "logs -f:", said[1], lines)


# R22


def r22(farm: Farm, settings: Settings) -> Iterator[Row]:
    """Bytes across cuts."""
    size = SHORT_SIZE if settings.short else SIZE
    path, expected, got, count = farm.client_root / "random.raw", hashlib.sha256(), hashlib.sha256(), 0
    with path.open("wb") as file:
        for _ in range(size >> 20):
            block = os.urandom(1 << 20)
            expected.update(block)
            file.write(block)
    with Cutter(farm.webs[1].port, 0.2 if settings.short else 0.5) as cutter:
        environ = {**farm.environ, "FFGRID_URL": f"http://127.0.0.1:{cutter.port}"}
        words = ["-v", "error", "-re", *RAW, "-i", path, "-c", "copy", "-f", "rawvideo", "-"]
        call = shim(farm, *words, env=environ)
        assert call.stdout
        while data := call.stdout.read(1 << 18):
            got.update(data)
            count += len(data)
        call.wait(30)
    path.unlink()
    beside = f"{size >> 20} MiB of stdout, {cutter.cuts} connections reset"
    yield none("R22", f"bytes missing of {beside}", abs(size - count))
    yield none(
        "R22", "hashes that differ", int(got.digest() != expected.digest()) + int(call.returncode != 0)
    )


# All of them


def _begin(farm: Farm, act: str, url: str = "") -> subprocess.Popen[bytes]:
    environ = {**farm.environ, "FFGRID_CACHE": "", **({"FFGRID_URL": url} if url else {})}
    return shim(farm, *WORDS, "-metadata", act, "-", env=environ)


def _talking(lines: int, pace: int) -> Sequence[str]:
    return [*WORDS, "-metadata", f"act=talk,{lines},{pace}", "-"]


def _talk(farm: Farm, lines: int, pace: int, port: int = 0) -> subprocess.Popen[bytes]:
    return _begin(farm, f"act=talk,{lines},{pace}", f"http://127.0.0.1:{port}" if port else "")


def _compared(row: str, what: str, said: Sequence[Any], lines: int) -> Iterator[Row]:
    """What is wrong with numbered lines."""
    printed = [line for line in b"".join(said).splitlines() if not line.startswith(OURS)]
    words = [line.split() for line in printed]
    numbers = [int(word[1]) for word in words if len(word) == 2 and word[0] == b"line" and word[1].isdigit()]
    yield none(row, f"{what} lines lost of {lines}", lines - len(set(numbers)))
    yield none(row, f"{what} doubled", len(numbers) - len(set(numbers)))
    yield none(row, f"{what} out of order", sum(later < earlier for earlier, later in pairwise(numbers)))
    yield none(row, f"{what} that are something else", len(words) - len(numbers))
