"""`ffgrid fallbacks`: the calls that the stand-ins ran on their own hosts."""

from __future__ import annotations

import json
import os
import time
from argparse import Namespace
from typing import Any

from app.cli.client import Client
from app.cli.errors import USAGE, Failure
from app.cli.table import table
from app.cli.terminal import printable, put, say
from app.settings import Settings
from app.wire.messages import FALLBACKS

HEADS = ("TIME", "CLIENT", "PROGRAM", "CALLS", "REASON")
LIMIT = 1000  # rows in one answer, at most


def fallbacks(arguments: Namespace) -> int:
    """Lists them, the last reported first."""
    if not 1 <= arguments.limit <= LIMIT:
        raise Failure(f"--limit: expected a number from 1 to {LIMIT}, got {arguments.limit}", USAGE)
    client = Client.of(Settings.load(os.environ, vars(arguments)))
    answer = client.get(f"{FALLBACKS}?limit={arguments.limit}")
    if arguments.json:
        print(json.dumps(answer))
    elif answer["fallbacks"]:
        put(table(HEADS, [_row(one) for one in answer["fallbacks"]]))
    else:
        say("no client has reported a call that ran on its own host")
    return 0


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(one["at"]))
    return tuple(map(printable, (at, one["client"], one["binary"], str(one["count"]), one["reason"])))
