"""What small jobs have seen of a job's files: kept for a while, written by whichever process notices first."""

from __future__ import annotations

from collections.abc import Sequence

from app.state.connect import Connection
from app.state.keys import Keys

KEPT_MS = 3_600_000


class Media:
    """What is known of the files of jobs. `what` names a look: "in", "out", or a picture."""

    def __init__(self, redis: Connection, keys: Keys) -> None:
        self._redis = redis
        self._keys = keys

    async def looks(self, job_id: str, whats: Sequence[str]) -> dict[str, tuple[str, bytes | None]]:
        """For each look that somebody has asked for: the job that looks, and what it saw if that is known."""
        names = [name for what in whats for name in (f"job:{what}", f"seen:{what}")]
        found = await self._redis.hmget(self._keys.media(job_id), names)
        pairs = zip(whats, found[::2], found[1::2], strict=True)
        return {what: (looker.decode(), seen) for what, looker, seen in pairs if looker}

    async def begin(self, job_id: str, what: str, looker: str) -> None:
        """That job looks."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(self._keys.media(job_id), f"job:{what}", looker)
            pipe.hdel(self._keys.media(job_id), f"seen:{what}", f"picture:{what}")
            pipe.pexpire(self._keys.media(job_id), KEPT_MS)
            await pipe.execute()

    async def end(self, job_id: str, what: str, seen: bytes, picture: bytes = b"") -> None:
        """It has seen this."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset(self._keys.media(job_id), mapping={f"seen:{what}": seen, f"picture:{what}": picture})
            pipe.pexpire(self._keys.media(job_id), KEPT_MS)
            await pipe.execute()

    async def picture(self, job_id: str, what: str) -> bytes:
        """The picture, or nothing."""
        return await self._redis.hget(self._keys.media(job_id), f"picture:{what}") or b""
