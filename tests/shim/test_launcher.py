"""`ffgrid shim install`: launchers that work wherever they are called from, and never call themselves."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from app.cli.main import main
from app.cli.shim import _start
from tests.shim.conftest import LOCAL, Place


def is_local(done: subprocess.CompletedProcess[bytes]) -> bool:
    """Whether the local program has run and nothing else was said."""
    return done.stdout.startswith(b"local ") and done.returncode == 0 and done.stderr == b""


def another_local(folder: Path, name: str = "ffmpeg") -> Path:
    """A real program in a folder of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(LOCAL)
    path.chmod(0o755)
    return path


def baked(launcher: Path) -> str:
    """The local program that a launcher was made with."""
    return launcher.read_text().partition("'local': ")[2].partition(",")[0].strip("'")


# What is written


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o000])
def test_two_programs_are_written_that_everybody_may_run(place: Place, umask: int) -> None:
    before = os.umask(umask)
    try:
        place.install()
    finally:
        os.umask(before)

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in place.bin.iterdir()}
    assert modes == {"ffmpeg": 0o755, "ffprobe": 0o755}


def test_each_has_its_own_local_program(place: Place) -> None:
    place.install()

    assert baked(place.bin / "ffmpeg") == str(place.local)
    assert baked(place.bin / "ffprobe") == str(place.local.with_name("ffprobe"))


def test_what_was_written_is_said(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.install()
    with_local = capsys.readouterr().out
    place.install("--no-local")

    assert with_local.splitlines()[0] == f"wrote {place.bin}/ffmpeg (local: {place.local})"
    assert capsys.readouterr().out.splitlines()[1] == f"wrote {place.bin}/ffprobe (no local program)"


def test_the_folder_is_made(place: Place) -> None:
    assert is_local(place.run(place.install(into=place.folder / "a" / "b" / "c")))


def test_a_relative_folder_is_taken_from_here(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place.folder)

    place.install(into=Path("somewhere"))

    assert is_local(place.run(place.folder / "somewhere" / "ffmpeg"))


def test_relative_settings_are_baked_in_absolute(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place.folder)
    arguments = [
        "shim",
        "install",
        "bin",
        "--key-file",
        "key",
        "--roots",
        f"Media={place.root}",
        "--no-local",
    ]

    assert main(arguments) == 0
    done = place.run(place.bin / "ffmpeg", "-version")

    assert b"key" not in done.stderr  # it was found
    assert repr(str(place.key_file)) in (place.bin / "ffmpeg").read_text()


@pytest.mark.parametrize(
    ("missing", "word"), [("--key-file", "the shim needs a key"), ("--roots", "the shim needs roots")]
)
def test_what_it_needs_is_asked_for(
    place: Place, missing: str, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"--key-file": str(place.key_file), "--roots": f"Media={place.root}"}
    del given[missing]
    flags = [part for pair in given.items() for part in pair]

    assert main(["shim", "install", str(place.bin), *flags]) == 2
    assert word in capsys.readouterr().err
    assert not place.bin.exists()


# Where it works


def test_it_works_without_any_environment(place: Place) -> None:
    done = subprocess.run(
        ["env", "-i", place.install(), "-version"], capture_output=True, check=False, stdin=subprocess.DEVNULL
    )

    assert is_local(done)


def test_it_works_where_nothing_can_be_written(place: Place) -> None:
    launcher = place.install()

    assert is_local(place.run(launcher, "-version", env={"HOME": "/proc"}, cwd="/proc"))  # for root neither


@pytest.mark.parametrize("kind", ["absolute", "relative", "chain"])
def test_it_works_through_links(place: Place, kind: str) -> None:
    launcher = place.install()
    folder = place.folder / "links"
    folder.mkdir()
    if kind == "absolute":
        (folder / "ffmpeg").symlink_to(launcher)
    elif kind == "relative":
        (folder / "ffmpeg").symlink_to("../bin/ffmpeg")
    else:
        (place.folder / "alias").symlink_to(place.bin)
        (folder / "third").symlink_to("../alias/ffmpeg")
        (folder / "second").symlink_to(folder / "third")
        (folder / "ffmpeg").symlink_to("second")

    assert is_local(place.run(folder / "ffmpeg", "-version"))


@pytest.mark.parametrize("name", ["ffmpeg-8", "jellyfin-ffmpeg", "Plex Transcoder", "é"])
def test_it_works_under_another_name(place: Place, name: str) -> None:
    launcher = place.install()

    moved = launcher.rename(place.folder / name)

    assert is_local(place.run(moved, "-version"))


@pytest.mark.parametrize("name", ["a b", "it's", "[x] 50%", "é", "$HOME", 'q"q', "{0}"])
def test_it_works_in_a_folder_of_any_name(place: Place, name: str) -> None:
    launcher = place.install(into=place.folder / name)

    assert is_local(place.run(launcher, "-version"))


def test_it_works_when_found_on_the_path(place: Place) -> None:
    place.install()

    done = subprocess.run(
        ["/bin/sh", "-c", "ffmpeg -version"],
        env={"PATH": f"{place.bin}:/usr/bin:/bin"},
        capture_output=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )

    assert is_local(done)


# A Python with a strange path: through sh


@pytest.mark.parametrize("name", ["a b", "x" * 130, "it's", "it's a b", '"', "$HOME `id`", "a\\b c"])
def test_a_python_that_the_kernel_cannot_read_is_started_by_sh(
    place: Place, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = place.folder / name
    folder.mkdir()
    python = folder / "python"
    python.symlink_to(os.path.realpath(sys.executable))
    monkeypatch.setattr(sys, "executable", str(python))

    launcher = place.install()
    done = place.run(launcher, b"\xff", "a b", "$HOME", "'")

    assert is_local(done), done
    assert b"<\xff><a b><$HOME><'>" in done.stdout


def test_a_plain_python_is_started_by_the_kernel() -> None:
    assert _start("/usr/bin/python3") == "#!/usr/bin/python3 -IS"


@pytest.mark.parametrize("python", ["/opt/a b/python", "/" + "x" * 200])
def test_the_way_through_sh_is_python_too(python: str) -> None:
    start = _start(python)

    assert start.startswith("#!/bin/sh\n")
    compile(start, "launcher", "exec")


# Made anew


def test_a_launcher_is_replaced_at_once(place: Place) -> None:
    """Whoever calls or reads it while it is replaced finds the old one or the new one."""
    launcher = place.install()
    seen, stop = set[str](), threading.Event()

    def look() -> None:
        while not stop.is_set():
            seen.add(launcher.read_text())

    reader = threading.Thread(target=look)
    reader.start()
    for number in range(25):
        place.install(url=f"http://127.0.0.1:{number + 1}")
    stop.set()
    reader.join()

    assert all(text.startswith("#!") and text.endswith("})\n") for text in seen)
    assert sorted(path.name for path in place.bin.iterdir()) == ["ffmpeg", "ffprobe"]


def test_one_that_is_open_or_running_is_left_alone(place: Place) -> None:
    launcher = place.install()
    with launcher.open() as old:
        inode = launcher.stat().st_ino
        place.install(url="http://127.0.0.1:10")

        assert "127.0.0.1:10" not in old.read()
    assert launcher.stat().st_ino != inode


def test_a_link_at_its_place_is_replaced_and_not_followed(place: Place) -> None:
    place.bin.mkdir()
    (place.bin / "ffmpeg").symlink_to(place.local)

    launcher = place.install()

    assert place.local.read_text() == LOCAL
    assert not launcher.is_symlink()
    assert is_local(place.run(launcher))


# Never itself


@pytest.mark.parametrize("times", [1, 2, 3])
def test_its_own_folder_on_the_path_is_no_place_to_look(
    place: Place, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    monkeypatch.setenv("PATH", f"{place.bin}:{os.environ['PATH']}")
    for _ in range(times):
        launcher = place.install()

    assert baked(launcher) == str(place.local)
    assert is_local(place.run(launcher))


def test_its_own_folder_by_another_name_is_none_either(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.install()
    (place.folder / "alias").symlink_to(place.bin)
    monkeypatch.setenv("PATH", f"{place.folder / 'alias'}:{place.bin}/../bin:{os.environ['PATH']}")

    launcher = place.install()

    assert baked(launcher) == str(place.local)


def test_a_launcher_elsewhere_is_passed_over(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    other = place.install(into=place.folder / "other")
    monkeypatch.setenv("PATH", f"{other.parent}:{os.environ['PATH']}")

    launcher = place.install()

    assert baked(launcher) == str(place.local)
    assert is_local(place.run(launcher))


def test_a_link_to_a_launcher_is_passed_over(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    launcher = place.install()
    (place.folder / "links").mkdir()
    (place.folder / "links" / "ffmpeg").symlink_to(launcher)
    monkeypatch.setenv("PATH", f"{place.folder / 'links'}:{os.environ['PATH']}")

    assert baked(place.install()) == str(place.local)


def test_a_launcher_through_sh_is_known_too(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = place.folder / ("a b" * 60)
    folder.mkdir()
    (folder / "python").symlink_to(os.path.realpath(sys.executable))
    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", str(folder / "python"))
        other = place.install(into=place.folder / "other")
    monkeypatch.setenv("PATH", f"{other.parent}:{os.environ['PATH']}")

    assert baked(place.install()) in ("", str(place.local))


def test_with_launchers_only_there_is_no_local_program(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    other = place.install("--no-local", into=place.folder / "other")
    monkeypatch.setenv("PATH", f"{other.parent}:{place.bin}")

    assert baked(place.install()) == ""


def test_a_program_that_is_named_is_the_one(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    named = another_local(place.folder / "opt", "my-ffmpeg")
    monkeypatch.setenv("FFGRID_FFMPEG", str(named))

    launcher = place.install()

    assert baked(launcher) == str(named)
    assert is_local(place.run(launcher))


def test_a_launcher_that_is_named_is_refused(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    launcher = place.install()
    monkeypatch.setenv("FFGRID_FFMPEG", str(launcher))

    assert baked(place.install()) in ("", str(place.local))


def test_a_program_that_cannot_be_read_can_still_be_run(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    binary = place.folder / "opt" / "ffmpeg"
    binary.parent.mkdir()
    shutil.copy("/bin/true", binary)
    binary.chmod(0o111)
    monkeypatch.setenv("PATH", f"{binary.parent}:{os.environ['PATH']}")

    assert baked(place.install()) == str(binary)


def test_the_real_ffmpeg_of_this_machine_is_found(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    path = os.environ["PATH"].partition(":")[2]
    monkeypatch.setenv("PATH", path)

    launcher = place.install()
    done = place.run(launcher, "-version")

    assert baked(launcher) == shutil.which("ffmpeg", path=path)
    assert done.stdout.startswith(b"ffmpeg version ")


@pytest.mark.parametrize("wait", ["soon", "0", "-1", "1e3", "5s", "", "²"])
def test_a_wait_that_is_none_is_refused(place: Place, wait: str, capsys: pytest.CaptureFixture[str]) -> None:
    roots, key = f"Media={place.root}", str(place.key_file)

    status = main(["shim", "install", str(place.bin), "--roots", roots, "--key-file", key, f"--wait={wait}"])

    assert status == 2
    assert f"--wait: expected seconds from 0.1 on, or never, got {wait!r}" in capsys.readouterr().err
    assert not place.bin.exists()


@pytest.mark.parametrize("wait", ["never", "0.1", "5", "60.5"])
def test_the_wait_is_in_the_launcher(place: Place, wait: str) -> None:
    assert f"'wait': '{wait}'" in place.install("--wait", wait).read_text()
