"""Which jobs: the flags that `jobs`, `cancel` and `retry` share, and the API's words for them."""

from __future__ import annotations

import re
import time
from argparse import Namespace
from typing import Any

from app.cli.command import argument
from app.cli.moments import TIMES, moment
from app.state.lifecycle import STATES
from app.wire.messages import LANES

FILTERS = (
    argument("--state", choices=STATES, help="only jobs in this state"),
    argument("--lane", choices=LANES, help="only jobs in this lane"),
    argument("--worker", metavar="NAME", help="only jobs that this worker has, or had last"),
    argument("--owner", metavar="KEY", help="only jobs of this key; others' are for admins"),
    argument(
        "--label",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="only jobs with this label; may be repeated",
    ),
    argument("--text", metavar="TEXT", help="only jobs with this text in their command or id"),
    argument("--since", metavar="TIME", help=f"only jobs made since then: {TIMES}"),
    argument("--until", metavar="TIME", help="only jobs made before then"),
)
NAMES = {"state": "state", "lane": "lane", "worker": "worker", "owner": "owner", "text": "q"}


def words(arguments: Namespace) -> dict[str, Any]:
    """The filter as the API has it; {} when nothing is asked for. Raises Failure."""
    said = {word: getattr(arguments, name) for name, word in NAMES.items() if getattr(arguments, name)}
    times = {
        name: _moment(getattr(arguments, name), f"--{name}")
        for name in ("since", "until")
        if getattr(arguments, name) is not None
    }
    return {**said, **times, **({"label": arguments.label} if arguments.label else {})}


def _moment(text: str, flag: str) -> str:
    """A time ago is the coordinator's to count, by its own clock; a date means this host's. Raises Failure."""
    if re.fullmatch(r"\d{1,9}[smhdw]", text, re.ASCII):
        return text
    return f"{moment(text, flag, time.time()):.3f}"
