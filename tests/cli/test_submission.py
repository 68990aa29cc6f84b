"""Commands as people type them, folded; and what is refused before anybody is asked."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from app.cli.errors import USAGE, Failure
from app.cli.submission import directory, submission

ROOTS = {"Movies": "/media/movies", "Kids": "/media/movies/kids"}
OPTION = ["-c:v", "libx265"]


def made(*words: str, here: str | None = "/home/me", labels: tuple[str, ...] = ()) -> dict[str, Any]:
    return submission(words, ROOTS, here, labels)


def refusal(*words: str, here: str | None = "/home/me", labels: tuple[str, ...] = ()) -> str:
    with pytest.raises(Failure) as caught:
        made(*words, here=here, labels=labels)
    assert caught.value.status == USAGE
    return str(caught.value)


def test_paths_are_folded_into_roots_and_the_view_tells_where_they_were() -> None:
    fields = made("ffmpeg", "-i", "/media/movies/a.mkv", *OPTION, "/media/movies/kids/b.mkv")

    assert fields["binary"] == "ffmpeg"
    assert fields["args"] == ["-i", [{"root": "Movies"}, "/a.mkv"], *OPTION, [{"root": "Kids"}, "/b.mkv"]]
    assert fields["view"] == ROOTS
    assert fields["cwd"] is None
    assert fields["labels"] == {}


def test_relative_paths_stay_and_the_directory_is_folded() -> None:
    fields = made("ffmpeg", "-i", "a.mkv", "b.mkv", here="/media/movies/x")

    assert fields["args"] == ["-i", "a.mkv", "b.mkv"]
    assert fields["cwd"] == [{"root": "Movies"}, "/x"]
    assert fields["view"] == {"Movies": "/media/movies", "Kids": "/media/movies/kids"}


def test_each_submission_has_a_key_of_its_own() -> None:
    assert made("ffprobe", "http://x/a")["key"] != made("ffprobe", "http://x/a")["key"]


def test_two_dashes_before_the_program_are_no_argument_and_those_behind_it_are() -> None:
    assert made("--", "ffprobe", "--", "/media/movies/a")["args"][0] == "--"


def test_a_program_may_be_named_by_its_path() -> None:
    assert made("/usr/lib/jellyfin-ffmpeg/ffprobe", "-version")["binary"] == "ffprobe"


def test_labels_are_pairs_and_a_value_may_hold_an_equals_sign() -> None:
    assert made("ffprobe", "-version", labels=("gpu=yes", "a=b=c"))["labels"] == {"gpu": "yes", "a": "b=c"}


def test_names_that_are_not_text_travel_as_bytes() -> None:
    fields = submission(["ffprobe", "/m\udcff/a\udcfe.mkv"], {"M": "/m\udcff"}, None, [])

    assert fields["args"] == [[{"root": "M"}, {"b64": "L2H+Lm1rdg=="}]]
    assert fields["view"] == {}


@pytest.mark.parametrize("words", [(), ("--",)])
def test_a_command_is_needed(words: tuple[str, ...]) -> None:
    assert "write it behind --" in refusal(*words)


@pytest.mark.parametrize("program", ["vlc", "/usr/bin/ffmpeg2", "", "rm"])
def test_nothing_but_ffmpeg_and_ffprobe_can_be_run(program: str) -> None:
    assert refusal(program, "x") == f"{program!r} cannot be run: only ffmpeg and ffprobe can"


@pytest.mark.parametrize(
    "words",
    [
        ("ffmpeg", "-i", "/etc/passwd", "/media/movies/b.mkv"),
        ("ffmpeg", "-i", "/media/movies/a.mkv", "/etc/passwd"),
        ("ffmpeg", "-i", "/media/movies/../../etc/passwd", "-f", "null", "-"),
        ("ffprobe", "/etc/passwd"),
        ("ffprobe", "file:/etc/passwd"),
    ],
)
def test_a_path_outside_every_root_is_refused_by_its_name(words: tuple[str, ...]) -> None:
    sentence = refusal(*words)

    assert re.match("'.*etc/passwd' lies outside every root", sentence)
    assert "Movies (/media/movies)" in sentence


@pytest.mark.parametrize("path", ["../../../etc/passwd", "a/../../../x", "file:../../../x"])
def test_a_relative_path_may_not_climb_out(path: str) -> None:
    assert f"{path!r} (in /media/movies/x) lies outside" in refusal("ffprobe", path, here="/media/movies/x")
    assert made("ffprobe", "../b.mkv", here="/media/movies/x")["args"] == ["../b.mkv"]


@pytest.mark.parametrize("here", ["/home/me", None])
def test_a_relative_path_needs_a_directory_in_a_root(here: str | None) -> None:
    assert f"'a.mkv' (in {here or '.'}) lies outside every root" in refusal("ffprobe", "a.mkv", here=here)


def test_without_roots_the_sentence_tells_how_to_set_them() -> None:
    with pytest.raises(Failure, match="set FFGRID_ROOTS=Name=/directory, or give --roots"):
        submission(["ffprobe", "/a"], {}, None, [])


@pytest.mark.parametrize("url", ["-", "pipe:", "pipe:0", "/dev/stdin"])
def test_standard_input_is_refused_for_submit_has_none(url: str) -> None:
    assert "standard input" in refusal("ffmpeg", "-i", url, "/media/movies/b.mkv")


@pytest.mark.parametrize("url", ["-", "pipe:", "pipe:1", "/dev/stdout"])
def test_media_on_standard_output_is_refused_for_a_log_would_lose_some(url: str) -> None:
    assert "standard output" in refusal("ffmpeg", "-i", "/media/movies/a", "-f", "mpegts", url)


@pytest.mark.parametrize(
    "output", [["-f", "null", "-"], ["-f", "framemd5", "-"], ["-frames:v", "1", "-f", "image2", "pipe:1"]]
)
def test_what_is_small_may_go_to_standard_output(output: list[str]) -> None:
    assert made("ffmpeg", "-i", "/media/movies/a", *output)["binary"] == "ffmpeg"


@pytest.mark.parametrize("label", ["gpu", "=x", "gpu=", ""])
def test_a_label_has_a_name_and_a_value(label: str) -> None:
    assert refusal("ffprobe", "-version", labels=(label,)) == f"--label: expected NAME=VALUE, got {label!r}"


def test_a_directory_with_two_names_counts_under_the_one_in_a_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path / "real")
    link, real = str(tmp_path / "link"), str(tmp_path / "real")

    assert directory({"M": link}, {"PWD": link}) == link
    assert directory({"M": real}, {"PWD": link}) == real
    assert directory({"M": link}, {"PWD": "/"}) == real
    assert directory({}, {}) == real


def test_a_directory_that_is_gone_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    os.rmdir(tmp_path / "gone")

    assert directory({"M": "/m"}, {"PWD": "/m"}) is None
