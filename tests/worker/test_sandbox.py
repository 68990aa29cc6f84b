"""Namespaces, real ones: a job finds the roots where its caller has them, and nothing else of this host."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from tests.farm import until

REPOSITORY = Path(__file__).resolve().parents[2]
NOBODY = 65534
IS_ROOT = os.geteuid() == 0
WHO = [None, NOBODY] if IS_ROOT else [None]  # who the worker is: this user, one without any power

# A worker that makes a namespace, runs commands in it, and says how each ended. Without commands it waits.
WORKER = """\
import json, os, subprocess, sys
from worker.sandbox import Sandbox
user, binds, commands = json.load(sys.stdin)
if user is not None:
    os.setgroups([]), os.setgid(user), os.setuid(user)
made = Sandbox([tuple(bind) for bind in binds], [])
print(json.dumps([made._holder.pid, made._pid]), flush=True)
if not commands:
    sys.stdout.close()
    import signal; signal.pause()
said = []
for cwd, command in commands:
    done = subprocess.run([*made.enter(cwd), "/bin/sh", "-c", command], capture_output=True, text=True)
    said.append([done.returncode, done.stdout, done.stderr])
made.close()
print(json.dumps(said))
"""


@pytest.fixture
def host() -> Iterator[Path]:
    """A directory that every user reaches, with two roots and a secret in it."""
    folder = Path(tempfile.mkdtemp(prefix="ffgrid-test-"))
    folder.chmod(0o755)
    for name in ("films", "films/sub", "films/tv", "tv"):
        (folder / name).mkdir()
        (folder / name).chmod(0o777)
    (folder / "secret").write_text("secret")
    (folder / "films" / "a").write_text("film")
    (folder / "tv" / "b").write_text("tv")
    yield folder
    shutil.rmtree(folder)


def worker(
    user: int | None, binds: list[tuple[str, str]], *commands: tuple[str, str]
) -> subprocess.Popen[str]:
    """A worker that makes such a namespace and runs the commands: each a directory and a line for a shell."""
    with tempfile.TemporaryFile("w+") as asked:
        json.dump([user, binds, commands], asked)
        asked.seek(0)
        return _started(asked)


def _started(asked: IO[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WORKER],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdin=asked,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def said(user: int | None, host: Path, *commands: str, cwd: str = "/media") -> list[tuple[int, str, str]]:
    """How each shell command ends in a namespace with the two roots: (status, stdout, stderr)."""
    binds = [(str(host / "films"), "/media"), (str(host / "tv"), "/media/tv")]
    with worker(user, binds, *((cwd, command) for command in commands)) as process:
        out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return [tuple(one) for one in json.loads(out.splitlines()[1])]


def printed(user: int | None, host: Path, command: str, cwd: str = "/media") -> str:
    """What a command prints that succeeds."""
    ((status, out, error),) = said(user, host, command, cwd=cwd)
    assert status == 0, error
    return out


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# What a job sees


@pytest.mark.parametrize("user", WHO)
def test_the_roots_lie_where_the_caller_has_them(host: Path, user: int | None) -> None:
    assert printed(user, host, "cat /media/a tv/b; pwd") == "filmtv/media\n"


@pytest.mark.parametrize("user", WHO)
def test_what_is_written_in_a_root_is_there(host: Path, user: int | None) -> None:
    printed(user, host, "echo x > /media/new; echo y > /media/tv/new; echo z > /media/sub/new")

    assert [(host / name).read_text() for name in ("films/new", "tv/new", "films/sub/new")] == [
        "x\n",
        "y\n",
        "z\n",
    ]
    assert (host / "films/new").stat().st_uid == (os.geteuid() if user is None else user)


@pytest.mark.parametrize("user", WHO)
def test_nothing_else_of_the_host_is_there(host: Path, user: int | None) -> None:
    seen = set(printed(user, host, "ls /; ls /etc; ls /run; ls /tmp; ls /var").split())

    assert {"media", "usr", "proc", "tmp"} <= seen
    assert seen.isdisjoint(
        {"home", "root", "boot", "mnt", "opt", "srv", "shadow", "ssh", "sudoers", host.name}
    )
    assert said(user, host, f"cat {host}/secret", "cat /etc/shadow")[0][0] != 0


@pytest.mark.parametrize("user", WHO)
def test_no_process_of_the_host_is_a_way_out(host: Path, user: int | None) -> None:
    other = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"] if IS_ROOT else []
    somebody = subprocess.Popen([*other, "sleep", "60"])
    try:
        tries = f"cat /proc/[0-9]*/root{host}/secret /proc/[0-9]*/cwd/secret; ls /proc/1/root /proc/{somebody.pid}/cwd"
        as_nobody = f"setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups sh -c '{tries}'"
        ways = said(user, host, tries, *([as_nobody] if IS_ROOT and user is None else []))
    finally:
        somebody.kill()
        somebody.wait()

    assert [(status != 0, out) for status, out, _ in ways] == [(True, "")] * len(ways)


@pytest.mark.parametrize("user", WHO)
def test_nothing_of_the_host_can_be_written(host: Path, user: int | None) -> None:
    places = [
        "/x",
        "/usr/x",
        "/bin/x",
        "/etc/x",
        "/etc/passwd",
        "/sys/x",
        "/proc/sys/kernel/hostname",
        "/media/../x",
    ]

    tried = said(user, host, *(f"echo x >> {place}" for place in places))

    assert [status != 0 for status, _, _ in tried] == [True] * len(places)
    printed(
        user, host, "echo x > /tmp/x && echo x > /run/ffgrid/x && echo x > /dev/shm/x && echo x > /dev/null"
    )


@pytest.mark.parametrize("user", WHO)
def test_a_link_in_a_root_leads_nowhere_on_the_host(host: Path, user: int | None) -> None:
    (host / "films/out").symlink_to(host)
    (host / "films/top").symlink_to("/")
    (host / "films/named").symlink_to("/media/sub")

    assert said(user, host, "cat out/secret", "cat ../secret")[0][0] != 0
    assert said(user, host, f"cat .{host}/secret", "cat /proc/self/cwd/secret", cwd="/media/top")[0][0] != 0
    status, out, _ = said(user, host, "cat secret", cwd="/media/out")[0]
    assert (status != 0, out) == (True, "")  # there is no such directory
    assert printed(user, host, "pwd -P", cwd="/media/named") == "/media/sub\n"


@pytest.mark.parametrize("user", WHO)
def test_programs_and_streams_work(host: Path, user: int | None) -> None:
    commands = [
        "ffmpeg -v error -f lavfi -i testsrc2=s=64x64:d=0.1 -c:v mpeg4 -y a.mkv && ffprobe -v error a.mkv",
        "echo x > /dev/stderr; echo y > /dev/fd/1",
        "ffmpeg -v error -i /dev/stdin -f rawvideo -y /dev/stdout < a.mkv | wc -c",
    ]

    (media, streams, piped) = said(user, host, *commands)

    assert media == (0, "", "")
    assert streams == (0, "y\n", "x\n")
    assert int(piped[1]) > 0, piped


# Its holder


@pytest.mark.parametrize("user", WHO)
def test_a_holder_ends_with_a_worker_that_is_killed(host: Path, user: int | None) -> None:
    with worker(user, [(str(host / "films"), "/media")]) as process:
        assert process.stdout
        holders = json.loads(process.stdout.readline() or "[]")
        alive = [is_alive(pid) for pid in holders]
        process.kill()

    assert alive == [True, True]
    until(lambda: not any(map(is_alive, holders)))
