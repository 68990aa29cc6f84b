"""A job's outputs on disk: written under names of the attempt, given their own when they are whole.

    .ffgrid-01M7...-1-5f2c9a03-4.mkv  --publish-->  film.mkv
    job, attempt, its mark, the argument; hidden, so that scanners of libraries skip it

Everything here may wait for a file system: callers use `aside`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress

PREFIX = ".ffgrid-"  # what unfinished outputs are called


class Exists(Exception):
    """An output is there already, and the command does not say that it may be replaced."""


def stem(job_id: str, attempt: int, mark: str) -> str:
    """How the names of an attempt's files begin."""
    return f"{PREFIX}{job_id}-{attempt}-{mark}-"


def check_free(finals: Iterable[str]) -> None:
    """Raises Exists."""
    for final in finals:
        if os.path.lexists(final):
            raise Exists(f"{os.path.basename(final)!r} exists already: add -y to replace it")


def described(renames: Mapping[str, str], beginning: str) -> str:
    """JSON by which another worker knows these whole outputs again: the beginning of their names, size and time."""
    found = [os.stat(temporary) for temporary in renames]
    return json.dumps({"stem": beginning, "files": [[one.st_size, int(one.st_mtime)] for one in found]})


def settled(renames: Mapping[str, str], beginning: str) -> str:
    """Waits until whole outputs are on the disk, which may take minutes; what `described` says of them."""
    for temporary in renames:
        _flush(temporary)
    return described(renames, beginning)


def publish(renames: Mapping[str, str], replace: bool) -> None:
    """Gives settled outputs (temporary -> final name) their names, each at once. Raises Exists, OSError."""
    for temporary, final in renames.items():
        _rename(temporary, final, replace)
    for folder in {os.path.dirname(final) for final in renames.values()}:
        with suppress(OSError):  # not every file system has this
            _flush(folder)


def whole(renames: Mapping[str, str], beginning: str, published: str) -> dict[str, str] | None:
    """What is left to rename of the outputs that a lost attempt was about to publish; None if any is missing.

    `renames` and `beginning` are this attempt's, `published` is what the other one has `described`.
    """
    theirs = json.loads(published)
    if len(theirs["files"]) != len(renames):  # another version of this program has written them
        return None
    left: dict[str, str] = {}
    for (temporary, final), (size, time) in zip(renames.items(), theirs["files"], strict=True):
        folder, name = os.path.split(temporary)
        other = os.path.join(folder, theirs["stem"] + name.removeprefix(beginning))
        if _is(other, size, time):
            left[other] = final
        elif not _is(final, size, time):
            return None
    return left


def remove(paths: Iterable[str]) -> None:
    """Removes files that may be there."""
    for path in paths:
        with suppress(FileNotFoundError, NotADirectoryError):
            os.unlink(path)


def sweep(folders: Iterable[str], job_id: str) -> None:
    """Removes what any attempt at this job has left in these directories."""
    beginning = f"{PREFIX}{job_id}-"
    for folder in folders:
        with suppress(FileNotFoundError, NotADirectoryError):
            remove(f"{folder}/{name}" for name in os.listdir(folder) if name.startswith(beginning))


def _rename(temporary: str, final: str, replace: bool) -> None:
    if replace:
        return os.replace(temporary, final)
    try:
        os.link(temporary, final)  # fails if the name is taken, at whatever moment
    except FileExistsError:
        if not os.path.samefile(temporary, final):  # else a lost attempt has come as far as this
            check_free([final])
    except OSError:  # a file system without links
        check_free([final])
        return os.replace(temporary, final)
    return os.unlink(temporary)


def _is(path: str, size: int, time: int) -> bool:
    try:
        found = os.lstat(path)
    except OSError:
        return False
    return (found.st_size, int(found.st_mtime)) == (size, time)


def _flush(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
