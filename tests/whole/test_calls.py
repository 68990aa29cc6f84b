"""A call is a process like any other: stopped and continued, at a terminal, under nice, in a hurry, left alone."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import select
import signal
import subprocess
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from app.state.store import Store
from app.wire.messages import FALLBACKS
from tests.farm import Farm, until
from tests.whole.tools import ffmpegs, shim

FILM = ["-v", "error", "-re", "-f", "lavfi", "-i", "testsrc2=size=64x36:rate=25:d={seconds}"]
TITLE = f"title={os.getpid()}-"  # whose processes ours are
RAW = ["-v", "error", "-f", "rawvideo", "-pix_fmt", "gray", "-s", "16x16", "-i", "-", "-f", "rawvideo", "-"]


def film(marker: str, seconds: float = 4) -> list[str]:
    """A command that takes that long and can be found by its marker."""
    return [
        *(word.format(seconds=seconds) for word in FILM),
        "-metadata",
        f"{TITLE}{marker}",
        "-f",
        "null",
        "-",
    ]


def state(pid: int) -> str:
    """The state of a process, "" when it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""


def children(pid: int) -> list[int]:
    """The processes that it has started."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def watched(farm: Farm, marker: str, seconds: float = 4) -> tuple[subprocess.Popen[bytes], int, int]:
    """A call that has a watcher: the call, the watcher, and the real ffmpeg."""
    call = shim(farm, *film(marker, seconds))
    (remote,) = until(lambda: ffmpegs(f"{TITLE}{marker}"))
    (watcher,) = until(lambda: children(call.pid))
    return call, watcher, remote


def newest(farm: Farm) -> dict[str, Any]:
    """The job that was submitted last."""
    return farm.jobs()[0]


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """A farm whose slots are all taken."""
    with Farm.start(tmp_path_factory.mktemp("busy")) as started:
        occupy(started, "busy")
        yield started


def occupy(farm: Farm, marker: str) -> None:
    """Takes all slots of a farm, for longer than any test lasts."""
    for number in range(2):
        shim(farm, *film(f"{marker}-{number}", 1000))
    until(lambda: len(ffmpegs(f"{TITLE}{marker}-")) == 2)


# Stopped and continued


def test_a_stopped_caller_stops_its_ffmpeg_and_lets_it_go_on(farm: Farm) -> None:
    call, watcher, remote = watched(farm, "stopped")

    call.send_signal(signal.SIGSTOP)
    until(lambda: state(remote) == "T", within=10)
    job = newest(farm)["id"]
    shown = farm.ffgrid("show", job).stdout
    frame = farm.job(job)["progress"]["frame"]
    call.send_signal(signal.SIGCONT)
    until(lambda: state(remote) in ("S", "R"), within=10)

    assert "paused on w1" in shown
    assert farm.job(job)["progress"]["frame"] >= frame
    assert (call.wait(20), farm.job(job)["state"], farm.job(job)["paused"]) == (0, "done", False)
    assert state(watcher) == ""


def test_a_stopped_caller_is_waited_for_longer_than_a_lease(farm: Farm) -> None:
    call, _, remote = watched(farm, "long-stop", 3)
    call.send_signal(signal.SIGSTOP)
    until(lambda: state(remote) == "T", within=10)
    frame = newest(farm)["progress"]["frame"]

    time.sleep(8)  # a lease is six seconds, and this is about nothing happening

    job = newest(farm)
    assert (job["state"], job["paused"], job["losses"], job["progress"]["frame"]) == (
        "running",
        True,
        0,
        frame,
    )
    call.send_signal(signal.SIGCONT)
    assert call.wait(20) == 0


@pytest.mark.parametrize("whole_tree", [False, True])
def test_a_stopped_caller_that_is_killed_takes_its_ffmpeg_along(farm: Farm, whole_tree: bool) -> None:
    call, watcher, remote = watched(farm, f"killed-{whole_tree}", 60)
    call.send_signal(signal.SIGSTOP)
    until(lambda: state(remote) == "T", within=10)

    if whole_tree:
        os.kill(watcher, signal.SIGKILL)
    call.kill()

    until(lambda: state(remote) == "", within=10)
    until(lambda: newest(farm)["state"] == "cancelled", within=10)
    until(lambda: state(watcher) in ("", "Z"), within=10)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGALRM])
def test_no_watcher_outlives_its_call(farm: Farm, number: signal.Signals) -> None:
    call, watcher, remote = watched(farm, f"ended-{number}", 60)

    call.send_signal(number)

    assert call.wait(20) == (255 if number == signal.SIGTERM else -number)
    until(lambda: state(watcher) in ("", "Z"), within=10)
    until(lambda: state(remote) == "", within=10)


def test_a_watcher_holds_none_of_its_callers_descriptors(farm: Farm) -> None:
    _, watcher, _ = watched(farm, "descriptors", 60)

    def others() -> list[str]:
        held = [os.readlink(f"/proc/{watcher}/fd/{name}") for name in os.listdir(f"/proc/{watcher}/fd")]
        return [place for place in held if place != "/dev/null" and not place.endswith("/stat")]

    until(lambda: not others())  # it begins as a copy of the call, and closes all of them


def test_a_job_is_paused_and_resumed_and_cancelled_by_hand(farm: Farm) -> None:
    result = farm.client_root / "by hand.mkv"
    job = farm.ffgrid("submit", "--", "ffmpeg", *film("by-hand", 60)[:-3], "-y", result).stdout.strip()
    (remote,) = until(lambda: ffmpegs(f"{TITLE}by-hand"))

    assert farm.ffgrid("pause", job).stdout == f"{job} pausing\n"
    until(lambda: state(remote) == "T", within=10)
    assert farm.ffgrid("pause", job).returncode == 0  # again is harmless
    assert farm.ffgrid("resume", job).stdout == f"{job} running\n"
    until(lambda: state(remote) in ("S", "R"), within=10)
    farm.ffgrid("pause", job)
    until(lambda: state(remote) == "T", within=10)
    farm.ffgrid("cancel", job)
    until(lambda: farm.job(job)["state"] == "cancelled", within=10)

    assert state(remote) == ""
    refused = farm.ffgrid("pause", job)
    assert (refused.returncode, "is cancelled: only a running job can be paused" in refused.stderr) == (
        1,
        True,
    )


def test_a_worker_that_has_missed_the_message_hears_of_it_with_its_next_heartbeat(farm: Farm) -> None:
    job = farm.ffgrid("submit", "--", "ffmpeg", *film("missed", 60)).stdout.strip()
    (remote,) = until(lambda: ffmpegs(f"{TITLE}missed"))

    async def say(command: str, *words: str) -> None:
        store = Store(farm.redis_url)
        try:
            await store.redis.execute_command(command, store.keys.job(job), "paused", *words)
        finally:
            await store.close()

    asyncio.run(say("HSET", "1"))
    until(lambda: state(remote) == "T", within=10)
    asyncio.run(say("HDEL"))
    until(lambda: state(remote) in ("S", "R"), within=10)
    farm.ffgrid("cancel", job)


# At a terminal


@dataclass
class Session:
    """A shell with job control on a terminal of its own."""

    process: subprocess.Popen[bytes]
    master: int
    said: bytes = b""
    mode: list[Any] = field(default_factory=list)

    def has_said(self, text: bytes) -> bool:
        """Whether it has by now; takes what there is to read."""
        while select.select([self.master], [], [], 0)[0]:
            try:
                self.said += os.read(self.master, 65_536)
            except OSError:  # everybody has closed it
                break
        return text in self.said

    def type(self, keys: bytes) -> None:
        os.write(self.master, keys)

    def is_raw(self) -> bool:
        """Whether keys act at once."""
        return not termios.tcgetattr(self.master)[3] & termios.ICANON


@contextlib.contextmanager
def session(farm: Farm, script: str, *args: str | Path, shell: str = "sh", **env: str) -> Iterator[Session]:
    """Runs the script in a shell; "$@" is the call."""
    if not (farm.folder / "bin").exists():
        farm.install_shim()
    master, slave = pty.openpty()
    mode = termios.tcgetattr(slave)
    command = ["setsid", "-c", shell, "-c", f"set -m; {script}", "sh", farm.folder / "bin" / "ffmpeg", *args]
    process = subprocess.Popen(
        command,
        cwd=farm.client_root,
        env={**farm.environ, "TERM": "xterm", **env},
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)
    farm.others.append(process)
    try:
        yield Session(process, master, mode=mode)
    finally:
        os.close(master)
        process.kill()
        process.wait()


def test_q_acts_without_enter_and_the_terminal_is_left_as_it_was(farm: Farm) -> None:
    with session(farm, '"$@"; echo "[ended $?]"; read line', *film("keys", 60)) as terminal:
        until(lambda: ffmpegs(f"{TITLE}keys") and terminal.is_raw())
        terminal.type(b"?")
        until(lambda: terminal.has_said(b"key    function"))
        terminal.type(b"q")

        until(lambda: terminal.has_said(b"[ended 0]"))
        assert termios.tcgetattr(terminal.master) == terminal.mode


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, b"255"), (signal.SIGUSR1, b"138")])
def test_the_terminal_is_left_as_it_was_when_a_signal_ends_the_call(
    farm: Farm, number: signal.Signals, status: bytes
) -> None:
    marker = f"terminal-{number}"
    with session(farm, '"$@"; echo "[ended $?]"; read line', *film(marker, 60)) as terminal:
        until(lambda: ffmpegs(f"{TITLE}{marker}") and terminal.is_raw() and newest(farm)["progress"])
        (call,) = children(terminal.process.pid)
        os.kill(call, number)

        until(lambda: terminal.has_said(b"[ended " + status + b"]"))
        assert termios.tcgetattr(terminal.master) == terminal.mode


def test_ctrl_z_pauses_and_fg_resumes(farm: Farm) -> None:
    script = '"$@"; echo "[stopped $?]"; read line; fg; echo "[ended $?]"; read line'
    with session(farm, script, *film("ctrl-z", 60)) as terminal:
        until(lambda: ffmpegs(f"{TITLE}ctrl-z") and terminal.is_raw())
        (remote,), (call,) = ffmpegs(f"{TITLE}ctrl-z"), children(terminal.process.pid)
        until(lambda: children(call))
        terminal.type(b"\x1a")
        until(lambda: terminal.has_said(b"[stopped 148]"))
        until(lambda: state(remote) == "T", within=10)
        assert termios.tcgetattr(terminal.master) == terminal.mode

        terminal.type(b"\n")
        until(lambda: state(remote) in ("S", "R"), within=10)
        until(terminal.is_raw)
        terminal.type(b"q")

        until(lambda: terminal.has_said(b"[ended 0]"))
        assert termios.tcgetattr(terminal.master) == terminal.mode


def test_a_question_is_answered_with_enter(farm: Farm) -> None:
    (farm.client_root / "there.nut").write_bytes(b"old")
    args = ["-v", "error", "-f", "lavfi", "-i", "nullsrc=d=0.1", "-c:v", "rawvideo", "there.nut"]
    with session(farm, '"$@"; echo "[ended $?]"; read line', *args) as terminal:
        until(lambda: terminal.has_said(b"Overwrite? [y/N]"))
        terminal.type(b"y\r")

        until(lambda: terminal.has_said(b"[ended 0]"))
    assert (farm.client_root / "there.nut").stat().st_size > 1000


def test_in_the_background_it_neither_stops_nor_touches_the_terminal(farm: Farm) -> None:
    with session(farm, '"$@" & wait $!; echo "[ended $?]"', *film("background", 2)) as terminal:
        until(lambda: ffmpegs(f"{TITLE}background"))
        assert not terminal.is_raw()
        terminal.type(b"for the shell\n")

        until(lambda: terminal.has_said(b"[ended 0]"))


@pytest.mark.parametrize("shell", ["sh", "bash"])  # of which only one tells a process that it has come there
def test_in_the_foreground_again_its_keys_act(farm: Farm, shell: str) -> None:
    script, marker = '"$@" & read line; fg; echo "[ended $?]"; read line', f"foreground-{shell}"
    with session(farm, script, *film(marker, 60), shell=shell, FFGRID_WAIT="never") as terminal:
        until(lambda: ffmpegs(f"{TITLE}{marker}") and newest(farm)["progress"])
        (call,) = children(terminal.process.pid)
        until(lambda: children(call))  # nothing is due any more that would wake it
        assert not terminal.is_raw()
        terminal.type(b"\n")
        until(terminal.is_raw)
        terminal.type(b"q")

        until(lambda: terminal.has_said(b"[ended 0]"))
        assert termios.tcgetattr(terminal.master) == terminal.mode


@pytest.mark.parametrize(("variables", "colours"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_the_log_has_colours_where_it_would_have_them_here(
    farm: Farm, variables: dict[str, str], colours: bool
) -> None:
    with session(farm, '"$@"; echo "[ended $?]"', "-i", "missing.mkv", **variables) as terminal:
        until(lambda: terminal.has_said(b"[ended 1]"))

        assert (b"\x1b[" in terminal.said) == colours


# How urgent


@pytest.mark.parametrize(("nice", "lane"), [(0, "live"), (7, "low")])
def test_niceness_is_the_lane_and_goes_along(farm: Farm, nice: int, lane: str) -> None:
    farm.install_shim()
    own = os.getpriority(os.PRIO_PROCESS, 0)
    call = subprocess.Popen(
        ["nice", "-n", str(nice - own), farm.folder / "bin" / "ffmpeg", *film(f"nice-{nice}", 60)],
        cwd=farm.client_root,
        env=farm.environ,
        stdin=subprocess.DEVNULL,
    )
    farm.others.append(call)
    (remote,) = until(lambda: ffmpegs(f"{TITLE}nice-{nice}"))

    until(lambda: os.getpriority(os.PRIO_PROCESS, remote) == nice)
    assert newest(farm)["lane"] == lane
    call.kill()


def test_a_submitted_job_can_be_nice(farm: Farm) -> None:
    done = farm.ffgrid("submit", "--nice", "11", "--", "ffmpeg", *film("submitted-nice", 60))
    (remote,) = until(lambda: ffmpegs(f"{TITLE}submitted-nice"))

    until(lambda: os.getpriority(os.PRIO_PROCESS, remote) == 11)
    farm.ffgrid("cancel", done.stdout.strip())


# The environment


def test_some_variables_go_along_and_no_others(farm: Farm) -> None:
    env = {**farm.environ, "TZ": "Asia/Tokyo", "AMD_DEBUG": "noefc", "LD_DEBUG": "none", "SECRET": "x"}
    call = shim(farm, *film("environment", 60), env=env)
    (remote,) = until(lambda: ffmpegs(f"{TITLE}environment"))

    got = Path(f"/proc/{remote}/environ").read_bytes().split(b"\0")
    assert {b"TZ=Asia/Tokyo", b"AMD_DEBUG=noefc"} <= set(got)
    assert not [one for one in got if one.startswith((b"LD_DEBUG=", b"SECRET="))]
    call.kill()


def test_an_end_that_the_caller_did_not_ask_for_is_said(farm: Farm) -> None:
    call = shim(farm, *film("struck", 60))
    (remote,) = until(lambda: ffmpegs(f"{TITLE}struck"))
    os.kill(remote, signal.SIGKILL)

    _, err = call.communicate(timeout=20)
    assert (call.returncode, err) == (-signal.SIGKILL, b"ffmpeg (ffgrid): ended by signal 9 on the worker\n")


# Waiting too long


@pytest.mark.parametrize("size", [0, 256, 300 * 256])
def test_a_call_that_no_worker_takes_runs_here_with_all_its_input(busy: Farm, size: int) -> None:
    pictures = os.urandom(size)
    env = {**busy.environ, "FFGRID_WAIT": "1"}
    call = shim(busy, *RAW, stdin=subprocess.PIPE, env=env)
    assert call.stdin
    call.stdin.write(pictures)
    call.stdin.flush()
    until(lambda: Path(f"/proc/{call.pid}/comm").read_text() == "ffmpeg\n" and not is_python(call.pid))
    later = os.urandom(256)
    out, err = call.communicate(later, timeout=20)

    assert (call.returncode, out, err) == (0, pictures + later, b"")
    assert (newest(busy)["state"], newest(busy)["reason"]) == ("cancelled", "its caller ran it itself")
    told = busy.ask(FALLBACKS)["fallbacks"][0]
    assert (told["binary"], told["client"], told["count"]) == ("ffmpeg", "cli", 1)
    assert told["reason"] == "no worker was free within 1 s"


@pytest.mark.parametrize("kind", ["file", "ended pipe", "nothing"])
def test_input_that_has_ended_is_there_again(busy: Farm, kind: str, tmp_path: Path) -> None:
    pictures = os.urandom(4 * 256)
    (tmp_path / "in").write_bytes(pictures)
    env = {**busy.environ, "FFGRID_WAIT": "0.5"}
    if kind == "file":
        with (tmp_path / "in").open("rb") as file:
            out, err = shim(busy, *RAW, stdin=file, env=env).communicate(timeout=20)
    elif kind == "ended pipe":
        out, err = shim(busy, *RAW, stdin=subprocess.PIPE, env=env).communicate(pictures, timeout=20)
    else:
        args = [
            "-v",
            "error",
            "-f",
            "lavfi",
            "-i",
            "nullsrc=s=16x16:d=0.1",
            "-pix_fmt",
            "gray",
            "-f",
            "rawvideo",
            "-",
        ]
        out, err = shim(busy, *args, env=env).communicate(timeout=20)

    assert err == b""
    assert out == pictures if kind != "nothing" else len(out) == 3 * 256


def test_a_call_told_never_to_give_up_waits(own_farm: Farm) -> None:
    occupy(own_farm, "never")
    call = shim(own_farm, "-version", env={**own_farm.environ, "FFGRID_WAIT": "never"})
    other = shim(own_farm, "-version", env={**own_farm.environ, "FFGRID_WAIT": "0.5"})

    assert other.wait(20) == 0  # it ran here, and the first one still waits
    assert call.poll() is None
    os.kill(ffmpegs(f"{TITLE}never-")[0], signal.SIGKILL)
    assert call.wait(20) == 0


def is_python(pid: int) -> bool:
    """Whether the process is a stand-in yet."""
    return "python" in os.readlink(f"/proc/{pid}/exe")


# Fallbacks


@pytest.mark.parametrize(
    ("args", "env", "reason"),
    [
        (
            ["-i", "http://127.0.0.1:9/film.mkv"],
            {},
            "'http://127.0.0.1:9/film.mkv' is an address of this host itself",
        ),
        (["-i", "pipe:3"], {}, "'pipe:3' uses descriptor 3 of this process"),
        (["-version"], {"FFREPORT": "file=report.log"}, "FFREPORT asks for a report on this host"),
    ],
)
def test_what_only_this_host_can_do_is_done_here_and_told(
    own_farm: Farm, args: list[str], env: dict[str, str], reason: str
) -> None:
    shim(own_farm, *args, env={**own_farm.environ, **env}).wait(20)

    assert own_farm.jobs() == []
    assert [one["reason"] for one in own_farm.json("fallbacks")["fallbacks"]] == [reason]


def test_what_ran_here_while_nobody_answered_is_told_with_the_next_call(own_farm: Farm) -> None:
    for _ in range(3):
        done = shim(own_farm, "-version", env={**own_farm.environ, "FFGRID_URL": "http://127.0.0.1:9"})
        assert done.communicate(timeout=20)[0].startswith(b"ffmpeg version")
    assert own_farm.json("fallbacks")["fallbacks"] == []

    assert shim(own_farm, "-version").wait(20) == 0

    (told,) = own_farm.json("fallbacks")["fallbacks"]
    assert (told["count"], told["reason"]) == (3, "http://127.0.0.1:9: Connection refused")
    shown = own_farm.ffgrid("fallbacks").stdout.splitlines()
    assert [line.split()[2:5] for line in shown[1:]] == [["cli", "ffmpeg", "3"]]
