"""What a call does by the clock while it is relayed: has itself watched, and stops waiting for a worker."""

from __future__ import annotations

from time import monotonic

from app.wire import messages
from shim.connection import tell

TYPES = False
if TYPES:
    from shim.config import Config

WATCHED_AFTER = 1.0  # seconds; shorter calls are not worth a process
NEVER = float("inf")


class Timers:
    """`due` does what is due; `end` must be called before the process ends or becomes another program."""

    def __init__(self, config: Config, job_id: str) -> None:
        now = monotonic()
        self._config = config
        self._job_id = job_id
        self._watcher: int | None = None
        self._watch_at = now + WATCHED_AFTER
        self._wait = config.wait if config.local and config.wait else NEVER
        self._withdraw_at = now + self._wait

    def due(self, heard: bool) -> float | None:
        """Does what is due by now; the milliseconds until something else is, or None.

        `heard` is whether the job has said anything yet: until then it may be waiting for a worker.
        """
        if heard:
            self._withdraw_at = NEVER
        if monotonic() >= self._watch_at:
            self._watch_at = NEVER
            self._be_watched()
        if monotonic() >= self._withdraw_at:
            self._withdraw()
        at = min(self._watch_at, self._withdraw_at)
        return None if at == NEVER else max(0.0, at - monotonic()) * 1000

    def end(self) -> None:
        """Leaves no process behind."""
        if self._watcher:
            from shim import watcher

            watcher.end(self._watcher)
            self._watcher = None

    def _be_watched(self) -> None:
        from shim import watcher  # most calls are shorter

        self._watcher = watcher.start(self._config, self._job_id)

    def _withdraw(self) -> None:
        """Asks for the job back. The answer comes as the job's end; a job that runs is asked for less often."""
        if tell(self._config, messages.job_path(self._job_id, "cancel") + "?if=queued") == 409:
            self._wait *= 2
        self._withdraw_at = monotonic() + self._wait
