"""A coordinator's refusal as one sentence for people. Imported only when something has gone wrong."""

from __future__ import annotations

import json
from email.utils import parsedate_to_datetime

from app.wire.signing import WINDOW


def sentence(status: int, body: bytes, date: str, now: float) -> str:
    """What a problem document says; for 401, whether this host's clock is the reason.

    `date` is the answer's Date header, `now` this host's time in Unix seconds.
    """
    if status == 401 and abs(skew(date, now)) > WINDOW:
        ahead = "ahead of" if skew(date, now) > 0 else "behind"
        return f"this host's clock is {abs(skew(date, now)):.0f} s {ahead} the coordinator's: set it right"
    try:
        return str(json.loads(body)["detail"])
    except (ValueError, KeyError, TypeError):
        return f"the coordinator answered with status {status}"


def skew(date: str, now: float) -> float:
    """How many seconds `now` is ahead of an HTTP date; 0 when there is none."""
    try:
        return now - parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError):
        return 0.0
