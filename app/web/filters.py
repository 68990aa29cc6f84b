"""Filters of lists as people and programs write them: in a query, and as JSON, with the same words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from app.state.lifecycle import STATES
from app.state.listing import Filter
from app.web import schema
from app.web.problems import Problem
from app.wire.messages import LANES

QUERIES = {
    "state": f"only jobs in this state: {', '.join(STATES)}",
    "lane": f"only jobs in this lane: {', '.join(LANES)}",
    "worker": "only jobs that this worker has, or had last",
    "owner": "only jobs of this key; others' are for admins",
    "label": "only jobs with this label, `name=value`; may be repeated",
    "q": "only jobs with this text in their command or id, in whatever case",
    "since": "only jobs made since then: Unix seconds, `2026-11-29`, `2026-11-29T08:00`, or `24h` (s, m, h, d, w) ago",
    "until": "only jobs made before then",
}
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_TEXT = 256  # characters of a text, a worker's or an owner's name


def parse(words: Mapping[str, str], labels: Sequence[str], now: int) -> Filter:
    """The filter of these words; `now` is Unix ms. An empty word is none. Raises Problem 422."""
    for name in ("worker", "owner", "q"):
        if len(words.get(name, "")) > _TEXT:
            raise Problem(422, "invalid", f"{name}: expected at most {_TEXT} characters")
    return Filter(
        state=_one_of("state", words, STATES),
        lane=_one_of("lane", words, LANES),
        worker=words.get("worker", ""),
        owner=words.get("owner", ""),
        labels=tuple(schema.labels([label for label in labels if label]).items()),
        text=words.get("q", "").strip(),
        since=_moment("since", words, now),
        until=_moment("until", words, now),
    )


def words(which: Filter) -> dict[str, Any]:
    """The filter in the words that `parse` reads, without those that are empty."""
    plain = {
        "state": which.state,
        "lane": which.lane,
        "worker": which.worker,
        "owner": which.owner,
        "q": which.text,
    }
    found: dict[str, Any] = {name: value for name, value in plain.items() if value}
    if which.labels:
        found["label"] = [f"{name}={value}" for name, value in which.labels]
    times = {"since": which.since, "until": which.until}
    return found | {name: ms / 1000 for name, ms in times.items() if ms is not None}


def _one_of(name: str, words: Mapping[str, str], known: Sequence[str]) -> str:
    word = words.get(name, "")
    if word and word not in known:
        raise Problem(422, "invalid", f"{name}: {word!r} is none of {', '.join(known)}")
    return word


def _moment(name: str, words: Mapping[str, str], now: int) -> int | None:
    """Unix ms. A time without a zone is UTC's."""
    word = words.get(name, "").strip()
    if not word:
        return None
    if found := re.fullmatch(r"(\d{1,9})([smhdw])", word, re.ASCII):
        return max(0, now - int(found[1]) * _UNITS[found[2]] * 1000)
    if re.fullmatch(r"\d{1,11}(\.\d{1,9})?", word, re.ASCII):
        return int(float(word) * 1000)
    try:
        moment = datetime.fromisoformat(word)
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return max(0, int(aware.timestamp() * 1000))
    except (ValueError, OverflowError):
        detail = (
            f"{name}: expected a time such as 24h, 2026-11-29, 2026-11-29T08:00 or Unix seconds, got {word!r}"
        )
        raise Problem(422, "invalid", detail) from None
