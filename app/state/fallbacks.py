"""Calls that the stand-in ran on its own host, as clients have reported them: a bounded stream, the newest stay."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256

from app.state.connect import Connection
from app.state.keys import Keys
from app.state.scripting import Scripts

KEPT = 1_000  # entries, about
KEPT_MS = 30 * 86_400_000  # how long they are kept after the last report


@dataclass(frozen=True)
class Fallback:
    """Calls of one binary that ran on their client's host for one reason; `at` is the last of them, Unix seconds."""

    at: float
    binary: str
    count: int
    reason: str
    client: str


class Fallbacks:
    """The record of all clients' calls that were not sent away."""

    def __init__(self, redis: Connection, keys: Keys, scripts: Scripts) -> None:
        self._redis = redis
        self._keys = keys
        self._scripts = scripts

    async def note(self, client: str, calls: Sequence[Fallback]) -> None:
        """Keeps what a client reports. The same report twice is one."""
        report = json.dumps([client, *(asdict(call) for call in calls)])
        rows = [word for call in calls for word in (repr(call.at), call.binary, call.count, call.reason)]
        digest = sha256(report.encode()).hexdigest()[:32]
        await self._scripts.run("fallback", [self._keys.fallbacks], [client, digest, KEPT, KEPT_MS, *rows])

    async def newest(self, limit: int, since: float = 0.0) -> list[Fallback]:
        """The newest ones first, at most `limit`; none that was reported before `since`, Unix seconds by Redis."""
        oldest = f"{max(0.0, since) * 1000:.0f}-0"
        rows = await self._redis.xrevrange(self._keys.fallbacks, "+", oldest, count=limit)
        return [_fallback(entry, fields) for entry, fields in rows]


def _fallback(entry: bytes, fields: dict[bytes, bytes]) -> Fallback:
    """A client's clock may be ahead: nothing has happened after it was reported."""
    reported = int(entry.partition(b"-")[0]) / 1000
    return Fallback(
        min(float(fields[b"at"]), reported),
        fields[b"binary"].decode(),
        int(fields[b"count"]),
        fields[b"reason"].decode(),
        fields[b"client"].decode(),
    )
