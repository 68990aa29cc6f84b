"""What a call has from its caller: standard input, umask, the directory, and files behind links."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from app.wire import keyfile
from shim import caller
from shim.config import Config
from shim.submit import Stays, submission

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A root with links in it, in which the caller is; a secret beside it; another root that is a link."""
    for name in ("root/sub", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "elsewhere" / "secret").touch()
    (tmp_path / "root" / "film").touch()
    (tmp_path / "root" / "out").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "root" / "secret").symlink_to(tmp_path / "elsewhere" / "secret")
    (tmp_path / "root" / "within").symlink_to("sub")
    (tmp_path / "root" / "gone").symlink_to(tmp_path / "elsewhere" / "new")
    (tmp_path / "alias").symlink_to("root")
    monkeypatch.chdir(tmp_path / "root")
    monkeypatch.delenv("PWD", raising=False)
    return tmp_path / "root"


def config(root: Path, **more: str) -> Config:
    return Config(
        ["http://x"], keyfile.Key("tester", bytes(32), b""), {"Root": str(root), **more}, "", "normal"
    )


def submitted(root: Path, *args: str, **more: str) -> Any:
    return json.loads(submission("ffmpeg", list(args), config(root, **more))[0])


# Links


@pytest.mark.parametrize(
    "name",
    [
        "out/secret",
        "secret",
        "out/new",
        "out",
        "./out/secret",
        "sub/../secret",
        "file:secret",
        "file:out/new",
    ],
)
def test_what_is_behind_a_link_that_leads_out_stays(root: Path, name: str) -> None:
    with pytest.raises(Stays, match="leads out of every root through a link"):
        submitted(root, "-i", name, "-f", "null", "-")
    with pytest.raises(Stays, match="leads out of every root through a link"):
        submitted(root, "-i", "film", "-y", name)


@pytest.mark.parametrize("name", ["film", "within/new", "within", "new", "sub/new", "gone/x/y", "nowhere/x"])
def test_what_stays_within_does_not(root: Path, name: str) -> None:
    assert submitted(root, "-i", name, "-f", "null", "-")["args"][1] == name


def test_a_root_may_be_behind_a_link(root: Path) -> None:
    alias = root.parent / "alias"

    assert caller.leads_out(f"{alias}/film", config(alias)) is False
    assert caller.leads_out(f"{alias}/secret", config(alias)) is True
    assert caller.leads_out(f"{alias}/within/new", config(root)) is False


def test_a_link_from_one_root_into_another_is_within(root: Path) -> None:
    assert submitted(root, "-i", "secret", "-f", "null", "-", Other=str(root.parent / "elsewhere"))


def test_a_link_that_leads_to_a_new_file_outside_stays(root: Path) -> None:
    with pytest.raises(Stays, match="leads out"):
        submitted(root, "-i", "film", "-y", "gone")


# The directory


@pytest.mark.parametrize("name", ["PWD", None])
def test_the_name_by_which_the_caller_came_is_known(
    root: Path, monkeypatch: pytest.MonkeyPatch, name: str | None
) -> None:
    alias = root.parent / "alias"
    monkeypatch.setenv(name or "OTHER", f"{alias}/sub")
    monkeypatch.chdir(f"{alias}/sub")

    told = submitted(alias, "-version")["cwd"]

    assert told == ([{"root": "Root"}, "/sub"] if name else None)


@pytest.mark.parametrize("wrong", ["", "sub", "/nowhere", "elsewhere"])
def test_a_name_that_is_not_true_is_not_believed(
    root: Path, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    monkeypatch.setenv("PWD", str(root.parent / wrong) if wrong == "elsewhere" else wrong)

    assert submitted(root, "-version")["cwd"] == [{"root": "Root"}]
    assert submitted(root.parent / "elsewhere", "-version")["cwd"] is None


def test_a_directory_that_is_gone_is_none(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root / "sub")
    (root / "sub").rmdir()

    assert submitted(root, "-version")["cwd"] is None


# Standard input and umask


def asked(expression: str, **options: Any) -> str:
    """What this process would say of itself when it is started so."""
    script = f"from shim import caller; print({expression})"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, **options
    )
    return done.stdout.strip()


def test_what_standard_input_is(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    (tmp_path / "file").write_text("x")
    try:
        assert asked("caller.stdin()", stdin=reader) == "open"
        os.write(writer, b"q")
        assert asked("caller.stdin()", stdin=reader) == "ready"
    finally:
        os.close(writer)
    assert asked("caller.stdin()", stdin=reader) == "ready"  # its end is there to be read
    os.close(reader)
    with (tmp_path / "file").open() as file:
        assert asked("caller.stdin()", stdin=file) == "ready"
    assert asked("caller.stdin()", stdin=subprocess.DEVNULL) == "none"
    assert asked("caller.stdin()", input="x") == "ready"


def test_a_closed_standard_input_is_none() -> None:
    done = subprocess.run(
        ["/bin/sh", "-c", f"'{sys.executable}' -c 'from shim import caller; print(caller.stdin())' <&-"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )

    assert (done.stdout, done.stderr) == ("none\n", "")


@pytest.mark.parametrize("umask", [0, 0o022, 0o077, 0o777])
def test_the_umask_is_told_and_kept(umask: int) -> None:
    assert asked("caller.umask(), caller.umask()", umask=umask) == f"{umask} {umask}"


def test_the_user_is_told(root: Path) -> None:
    assert submitted(root, "-version")["user"][:2] == [os.geteuid(), os.getegid()]


@pytest.mark.parametrize("path", ["a\0b", "", "\udcff", "x" * 9000])
def test_a_name_that_nothing_has_is_not_there(root: Path, path: str) -> None:
    assert caller.is_there(path) is False
    assert caller.leads_out(path, config(root)) is False
