"""A command as somebody typed it, made into the body of `POST /v1/jobs`; or why that cannot be.

ffgrid submit -- ffmpeg -i /media/movies/a.mkv b.mkv   in /media/movies
-> {"binary": "ffmpeg", "args": ["-i", [{"root": "Movies"}, "/a.mkv"], "b.mkv"], "cwd": [{"root": "Movies"}], ...}
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from app.cli.errors import USAGE, Failure
from app.wire import command, folding, placing, roots, unattended
from app.wire.messages import BINARIES

_SHIM = "name a file, or call the program that `ffgrid shim install` makes"


def submission(
    words: Sequence[str], mapped: Mapping[str, str], here: str | None, labels: Sequence[str]
) -> dict[str, Any]:
    """The fields that the command decides. `mapped` are the roots, `here` the directory. Raises Failure."""
    binary, args = _program(list(words))
    read = command.read(binary, args)
    folded = folding.fold(read, mapped)
    cwd = roots.fold(here, mapped) if here is not None and roots.holder(here, mapped) else None
    _check_places(read, folded, cwd, mapped, here)
    if needs := unattended.trouble(read):
        raise Failure(f"{needs}: {_SHIM}", USAGE)
    return {
        "key": secrets.token_hex(16),
        "binary": binary,
        "args": folded,
        "cwd": cwd,
        "view": {name: path for name, path in mapped.items() if roots.is_text(path)},
        "labels": _labels(labels),
        "umask": _umask(),
        "user": [os.geteuid(), os.getegid(), *os.getgroups()[:64]],
    }


def directory(mapped: Mapping[str, str], environ: Mapping[str, str]) -> str | None:
    """The current directory, under the name that lies in a root if it has two; None if it is gone."""
    try:
        path = os.getcwd()
    except OSError:
        return None
    shown = environ.get("PWD", "")
    if not roots.holder(path, mapped) and roots.holder(shown, mapped) and os.path.samefile(path, shown):
        return shown
    return path


def _program(words: list[str]) -> tuple[str, list[str]]:
    if words[:1] == ["--"]:  # some versions of argparse leave it in
        del words[0]
    if not words:
        raise Failure(
            "no command: write it behind --, as in `ffgrid submit -- ffmpeg -i IN.mkv OUT.mkv`", USAGE
        )
    binary = os.path.basename(words[0])
    if binary not in BINARIES:
        raise Failure(f"{words[0]!r} cannot be run: only {' and '.join(BINARIES)} can", USAGE)
    return binary, words[1:]


def _check_places(
    read: command.Command,
    folded: list[roots.Folded],
    cwd: roots.Folded | None,
    mapped: Mapping[str, str],
    here: str | None,
) -> None:
    """Every file must lie where workers can find it. Raises Failure."""
    for at in placing.strays(read, folded, cwd, os.path.exists):
        where = "" if read.args[at].startswith(("/", "file:/")) else f" (in {here or os.curdir})"
        raise Failure(f"{read.args[at]!r}{where} lies outside every root: {_known(mapped)}", USAGE)


def _known(mapped: Mapping[str, str]) -> str:
    if not mapped:
        return "no roots are known here, set FFGRID_ROOTS=Name=/directory, or give --roots"
    return "known are " + ", ".join(f"{name} ({path})" for name, path in sorted(mapped.items()))


def _umask() -> int:
    """This process's, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _labels(pairs: Sequence[str]) -> dict[str, str]:
    labels = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        if not name or not value:
            raise Failure(f"--label: expected NAME=VALUE, got {pair!r}", USAGE)
        labels[name] = value
    return labels
