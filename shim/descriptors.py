"""The descriptors of a forked child: it holds none of its parent's that it does not need."""

from __future__ import annotations

import posix


def close_all_but(*kept: int) -> None:
    """Closes every other one. Their other ends must see when the parent closes them, or dies."""
    for folder in ("/proc/self/fd", "/dev/fd"):
        try:
            names = posix.listdir(folder)
        except OSError:
            continue
        for number in map(int, names):
            if number not in kept:
                _close(number)
        return


def _close(number: int) -> None:
    try:
        posix.close(number)
    except OSError:  # that of the list itself
        return
