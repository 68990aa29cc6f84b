"""`ffgrid workers`, `drain`, `pause-worker` and `resume-worker`."""

from __future__ import annotations

import json
import os
from argparse import Namespace
from typing import Any

from app.cli.client import Client
from app.cli.errors import NOT_FOUND, Failure
from app.cli.progressbar import age
from app.cli.table import table
from app.cli.terminal import printable, put, say
from app.settings import Settings
from app.wire.messages import WORKERS
from app.wire.signing import ID_LENGTHS, is_word

HEADS = ("NAME", "STATE", "BUSY/SLOTS", "ROOTS", "FFMPEG", "SANDBOX", "VERSION", "LAST HEARD")


def workers(arguments: Namespace) -> int:
    """Lists the workers."""
    answer = _client(arguments).get(WORKERS)
    if arguments.json:
        print(json.dumps(answer))
    elif answer["workers"]:
        put(table(HEADS, [_row(worker) for worker in answer["workers"]]))
    else:
        say("no worker has been seen for a day: start one with `ffgrid worker`")
    return 0


def drain(arguments: Namespace) -> int:
    """Lets a worker finish what it has and end; or takes that back."""
    if arguments.resume:
        return resume(arguments)
    return _tell(arguments, "drain", "it takes nothing new and ends when its jobs have ended")


def pause(arguments: Namespace) -> int:
    """Lets a worker finish what it has and wait."""
    return _tell(arguments, "pause", f"it takes nothing new until: ffgrid resume-worker {arguments.worker}")


def resume(arguments: Namespace) -> int:
    """Lets a worker take jobs again."""
    return _tell(arguments, "resume", "it takes jobs")


def _tell(arguments: Namespace, what: str, meaning: str) -> int:
    if not is_word(arguments.worker, ID_LENGTHS):
        raise Failure(f"there is no worker {arguments.worker!r}", NOT_FOUND)
    answer = _client(arguments).post(f"{WORKERS}/{arguments.worker}/{what}")
    print(json.dumps(answer) if arguments.json else f"{answer['id']} is {answer['state']}: {meaning}")
    return 0


def _row(worker: dict[str, Any]) -> tuple[str, ...]:
    cells = (
        worker["id"],
        worker["state"],
        f"{worker['busy']}/{worker.get('slots', '?')}",
        ",".join([*worker.get("roots", ()), *(f"{name}?" for name in worker.get("silent_roots", ()))]) or "-",
        worker.get("binaries", {}).get("ffmpeg", "-"),
        worker.get("sandbox", "-"),
        worker.get("version", "-"),
        f"{age(worker['silent'])} ago",
    )
    return tuple(map(printable, cells))


def _client(arguments: Namespace) -> Client:
    return Client.of(Settings.load(os.environ, vars(arguments)))
