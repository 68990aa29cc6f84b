"""A process in a namespace is our own child: its status, its signals, its user, its powers, its end."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.guard import Guard
from app.wire import command
from tests.farm import until
from worker.child import Child, spawn
from worker.plan import Plan, environment
from worker.sandbox import Sandbox

ENVIRONMENT = environment(os.environ, {}, in_sandbox=True)
ROOT_ONLY = range(1 if os.geteuid() == 0 else 0)  # a worker that is not root cannot become anybody else

# A worker that starts a process in a namespace, says its id, and waits; its guard does nothing.
PARENT = """\
import os, sys
from app.wire.command import read
from worker.child import spawn
from worker.plan import Plan
from worker.sandbox import Sandbox

class Nobody:
    def watch(self, group): pass

made = Sandbox([], [])
ready = Plan(["sleep", "60"], read("ffmpeg", []), enter=made.enter("/"), user=USER, environment=dict(os.environ))
print(spawn(ready, Nobody()).pid, flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Sandbox, Path]]:
    """A namespace, and its root's directory on this host."""
    folder = tmp_path_factory.mktemp("films")
    folder.chmod(0o777)
    made = Sandbox([(str(folder), "/media")], [])
    yield made, folder
    made.close()


@pytest.fixture
def guard() -> Iterator[Guard]:
    guard = Guard()
    yield guard
    guard.close()


def shell(made: tuple[Sandbox, Path], guard: Guard, script: str, **plan: Any) -> Child:
    argv = ["/bin/sh", "-c", script]
    plan = {"environment": ENVIRONMENT, **plan}
    return spawn(Plan(argv, command.read("ffmpeg", []), enter=made[0].enter("/media"), **plan), guard)


async def ended(child: Child) -> tuple[int, bytes]:
    """Its status and what it has printed."""
    try:
        parts = []
        while data := await child.read("stdout"):
            parts.append(data)
        return await asyncio.wait_for(child.wait(), 10), b"".join(parts)
    finally:
        child.kill()
        child.close()


def is_running(pid: int, name: str) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return f"({name})" in state and state.rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("status", [0, 1, 187, 255])
async def test_its_exit_code_is_told(made: tuple[Sandbox, Path], guard: Guard, status: int) -> None:
    assert await ended(shell(made, guard, f"exit {status}")) == (status, b"")


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGTERM, signal.SIGKILL, signal.SIGPIPE])
async def test_the_signal_that_ended_it_is_told(
    made: tuple[Sandbox, Path], guard: Guard, number: signal.Signals
) -> None:
    assert (await ended(shell(made, guard, f"kill -{number.value} $$")))[0] == -number


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
async def test_a_signal_reaches_it(made: tuple[Sandbox, Path], guard: Guard, number: signal.Signals) -> None:
    child = shell(made, guard, f"trap 'exit 42' {number.value}; echo ready; while :; do sleep 0.01; done")
    assert await child.read("stdout") == b"ready\n"

    child.signal(number)

    assert (await ended(child))[0] == 42


async def test_it_is_our_own_child(made: tuple[Sandbox, Path], guard: Guard) -> None:
    child = shell(made, guard, "echo $$ $PPID; pwd; exec env")

    pids, cwd, *environ = (await ended(child))[1].decode().splitlines()

    assert (pids.split(), cwd) == ([str(child.pid), str(os.getpid())], "/media")
    assert {"HOME=/run/ffgrid"} <= set(environ)
    assert {line.partition("=")[0] for line in environ} <= {*ENVIRONMENT, "PWD", "_", "SHLVL", "OLDPWD"}


async def test_a_program_that_is_not_in_there_is_an_error(made: tuple[Sandbox, Path], guard: Guard) -> None:
    ready = Plan(
        [sys.executable], command.read("ffmpeg", []), enter=made[0].enter("/"), environment=ENVIRONMENT
    )
    child = spawn(ready, guard)

    said = b""
    while data := await child.read("stderr"):
        said += data

    assert (await ended(child))[0] == 127
    assert sys.executable.encode() in said


@pytest.mark.parametrize(("umask", "mode"), [(0o077, 0o600), (0o002, 0o664), (0, 0o666)])
async def test_files_have_the_callers_umask(
    made: tuple[Sandbox, Path], guard: Guard, umask: int, mode: int
) -> None:
    assert await ended(shell(made, guard, f"rm -f {mode}; : > {mode}", umask=umask)) == (0, b"")

    assert (made[1] / str(mode)).stat().st_mode & 0o777 == mode


async def test_few_powers_are_left(made: tuple[Sandbox, Path], guard: Guard) -> None:
    status, out = await ended(shell(made, guard, "grep -E 'Cap(Inh|Eff|Bnd)|NoNewPrivs' /proc/self/status"))
    lines = dict(line.split(":") for line in out.decode().split("\n") if line)

    assert status == 0
    assert {name: int(value, 16) & ~0x1F for name, value in lines.items() if name != "NoNewPrivs"} == {
        "CapInh": 0,
        "CapEff": 0,
        "CapBnd": 0,
    }
    assert lines["NoNewPrivs"].strip() == "1"


@pytest.mark.parametrize("_", ROOT_ONLY)
async def test_it_is_its_callers_user(made: tuple[Sandbox, Path], guard: Guard, _: int) -> None:
    script = "id -u; id -g; id -G; : > own; grep CapEff /proc/self/status; cat /etc/gshadow; : > /proc/self/oom_adj"

    status, out = await ended(shell(made, guard, script, user=(12345, 23456, 34567)))
    user, group, groups, powers = out.decode().splitlines()
    owned = (made[1] / "own").stat()

    assert (user, group, powers.split()[1]) == ("12345", "23456", "0" * 16)
    assert {"23456", "34567"} <= set(groups.split())
    assert "0" not in groups.split()
    assert (owned.st_uid, owned.st_gid) == (12345, 23456)
    assert status != 0


@pytest.mark.parametrize("_", ROOT_ONLY)
async def test_it_has_its_callers_rights(made: tuple[Sandbox, Path], guard: Guard, _: int) -> None:
    (made[1] / "private").write_text("x")
    (made[1] / "private").chmod(0o600)

    assert (await ended(shell(made, guard, "cat private", user=(12345, 23456))))[0] == 1
    assert await ended(shell(made, guard, "cat private", user=(0, 0))) == (0, b"x")
    assert await ended(shell(made, guard, "cat private")) == (0, b"x")


@pytest.mark.parametrize("user", [(), *((12345, 23456) for _ in ROOT_ONLY)])
def test_it_ends_with_its_worker(user: tuple[int, ...]) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT.replace("USER", str(user))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).resolve().parents[2],
    )
    assert parent.stdout
    pid = int(parent.stdout.readline())
    until(lambda: is_running(pid, "sleep"))

    parent.kill()
    parent.communicate()

    until(lambda: not is_running(pid, "sleep"), within=20)
