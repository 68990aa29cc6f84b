"""Many jobs at once, as they are stored."""

from __future__ import annotations

from collections.abc import Sequence

from app.state.connect import Connection
from app.state.job import Job
from app.state.keys import Keys
from app.state.seal import Seal


async def read(redis: Connection, keys: Keys, job_ids: Sequence[str]) -> list[Job]:
    """These jobs in this order, without those that are not there any more."""
    async with redis.pipeline(transaction=False) as pipe:
        for job_id in job_ids:
            pipe.hgetall(keys.job(job_id))
        hashes = await pipe.execute()
    found = zip(job_ids, hashes, strict=True)
    return [
        Job.from_hash(job_id, stored, Seal.peek(stored[b"spec"]))
        for job_id, stored in found
        if b"state" in stored
    ]
