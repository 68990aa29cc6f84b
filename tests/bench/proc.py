"""What Linux says about processes, read from /proc."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")


class Process(NamedTuple):
    """A process: its id, its program's name, its state's letter and who has started it."""

    pid: int
    name: str
    state: str
    parent: int


def look(pid: int) -> Process | None:
    """The process, or None when it has ended (a zombie has)."""
    try:
        text = (PROC / str(pid) / "stat").read_text("utf-8", "replace")
    except OSError:
        return None
    name, _, rest = text.partition("(")[2].rpartition(")")
    state, parent = rest.split()[:2]
    return None if state == "Z" else Process(pid, name, state, int(parent))


def children(parent: int, name: str = "") -> list[Process]:
    """What this process has started and has not ended, of that name."""
    pids = (int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit())
    found = (look(pid) for pid in pids)
    return [one for one in found if one and one.parent == parent and name in ("", one.name)]


def cpu(pid: int) -> float:
    """Seconds of a processor that it has used. Raises OSError."""
    fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def pss(pid: int) -> float:
    """Its proportional set size in MiB. Raises OSError."""
    lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def resident(pid: int) -> float:
    """Its resident memory in MiB. Raises OSError."""
    return _status(pid, "VmRSS:")


def peak(pid: int) -> float:
    """The most that its resident memory has been since `forget_peak`, in MiB. Raises OSError."""
    return _status(pid, "VmHWM:")


def forget_peak(pid: int) -> None:
    """From now on its peak is counted anew. Raises OSError."""
    (PROC / str(pid) / "clear_refs").write_text("5")


def _status(pid: int, name: str) -> float:
    lines = (PROC / str(pid) / "status").read_text("utf-8", "replace").splitlines()
    sizes = [int(line.split()[1]) for line in lines if line.startswith(name)]
    if not sizes:  # a process that has ended has none
        raise ProcessLookupError(pid)
    return sizes[0] / 1024
