"""Lists and scripts that name files: a job without a namespace reads a copy with this host's names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from app.wire import command
from worker.lists import LIMIT, localize
from worker.place import Place
from worker.plan import CannotRun, Plan
from worker.rewrite import Names

CALLER = {"Media": "/mnt/It's", "TV": "/tv"}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """This host's directory of the root Media, and a secret beside it."""
    (tmp_path / "secret.mkv").touch()
    (tmp_path / "media").mkdir()
    return tmp_path / "media"


def localized(root: Path, *args: Any) -> tuple[Plan, Place]:
    here = {"Media": str(root), "TV": "/elsewhere"}
    place = Place(here, None, Names(here, CALLER), "/")
    texts = [str(arg) for arg in args]
    ready = Plan(
        ["ffmpeg", *texts], command.read("ffmpeg", texts), cwd=str(root), stem=".ffgrid-JOB-1-0a1b2c3d-"
    )
    return localize(ready, place, CALLER), place


def copied(root: Path, *args: Any) -> str:
    """What the job reads in the place of the list that is its only one."""
    ready, _ = localized(root, *args)
    (copy,) = ready.copies
    assert copy in ready.argv
    assert os.path.dirname(copy) == str(root)
    assert os.path.basename(copy).startswith(".ffgrid-JOB-1-0a1b2c3d-")
    return os.fsdecode(Path(copy).read_bytes())


def test_a_lists_names_become_this_hosts(root: Path) -> None:
    (root / "list").write_text("ffconcat version 1.0\nfile '/mnt/It'\\''s/a.mkv'\nfile b.mkv\nfile /tv/c\n")

    changed = copied(root, "-f", "concat", "-safe", "0", "-i", root / "list", "b.mkv")

    assert changed == f"ffconcat version 1.0\nfile '{root}/a.mkv'\nfile b.mkv\nfile /elsewhere/c\n"


@pytest.mark.parametrize(
    "begin", ["ffconcat version 1.0\n", "#EXTM3U\r\n", " <?xml version='1'?>\n", "<MPD>"]
)
def test_a_list_is_known_by_how_it_begins(root: Path, begin: str) -> None:
    (root / "list").write_text(begin + "x=/tv/c\r\n", newline="")

    assert copied(root, "-i", root / "list", "b.mkv") == begin + "x=/elsewhere/c\r\n"


@pytest.mark.parametrize(
    "option", ["-filter_complex_script", "-filter_script:v", "-/filter_complex", "-/vf", "-/filter:v:0"]
)
def test_a_script_is_known_by_its_option(root: Path, option: str) -> None:
    (root / "script.txt").write_text("movie=/tv/c,null")

    assert copied(root, "-i", "a.mkv", option, "script.txt", "b.mkv") == "movie=/elsewhere/c,null"


def test_a_copy_is_printed_as_its_original(root: Path) -> None:
    (root / "list.m3u8").write_text("#EXTM3U\n/tv/c\n")
    ready, place = localized(root, "-i", f"file:{root}/list.m3u8", "b.mkv")
    assert place.names

    shown = place.names.stream().feed(f"{ready.copies[0]}: Invalid\n".encode())

    assert shown == b"file:/mnt/It's/list.m3u8: Invalid\n"
    assert ready.copies[0].endswith(".m3u8")


def test_bytes_that_are_no_text_are_kept(root: Path) -> None:
    (root / "list").write_bytes(b"#EXTM3U\n/tv/\xff\n\xfe\n")

    assert copied(root, "-i", root / "list", "b.mkv") == "#EXTM3U\n/elsewhere/\udcff\n\udcfe\n"


@pytest.mark.parametrize(
    "text", ["ffconcat version 1.0\nfile b.mkv\n", "#EXTM3U\nhttp://host/a.ts\nb.ts\n", "a film"]
)
def test_a_list_without_roots_is_read_as_it_is(root: Path, text: str) -> None:
    (root / "list").write_text(text)
    ready, _ = localized(root, "-i", root / "list", "b.mkv")

    assert (list(ready.copies), ready.argv[2], os.listdir(root)) == ([], str(root / "list"), ["list"])


def test_what_is_not_there_is_ffmpegs_to_say(root: Path) -> None:
    assert localized(root, "-f", "concat", "-i", "gone", "b.mkv")[0].argv[4] == "gone"


@pytest.mark.parametrize("start", ["", "/", "file:", "file:/", "\\", "'", "\r"])
def test_a_list_that_names_a_file_outside_is_refused(root: Path, start: str) -> None:
    (root / "list").write_text(f"ffconcat version 1.0\nfile {start}{root.parent}/secret.mkv\n", newline="")

    with pytest.raises(CannotRun, match=r"'list' names .*, which lies outside every root"):
        localized(root, "-i", root / "list", "b.mkv")


@pytest.mark.parametrize(
    "climbing", ["../secret.mkv", "/tv/../x", "'../secret.mkv'", "sub/\\../../secret.mkv"]
)
def test_a_list_that_climbs_is_refused(root: Path, climbing: str) -> None:
    (root / "list").write_text(f"ffconcat version 1.0\nfile {climbing}\n")

    with pytest.raises(CannotRun, match=r"names files with '\.\.'"):
        localized(root, "-i", root / "list", "b.mkv")


def test_a_list_is_looked_at_to_its_end(root: Path) -> None:
    (root / "list").write_text("#EXTM3U\n" + "#" * LIMIT + f"\n{root.parent}/secret.mkv\n")

    with pytest.raises(CannotRun, match="'list' is larger than"):
        localized(root, "-i", root / "list", "b.mkv")


@pytest.mark.parametrize(
    "args",
    [
        ("-f", "concat", "-i", "-"),
        ("-f", "concat", "-i", "pipe:0"),
        ("-safe", "0", "-i", "tcp://host:1"),
        ("-protocol_whitelist", "file,http,tcp", "-i", "http://host/a.m3u8"),
        ("-i", "data:text/plain;base64,ZmZjb25jYXQ"),
    ],
    ids=" ".join,
)
def test_a_list_that_is_no_file_is_refused(root: Path, args: tuple[str, ...]) -> None:
    with pytest.raises(CannotRun, match="could name any file"):
        localized(root, *args, "b.mkv")


@pytest.mark.parametrize(
    "args",
    [
        ("-i", "http://host/a.m3u8"),
        ("-f", "hls", "-i", "https://host/a"),
        ("-i", "-"),
        ("-i", "rtsp://cam/1"),
    ],
)
def test_other_sources_are_not(root: Path, args: tuple[str, ...]) -> None:
    assert localized(root, *args, "b.mkv")[0].copies == []
