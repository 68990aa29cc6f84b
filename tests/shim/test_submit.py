"""A call as a submission: JSON written by hand, and what the coordinator makes of it."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

from app.web import schema
from app.web.preparing import prepare
from app.wire import keyfile, roots
from app.wire.messages import ARGUMENT_LIMIT
from shim import submit as module
from shim.config import Config
from shim.submit import Stays, submission

MAPPED = {"Movies": "/media", "TV": "/media/tv", "Odd": "/mnt/it's [x] 50%"}


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """A client that is in one of its roots."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return make({**MAPPED, "Here": str(tmp_path)})


def make(mapped: dict[str, str], lane: str = "normal") -> Config:
    return Config(["http://x"], keyfile.Key("tester", bytes(32), b""), mapped, "", lane)


def taken(config: Config, *args: str, binary: str = "ffmpeg") -> schema.Submission:
    """The submission as the coordinator takes it."""
    body, _ = submission(binary, list(args), config)
    assert json.loads(body)
    wanted = schema.decode(body, schema.Submission)
    prepare(wanted, "tester")  # nothing in it is refused later
    return wanted


def unfolded(wanted: schema.Submission, view: dict[str, str]) -> list[str]:
    """Its arguments, as somebody with these roots has them."""
    return [roots.unfold(schema.folded(argument, ""), view) for argument in wanted.args]


COMMANDS: dict[str, list[str]] = {
    "no argument": [],
    "a query": ["-hide_banner", "-version"],
    "a film": ["-i", "/media/a b.mkv", "-c:v", "libx264", "-y", "/media/tv/b.mkv"],
    "a film by its url": ["-i", "file:/media/a.mkv", "file:/mnt/it's [x] 50%/b.mkv"],
    "relative names": ["-i", "a.mkv", "b.mkv"],
    "bytes that are no text": ["-i", "/media/\udcff\udcfe.mkv", "-metadata", "title=\udce9", "b\udcff.mkv"],
    "a line's end": ["-metadata", "title=a\nb\r\n\t", "-i", "/media/a\nb.mkv", "-f", "null", "-"],
    "an empty argument": ["-map", "", "-i", "a.mkv", "-metadata", "", "-f", "null", "-"],
    "quotes and braces": [
        "-metadata",
        '{"root": "Movies"}',
        "-metadata",
        "\\\"'`$(x)",
        "-i",
        "a.mkv",
        "-f",
        "null",
        "-",
    ],
    "control characters": [
        "-metadata",
        "".join(map(chr, range(1, 32))) + "\x7f",
        "-i",
        "a",
        "-f",
        "null",
        "-",
    ],
    "other scripts": ["-i", "/media/Ёлки \U0001f642 \u2028 \ufeff.mkv", "-f", "null", "-"],
    "a large argument": ["-i", "a.mkv", "-metadata", "comment=" + "x" * 100_000, "-f", "null", "-"],
    "the largest argument": ["-i", "a.mkv", "-metadata", "x" * ARGUMENT_LIMIT, "-f", "null", "-"],
    "many arguments": ["-i", "a.mkv", *["-metadata", "a=b"] * 2000, "-f", "null", "-"],
    "a root alone": ["-i", "/media", "-f", "null", "-"],
    "streams": ["-i", "-", "-f", "matroska", "pipe:1"],
}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("binary", ["ffmpeg", "ffprobe"])
def test_every_command_is_taken_and_comes_back_byte_for_byte(config: Config, name: str, binary: str) -> None:
    wanted = taken(config, *COMMANDS[name], binary=binary)

    assert unfolded(wanted, dict(config.roots)) == COMMANDS[name]
    assert wanted.binary == binary
    assert wanted.view.items() <= dict(config.roots).items()


@pytest.mark.parametrize("seed", range(30))
def test_random_bytes_are_taken_and_come_back(config: Config, seed: int) -> None:
    chance = random.Random(seed)
    args = ["-i", "a.mkv"]
    for _ in range(20):
        raw = bytes(
            chance.choice((chance.randrange(1, 256), 0x22, 0x5C, 0x0A, 0xC3))
            for _ in range(chance.randrange(30))
        )
        args += ["-metadata", os.fsdecode(raw)]

    assert unfolded(taken(config, *args, "-f", "null", "-"), dict(config.roots))[: len(args)] == args


def test_it_is_the_json_that_the_json_module_would_read(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "environ", {})
    config.labels = {"gpu": 'n"v', "site": "é"}

    body, _ = submission("ffmpeg", ["-i", "/media/tv/a.mkv", "-f", "null", "-"], config)

    sent: dict[str, Any] = json.loads(body)
    assert body.isascii()
    assert sent.pop("key").isalnum()
    assert sent == {
        "binary": "ffmpeg",
        "args": ["-i", [{"root": "TV"}, "/a.mkv"], "-f", "null", "-"],
        "cwd": [{"root": "Here"}, "/here"],
        "view": dict(config.roots),
        "lane": "normal",
        "labels": {"gpu": 'n"v', "site": "é"},
        "nice": 0,
        "env": {},
        "attach": True,
        "in_place": True,
        "stdin": sent["stdin"],
        "umask": os.umask(0o022) | os.umask(0o022),
        "user": [os.geteuid(), os.getegid(), *os.getgroups()],
        "require_worker": True,
        "max_attempts": 3,
    }


def test_every_call_has_a_key_of_its_own(config: Config) -> None:
    assert len({taken(config, "-version").key for _ in range(50)}) == 50


@pytest.mark.parametrize("lane", ["live", "high", "normal", "low"])
def test_the_lane_is_the_launchers(config: Config, lane: str) -> None:
    assert taken(make(dict(config.roots), lane), "-version").lane == lane


def test_all_roots_are_told_because_a_list_may_name_them(config: Config) -> None:
    assert set(taken(config, "-i", "/media/tv/list.m3u8", "-f", "null", "-").view) == set(config.roots)


def test_the_niceness_goes_along(config: Config) -> None:
    config.nice = 12

    assert taken(config, "-version").nice == 12


def test_of_the_environment_goes_along_what_is_allowed_and_is_text(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = {
        b"TZ": b"Asia/Tokyo",
        b"TERM": b"",
        b"AMD_DEBUG": b"x" * 257,
        b"NO_COLOR": b"\xff",
        b"PATH": b"/",
    }
    monkeypatch.setattr(module, "environ", variables)

    assert taken(config, "-version").env == {"TZ": "Asia/Tokyo", "TERM": ""}


@pytest.mark.parametrize(
    ("variables", "colours"),
    [
        ({b"TERM": b"xterm"}, True),
        ({}, False),
        ({b"TERM": b"dumb"}, False),
        ({b"TERM": b"xterm", b"NO_COLOR": b"1"}, False),
        ({b"TERM": b"xterm", b"AV_LOG_FORCE_NOCOLOR": b"1"}, False),
    ],
)
def test_a_terminal_gets_colours(
    config: Config, monkeypatch: pytest.MonkeyPatch, variables: dict[bytes, bytes], colours: bool
) -> None:
    monkeypatch.setattr(module, "environ", variables)
    monkeypatch.setattr(module, "isatty", lambda descriptor: descriptor == 2)

    assert (taken(config, "-version").env.get("AV_LOG_FORCE_COLOR") == "1") == colours


def test_a_root_and_a_directory_may_be_no_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = os.fsdecode(os.path.join(os.fsencode(tmp_path), b"\xff"))
    os.makedirs(os.path.join(folder, "\udcfe"))
    monkeypatch.chdir(os.path.join(folder, "\udcfe"))

    wanted = taken(make({"Odd": folder}), "-i", f"{folder}/a.mkv", "-f", "null", "-")

    assert wanted.cwd is not None
    assert roots.unfold(schema.folded(wanted.cwd, ""), {"Odd": folder}) == f"{folder}/\udcfe"
    assert unfolded(wanted, {"Odd": folder})[1] == f"{folder}/a.mkv"
    assert roots.unfold(schema.folded(wanted.view["Odd"], ""), {}) == folder


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (["-i", "/etc/passwd", "-f", "null", "-"], "/etc/passwd"),
        (["-i", "/media/a.mkv", "/tmp/b.mkv"], "/tmp/b.mkv"),
        (["-i", "/media/../etc/passwd", "-f", "null", "-"], "/media/../etc/passwd"),
        (["-i", "file:/etc/passwd", "-f", "null", "-"], "file:/etc/passwd"),
        (["-i", "/media2/a.mkv", "-f", "null", "-"], "/media2/a.mkv"),
        (["-i", "../../a.mkv", "-f", "null", "-"], "../../a.mkv"),
        (["-i", "a.mkv", "-passlogfile", "/tmp/log", "-f", "null", "-"], "/tmp/log"),
        (["-i", "concat:/media/a.ts|/etc/b.ts", "-f", "null", "-"], "concat:/media/a.ts|/etc/b.ts"),
        (["-i", "/\udcff", "-f", "null", "-"], "/\\udcff"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_file_outside_every_root_stays(config: Config, args: list[str], named: str) -> None:
    with pytest.raises(Stays) as caught:
        submission("ffmpeg", args, config)

    assert str(caught.value) == f"'{named}' lies outside every root"


def test_a_name_in_a_directory_outside_every_root_stays(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")

    with pytest.raises(Stays, match=r"'a\.mkv' lies outside every root"):
        submission("ffmpeg", ["-i", "a.mkv", "-f", "null", "-"], config)


def test_a_command_that_needs_no_directory_goes_from_everywhere(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")

    wanted = taken(config, "-i", "/media/a.mkv", "-f", "null", "-")

    assert wanted.cwd is None


def test_a_directory_that_has_been_deleted_is_none(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()

    assert taken(config, "-i", "/media/a.mkv", "-f", "null", "-").cwd is None


def test_what_was_read_is_handed_on(config: Config) -> None:
    _, read = submission("ffmpeg", ["-i", "-", "-f", "null", "-"], config)

    assert read.reads_stdin
