"""Files that are named within other things: protocols, lists, patterns, filters, parameters."""

from __future__ import annotations

import os

import pytest

from app.wire import command, folding, roots
from app.wire.placing import strays

MAPPED = {"Movies": "/media", "TV": "/media/tv"}
IN_ROOT = "/media/sub"
ETC = {"/etc", "/etc/x", "/"}


def is_there(path: str) -> bool:
    return os.path.normpath(path) in ETC


def known(*args: str, cwd: str | None = IN_ROOT) -> list[str]:
    """The arguments that lie outside on a host that has /etc/x."""
    read = command.read("ffmpeg", list(args))
    at = None if cwd is None else roots.fold(cwd, MAPPED)
    return [args[index] for index in strays(read, folding.fold(read, MAPPED), at, is_there)]


# Protocols, lists and patterns

WITHIN_ROOTS = [
    "async:/media/a", "async:cache:file:/media/a", "cache:file:/media/a", "concat:/media/a|/media/tv/b",
    "concat:file:/media/a|async:/media/b", "subfile,,start,0,end,9,,:/media/a", "crypto:/media/a",
    "bluray:/media/x.iso", "concatf:/media/list",
]  # fmt: skip
WITHIN_OUTSIDE = [
    "async://etc/x", "cache://etc/x", "concat://etc/x", "unix://run/docker.sock", "tee://etc/x", "async:file://etc/x",
    "async:async:async:/etc/x", "concat:/media/a|async:/etc/x", "subfile,,start,0,end,9,,:file:/etc/x",
    "subfile,,start,0,end,9,,:concat:/etc/a|/etc/b", "concat:/media/a|/media2/b", "async:/media/../etc/x",
    "md5:/etc/x",
]  # fmt: skip


@pytest.mark.parametrize("url", WITHIN_ROOTS)
@pytest.mark.parametrize("cwd", [IN_ROOT, None])
def test_protocols_around_a_file_in_a_root_are_inside(url: str, cwd: str | None) -> None:
    assert not known("-i", url, "-f", "null", "-", cwd=cwd)


@pytest.mark.parametrize("url", WITHIN_OUTSIDE)
def test_protocols_around_another_file_are_outside(url: str) -> None:
    assert known("-i", url, "-f", "null", "-")
    assert known("-i", "/media/a", url)


@pytest.mark.parametrize("url", ["async://etc/x", "cache://etc/x", "unix://etc/x", "file://etc/x", "//etc/x"])
def test_an_address_of_this_host_is_no_address(url: str) -> None:
    assert known("-i", "/media/a", "-attach", url, "/media/b.mkv") == [url]


@pytest.mark.parametrize(
    "url",
    ["/media/.[.]/x", "/media/{.,x}./x", "/media/.*/x", "/media/.?/x", "/media/{,x}../x", "/media/\\.\\./x"],
)
def test_a_pattern_that_could_climb_is_outside(url: str) -> None:
    assert known("-pattern_type", "glob", "-i", url, "-f", "null", "-") == [url]


@pytest.mark.parametrize("url", ["/media/*.jpg", "/media/{a,b}.png", "/media/x.[0-9].png", "/media/?/%d.png"])
def test_another_pattern_is_inside(url: str) -> None:
    assert known("-pattern_type", "glob", "-i", url, "-f", "null", "-") == []
    assert known("-i", url, "-f", "null", "-") == []


@pytest.mark.parametrize(
    ("text", "outside"),
    [
        ("[f=mpegts]/media/a.ts|[f=matroska:onfail=ignore]/media/b.mkv", False),
        ("[f=mpegts]/media/a.ts|/etc/b.mkv", True),
        ("[f=mpegts]/etc/a.ts|/media/b.mkv", True),
        ("[f=hls:hls_segment_filename=/media/%d.ts]/media/a.m3u8", False),
        ("[f=hls:hls_segment_filename=/etc/%d.ts]/media/a.m3u8", True),
        ("[f=segment:segment_list=/media/../etc/x]/media/%d.ts", True),
    ],
)
def test_each_output_of_a_tee_counts(text: str, outside: bool) -> None:
    assert bool(known("-i", "/media/a", "-f", "tee", "-map", "0", text)) is outside


# Filters and parameters


def filtered(text: str, cwd: str | None = IN_ROOT) -> bool:
    """Whether a filter strays."""
    return known("-i", "/media/a", "-vf", text, "/media/b.mkv", cwd=cwd) == [text]


@pytest.mark.parametrize(
    "text",
    [
        "movie=/etc/x", "movie=//etc/x", "movie=///etc//x", "movie=\r/etc/x", "movie=\n/etc/x", "movie= /etc/x",
        "movie='/etc/x'", "movie=''/etc/x", "movie=\\/etc/x", "movie=\\//etc/x", "movie=/\\e't'c/x",
        "movie=file\\:/etc/x", "movie=async\\://etc/x", "null,lut3d=/etc/new.cube", "[a]psnr=stats_file=/etc/new",
        "movie=/media/../etc/x",
        "movie=/media/.'.'/etc", "movie=/media/\\../x", "movie=../../x", "movie=concat\\:/media/a|/etc/x",
    ],
)  # fmt: skip
@pytest.mark.parametrize("cwd", [IN_ROOT, None])
def test_a_filter_that_names_a_file_outside_strays(text: str, cwd: str | None) -> None:
    assert filtered(text, cwd)


@pytest.mark.parametrize(
    "text",
    [
        r"scale=trunc(min(max(iw\,ih*a)\,min(1918\,1080*a))/2)*2:trunc(min(max(iw/a\,ih)\,min(1918/a\,1080))/2)*2",
        "scale=iw/2:ih/2", "fps=30000/1001", "crop=(in_w)/2:( ih ) / 2", "setpts=(PTS-STARTPTS)/TB", "expr:gte(t,n/4)",
        "subtitles=f='/media/a.srt':fontsdir='/media/fonts'", "subtitles=/media/a.srt", "ass=f=/media/x",
        "ass='/media/x'", "psnr=stats_file=/media/x", "movie=/media/a,lut3d=file=/media/b",
        "vidstabdetect=result=/media/x.trf", "drawtext=textfile=/media/t:fontfile=/media/f",
    ],
)  # fmt: skip
@pytest.mark.parametrize("cwd", [IN_ROOT, None])
def test_divisions_and_files_in_roots_do_not_stray(text: str, cwd: str | None) -> None:
    assert not filtered(text, cwd)


@pytest.mark.parametrize(
    "text",
    [
        "subtitles=a.srt",
        "subtitles=f=a.srt",
        "subtitles=f='a.srt'",
        "vidstabdetect",
        "movie=a,movie=/media/b",
    ],
)
def test_a_filters_relative_file_needs_a_directory_in_a_root(text: str) -> None:
    assert filtered(text, None)
    assert not filtered(text)


@pytest.mark.parametrize(
    ("options", "strayed"),
    [
        (("-attach", "x.ttf"), ["x.ttf"]),
        (("-dump_attachment:t", ""), [""]),
        (("-passlogfile", "log", "-pass", "1"), ["log"]),
        (("-passlogfile", "/media/log", "-pass", "1"), []),
        (("-pass", "1"), ["1"]),
        (("-report",), ["-report"]),
        (("-vstats",), ["-vstats"]),
        (("-hls_segment_filename", "%d.ts"), ["%d.ts"]),
        (("-hls_fmp4_init_filename", "init.mp4"), []),  # beside the playlist, wherever that is
        (("-segment_list", "pipe:1"), []),
        (("-x264-params", "stats=x.log"), ["stats=x.log"]),
    ],
    ids=str,
)
def test_an_options_relative_file_needs_a_directory_in_a_root(
    options: tuple[str, ...], strayed: list[str]
) -> None:
    args = ("-i", "/media/a", *options, "/media/b.mkv")

    assert known(*args, cwd=None) == strayed
    assert known(*args) == []


def test_a_path_where_nothing_is_may_be_a_division() -> None:
    assert not filtered("movie=/nowhere/x")
    assert filtered("movie=/nowhere/x", None)
