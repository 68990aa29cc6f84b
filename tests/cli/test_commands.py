"""The table of commands: everything in it exists, reads well and can be typed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from importlib import import_module

import pytest

from app.cli.commands import COMMANDS, Command
from app.cli.main import build
from app.state import lifecycle
from app.wire import messages

CLIENTS = ("submit", "jobs", "show", "logs", "watch", "cancel", "retry", "workers", "drain")


def everything(commands: tuple[Command, ...] = COMMANDS, path: str = "") -> Iterator[tuple[str, Command]]:
    for command in commands:
        yield f"{path}{command.name}", command
        yield from everything(command.children, f"{path}{command.name} ")


ALL = dict(everything())
LEAVES = {name: command for name, command in ALL.items() if not command.children}


@pytest.mark.parametrize("name", LEAVES)
def test_the_function_of_each_command_exists(name: str) -> None:
    module, _, function = LEAVES[name].function.partition(":")

    assert callable(getattr(import_module(module), function))


@pytest.mark.parametrize("name", ALL)
def test_each_command_has_a_summary_that_reads_as_one_line(name: str) -> None:
    summary = ALL[name].summary

    assert summary
    assert summary[0].islower()
    assert not summary.endswith(".")
    assert len(summary) < 80


@pytest.mark.parametrize("name", LEAVES)
def test_each_argument_has_a_help_text(name: str) -> None:
    assert [flags for flags, options in LEAVES[name].arguments if not options.get("help")] == []


@pytest.mark.parametrize("name", LEAVES)
def test_each_command_has_an_example_that_can_be_typed(name: str) -> None:
    typed = re.findall(r"ffgrid (?:(?![>)\n|]).)+", LEAVES[name].example)

    assert typed
    for example in typed:
        assert build().read(shlex.split(example)[1:]).function == LEAVES[name].function


@pytest.mark.parametrize("name", ALL)
def test_each_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        build().parse_args([*name.split(), "--help"])

    assert ended.value.code == 0
    assert f"usage: ffgrid {name}" in capsys.readouterr().out


@pytest.mark.parametrize("name", CLIENTS)
def test_every_command_of_a_client_gives_json_and_takes_the_same_settings(name: str) -> None:
    flags = {flag for flags, _ in ALL[name].arguments for flag in flags}

    assert flags >= {"--json", "--url", "--key-file", "--config"}


def test_every_command_that_ends_by_itself_gives_json() -> None:
    mute = {
        name
        for name, command in LEAVES.items()
        if not any("--json" in flags for flags, _ in command.arguments)
    }

    assert mute == {"demo", "web", "worker", "init", "completion"}


def test_lanes_and_states_are_those_of_the_queue() -> None:
    (states,) = [options["choices"] for flags, options in ALL["jobs"].arguments if "--state" in flags]
    (lanes,) = [options["choices"] for flags, options in ALL["submit"].arguments if "--lane" in flags]

    assert tuple(states) == lifecycle.STATES
    assert tuple(lanes) == messages.LANES


@pytest.mark.parametrize(
    ("typed", "command"),
    [
        (["--", "ffmpeg", "-i", "a", "b"], ["ffmpeg", "-i", "a", "b"]),
        (["ffmpeg", "-i", "a", "--", "b"], ["ffmpeg", "-i", "a", "--", "b"]),
        (["--", "ffprobe", "--json"], ["ffprobe", "--json"]),
        (["--wait", "--", "ffmpeg", "-h"], ["ffmpeg", "-h"]),
        (["--", "ffmpeg", "--", "-x"], ["ffmpeg", "--", "-x"]),
        ([], []),
    ],
)
def test_what_stands_behind_the_dashes_is_ffmpegs_alone(typed: list[str], command: list[str]) -> None:
    words = build().parse_args(["submit", *typed]).command

    assert words[words[:1] == ["--"] :] == command
