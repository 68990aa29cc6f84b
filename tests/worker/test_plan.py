"""What a worker runs for a job: its own paths, names of the attempt, and nothing outside the roots."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.state.leases import Lease
from app.wire import command, folding, roots
from worker.files import PREFIX
from worker.machine import Machine
from worker.place import Place
from worker.plan import CannotRun, Plan, environment, folders, plan

JOB = "01M7ZSCJGFM87A34V23JR094QD"


def lease(attempt: int = 1, job_id: str = JOB, mark: str = "0a1b2c3d") -> Lease:
    return Lease(job_id, f"boot:01234567{mark}", attempt, b"")


CLIENT = {"Movies": "/media", "TV": "/media/tv"}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine with two roots that exist, and a secret beside them."""
    for name in ("movies", "tv", "elsewhere", "movies/sub"):
        (tmp_path / name).mkdir()
    (tmp_path / "elsewhere" / "secret.mkv").touch()
    (tmp_path / "movies" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "movies" / "within").symlink_to(tmp_path / "movies" / "sub")
    (tmp_path / "movies" / "film.mkv").symlink_to(tmp_path / "elsewhere" / "secret.mkv")
    found = {"Movies": str(tmp_path / "movies"), "TV": str(tmp_path / "tv")}
    programs = {"ffmpeg": "/opt/ffmpeg", "ffprobe": "/opt/ffprobe"}
    return Machine(programs, dict.fromkeys(programs, "7.1"), [], found, 2)


def spec(*args: str, cwd: str | None = None, **changes: Any) -> dict[str, Any]:
    """A job as a client with the roots CLIENT submits it."""
    return {
        "binary": "ffmpeg",
        "args": folding.fold(command.read(changes.get("binary", "ffmpeg"), list(args)), CLIENT),
        "cwd": None if cwd is None else roots.fold(cwd, CLIENT),
        "attach": False,
        "in_place": False,
        **changes,
    }


def planned(machine: Machine, *args: str, cwd: str | None = None, **changes: Any) -> Plan:
    return plan(spec(*args, cwd=cwd, **changes), lease(), machine, Place(machine.roots, None))


# Names


def test_roots_become_this_machines_paths(machine: Machine) -> None:
    ready = planned(machine, "-i", "/media/a b.mkv", "-f", "null", "-")

    assert ready.argv == ["/opt/ffmpeg", "-i", f"{machine.roots['Movies']}/a b.mkv", "-f", "null", "-"]
    assert ready.cwd == "/"


@pytest.mark.parametrize("prefix", ["", "file:"])
def test_the_innermost_root_is_the_one(machine: Machine, prefix: str) -> None:
    ready = planned(
        machine, "-i", f"{prefix}/media/tv/a.mkv", "-i", f"{prefix}/media/tvs.mkv", "-f", "null", "-"
    )

    assert ready.argv[2] == f"{prefix}{machine.roots['TV']}/a.mkv"
    assert ready.argv[4] == f"{prefix}{machine.roots['Movies']}/tvs.mkv"


def test_arguments_that_are_not_text_stay_bytes(machine: Machine) -> None:
    ready = planned(machine, "-i", "/media/\udcff.mkv", "-metadata", "title=\udcfe\n", "-f", "null", "-")

    assert os.fsencode(ready.argv[2]).endswith(b"/movies/\xff.mkv")
    assert os.fsencode(ready.argv[4]) == b"title=\xfe\n"


def test_the_directory_is_this_machines(machine: Machine) -> None:
    ready = planned(machine, "-i", "a.mkv", "-f", "null", "-", cwd="/media/sub")

    assert ready.cwd == f"{machine.roots['Movies']}/sub"
    assert ready.argv[2] == "a.mkv"


def test_each_binary_is_this_machines(machine: Machine) -> None:
    assert planned(machine, "-version", binary="ffprobe").argv == ["/opt/ffprobe", "-version"]


def test_a_program_that_is_not_here_cannot_run(machine: Machine) -> None:
    with pytest.raises(CannotRun, match="has no ffprobe"):
        planned(replace(machine, programs={"ffmpeg": "/opt/ffmpeg"}), "-version", binary="ffprobe")


@pytest.mark.parametrize("where", ["args", "cwd"])
def test_a_root_that_is_not_here_cannot_be_reached(machine: Machine, where: str) -> None:
    named = [{"root": "Music"}]
    job = {**spec("-version"), where: named if where == "cwd" else ["-i", named, "-f", "null", "-"]}

    with pytest.raises(CannotRun, match="has no root 'Music'"):
        plan(job, lease(), machine, Place(machine.roots, None))


# Nothing outside


@pytest.mark.parametrize(
    "args",
    [
        ("-i", "/etc/passwd", "-f", "null", "-"),
        ("-i", "file:/etc/passwd", "-f", "null", "-"),
        ("-i", "file:///etc/passwd", "-f", "null", "-"),
        ("-i", "/media/a.mkv", "-y", "/tmp/out.mkv"),
        ("-i", "/media/../etc/passwd", "-f", "null", "-"),
        ("-i", "/media/a.mkv", "-passlogfile", "/tmp/log", "-f", "null", "-"),
        ("-i", "a.mkv", "-f", "null", "-"),
        ("-i", "../a.mkv", "-f", "null", "-"),
        ("-i", "concat:/etc/passwd|/etc/group", "-f", "null", "-"),
        ("-i", "subfile,,start,0,end,9,,:/etc/passwd", "-f", "null", "-"),
        ("-i", "async:/etc/passwd", "-f", "null", "-"),
        ("-i", "/dev/dri/../../etc/passwd", "-f", "null", "-"),
    ],
    ids=lambda args: args[1] if args[1] != "/media/a.mkv" else args[-1],
)
def test_a_file_outside_every_root_is_refused(machine: Machine, args: tuple[str, ...]) -> None:
    with pytest.raises(CannotRun, match="outside every root"):
        planned(machine, *args)


@pytest.mark.parametrize(
    "pieces",
    [
        ["fi", "le:/etc/passwd"],
        ["", "/etc/passwd"],
        [{"b64": ""}, "/etc/passwd"],
        [{"b64": "L2V0Yy9wYXNzd2Q="}],
        ["/dev/dri/", "../../etc/passwd"],
        ["-", "/../../../etc/passwd"],
        [{"root": "Movies"}, "/../../etc/passwd"],
        [{"root": "Movies"}, "2/secret.mkv"],
        ["file:", {"root": "Movies"}, "/link/secret.mkv"],
        ["concat:", {"root": "Movies"}, "/a.ts|/etc/passwd"],
    ],
    ids=str,
)
@pytest.mark.parametrize("cwd", [None, [{"root": "Movies"}, "/sub"]])
def test_pieces_that_are_a_file_outside_once_they_are_joined_are_refused(
    machine: Machine, pieces: list[Any], cwd: list[Any] | None
) -> None:
    job = {**spec(), "args": ["-i", pieces, "-f", "null", "-"], "cwd": cwd}

    with pytest.raises(CannotRun):
        plan(job, lease(), machine, Place(machine.roots, None))


@pytest.mark.parametrize(
    "args",
    [
        ("-i", "../elsewhere/secret.mkv", "-f", "null", "-"),
        ("-i", "sub/../../elsewhere/secret.mkv", "-f", "null", "-"),
        ("-i", "file:../elsewhere/secret.mkv", "-f", "null", "-"),
        ("-i", "a.mkv", "../elsewhere/new.mkv"),
    ],
)
def test_a_name_that_climbs_out_of_its_root_is_refused(machine: Machine, args: tuple[str, ...]) -> None:
    with pytest.raises(CannotRun):
        planned(machine, *args, cwd="/media")


@pytest.mark.parametrize(
    "args",
    [
        ("-i", "/media/link/secret.mkv", "-f", "null", "-"),
        ("-i", "file:/media/link/secret.mkv", "-f", "null", "-"),
        ("-i", "/media/film.mkv", "-f", "null", "-"),
        ("-i", "/media/a.mkv", "-y", "/media/link/new.mkv"),
        ("-i", "/media/a.mkv", "-y", "/media/film.mkv"),
        ("-i", "link/secret.mkv", "-f", "null", "-"),
        ("-i", "film.mkv", "-f", "null", "-"),
        ("-i", "file:film.mkv", "-f", "null", "-"),
        ("-i", "a.mkv", "-y", "link/new.mkv"),
        ("-i", "a.mkv", "-y", "file:link/new.mkv"),
        ("-i", "a.mkv", "-y", "within/../link/new.mkv"),
    ],
    ids=lambda args: " ".join(args[1:]),
)
@pytest.mark.parametrize("in_place", [False, True])
def test_a_link_that_leads_out_of_the_roots_is_not_followed(
    machine: Machine, args: tuple[str, ...], in_place: bool
) -> None:
    with pytest.raises(CannotRun, match="leads out of its root"):
        planned(machine, *args, cwd="/media", in_place=in_place)


def test_a_link_that_stays_within_the_roots_is_followed(machine: Machine) -> None:
    Path(machine.roots["Movies"], "tv").symlink_to(machine.roots["TV"])

    for name in ("within/a.mkv", "tv/a.mkv", "/media/within/a.mkv"):
        assert planned(machine, "-i", name, "-f", "null", "-", cwd="/media").argv[2].endswith("a.mkv")


def test_a_root_may_itself_be_a_link(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(machine.roots["Movies"])
    moved = replace(machine, roots={"Movies": str(tmp_path / "alias")})

    assert planned(moved, "-i", "/media/a.mkv", "-f", "null", "-").argv[2] == f"{tmp_path}/alias/a.mkv"


@pytest.mark.parametrize("cwd", ["/etc", "/"])
def test_a_directory_outside_every_root_is_refused(machine: Machine, cwd: str) -> None:
    with pytest.raises(CannotRun):
        planned(machine, "-i", "passwd", "-f", "null", "-", cwd=cwd)


def test_a_directory_behind_a_link_that_leads_out_is_refused(machine: Machine) -> None:
    with pytest.raises(CannotRun, match="leads out of its root"):
        planned(machine, "-i", "secret.mkv", "-f", "null", "-", cwd="/media/link")


@pytest.mark.parametrize(
    "args",
    [
        ("-f", "lavfi", "-i", "testsrc=size=2x2:duration=1", "-f", "null", "/dev/null"),
        ("-i", "/media/a.mkv", "-f", "null", "/dev/null"),
        ("-i", "/media/a.mkv", "-metadata", "comment=x", "-metadata", "/etc/passwd", "-f", "null", "-"),
        ("-i", "https://example.org/a.mkv", "-f", "null", "-"),
        ("-vaapi_device", "/dev/dri/renderD128", "-i", "/media/a.mkv", "-f", "null", "-"),
        ("-i", "pipe:0", "-f", "matroska", "pipe:1"),
        ("-version",),
    ],
    ids=" ".join,
)
def test_what_is_no_file_may_be_anywhere(machine: Machine, args: tuple[str, ...]) -> None:
    assert planned(machine, *args).renames == {}


# Names of the attempt


@pytest.mark.parametrize(
    "name", ["b.mkv", "b.tar.mp4", "b c.MKV", "it's [x] 50p.mkv", "é.mkv", "\udcff.mkv", ".mkv", "b"]
)
def test_an_output_is_written_under_a_name_of_the_attempt(machine: Machine, name: str) -> None:
    ready = plan(
        spec("-i", "/media/a.mkv", f"/media/sub/{name}"), lease(3), machine, Place(machine.roots, None)
    )

    ((temporary, final),) = ready.renames.items()
    folder, fresh = os.path.split(temporary)
    assert final == f"{machine.roots['Movies']}/sub/{name}"
    assert folder == f"{machine.roots['Movies']}/sub"
    assert fresh.startswith(f"{PREFIX}{JOB}-3-0a1b2c3d-")
    assert fresh.rpartition(".")[2] == name.rpartition(".")[2] or "." not in name
    assert ready.argv[-1] == temporary
    assert fresh.startswith(".")


def test_a_prefix_stays_before_the_fresh_name(machine: Machine) -> None:
    ready = planned(machine, "-i", "/media/a.mkv", "file:/media/b:c.mkv")

    ((temporary, final),) = ready.renames.items()
    assert final == f"{machine.roots['Movies']}/b:c.mkv"
    assert ready.argv[-1] == f"file:{temporary}"


@pytest.mark.parametrize("name", ["b.mkv", "sub/b.mkv", "./b.mkv", "file:b.mkv", "file:sub/b.mkv"])
def test_a_relative_output_is_renamed_where_the_command_runs(machine: Machine, name: str) -> None:
    ready = planned(machine, "-i", "a.mkv", name, cwd="/media")

    ((temporary, final),) = ready.renames.items()
    top = machine.roots["Movies"]
    written = os.path.join(top, ready.argv[-1].removeprefix("file:"))
    assert os.path.normpath(final) == os.path.normpath(f"{top}/{name.removeprefix('file:')}")
    assert os.path.normpath(temporary) == os.path.normpath(written)
    assert ready.argv[-1].startswith("file:") == name.startswith("file:")


def test_several_outputs_have_several_names(machine: Machine) -> None:
    ready = planned(machine, "-i", "/media/a.mkv", "/media/b.mkv", "/media/sub/b.mkv", "-f", "null", "-")

    assert [final.removeprefix(machine.roots["Movies"]) for final in ready.renames.values()] == [
        "/b.mkv",
        "/sub/b.mkv",
    ]
    assert len({os.path.basename(name) for name in ready.renames}) == 2
    assert ready.argv[-1] == "-"


def test_two_attempts_do_not_meet(machine: Machine) -> None:
    job = spec("-i", "/media/a.mkv", "/media/b.mkv")

    names = [
        next(iter(plan(job, lease(attempt, job_id), machine, Place(machine.roots, None)).renames))
        for job_id in (JOB, JOB[::-1])
        for attempt in (1, 2)
    ]

    assert len(set(names)) == 4


def test_two_attempts_of_one_number_do_not_meet_either(machine: Machine) -> None:
    job = spec("-i", "/media/a.mkv", "/media/b.mkv")

    first, second = (
        plan(job, lease(1, mark=mark), machine, Place(machine.roots, None))
        for mark in ("0a1b2c3d", "4e5f6071")
    )

    assert first.renames.keys().isdisjoint(second.renames)
    assert all(os.path.basename(name).startswith(first.stem) for name in first.renames)


def test_where_attempts_may_have_left_files_is_known(machine: Machine) -> None:
    job = spec("-i", "/media/a.mkv", "/media/tv/b.mkv", "/media/sub/c.mkv", "-f", "null", "-")
    top = machine.roots["Movies"]

    assert folders(job, machine) == {top, machine.roots["TV"], f"{top}/sub"}


def test_a_call_through_the_shim_writes_in_place(machine: Machine) -> None:
    ready = planned(machine, "-i", "/media/a.mkv", "/media/b.mkv", in_place=True, attach=True)

    assert ready.argv[-1] == f"{machine.roots['Movies']}/b.mkv"
    assert ready.renames == {}


@pytest.mark.parametrize(
    "output",
    [
        ("-f", "hls", "/media/b.m3u8"),
        ("/media/b_%03d.png",),
        ("-f", "matroska", "-"),
        ("-f", "segment", "/media/%d.ts"),
    ],
)
def test_what_is_not_one_file_keeps_its_name(machine: Machine, output: tuple[str, ...]) -> None:
    ready = planned(machine, "-i", "/media/a.mkv", *output)

    assert ready.argv[-1] == output[-1].replace("/media", machine.roots["Movies"])
    assert ready.renames == {}


# Pipes


@pytest.mark.parametrize(
    ("args", "wanted"),
    [
        (("-i", "/media/a.mkv", "/media/b.mkv"), True),
        (("-i", "/media/a.mkv", "-f", "null", "-"), True),
        (("-i", "/media/a.mkv"), False),
        (("-version",), False),
        (("-progress", "-", "-i", "/media/a.mkv", "/media/b.mkv"), False),
        (("-i", "/media/a.mkv", "/media/b.mkv", "-progress", "pipe:2"), False),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_progress_is_asked_for_where_there_is_some_and_nobody_else_asks(
    machine: Machine, args: tuple[str, ...], wanted: bool
) -> None:
    ready = planned(machine, *args)

    assert ready.progress is wanted
    assert ready.argv.count("-progress") == args.count("-progress")


def test_ffprobe_has_no_progress(machine: Machine) -> None:
    assert planned(machine, "-i", "/media/a.mkv", "-o", "/media/b.json", binary="ffprobe").progress is False


@pytest.mark.parametrize(
    ("args", "attach", "wanted"),
    [
        (("-i", "-", "-f", "null", "-"), True, True),
        (("-i", "/media/a.mkv", "-f", "null", "-"), True, True),  # it listens for q
        (("-nostdin", "-i", "/media/a.mkv", "-f", "null", "-"), True, False),
        (("-version",), True, False),
        (("-i", "-", "-f", "null", "-"), False, False),
        (("-i", "/media/a.mkv", "-f", "null", "-"), False, False),
    ],
    ids=str,
)
def test_standard_input_is_there_for_an_attached_caller_only(
    machine: Machine, args: tuple[str, ...], attach: bool, wanted: bool
) -> None:
    assert planned(machine, *args, attach=attach).stdin is wanted


def test_the_environment_is_empty_but_for_what_is_allowed() -> None:
    own = {
        "PATH": "/bin",
        "HOME": "/h",
        "LANG": "C",
        "FFREPORT": "x",
        "LD_PRELOAD": "x",
        "FFGRID_KEY_FILE": "x",
        "http_proxy": "x",
    }

    assert environment(own, {}, in_sandbox=False) == {"PATH": "/bin", "HOME": "/h", "LANG": "C"}


def test_a_caller_says_some_of_a_jobs_environment():
    own = {"PATH": "/bin", "TZ": "UTC"}
    asked = {"TZ": "Asia/Tokyo", "AMD_DEBUG": "noefc", "LD_PRELOAD": "/evil.so", "PATH": "/evil"}

    made = environment(own, asked, in_sandbox=False)

    assert made == {"PATH": "/bin", "TZ": "Asia/Tokyo", "AMD_DEBUG": "noefc"}


def test_a_job_in_a_namespace_has_a_home_of_its_own() -> None:
    own = {"PATH": "/bin", "HOME": "/h", "TMPDIR": "/t", "LD_LIBRARY_PATH": "/l"}

    assert environment(own, {"TZ": "UTC"}, in_sandbox=True) == {
        "PATH": "/bin",
        "HOME": "/run/ffgrid",
        "LD_LIBRARY_PATH": "/l",
        "TZ": "UTC",
    }
