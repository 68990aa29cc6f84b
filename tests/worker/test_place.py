"""Where a job runs: in a namespace, or here under names that need no escapes."""

from __future__ import annotations

import asyncio
import os
import shutil
import string
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from worker import place, sandbox
from worker.aside import Hung
from worker.machine import Machine
from worker.place import Place, Places
from worker.sandbox import NoSandbox

ROOT = 'It\'s [x], 50%: "a"'


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine with the real programs and three roots, two of which begin alike."""
    for name in ("films", "films 2", ROOT):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_text(name)
    mapped = {"Films": f"{tmp_path}/films", "Films2": f"{tmp_path}/films 2", "Odd": f"{tmp_path}/{ROOT}"}
    programs = {name: str(shutil.which(name)) for name in ("ffmpeg", "ffprobe")}
    return Machine(programs, {}, [], mapped, 1)


@contextmanager
def places(machine: Machine, mode: str) -> Iterator[Places]:
    made = Places(machine, mode)
    try:
        yield made
    finally:
        made.close()


def spec(**view: Any) -> dict[str, Any]:
    return {"view": view, "args": [], "cwd": None}


async def printed(found: Place, *command: str) -> str:
    """What a command prints that runs there."""
    words = [*found.enter(None), *command]
    return (await asyncio.to_thread(subprocess.run, words, capture_output=True, text=True)).stdout


@pytest.mark.parametrize("mode", ["auto", "namespace"])
async def test_a_namespace_has_the_callers_names(machine: Machine, mode: str) -> None:
    with places(machine, mode) as made:
        found = await made.find(spec(Films="/m", Odd="/it's"))

        assert made.mode == "namespace"
        assert dict(found.view) == {"Films": "/m", "Odd": "/it's", "Films2": "/ffgrid/Films2"}
        assert found.names is None
        assert await printed(found, "cat", "/m/a", "/it's/a", "/ffgrid/Films2/a") == f"films{ROOT}films 2"


async def test_a_view_that_no_namespace_can_have_is_rewritten(machine: Machine) -> None:
    with places(machine, "namespace") as made:
        found = await made.find(spec(Films="/usr/films"))

        assert found.sandbox is None
        assert found.names is not None
        assert found.names.there == {"Films": "/usr/films"}


def led(view: Mapping[str, str]) -> dict[str, str]:
    """Where each name leads."""
    return {name: os.path.realpath(path) for name, path in view.items()}


async def test_an_alias_needs_no_escapes_and_leads_to_its_root(machine: Machine) -> None:
    with places(machine, "rewrite") as made:
        found = await made.find(spec(Films="/m"))

        safe = frozenset(string.ascii_letters + string.digits + "/_.-")
        assert (made.mode, found.sandbox, found.enter("/x")) == ("rewrite", None, ())
        assert led(found.view) == dict(machine.roots)
        assert all(safe.issuperset(path) for path in found.view.values())
        assert (await made.find(spec())).view == found.view


async def test_no_alias_is_the_beginning_of_another(machine: Machine) -> None:
    with places(machine, "rewrite") as made:
        aliases = list((await made.find(spec())).view.values())

        assert not [(one, two) for one in aliases for two in aliases if one != two and two.startswith(one)]


async def test_a_directory_that_is_nowhere_holds_nothing_of_the_host(machine: Machine) -> None:
    with places(machine, "rewrite") as made:
        found = await made.find(spec())

        assert sorted(os.listdir(found.nowhere)) == sorted(
            os.path.basename(one) for one in found.view.values()
        )
        assert os.stat(found.nowhere).st_mode & 0o777 == 0o711


async def test_nothing_is_left_of_a_worker(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "films"))
    with places(machine, "rewrite") as made:
        folder = (await made.find(spec())).nowhere
        shutil.copy(tmp_path / "films/a", f"{folder}/ffmpeg2pass-0.log")  # a job can leave something there
        assert folder.startswith(str(tmp_path / "films"))

    assert os.listdir(tmp_path / "films") == ["a"]
    assert (tmp_path / "films" / "a").read_text() == "films"


async def test_a_temporary_directory_with_a_special_name_is_not_used(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / ROOT))
    with places(machine, "rewrite") as made:
        assert (await made.find(spec())).nowhere.startswith(("/tmp/ffgrid-", "/var/tmp/ffgrid-"))


# Roots that do not answer


def about(root: str, **view: Any) -> dict[str, Any]:
    """The spec of a command that needs that root."""
    return {**spec(**view), "args": ["-i", [{"root": root}, "/a"]]}


@pytest.mark.parametrize("mode", ["namespace", "rewrite"])
async def test_a_silent_root_is_missing_where_it_is_not_needed(machine: Machine, mode: str) -> None:
    with places(machine, mode) as made:
        made.mounts.silent = frozenset({"Odd"})
        found = await made.find(about("Films", Films="/m", Odd="/o"))

        assert found.view.keys() == {"Films", "Films2"}
        assert await printed(found, "cat", f"{found.view['Films']}/a") == "films"
        with pytest.raises(Hung, match="the root Odd does not answer"):
            await made.find(about("Odd", Films="/m", Odd="/o"))
        with pytest.raises(Hung):
            await made.find({**spec(Odd="/o"), "cwd": [{"root": "Odd"}]})


async def test_a_root_that_hangs_before_it_is_known_harms_only_what_needs_it(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, identity = threading.Event(), sandbox._identity

    def hang(path: str) -> tuple[int, int]:
        if path == machine.roots["Odd"]:
            answers.wait(60)
        return identity(path)

    monkeypatch.setattr(sandbox, "_identity", hang)
    monkeypatch.setattr(place, "QUICK", 0.2)
    monkeypatch.setattr(place, "PATIENCE", 0.2)
    with places(machine, "namespace") as made:
        found = await made.find(about("Films", Films="/m", Odd="/o"))

        assert found.view.keys() == {"Films"}
        assert await printed(found, "cat", "/m/a") == "films"
    answers.set()


def broken(machine: Machine, tmp_path: Path) -> Machine:
    """A machine whose ffmpeg does not run in a namespace."""
    program = tmp_path / "ffmpeg"
    program.write_text(f"#!/bin/sh\n[ -d {tmp_path}/films ] || {{ echo no library >&2; exit 127; }}\n")
    program.chmod(0o755)
    return Machine({"ffmpeg": str(program)}, {}, [], machine.roots, 1)


def test_a_program_that_does_not_run_in_a_namespace_is_found_out(machine: Machine, tmp_path: Path) -> None:
    with places(broken(machine, tmp_path), "auto") as made:
        assert made.mode == "rewrite"
        assert "no library" in made.why
    with pytest.raises(NoSandbox, match="no library"):
        Places(broken(machine, tmp_path), "namespace")


@pytest.mark.parametrize("tool", ["bwrap", "nsenter"])
def test_a_missing_tool_is_named(machine: Machine, tool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = shutil.which
    monkeypatch.setattr(place.subprocess, "run", None)  # nothing is tried without it
    monkeypatch.setattr(shutil, "which", lambda name: None if name == tool else real(name))

    with places(machine, "auto") as made:
        assert made.mode == "rewrite"
        assert f"there is no {tool}: install" in made.why
    with pytest.raises(NoSandbox, match=f"there is no {tool}"):
        Places(machine, "namespace")
