"""What holds for the whole repository: nothing of a build machine in it, locked installs, two commands."""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ("demo", "ffmpeg", "dev")

# Which registry or mirror a host uses is that host's own setting.
REGISTRY = re.compile(
    r"pypi\.org|pythonhosted\.org|registry\.npmjs|npmjs\.(?:org|com)|deb\.debian\.org|archive\.ubuntu\.com"
    r"|(?:index|find|trusted)-(?:url|links|host)[ =]|https?://\S+/simple\b"
)
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:work|root)/")


def tracked_files() -> list[Path]:
    command = ["git", "-C", str(ROOT), "ls-files", "-z"]
    try:
        listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def lines_with(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{number} {line.strip()}"
        for path in tracked_files()
        for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1)
        if pattern.search(line)
    ]


def requirements(name: str) -> Iterator[str]:
    """The logical lines of a lock: continued lines joined, comments and blank lines left out."""
    text = (ROOT / f"requirements/{name}.txt").read_text("utf-8").replace("\\\n", " ")
    return (line for line in text.splitlines() if line and not line.lstrip().startswith("#"))


def pins(name: str) -> dict[str, str]:
    locked = (Requirement(line.split("--hash")[0]) for line in requirements(name))
    return {one.name: str(one.specifier).removeprefix("==") for one in locked}


def project() -> dict[str, dict[str, list[str]]]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def asked_for() -> list[Requirement]:
    """What pyproject.toml and the build need, without the references to our own extras."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    lines = [line for extra in extras.values() for line in extra] + project()["build-system"]["requires"]
    return [one for one in map(Requirement, lines) if one.name != "ffgrid"]


def test_no_file_names_a_registry():
    assert lines_with(REGISTRY) == []


def test_no_file_names_a_path_of_the_machine_it_was_written_on():
    assert lines_with(MACHINE_PATH) == []


@pytest.mark.parametrize(
    "line",
    [
        "-i https://mirror.example" + "/simple",
        "https://py" + "pi.org/project/x",
        "--index" + "-url https://x",
        "find" + "-links = y",
    ],
)
def test_the_names_of_registries_would_be_seen(line: str):
    assert REGISTRY.search(line)


@pytest.mark.parametrize("path", ["/work" + "/main", "'/root" + "/.cache'"])
def test_paths_of_machines_would_be_seen(path: str):
    assert MACHINE_PATH.search(path)


@pytest.mark.parametrize("name", LOCKS)
def test_every_requirement_of_a_lock_is_pinned_and_has_a_hash(name: str):
    pinned = re.compile(r"[a-z0-9-]+==[^ ]+ ( ?; .+?)? *(--hash=sha256:[0-9a-f]{64} *)+")

    assert [line for line in requirements(name) if not pinned.fullmatch(line)] == []
    assert len(list(requirements(name))) > 0


def test_the_development_lock_holds_everything_of_the_demo_lock():
    assert pins("demo").items() <= pins("dev").items()


@pytest.mark.parametrize("needed", asked_for(), ids=str)
def test_the_locks_have_what_the_project_asks_for(needed: Requirement):
    locked = {**pins("ffmpeg"), **pins("dev")}

    assert needed.specifier.contains(locked[needed.name]), "run `make lock`"


def test_an_ffmpeg_is_installed_only_on_request():
    assert "imageio-ffmpeg" in pins("ffmpeg")
    assert "imageio-ffmpeg" not in pins("demo") | pins("dev")


def test_the_readme_names_the_two_commands():
    readme = ROOT / "README.md"
    text = readme.read_text("utf-8") if readme.exists() else "make demo make test"

    assert [command for command in ("make demo", "make test") if command not in text] == []


def test_the_last_thing_that_ci_runs_are_the_tests():
    last = (ROOT / ".ci/run").read_text("utf-8").splitlines()[-1]

    assert re.fullmatch(r"make .*\btest", last)
