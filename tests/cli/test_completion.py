"""What shells offer: their own completion is run where they are installed."""

from __future__ import annotations

import os
import pty
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from app.cli.commands import COMMANDS
from app.cli.completion import SHELLS, places
from app.cli.main import main
from app.state.lifecycle import STATES
from app.wire.messages import LANES

EVERY_COMMAND = {command.name for command in COMMANDS}

BASH = """
source "$1"; shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_ffgrid && printf '%s\\n' "${COMPREPLY[@]}"
"""
FISH = 'source $argv[1]; complete -C "$argv[2..-1]"'
Ask = Callable[..., set[str]]


@pytest.fixture(params=["bash", "fish"])
def ask(request: pytest.FixtureRequest, tmp_path: Path) -> Ask:
    """What a shell offers for the last of these words."""
    shell = request.param
    assert shutil.which(shell), f"{shell} is not installed: run `make test`, which installs it"
    script = tmp_path / "completion"
    script.write_text(SHELLS[shell](list(places(COMMANDS))))

    def offered(*words: str) -> set[str]:
        if shell == "bash":
            command = ["bash", "--norc", "-c", BASH, "bash", str(script), "ffgrid", *words]
        else:
            command = ["fish", "--no-config", "-c", FISH, str(script), " ".join(["ffgrid", *words])]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stderr == ""
        return {line.split("\t")[0] for line in done.stdout.splitlines() if line}

    return offered


def test_the_first_word_is_a_command(ask: Ask) -> None:
    assert ask("") >= EVERY_COMMAND
    assert ask("wat") == {"watch"}


def test_the_second_word_of_a_group_is_one_of_its_own(ask: Ask) -> None:
    assert {"add", "list", "rotate", "revoke"} <= ask("keys", "")
    assert "jobs" not in ask("keys", "")


def test_flags_are_those_of_the_command(ask: Ask) -> None:
    assert ask("jobs", "--sta") == {"--state"}
    assert ask("keys", "add", "x", "--ro") == {"--role"}
    assert "--role" not in ask("jobs", "--")


def test_behind_a_flag_stand_its_choices(ask: Ask) -> None:
    assert ask("jobs", "--state", "") == set(STATES)
    assert ask("submit", "--wait", "--lane", "") == set(LANES)
    assert ask("completion", "z") == {"zsh"}


def test_a_command_of_ffmpeg_is_not_ours(ask: Ask) -> None:
    assert "--lane" not in ask("submit", "--", "ffmpeg", "--l")


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_can_read_its_script(shell: str, tmp_path: Path) -> None:
    assert shutil.which(shell), f"{shell} is not installed: run `make test`, which installs it"
    script = tmp_path / "completion"
    script.write_text(SHELLS[shell](list(places(COMMANDS))))
    done = subprocess.run([shell, "-n", str(script)], capture_output=True, text=True)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("shell", SHELLS)
def test_every_command_and_flag_is_in_every_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    flags = {word for place in places(COMMANDS) for word, _ in place.words}
    missing = {word for word in flags if word not in script and f"-l {word[2:]}" not in script}

    assert {word for word in missing if not (shell == "fish" and len(word) == 2)} == set()


def test_zsh_completes_what_somebody_types(tmp_path: Path) -> None:
    assert shutil.which("zsh"), "zsh is not installed: run `make test`, which installs it"
    script = tmp_path / "completion"
    script.write_text(SHELLS["zsh"](list(places(COMMANDS))))
    child, terminal = pty.fork()
    if not child:
        os.environ.update(TERM="dumb", PS1="", ZDOTDIR=str(tmp_path))
        os.execvp("zsh", ["zsh", "-f", "-i"])
    try:
        os.write(terminal, f"autoload -Uz compinit; compinit -u -D; source {script}; echo re''ady\n".encode())
        assert read_until(terminal, b"ready")
        for typed, completed in (("wat\t", "watch"), ("jobs --lim\t", "--limit"), ("keys rev\t", "revoke")):
            type_until(terminal, f"\x15ffgrid {typed}".encode(), completed.encode())
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(terminal)


def read_until(terminal: int, wanted: bytes, within: float = 40.0) -> bool:
    """Whether this comes."""
    seen, deadline = b"", time.monotonic() + within
    while wanted not in seen:
        if not select.select([terminal], [], [], max(0.0, deadline - time.monotonic()))[0]:
            return False
        seen += os.read(terminal, 65_536)
    return True


def type_until(terminal: int, keys: bytes, wanted: bytes) -> None:
    """Types it, again if need be: a shell that is not reading yet may lose what is typed. Fails the test in the end."""
    for _ in range(8):
        os.write(terminal, keys)
        if read_until(terminal, wanted, 5.0):
            return
    raise AssertionError(f"{keys!r} was not completed to {wanted!r}")
