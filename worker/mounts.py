"""Which of a worker's roots answer. One whose server is gone holds whoever touches it, for as long as that takes.

Jobs that need it are left to others, or wait; jobs that do not need it are run without it.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Mapping

from worker.aside import begin

EVERY = 2.0  # seconds between two looks at a root
PATIENCE = 5.0  # seconds until one that does not answer counts as silent

log = logging.getLogger("ffgrid.worker")


class Mounts:
    """Looks at the roots: name -> path. `silent` are the names of those that do not answer."""

    def __init__(self, roots: Mapping[str, str]) -> None:
        self._roots = dict(roots)
        self.silent: frozenset[str] = frozenset()

    async def watch(self) -> None:
        """Looks again and again, until cancelled. A root that hangs holds one thread, however long it hangs."""
        await asyncio.gather(*(self._watch(name, path) for name, path in self._roots.items()))

    async def _watch(self, name: str, path: str) -> None:
        while True:
            looking = begin(os.statvfs, path)  # unlike what `stat` says, kept by nobody: its server is asked
            await asyncio.wait((looking,), timeout=PATIENCE)
            if not looking.done():
                self.silent |= {name}
                log.error("the root %s does not answer: what needs it waits, or is left to others", name)
                await asyncio.wait((looking,))
                self.silent -= {name}
                log.warning("the root %s answers again", name)
            looking.exception()  # one that is not there has answered
            await asyncio.sleep(EVERY)
