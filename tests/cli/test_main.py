"""The command itself: what it needs, how it starts, how it ends."""

from __future__ import annotations

import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest

from app.cli import errors, fleet
from app.cli.main import main
from tests.farm import FFGRID

REPOSITORY = Path(__file__).resolve().parent.parent.parent
THIN = ("main", "client", "jobs", "fleet", "waiting", "watching", "submission", "shim", "terminal", "table")
THIN += ("logs", "moments", "parser", "completion", "config", "health", "version", "many", "filters")


@pytest.mark.parametrize("module", THIN)
def test_the_thin_commands_need_nothing_but_python(module: str) -> None:
    code = f"import sys; sys.path.insert(0, sys.argv[1]); import app.cli.{module}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(REPOSITORY)], capture_output=True, text=True, check=True
    )
    loaded = {name.split(".")[0] for name in done.stdout.split()}

    assert loaded & {"redis", "starlette", "itsdangerous", "msgspec", "uvicorn", "jinja2"} == set()
    assert "asyncio" not in loaded


@pytest.mark.parametrize("module", ["doctor", "init", "questions", "units"])
def test_what_looks_at_all_needs_nothing_that_a_client_has_not(module: str) -> None:
    code = f"import sys; sys.path.insert(0, sys.argv[1]); import app.cli.{module}; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(REPOSITORY)], capture_output=True, text=True, check=True
    )

    assert {name.split(".")[0] for name in done.stdout.split()} & {
        "redis",
        "starlette",
        "msgspec",
        "argon2",
    } == set()


@pytest.mark.parametrize(
    "words",
    [["nix"], ["jobs", "--nix"], ["submit", "--lane", "x"], ["show"], ["drain"], ["jobs", "--limit", "x"]],
)
def test_what_cannot_be_read_is_wrong_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)

    assert ended.value.code == errors.USAGE
    assert capsys.readouterr().err.startswith("usage: ffgrid")


def test_without_a_command_it_prints_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == errors.USAGE
    assert "submit" in capsys.readouterr().out


def test_it_has_a_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])

    assert ended.value.code == 0
    assert "".join(capsys.readouterr()).startswith("ffgrid ")


@pytest.mark.parametrize(
    ("error", "status", "sentence"),
    [
        (errors.Failure("no luck", 75), 75, "ffgrid: no luck\n"),
        (KeyboardInterrupt(), 130, ""),
        (ValueError("odd"), 1, "ffgrid: odd (ValueError; FFGRID_DEBUG=1 shows more)\n"),
    ],
)
def test_every_error_is_one_sentence_and_a_status(
    error: BaseException,
    status: int,
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(arguments: Namespace) -> int:
        raise error

    monkeypatch.setattr(fleet, "workers", fail)

    assert main(["workers"]) == status
    assert capsys.readouterr().err == sentence


def test_a_setting_that_is_wrong_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FFGRID_URL", "ftp://x")

    assert main(["workers"]) == errors.USAGE
    assert "FFGRID_URL: expected http:// or https://" in capsys.readouterr().err


def test_a_reader_who_goes_away_is_no_reason_to_complain() -> None:
    with subprocess.Popen([FFGRID, "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        complaint = process.stderr.read()

    assert b"Traceback" not in complaint
