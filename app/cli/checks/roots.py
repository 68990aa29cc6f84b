"""The roots: a small file is written here, and each worker that has the root must come to see it.

A wrong path on one of two hosts is the fault that is made most often, and the one that shows itself last.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from functools import partial
from hashlib import md5
from pathlib import Path
from time import monotonic, sleep

from app.cli.checks.finding import BAD, OK, SKIPPED, WARN, Check, Finding, together
from app.cli.checks.scene import Scene, Worker
from app.cli.errors import Failure

PREFIX = ".ffgrid-probe-"
BYTES = 4096
PAUSE = 0.5  # seconds between two looks
SHOWS_SECONDS = 10.0  # in which a file has to show up: network file systems may be that late
NO_ROOTS = (
    "FFGRID_ROOTS is not set here: say which directory of this host each root is, as Movies=/media/movies"
)


def root(scene: Scene, name: str, path: str) -> Sequence[Finding]:
    """One root on this host and on every live worker. The file that is written is removed in any case."""
    said = _here(path)
    if said:
        return [Finding("root", BAD, f"{name}: {said}", f"ls -ld {path}; or correct FFGRID_ROOTS")]
    having = [worker for worker in scene.workers if name in worker.get("roots", ())]
    lacking = [_lacking(worker, name, bool(having)) for worker in scene.workers if worker not in having]
    if not having:
        return lacking or [Finding("root", SKIPPED, f"{name}: no live worker is there to look at it")]
    probe, content = Path(path) / f"{PREFIX}{secrets.token_hex(6)}", secrets.token_bytes(BYTES)
    scene.mess.add(str(probe), partial(probe.unlink, missing_ok=True))
    try:
        _write(probe, content)
    except OSError as error:
        why = f"{name}: cannot write into {path} ({error.strerror}), so what workers see was not compared"
        return [
            Finding("root", SKIPPED, why, f"run the doctor as a user who may write into {path}"),
            *lacking,
        ]
    try:
        wanted = md5(content, usedforsecurity=False).hexdigest()
        looks: list[tuple[str, Check]] = [
            ("root", partial(_seen, scene, worker["id"], name, probe, wanted)) for worker in having
        ]
        return [*together(looks, scene.until - 0.5), *lacking]
    finally:
        scene.mess.take_away(str(probe))


def _here(path: str) -> str:
    """What is wrong with a directory of this host; "" for nothing."""
    if not os.path.isdir(path):
        return f"there is no directory {path} on this host"
    return "" if os.access(path, os.R_OK | os.X_OK) else f"you cannot read {path} on this host"


def _lacking(worker: Worker, name: str, others: bool) -> Finding:
    if name in worker.get("silent_roots", ()):
        sentence = f"{name}: the directory does not answer on {worker['id']}"
        return Finding("root", BAD, sentence, f"on {worker['id']}: look at its mount, mount it anew")
    sentence = f"{name}: {worker['id']} does not have it, so it takes no job that names it"
    mend = f"on {worker['id']}: add {name}=/its/directory to FFGRID_ROOTS, and start the worker anew"
    return Finding("root", WARN if others else BAD, sentence, mend)


def _write(probe: Path, content: bytes) -> None:
    with probe.open("xb") as file:
        os.fchmod(file.fileno(), 0o644)  # workers may run as another user
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _seen(scene: Scene, worker: str, name: str, probe: Path, wanted: str) -> Sequence[Finding]:
    """Looks again and again, until the worker reads what was written."""
    began, reason = monotonic(), ""
    while not reason or monotonic() < min(began + SHOWS_SECONDS, scene.until - 3):
        try:
            ran = scene.run(
                worker, ["-v", "error", "-f", "u8", "-i", str(probe), "-c", "copy", "-f", "md5", "-"]
            )
        except Failure as failure:
            return [Finding("root", SKIPPED, f"{name}: {worker} could not be asked: {failure}")]
        if not ran.taken:
            return [Finding("root", SKIPPED, f"{name}: {worker} could not be asked: {ran.reason}")]
        if not ran.reason and ran.out.strip().lower() == f"md5={wanted}":
            late = monotonic() - began
            return [Finding("root", OK, f"{name}: {worker} sees within {late:.1f} s what is written here")]
        reason = (ran.err.strip().splitlines() or [ran.reason or "it read something else"])[-1]
        sleep(PAUSE)
    sentence = f"{name}: {worker} does not see what is written into {probe.parent} here: {reason}"
    mend = f"on {worker}: let {name} in FFGRID_ROOTS be the same directory as {probe.parent} here"
    return [Finding("root", BAD, sentence.replace(probe.name, "the probe"), mend)]
