"""`ffgrid workers`, `queues`, `drain`, `pause-worker` and `resume-worker`."""

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
from app.wire.messages import LANES, QUEUES, WORKERS
from app.wire.signing import ID_LENGTHS, is_word

QUEUE_HEADS = ("NEEDS", *(lane.upper() for lane in LANES), "RUNNING", "OLDEST", "WORKERS")
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


def queues(arguments: Namespace) -> int:
    """Lists the queues that hold something, or that were used; says why nobody serves one."""
    answer = _client(arguments).get(QUEUES)
    if arguments.json:
        print(json.dumps(answer))
        return 0
    held = [one for one in answer["queues"] if one["queued"] or one["running"]]
    if held:
        put(table(QUEUE_HEADS, [_queue_row(one) for one in held]))
    else:
        say("nothing waits and nothing runs")
    for one in held:
        if one["queued"] and one["why"]:
            say(f"{_needs(one)}: {one['why']}")
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


def _queue_row(one: dict[str, Any]) -> tuple[str, ...]:
    cells = (
        _needs(one),
        *(str(one["lanes"][lane]["queued"]) for lane in LANES),
        str(one["running"]),
        "-" if one["oldest"] is None else age(one["oldest"]),
        ",".join(one["workers"]) or "nobody",
    )
    return tuple(map(printable, cells))


def _needs(one: dict[str, Any]) -> str:
    """What the jobs of a queue need."""
    labels = [f"{name}={value}" for name, value in one["labels"].items()]
    return " ".join([one["binary"], *one["roots"], *one["encoders"], *labels])


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
