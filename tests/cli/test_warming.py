"""`ffgrid shim install` asks what a media server will ask, and never fails for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from app.cli.main import main
from app.cli.warming import calls
from app.wire import command


@pytest.fixture
def install(
    tmp_path: Path, key_file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, list[str], str]]:
    """Installs without a local program; the status, the lines that were printed, what went to stderr."""
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("XDG_CACHE_HOME", "FFGRID_CACHE"):
        monkeypatch.delenv(name, raising=False)

    def run(*flags: str, url: str = "http://127.0.0.1:9") -> tuple[int, list[str], str]:
        given = ["--url", url, "--key-file", str(key_file), "--roots", f"Media={tmp_path}", "--no-local"]
        status = main(["shim", "install", str(tmp_path / "bin"), *given, *flags])
        out, err = capsys.readouterr()
        return status, out.splitlines(), err

    return run


Install = Callable[..., tuple[int, list[str], str]]


def test_without_a_coordinator_it_says_so_and_is_done(install: Install) -> None:
    status, lines, err = install()

    assert (status, err, len(lines)) == (0, "", 3)
    assert lines[2].startswith("no answers cached: no coordinator answers at http://127.0.0.1:9 ")


@pytest.mark.parametrize("turn_off", [("--no-warm",), ()])
def test_nothing_is_asked_when_that_is_not_wanted(
    install: Install, turn_off: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    if not turn_off:
        monkeypatch.setenv("FFGRID_CACHE", "")
    status, lines, _ = install(*turn_off)

    assert (status, len(lines)) == (0, 2)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"fleet": "", "workers": 0}, "no worker is there to give them"),
        ({}, "the coordinator does not say which fleet it has"),
        ([], "the coordinator does not say which fleet it has"),
    ],
)
def test_what_a_coordinator_says_that_cannot_help(
    install: Install, fake: Callable[..., object], said: object, words: str
) -> None:
    coordinator = fake((200, {"Content-Type": "application/json"}, [json.dumps(said).encode()]))

    status, lines, err = install(url=coordinator.url)  # type: ignore[attr-defined]  # made by the fixture

    assert (status, err) == (0, "")
    assert lines[2] == f"no answers cached: {words}"


@pytest.mark.parametrize("label", ["gpu", "=x", "gpu=", "a=1,b=2", "x" * 65 + "=1"])
def test_a_label_that_is_none_is_refused(install: Install, label: str, tmp_path: Path) -> None:
    status, _, err = install("--label", label)

    assert status == 2
    assert repr(label) in err
    assert not (tmp_path / "bin").exists()


def test_labels_and_the_cache_are_written_into_the_launchers(install: Install, tmp_path: Path) -> None:
    install("--label", "gpu=nvidia", "--label", "site=attic", "--cache", str(tmp_path / "kept"), "--no-warm")

    text = (tmp_path / "bin" / "ffprobe").read_text()
    assert "'labels': 'gpu=nvidia,site=attic'" in text
    assert f"'cache': '{tmp_path / 'kept'}'" in text


def test_labels_of_a_worker_on_this_host_are_not_taken_for_ours(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FFGRID_LABELS", "gpu=nvidia")
    install("--no-warm")

    assert "'labels': ''" in (tmp_path / "bin" / "ffmpeg").read_text()


def test_each_question_is_asked_once_and_changes_nothing() -> None:
    asked = calls()
    lines = [(binary, *args) for binary, args, _ in asked]

    assert len(set(lines)) == len(lines) == 32
    kinds = {command.kind(command.read(binary, args)) for binary, args, _ in asked}
    assert kinds == {"none"}
    assert [stdin for *_, stdin in asked if stdin] == [b"?", b"?"]
