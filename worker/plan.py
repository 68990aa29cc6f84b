"""What to run for a job on this machine: its command with the paths of the place where it runs.

ffmpeg -i {Movies}/a.mkv {Movies}/b.mkv
-> ffmpeg -i /media/movies/a.mkv /media/movies/.ffgrid-01M7...-1-5f2c9a03-2.mkv   /srv/.ffgrid-... becomes /srv/b.mkv
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.state.leases import Lease
from app.wire import command, messages, placing, roots
from app.wire.command import Command
from worker import files, leftovers
from worker.machine import Machine
from worker.place import Place
from worker.sandbox import HOME

# The environment of a job is empty but for these.
ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "LIBVA_DRIVER_NAME")


class CannotRun(Exception):
    """This job cannot run here; the text says why, for people."""


@dataclass(frozen=True)
class Plan:
    """A command ready to start. `enter` stands before it and takes it into its place.

    `renames` gives, for each name here that is written, the name it gets at the end; those begin with `stem`.
    `copies` are files that were made for it and go with it.
    """

    argv: Sequence[str]
    command: Command
    enter: tuple[str, ...] = ()
    cwd: str | None = None
    stdin: bool = False
    awaits_stdin: bool = False
    progress: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    umask: int = -1
    nice: int = 0
    user: Sequence[int] = ()
    stem: str = ""
    renames: Mapping[str, str] = field(default_factory=dict)
    copies: Sequence[str] = ()


def plan(spec: dict[str, Any], lease: Lease, machine: Machine, place: Place, mark: str = "") -> Plan:
    """Builds it; `mark` is what its process carries (see `leftovers`). It looks at directories: see `aside`.

    Raises CannotRun for what this machine does not have.
    """
    program = machine.programs.get(spec["binary"])
    if program is None:
        raise CannotRun(f"this worker has no {spec['binary']}")
    args, cwd = _unfolded(spec, place.view, as_written=place.sandbox is not None)
    mapped = {name: path for name, path in machine.roots.items() if name in place.view}
    real_args, real_cwd = _unfolded(spec, mapped)
    read = command.read(spec["binary"], args)
    if real_cwd is not None and not os.path.isdir(real_cwd):
        raise CannotRun(f"there is no directory {cwd}")
    if place.sandbox is None:
        _check(read, spec, cwd, place.view, mapped)
    is_atomic = not spec["in_place"] and command.kind(read) == "atomic"
    stem = files.stem(lease.id, lease.attempt, lease.mark)
    renames = _renames(read, stem, args) if is_atomic else {}
    here = _renames(read, stem, real_args) if is_atomic else {}
    return Plan(
        argv=[program, *(renames.get(index, text) for index, text in enumerate(args))],
        command=read,
        enter=place.enter(cwd),
        cwd=None if place.sandbox else cwd or place.nowhere,
        stdin=spec["attach"] and read.reads_stdin and spec.get("stdin") != "none",
        awaits_stdin=spec["attach"] and read.reads_stdin and spec.get("stdin") == "ready",
        progress=bool(read.outputs) and spec["binary"] == "ffmpeg" and not read.has_progress,
        environment={
            **environment(os.environ, spec.get("env", {}), in_sandbox=place.sandbox is not None),
            **({leftovers.NAME: mark} if mark else {}),
        },
        umask=spec.get("umask", -1),
        nice=spec.get("nice", 0),
        user=spec.get("user", ()),
        stem=stem,
        renames={
            _path(temporary, real_cwd): _path(real_args[at], real_cwd) for at, temporary in here.items()
        },
    )


def folders(spec: dict[str, Any], machine: Machine) -> set[str]:
    """The directories here in which attempts at this job may have left files. Raises CannotRun."""
    args, cwd = _unfolded(spec, machine.roots)
    read = command.read(spec["binary"], args)
    return {os.path.dirname(_path(args[at], cwd)) for at in placing.files(read)}


def environment(own: Mapping[str, str], asked: Mapping[str, str], *, in_sandbox: bool) -> dict[str, str]:
    """The environment a job gets: some of this worker's, and what its caller may say (see `messages`)."""
    kept = {name: own[name] for name in ENVIRONMENT if name in own}
    if in_sandbox:
        kept["HOME"] = HOME
        kept.pop("TMPDIR", None)
    return kept | {name: value for name, value in asked.items() if name in messages.ENVIRONMENT}


def _unfolded(
    spec: dict[str, Any], view: Mapping[str, str], *, as_written: bool = False
) -> tuple[list[str], str | None]:
    """The arguments and the directory with these paths of the roots. Raises CannotRun."""
    try:
        args = [roots.unfold(argument, view, as_written=as_written) for argument in spec["args"]]
        return args, None if spec["cwd"] is None else roots.unfold(spec["cwd"], view)
    except roots.UnknownRoot as missing:
        raise CannotRun(f"this worker has no root {missing.args[0]!r}") from None


def _check(
    read: Command, spec: dict[str, Any], cwd: str | None, view: Mapping[str, str], mapped: Mapping[str, str]
) -> None:
    """The second look at what a coordinator has let through: files lie in roots, links do not lead out.

    `view` is what the command calls each root, `mapped` where it is.
    """
    for index in placing.strays(read, spec["args"], spec["cwd"], os.path.exists):
        raise CannotRun(f"{read.args[index]!r} lies outside every root")
    real = {name: os.path.realpath(top) for name, top in mapped.items()}
    named = [index for index, folded in enumerate(spec["args"]) if roots.names([folded])]
    texts = [read.args[index] for index in placing.files(read)]
    texts = [text for text in texts if text.startswith(("/", "file:")) or ":" not in text]
    within = [path for at in named for path in placing.paths(read.args[at]) if roots.holder(path, view)]
    for text in [*texts, *within, *([cwd] if cwd else [])]:
        if roots.holder(os.path.realpath(_path(text, cwd)), real) is None:
            raise CannotRun(f"{text!r} leads out of its root through a link")


def _renames(read: Command, stem: str, args: Sequence[str]) -> dict[int, str]:
    """For each output, a name of this attempt in the same directory with the same suffix.

    `args` are the arguments of `read`, or the same ones with other paths of the roots.
    """
    named = {}
    for index in command.output_files(read):
        folder, name = os.path.split(args[index])
        suffix = name[name.rfind(".") :] if "." in name else ""  # as ffmpeg finds it: ".mkv" is a suffix too
        named[index] = os.path.join(folder, f"{stem}{index}{suffix}")
        if not folder and args[index].startswith("file:"):
            named[index] = "file:" + named[index]
    return named


def _path(url: str, cwd: str | None) -> str:
    return os.path.join(cwd or "/", url.removeprefix("file:"))
