"""What to run for a job on this machine: its command with this machine's paths.

ffmpeg -i {Movies}/a.mkv {Movies}/b.mkv
-> ffmpeg -progress pipe:7 -i /srv/a.mkv /srv/.ffgrid-01M7...-1-2.mkv      then renamed to /srv/b.mkv
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.wire import command, messages, placing, roots
from app.wire.command import Command
from worker.machine import Machine

PREFIX = ".ffgrid-"  # what unfinished outputs are called; hidden, so that scanners of libraries skip them

# The environment of a job is empty but for these.
ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "LIBVA_DRIVER_NAME")


class CannotRun(Exception):
    """This job cannot run here; the text says why, for people."""


@dataclass(frozen=True)
class Plan:
    """A command ready to start. `renames` gives, for each name that is written, the name it gets at the end;
    `leftovers` are the names that earlier attempts wrote and may have left.
    """

    argv: list[str]
    cwd: str | None
    command: Command
    stdin: bool
    progress: bool
    renames: Mapping[str, str] = field(default_factory=dict)
    leftovers: Sequence[str] = ()


def plan(spec: dict[str, Any], job_id: str, attempt: int, machine: Machine) -> Plan:
    """Builds it. Raises CannotRun when the job names what this machine does not have."""
    program = machine.programs.get(spec["binary"])
    if program is None:
        raise CannotRun(f"this worker has no {spec['binary']}")
    try:
        args = [roots.unfold(argument, machine.roots) for argument in spec["args"]]
        cwd = roots.unfold(spec["cwd"], machine.roots) if spec["cwd"] is not None else None
    except roots.UnknownRoot as missing:
        raise CannotRun(f"this worker has no root {missing.args[0]!r}") from None
    read = command.read(spec["binary"], args)
    _check(read, spec, cwd, machine.roots)
    is_atomic = not spec["in_place"] and command.kind(read) == "atomic"
    renames = _renames(read, job_id, attempt) if is_atomic else {}
    earlier = [_renames(read, job_id, before) for before in range(1, attempt)] if is_atomic else []
    return Plan(
        argv=[program, *(renames.get(index, text) for index, text in enumerate(args))],
        cwd=cwd,
        command=read,
        stdin=spec["attach"] and read.reads_stdin,
        progress=bool(read.outputs) and spec["binary"] == "ffmpeg" and not read.has_progress,
        renames={_path(temporary, cwd): _path(args[index], cwd) for index, temporary in renames.items()},
        leftovers=[_path(temporary, cwd) for names in earlier for temporary in names.values()],
    )


def environment(own: Mapping[str, str], asked: Mapping[str, str]) -> dict[str, str]:
    """The environment a job gets: some of this worker's, and what its caller may say (see `messages`)."""
    said = {name: value for name, value in asked.items() if name in messages.ENVIRONMENT}
    return {name: own[name] for name in ENVIRONMENT if name in own} | said


def _check(read: Command, spec: dict[str, Any], cwd: str | None, mapped: Mapping[str, str]) -> None:
    """The second look at what a coordinator has let through: files lie in roots, links do not lead out."""
    for index in placing.strays(read, spec["args"], spec["cwd"]):
        raise CannotRun(f"{read.args[index]!r} lies outside every root")
    real = {name: os.path.realpath(top) for name, top in mapped.items()}
    named = [index for index, folded in enumerate(spec["args"]) if roots.names([folded])]
    texts = [read.args[index] for index in sorted({*named, *placing.files(read)})]
    for text in [*texts, *([cwd] if cwd else [])]:
        if roots.holder(os.path.realpath(_path(text, cwd)), real) is None:
            raise CannotRun(f"{text!r} leads out of its root through a link")


def _renames(read: Command, job_id: str, attempt: int) -> dict[int, str]:
    """For each output, a name of this attempt in the same directory with the same suffix."""
    named = {}
    for index in command.output_files(read):
        folder, name = os.path.split(read.args[index])
        suffix = name[name.rfind(".") :] if "." in name else ""  # as ffmpeg finds it: ".mkv" is a suffix too
        named[index] = os.path.join(folder, f"{PREFIX}{job_id}-{attempt}-{index}{suffix}")
        if not folder and read.args[index].startswith("file:"):
            named[index] = "file:" + named[index]
    return named


def _path(url: str, cwd: str | None) -> str:
    return os.path.join(cwd or "/", url.removeprefix("file:"))
