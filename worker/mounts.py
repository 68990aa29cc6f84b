"""Which of this host's roots answer. One that hangs must not stop jobs that have nothing to do with it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Collection, Mapping
from contextlib import suppress

from worker.aside import PATIENCE, Hung, aside

FOREVER = 1e9  # seconds: the one thread that waits for a root is not given up


class Mounts:
    """Asks each root by one thread at a time, however many jobs want to know."""

    def __init__(self, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._asked: dict[str, asyncio.Task[None]] = {}
        self._silent: set[str] = set()  # somebody has lost patience with these already

    async def hung(self, mapped: Mapping[str, str], needed: Collection[str]) -> frozenset[str]:
        """Those of the roots (name -> path) that do not answer. Raises Hung when a `needed` one does not.

        One that has begun to hang is waited for once, as a disk that wakes up needs its time; after that only who
        needs it waits.
        """
        asked = {name: self._ask(path) for name, path in mapped.items()}
        waited = {task for name, task in asked.items() if name in needed or mapped[name] not in self._silent}
        if waited:
            await asyncio.wait(waited, timeout=self._patience)
        hanging = frozenset(name for name, task in asked.items() if not task.done())
        self._silent.update(mapped[name] for name in hanging)
        if lacking := sorted(hanging.intersection(needed)):
            raise Hung(f"the root {lacking[0]!r} does not answer (waited {self._patience:g} s)")
        return hanging

    def close(self) -> None:
        """Asks nobody any more."""
        for task in self._asked.values():
            task.cancel()

    def _ask(self, path: str) -> asyncio.Task[None]:
        if path not in self._asked:
            self._asked[path] = asyncio.create_task(self._look(path))
        return self._asked[path]

    async def _look(self, path: str) -> None:
        try:
            with suppress(OSError):  # whoever uses it is told
                await aside(os.stat, path, within=FOREVER)
            self._silent.discard(path)
        finally:
            del self._asked[path]
