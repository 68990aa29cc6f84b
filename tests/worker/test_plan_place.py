"""What a worker runs in a namespace, as its caller wrote it, and what it runs where there is none."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from app.state.leases import Lease
from app.wire import command, folding, roots
from worker.machine import Machine
from worker.place import Place
from worker.plan import CannotRun, Plan, plan
from worker.rewrite import Names

JOB = "01M7ZSCJGFM87A34V23JR094QD"


def lease(attempt: int = 1) -> Lease:
    return Lease(JOB, "boot:0123456789abcdef", attempt, b"")


CALLER = {"Movies": "/mnt/It's 50%d", "TV": "/tv"}


class Inside:
    """A namespace that says how it was entered."""

    def enter(self, cwd: str) -> tuple[str, ...]:
        return ("enter", cwd)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    for name in ("movies %d", "movies %d/sub", "tv", "elsewhere"):
        (tmp_path / name).mkdir()
    found = {"Movies": str(tmp_path / "movies %d"), "TV": str(tmp_path / "tv")}
    return Machine({"ffmpeg": "/opt/ffmpeg"}, {}, [], found, 2)


@pytest.fixture
def aliases(machine: Machine, tmp_path: Path) -> dict[str, str]:
    """Where the roots are without a namespace."""
    for name, path in machine.roots.items():
        (tmp_path / f"alias-{name}").symlink_to(path)
    return {name: f"{tmp_path}/alias-{name}" for name in machine.roots}


def spec(*args: str, cwd: str | None = None, **more: Any) -> dict[str, Any]:
    folded = folding.fold(command.read("ffmpeg", list(args)), CALLER)
    at = None if cwd is None else roots.fold(cwd, CALLER)
    return {"binary": "ffmpeg", "args": folded, "cwd": at, "attach": False, "in_place": False, **more}


def inside(machine: Machine, *args: str, **more: Any) -> Plan:
    """The plan in a namespace that looks like the caller's host."""
    place = Place(CALLER, Inside())  # type: ignore[arg-type]
    return plan(spec(*args, **more), lease(more.pop("attempt", 1)), machine, place)


def outside(machine: Machine, aliases: dict[str, str], *args: str, **more: Any) -> Plan:
    """The plan where there is none."""
    place = Place(aliases, None, Names(aliases, CALLER), "/nowhere")
    return plan(spec(*args, **more), lease(), machine, place)


FILTER = "subtitles=f=/mnt/It\\\\'s 50%d/a.srt:fontsdir='/tv'"


def test_a_command_in_a_namespace_is_its_callers_byte_for_byte(machine: Machine) -> None:
    args = ["-i", "/mnt/It's 50%d/\udcff.mkv", "-vf", FILTER, "-f", "mpegts", "concat:/tv/a|/tv/b"]

    assert inside(machine, *args, in_place=True).argv == ["/opt/ffmpeg", *args]


def test_a_command_without_one_has_the_aliases(machine: Machine, aliases: dict[str, str]) -> None:
    ready = outside(machine, aliases, "-i", "/tv/a.mkv", "-vf", FILTER, "-f", "null", "-")

    assert ready.argv[2] == f"{aliases['TV']}/a.mkv"
    assert ready.argv[4] == f"subtitles=f={aliases['Movies']}/a.srt:fontsdir='{aliases['TV']}'"


def test_a_directory_is_entered_or_gone_to(machine: Machine, aliases: dict[str, str]) -> None:
    args = ("-i", "a.mkv", "-f", "null", "-")
    caller = f"{CALLER['Movies']}/sub"

    ready, other = inside(machine, *args, cwd=caller), outside(machine, aliases, *args, cwd=caller)

    assert (ready.enter, ready.cwd) == (("enter", caller), None)
    assert (other.enter, other.cwd) == ((), f"{aliases['Movies']}/sub")
    assert (inside(machine, "-version").enter, inside(machine, "-version").cwd) == (("enter", "/"), None)
    assert outside(machine, aliases, "-version").cwd == "/nowhere"


def test_a_directory_that_is_not_there_is_named_as_its_caller_does(machine: Machine) -> None:
    with pytest.raises(CannotRun, match="there is no directory /tv/gone"):
        inside(machine, "-i", "a.mkv", "-f", "null", "-", cwd="/tv/gone")


@pytest.mark.parametrize("output", ["/tv/b.mkv", "file:/tv/b.mkv"])
def test_an_output_is_renamed_here_and_written_there(
    machine: Machine, aliases: dict[str, str], output: str
) -> None:
    prefix = output.partition("/")[0]
    for ready, top in (
        (inside(machine, "-i", "/tv/a.mkv", output), "/tv"),
        (outside(machine, aliases, "-i", "/tv/a.mkv", output), aliases["TV"]),
    ):
        ((temporary, final),) = ready.renames.items()
        assert final == f"{machine.roots['TV']}/b.mkv"
        assert os.path.dirname(temporary) == machine.roots["TV"]
        assert ready.argv[-1] == f"{prefix}{top}/{os.path.basename(temporary)}"


def test_a_root_with_a_number_sign_here_loses_no_output(machine: Machine, aliases: dict[str, str]) -> None:
    job = {**spec("-i", "/tv/a.mkv"), "args": ["-i", [{"root": "TV"}, "/a"], [{"root": "Movies"}, "/b.mkv"]]}

    for view, sandbox in (({**CALLER, "Movies": "/m"}, Inside()), (aliases, None)):
        ready = plan(job, lease(2), machine, Place(view, sandbox))  # type: ignore[arg-type]
        ((temporary, final),) = ready.renames.items()
        assert final == f"{machine.roots['Movies']}/b.mkv"
        assert ready.argv[-1].endswith("/" + os.path.basename(temporary))


@pytest.mark.parametrize(
    "text", ["subtitles={}/l/a.srt", "subtitles=f={}/l/a.srt:si=0", "movie={}/l,null", "ass='{}/l/x'"]
)
@pytest.mark.parametrize("cwd", [None, "/tv"])
def test_a_link_in_a_filter_is_not_followed_without_a_namespace(
    machine: Machine, aliases: dict[str, str], tmp_path: Path, text: str, cwd: str | None
) -> None:
    (tmp_path / "tv" / "l").symlink_to(tmp_path / "elsewhere")
    bad, good = (text.format("/tv").replace("/l", to) for to in ("/l", "/x"))

    with pytest.raises(CannotRun, match="leads out of its root"):
        outside(machine, aliases, "-i", "/tv/a", "-vf", bad, "-f", "null", "-", cwd=cwd)
    assert outside(machine, aliases, "-i", "/tv/a", "-vf", good, "-f", "null", "-", cwd=cwd).cwd
    assert inside(machine, "-i", "/tv/a", "-vf", bad, "-f", "null", "-", cwd=cwd).argv[4] == bad


@pytest.mark.parametrize(
    ("stdin", "wanted"), [("none", (False, False)), ("open", (True, False)), ("ready", (True, True))]
)
def test_input_is_awaited_where_there_is_some(
    machine: Machine, stdin: str, wanted: tuple[bool, bool]
) -> None:
    ready = inside(machine, "-i", "-", "-f", "null", "-", attach=True, stdin=stdin)

    assert (ready.stdin, ready.awaits_stdin) == wanted


def test_umask_and_user_are_the_callers(machine: Machine) -> None:
    ready = inside(machine, "-version", umask=0o027, user=[1, 2, 3])

    assert (ready.umask, list(ready.user)) == (0o027, [1, 2, 3])
    assert (inside(machine, "-version").umask, list(inside(machine, "-version").user)) == (-1, [])
