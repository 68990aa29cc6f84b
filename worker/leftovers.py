"""What an earlier process of this worker has started and left behind, found by a word in its environment.

The guard and the kernel end children with their worker. This is for what both have missed: a guard that was killed
together with its worker, on a system without PDEATHSIG.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress

NAME = "FFGRID_JOB"


def mark(worker: str, boot: str, installation: str) -> str:
    """What the children of this process carry: their worker, and which start of it."""
    return f"{worker}@{installation}/{boot}"


def end_leftovers(own: str) -> int:
    """Kills the process groups that carry an earlier start of `own`; how many. Nothing where there is no /proc."""
    worker = f"{NAME}={own.rpartition('/')[0]}/".encode()
    groups = {_group(pid) for pid in _pids() if _is_left(pid, worker, own.encode())} - {0, os.getpgrp()}
    for group in groups:
        with suppress(OSError):
            os.killpg(group, signal.SIGKILL)
    return len(groups)


def _pids() -> list[int]:
    with suppress(OSError):
        return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]
    return []


def _is_left(pid: int, worker: bytes, own: bytes) -> bool:
    with suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:
        words = file.read().split(b"\0")
        return any(word.startswith(worker) and not word.endswith(own) for word in words)
    return False


def _group(pid: int) -> int:
    with suppress(OSError):
        return os.getpgid(pid)
    return 0
