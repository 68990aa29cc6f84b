"""Where a job's command runs: in a namespace that looks like its caller's host, or here, with names rewritten.

namespace   the roots lie where the caller has them; the command is the caller's, byte for byte
rewrite     each root has an alias here whose name needs no escapes; it stands in the command for the root, and
            what the command prints is changed back
"""

from __future__ import annotations

import logging
import os
import shutil
import string
import subprocess
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from app.wire import roots
from worker.aside import PATIENCE, Hung
from worker.machine import Machine
from worker.mounts import Mounts
from worker.rewrite import Names
from worker.sandbox import NoSandbox, Sandbox, Sandboxes

QUICK = 5.0  # seconds in which all roots answer, or those that a command does not need are left out

_SAFE = frozenset(string.ascii_letters + string.digits + "/_.-")

log = logging.getLogger("ffgrid.worker")


@dataclass(frozen=True)
class Place:
    """One job's place. `view` is what its command calls each root; `sandbox` is None where there is none."""

    view: Mapping[str, str]
    sandbox: Sandbox | None
    names: Names | None = None  # changes what is printed back into the caller's names
    nowhere: str = "/"  # where a command runs whose directory is in no root

    def enter(self, cwd: str | None) -> tuple[str, ...]:
        """What to put before the command."""
        return self.sandbox.enter(cwd or self.nowhere) if self.sandbox else ()


class Places:
    """Makes places. One for a worker; `close` lets go what it holds."""

    def __init__(self, machine: Machine, mode: str) -> None:
        """`mode` is one of `app.settings.SANDBOXES`; "auto" takes the namespace where it works.

        Raises NoSandbox when the mode is "namespace" and none can be made.
        """
        self._machine = machine
        self.mounts = Mounts(machine.roots)
        self._sandboxes = Sandboxes(machine.programs.values())
        self._aliases: dict[str, str] = {}
        self._folder: str | None = None
        self.why = "FFGRID_SANDBOX says so"  # no namespace
        self.mode = "rewrite" if mode == "rewrite" else self._try(mode)

    async def find(self, spec: Mapping[str, Any]) -> Place:
        """The place for a job. Its caller's view decides whether it can be a namespace.

        Raises Hung when a root that the command needs does not answer. Another one is not in it then.
        """
        view = {name: roots.unfold(path, {}) for name, path in spec["view"].items()}
        needed = roots.names([*spec["args"], *([spec["cwd"]] if spec["cwd"] else [])])
        if silent := needed & self.mounts.silent:
            raise Hung(f"the root {min(silent)} does not answer")
        if self.mode == "namespace":
            seen = {**{name: f"/ffgrid/{name}" for name in self._machine.roots if name not in view}, **view}
            try:
                return await self._namespace(_without(self.mounts.silent, seen), needed)
            except NoSandbox as why:
                log.warning("no namespace for this caller, rewriting its command: %s", why)
        here = _without(self.mounts.silent, self._named())
        return Place(here, None, Names(here, view), self._folder or "/")

    async def _namespace(self, seen: Mapping[str, str], needed: set[str]) -> Place:
        spare = seen.keys() - needed
        try:
            made = await self._sandboxes.get(seen, self._machine.roots, QUICK if spare else PATIENCE)
        except Hung:
            if not spare:
                raise
            seen = _without(spare, seen)
            made = await self._sandboxes.get(seen, self._machine.roots)
        return Place(seen, made)

    def close(self) -> None:
        """Ends the namespaces and removes the aliases."""
        self._sandboxes.close()
        if self._folder:
            shutil.rmtree(
                self._folder, ignore_errors=True
            )  # the aliases, and what jobs have left beside them
            self._folder = None

    def _try(self, mode: str) -> str:
        """Runs each program in a namespace, as jobs will."""
        try:
            sandbox = Sandbox([], self._machine.programs.values())
            try:
                for program in self._machine.programs.values():
                    done = subprocess.run(
                        [*sandbox.enter("/"), program, "-version"],
                        capture_output=True,
                        check=False,
                        timeout=20,
                    )
                    if done.returncode:
                        raise NoSandbox(
                            f"{program} does not run in it: {done.stderr.decode(errors='replace').strip()}"
                        )
            finally:
                sandbox.close()
        except (NoSandbox, subprocess.TimeoutExpired) as error:
            if mode == "namespace":
                raise NoSandbox(str(error)) from None
            self.why = str(error)
            return "rewrite"
        return "namespace"

    def _named(self) -> Mapping[str, str]:
        """The aliases: root name -> a path of letters, digits, `_`, `-` and `.` that leads to the root."""
        if self._folder is None:
            self._folder = _safe_folder()
            if self._folder is None:  # no place for them: the roots under their own names
                return self._machine.roots
            os.chmod(self._folder, 0o711)  # noqa: S103  # jobs of other users go through it
            for number, (name, path) in enumerate(self._machine.roots.items()):
                self._aliases[name] = f"{self._folder}/{number}-{name}"  # none is the beginning of another
                os.symlink(path, self._aliases[name])
        return self._aliases


def _without(names: Collection[str], view: Mapping[str, str]) -> dict[str, str]:
    return {name: path for name, path in view.items() if name not in names}


def _safe_folder() -> str | None:
    for parent in (tempfile.gettempdir(), "/tmp", "/var/tmp"):  # noqa: S108
        if _SAFE.issuperset(parent):
            try:
                return os.path.realpath(tempfile.mkdtemp(prefix="ffgrid-", dir=parent))
            except OSError:
                continue
    return None
