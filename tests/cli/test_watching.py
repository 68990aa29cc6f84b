"""`ffgrid watch` on a terminal, in a file and as JSON; and what a terminal gets to see of a job."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.cli.terminal import width
from tests.cli.conftest import act
from tests.farm import FFGRID, Farm, until

ESCAPES = re.compile(r"\x1b\[[0-9;]*[mK]")


class Screen:
    """A command on a terminal of its own."""

    def __init__(self, farm: Farm, *args: str, columns: int = 80, **env: str) -> None:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        environ = {name: value for name, value in farm.environ.items() if name not in ("NO_COLOR", "COLUMNS")}
        self.process = subprocess.Popen(
            [FFGRID, *args],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=farm.client_root,
            env={**environ, "TERM": "xterm", "LC_ALL": "C.UTF-8", **env},
            start_new_session=True,
        )
        os.close(theirs)
        self.seen = b""
        self._ours = ours
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._ours, 65_536)
            except OSError:  # nobody has the other end any more
                return
            if not data:
                return
            self.seen += data

    @property
    def text(self) -> str:
        return self.seen.decode()

    @property
    def drawn(self) -> list[str]:
        """What has stood on the line, one after the other."""
        lines = (ESCAPES.sub("", part).strip("\n") for part in re.split(r"[\r\n]+", self.text))
        return [line for line in lines if line]

    def end(self) -> int:
        status = self.process.wait(60)
        self._reader.join()
        return status

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join()
        os.close(self._ours)


@contextmanager
def screen(farm: Farm, *args: str, columns: int = 80, **env: str) -> Iterator[Screen]:
    shown = Screen(farm, *args, columns=columns, **env)
    try:
        yield shown
    finally:
        shown.close()


@pytest.fixture(scope="module")
def film(farm: Farm) -> Path:
    return farm.media("watched.mkv", seconds=6)  # longer than a busy machine takes to begin to watch it


def submitted(farm: Farm, *command: str) -> str:
    done = farm.ffgrid("submit", "--", *command)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def slow(film: Path) -> list[str]:
    """A command that takes as long as its input lasts."""
    return ["ffmpeg", "-v", "error", "-re", "-i", film.name, "-f", "null", "-"]


# On a terminal


def test_a_bar_moves_in_its_place_and_the_end_stays(farm: Farm, film: Path) -> None:
    with screen(farm, "watch", submitted(farm, *slow(film))) as shown:
        status = shown.end()
    bars = [line for line in shown.drawn if "%" in line]
    percents = [int(found[1]) for line in bars if (found := re.search(r"(\d+)%", line))]

    assert status == 0
    assert len(bars) > 2
    assert all("━" in line or "─" in line for line in bars)
    assert percents == sorted(percents)
    assert percents[-1] <= 100
    assert shown.text.count("\n") == 1
    assert shown.drawn[-1].startswith("done in 0:0")
    assert "\x1b[36m" in shown.text
    assert "\x1b[32mdone" in shown.text


@pytest.mark.parametrize("columns", [25, 60, 200])
def test_no_line_is_wider_than_the_terminal(farm: Farm, film: Path, columns: int) -> None:
    with screen(farm, "watch", submitted(farm, *slow(film)), columns=columns) as shown:
        shown.end()

    assert max(width(line) for line in shown.drawn[:-1]) < columns


def test_no_colour_for_who_wants_none(farm: Farm, film: Path) -> None:
    with screen(farm, "watch", submitted(farm, *slow(film)), NO_COLOR="1") as shown:
        shown.end()

    assert re.search(r"\x1b\[\d*m", shown.text) is None
    assert "\x1b[K" in shown.text


def test_a_terminal_that_can_do_nothing_gets_lines(farm: Farm, film: Path) -> None:
    with screen(farm, "watch", submitted(farm, *slow(film)), TERM="dumb") as shown:
        shown.end()

    assert "\x1b" not in shown.text
    assert shown.drawn[-1].startswith("done in")


def test_an_unknown_length_shows_the_media_time(farm: Farm) -> None:
    command = ["ffmpeg", "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc2", "-f", "null", "-"]
    job_id = submitted(farm, *command)
    with screen(farm, "watch", job_id) as shown:
        until(lambda: " at 0:01 " in shown.text)
        farm.ffgrid("cancel", job_id)
        status = shown.end()

    assert "%" not in shown.text
    assert status == 1
    assert shown.drawn[-1].startswith("cancelled after 0:0")


def test_interrupting_leaves_the_job_alone_and_the_line_empty(acting: Farm) -> None:
    job_id = submitted(acting, *act("hang"))
    with screen(acting, "watch", job_id) as shown:
        until(lambda: "running on actor" in shown.text)
        shown.process.send_signal(2)
        status = shown.end()
    state = acting.job(job_id)["state"]
    acting.ffgrid("cancel", job_id)

    assert status == 130
    assert shown.text.endswith("\r\x1b[K")
    assert state == "running"


def test_a_bar_survives_a_restart_of_all_coordinators(own_farm: Farm) -> None:
    film = own_farm.media("long.mkv", seconds=9)
    with screen(own_farm, "watch", submitted(own_farm, *slow(film))) as shown:
        until(lambda: "running on w1" in shown.text)
        for web in own_farm.webs:
            web.kill()
        until(lambda: "no coordinator answers, trying again" in shown.text)
        own_farm.start_web(own_farm.webs[1].port)
        status = shown.end()

    assert status == 0
    assert shown.drawn[-1].startswith("done in 0:")


@pytest.mark.parametrize("columns", [80, 120])
def test_a_table_fits_the_terminal(farm: Farm, columns: int) -> None:
    job_id = submitted(farm, "ffprobe", "-v", "error", "x" * 300 + ".mkv")
    with screen(farm, "jobs", columns=columns) as shown:
        shown.end()
    name = next(line.split()[0] for line in shown.drawn if "x..." in line)

    assert max(map(len, shown.drawn)) == columns
    assert job_id.startswith(name)
    assert farm.json("show", name)["id"] == job_id
    assert "x" * 300 in farm.ffgrid("jobs").stdout


def test_a_log_cannot_draw_on_the_terminal(acting: Farm) -> None:
    job_id = submitted(acting, *act("escape"))
    until(lambda: acting.job(job_id)["finished"])
    with screen(acting, "logs", job_id) as shown:
        shown.end()
    with screen(acting, "submit", "--wait", "--", *act("escape")) as waiting:
        waiting.end()

    assert shown.drawn == ["a?[2Jb?c"]
    assert waiting.drawn[-1] == "a?[2Jb?c"
    assert waiting.drawn[0].startswith("ffgrid: job 01")
    assert b"\x1b" not in shown.seen + waiting.seen


def test_a_command_cannot_draw_on_the_terminal(farm: Farm) -> None:
    job_id = submitted(farm, "ffprobe", "-v", "error", "\x1b[2J\x9bevil\nmkv")
    for words in (["jobs"], ["show", job_id], ["show", job_id, "--json"]):
        with screen(farm, *words, columns=200) as shown:
            shown.end()

        assert b"\x1b" not in shown.seen
        assert "\x9b" not in shown.text
        assert farm.ffgrid(*words).stdout.replace("\n", "").isprintable()


# In a file


def test_whoever_waits_no_longer_leaves_the_job_alone(acting: Farm) -> None:
    job_id = submitted(acting, *act("hang"))
    until(lambda: acting.job(job_id)["state"] == "running")
    done = [acting.ffgrid(*words, job_id, "--timeout", "0.3s") for words in (["watch"], ["logs", "-f"])]
    state = acting.job(job_id)["state"]
    acting.ffgrid("cancel", job_id)

    assert [one.returncode for one in done] == [124, 124]
    assert {one.stderr for one in done} == {f"ffgrid: job {job_id} has not ended within 0.3 s\n"}
    assert state == "running"


def test_colours_for_who_wants_them_everywhere(farm: Farm, film: Path) -> None:
    job_id = submitted(farm, *slow(film))
    forced = farm.ffgrid("watch", job_id, FORCE_COLOR="1", NO_COLOR=None)

    assert "\x1b[32mdone" in forced.stdout
    assert "\x1b" not in farm.ffgrid("watch", job_id, FORCE_COLOR="1", NO_COLOR="1").stdout
    assert "\x1b" not in farm.ffgrid("watch", job_id, "--json", FORCE_COLOR="1", NO_COLOR=None).stdout


def test_a_watch_without_a_terminal_survives_a_restart_and_says_so_once(own_farm: Farm) -> None:
    film = own_farm.media("long.mkv", seconds=9)
    watching = own_farm.begin("watch", "--json", submitted(own_farm, *slow(film)))
    assert watching.stdout
    assert watching.stderr
    first = watching.stdout.readline()
    for web in own_farm.webs:
        web.kill()
    time.sleep(2)
    own_farm.start_web(own_farm.webs[0].port)
    out, err = watching.stdout.read(), watching.stderr.read()
    watching.wait()
    states = [json.loads(line)["state"] for line in (first + out).splitlines()]

    assert watching.returncode == 0
    assert states[-1] == "done"
    assert err.count(b"\n") == 1
    assert b"no coordinator answers at " in err


def test_a_file_gets_a_line_for_each_change(farm: Farm, film: Path) -> None:
    began = time.monotonic()
    done = farm.ffgrid("watch", submitted(farm, *slow(film)))
    took = time.monotonic() - began
    lines = done.stdout.splitlines()

    assert done.returncode == 0
    assert lines[-1].startswith("done in 0:0")
    assert any(line.startswith("running on w1") for line in lines)
    assert 2 <= len(lines) <= took / 2 + 2
    assert len(set(lines)) == len(lines)
    assert "\r" not in done.stdout


def test_json_is_a_job_a_line(farm: Farm, film: Path) -> None:
    done = farm.ffgrid("watch", "--json", submitted(farm, *slow(film)))
    states = [job["state"] for job in map(json.loads, done.stdout.splitlines())]

    assert states[-1] == "done"
    assert states.count("done") == 1
    assert states.count("running") > 2


@pytest.mark.parametrize(
    ("what", "status", "words"),
    [("exit", 42, "failed after 0:00 on actor: exit status 42"), ("crash", 139, "ended by signal 11")],
)
def test_it_ends_with_1_or_the_jobs_own_exit_status(acting: Farm, what: str, status: int, words: str) -> None:
    job_id = submitted(acting, *act(what))
    done = acting.ffgrid("watch", "--exit-status", job_id)

    assert done.returncode == status
    assert acting.ffgrid("watch", job_id).returncode == 1
    assert words in done.stdout


def test_a_job_that_waits_says_so_once(acting: Farm) -> None:
    words = ["submit", "--label", "no=where", "--", *act("exit")]
    job_id = acting.ffgrid(*words).stdout.strip()
    watching = acting.begin("watch", job_id)
    assert watching.stdout
    first = watching.stdout.readline()
    time.sleep(3)  # more than the two seconds after which a running job would get another line
    acting.ffgrid("cancel", job_id)
    out, _ = watching.communicate()

    assert watching.returncode == 1
    assert (first + out).decode().splitlines() == ["queued", "cancelled: cancelled by cli"]
