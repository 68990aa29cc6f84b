"""How long a process may run, and how long it may do nothing. A slow one works; a hung one does not.

What counts as work: progress whose numbers change, output, or processor time.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from contextlib import suppress

from worker.progress import Progress

LOOK = 1.0  # seconds between two looks
IDLE = 0.02  # a process that uses less of a processor than this does nothing: waking up costs something too


class Watch:
    """Watches one process group. 0 seconds are no limit."""

    def __init__(self, group: int, max_seconds: float, stall_seconds: float) -> None:
        self._group = group
        self._max, self._stall = max_seconds, stall_seconds
        self._worked = time.monotonic()  # when it last showed that it works
        self._half: tuple[float, float] | None = None  # half way to the verdict: when, and its processor time
        self._reported: tuple[object, ...] = ()
        self._kills = deque([oom_kills()], maxlen=3)

    def works(self) -> None:
        """It has printed something that is worth something."""
        self._worked, self._half = time.monotonic(), None

    def reports(self, progress: Progress) -> None:
        """It has told how far it is, which may be just as far as before."""
        reported = (progress.frame, progress.out_time, progress.total_size)
        if reported != self._reported:
            self._reported = reported
            self.works()

    async def overdue(self, paused: asyncio.Event) -> str:
        """Waits until a limit is reached: "timeout" or "stalled". Time in which it is paused does not count."""
        ran, last = 0.0, time.monotonic()
        while True:
            await asyncio.sleep(LOOK)
            now = time.monotonic()
            if paused.is_set():
                self.works()
            else:
                ran += now - last
            last = now
            self._kills.append(oom_kills())
            if self._max and ran >= self._max:
                return "timeout"
            if self._stall and self._is_stalled(now):
                return "stalled"

    def memory_was_short(self) -> bool:
        """Whether the kernel has just killed a process on this host to get memory."""
        return oom_kills() > self._kills[0]

    def _is_stalled(self, now: float) -> bool:
        idle = now - self._worked
        if self._half is None:  # and what it uses from now on is judged at a later look
            self._half = (now, processor_seconds(self._group)) if idle >= self._stall / 2 else None
            return False
        if idle < self._stall:
            return False
        began, used = self._half
        if processor_seconds(self._group) - used > IDLE * (now - began):
            self.works()
            return False
        return True


def processor_seconds(group: int) -> float:
    """What the processes of a group have used so far. Without /proc, as if they used all there is."""
    if not os.path.isdir("/proc/self"):
        return time.monotonic()
    ticks = 0
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with suppress(OSError), open(f"/proc/{entry}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
            if int(fields[2]) == group:
                ticks += sum(map(int, fields[11:15]))
    return ticks / os.sysconf("SC_CLK_TCK")


def oom_kills() -> int:
    """How many processes the kernel has killed for memory since this host started; 0 where nobody knows."""
    try:
        with open("/proc/vmstat", "rb") as file:
            return next((int(line.split()[1]) for line in file if line.startswith(b"oom_kill ")), 0)
    except OSError:
        return 0
