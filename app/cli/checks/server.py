"""Redis, as it is seen from here: only coordinators and workers need it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence

from app.cli.checks.finding import BAD, OK, SKIPPED, WARN, Finding
from app.cli.config import without_secrets
from app.cli.errors import explain
from app.settings import Settings, origins

SECONDS = 5.0
MEND = "start it, or say with FFGRID_REDIS_URL where it is: ffgrid config show --origin"


def redis(settings: Settings) -> Sequence[Finding]:
    """Whether it answers, its version, whether it evicts, and whether it keeps what it is told."""
    where = without_secrets(settings.redis_url)
    is_ours = origins(os.environ)["redis_url"] != "default" or settings.redis_url != Settings().redis_url
    try:
        return asyncio.run(look(settings.redis_url))
    except ModuleNotFoundError as error:
        why = f"this host has no {error.name}: only coordinators and workers use Redis"
        return [Finding("redis", SKIPPED, why, "pip install 'ffgrid[web]'" if is_ours else "")]
    except Exception as error:
        if not is_ours:
            why = "FFGRID_REDIS_URL is not set here, and nothing answers at its default: a client needs none"
            return [Finding("redis", SKIPPED, why)]
        why = "no answer in time" if isinstance(error, TimeoutError) else explain(error)[1]
        return [Finding("redis", BAD, f"{where}: {why}", MEND)]


async def look(url: str) -> list[Finding]:
    """What a server that answers says of itself. Raises what Redis raises, TimeoutError."""
    from app.state.store import Store
    from app.state.verdicts import GOOD, WAIT

    store = Store(url)
    try:
        async with asyncio.timeout(SECONDS):
            await store.redis.ping()
            found = await store.server.verdicts()
    finally:
        await store.close()
    verdict = {GOOD: OK, WAIT: WARN}
    lines = [
        Finding(f"redis {one.name}", verdict.get(one.tone, BAD), one.sentence, one.mend) for one in found
    ]
    return [Finding("redis", OK, f"answers at {without_secrets(url)}"), *lines]
