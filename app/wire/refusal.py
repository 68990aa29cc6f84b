"""What a coordinator's refusal means, for people and for our clock. Imported only when something has gone wrong."""

from __future__ import annotations

import json
from email.utils import parsedate_to_datetime

from app.wire.signing import WINDOW

# How wrong a clock may be for that to be put right, in seconds. See `correction`.
TRUSTED = 72_000


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


def correction(date: str, now: float, known: float) -> float | None:
    """How many seconds a clock is behind that of who refused our signature; None when that is not the reason.

    `known` is by how much it was put right already. Nobody has signed that date: who can forge an answer can have
    us sign requests for another time. They fail then, and he could have dropped them; or he keeps them until that
    time comes, for a coordinator whose clock he does not control, and each is good once, for what it says, as ever.
    A submission is not even a second job then: its key is remembered for a day, which is longer than TRUSTED.
    """
    found = -skew(date, now)
    is_news = bool(date) and abs(found - known) > WINDOW / 2
    return found if is_news and abs(found) < TRUSTED else None


def skew(date: str, now: float) -> float:
    """How many seconds `now` is ahead of an HTTP date; 0 when there is none."""
    try:
        return now - parsedate_to_datetime(date).timestamp()
    except (TypeError, ValueError):
        return 0.0
