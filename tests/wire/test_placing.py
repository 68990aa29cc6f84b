"""Where the files of a command lie, judged by their names: inside the roots, or somewhere else."""

from __future__ import annotations

import pytest

from app.wire import command, folding, roots
from app.wire.placing import is_outside, strays

MAPPED = {"Movies": "/media", "TV": "/media/tv"}
IN_ROOT = "/media/sub"


def stray(*args: str, cwd: str | None = IN_ROOT, binary: str = "ffmpeg") -> list[str]:
    """The arguments of a command that lie outside."""
    read = command.read(binary, list(args))
    folded = folding.fold(read, MAPPED)
    at = roots.fold(cwd, MAPPED) if cwd is not None and roots.holder(cwd, MAPPED) else None
    return [args[index] for index in strays(read, folded, at)]


def as_input(url: str, cwd: str | None = IN_ROOT) -> bool:
    """Whether an input strays."""
    return stray("-i", url, "-f", "null", "-", cwd=cwd) == [url]


def as_output(url: str, cwd: str | None = IN_ROOT) -> bool:
    """Whether an output strays."""
    return stray("-i", "/media/a.mkv", "-y", url, cwd=cwd) == [url]


INSIDE = [
    "/media/a.mkv", "/media/tv/a.mkv", "/media", "file:/media/a.mkv", "/media/./a.mkv", "/media/x/../a.mkv",
    "/media//a.mkv", "/media/tv/../a.mkv", "/media/a:b.mkv", "/media/..a.mkv", "/media/a..", "/media/\udcff.mkv",
]  # fmt: skip
OUTSIDE = [
    "/etc/passwd", "/", "//etc/passwd", "/media2/a.mkv", "/medi", "/media/../etc/passwd", "/media/x/../../etc/x",
    "/media/..", "/media/tv/../../x", "file:/etc/passwd", "file:///etc/passwd", "file://etc/passwd",
    "file:/media/../etc/passwd", "/\udcff", "/dev/sda", "/dev/shm/x", "/proc/self/environ", "/dev/null/../sda",
    "/dev/dri/../../etc/passwd", "/dev/nvidia/../../etc/passwd", "/dev/stdin/../x", "concat:/etc/a|/etc/b",
    "concat:/media/a.ts|/etc/b.ts", "concat:/media/a|/media/../x", "async:cache:/etc/x",
    "async:/etc/x", "cache:/etc/x", "crypto:/etc/x", "FILE:/etc/passwd",
    "subfile,,start,0,end,9,,:/etc/x", "unix:/run/docker.sock", "concatf:/etc/x", "ffrtmpcrypt:/etc/x", "tee:/etc/x",
    "bluray:/dev/sr0",
]  # fmt: skip
NOWHERE = [
    "-", "pipe:", "pipe:0", "pipe:1", "fd:", "/dev/null", "/dev/zero", "/dev/stdin", "/dev/stdout", "/dev/stderr",
    "/dev/dri/renderD128", "/dev/nvidia0", "http://host/a.mkv", "https://host:8096/a?b=/etc/x", "rtsp://cam/1",
    "rtmp://host/live", "udp://239.0.0.1:1234", "data:video/mp4;base64,AAAA", "",
]  # fmt: skip


@pytest.mark.parametrize("url", INSIDE)
def test_a_file_in_a_root_is_inside(url: str) -> None:
    assert not as_input(url)
    assert not as_output(url)
    assert not as_input(url, cwd=None)


@pytest.mark.parametrize("url", OUTSIDE)
@pytest.mark.parametrize("cwd", [IN_ROOT, None])
def test_any_other_file_is_outside(url: str, cwd: str | None) -> None:
    assert as_input(url, cwd)
    assert as_output(url, cwd)


@pytest.mark.parametrize("url", NOWHERE)
def test_what_is_no_file_is_nowhere(url: str) -> None:
    assert not as_input(url)
    assert not as_input(url, cwd=None)


@pytest.mark.parametrize(
    "url", ["a.mkv", "file:a.mkv", "./a.mkv", "x/../a.mkv", "../a.mkv", "file:../a.mkv", "a b", "é", "\udcff"]
)
def test_a_relative_name_is_inside_where_the_directory_is(url: str) -> None:
    assert not as_input(url)
    assert not as_output(url)
    assert as_input(url, cwd=None)
    assert as_input(url, cwd="/elsewhere")


@pytest.mark.parametrize(
    "url", ["../../a.mkv", "../../../etc/passwd", "x/../../../a", "file:../../a", "./../../a", "..//..//a"]
)
def test_a_relative_name_that_climbs_out_is_outside(url: str) -> None:
    assert as_input(url)
    assert as_output(url)


def test_how_far_a_name_may_climb_depends_on_the_directory() -> None:
    assert not as_input("../../a.mkv", cwd="/media/x/y")
    assert as_input("../../../a.mkv", cwd="/media/x/y")
    assert as_input("../a.mkv", cwd="/media")
    assert as_input("../a.mkv", cwd="/media/tv")  # the root TV ends there, whatever lies above


@pytest.mark.parametrize(
    "args",
    [
        ("-f", "lavfi", "-i", "testsrc2=size=64x64", "-f", "null", "-"),
        ("-f", "lavfi", "-i", "/etc/passwd", "-f", "null", "/etc/passwd"),
    ],
    ids=["a source", "a graph"],
)
def test_a_graph_is_no_file(args: tuple[str, ...]) -> None:
    assert stray(*args) == []


def test_each_url_has_its_own_options() -> None:
    assert stray("-f", "lavfi", "-i", "color", "-i", "/etc/x", "-f", "null", "/etc/y", "/etc/z") == [
        "/etc/x",
        "/etc/z",
    ]


@pytest.mark.parametrize(
    "option",
    [
        "-passlogfile",
        "-vstats_file",
        "-filter_script:v",
        "-/filter:v",
        "-sdp_file",
        "-fpre",
        "-attach",
        "-progress",
    ],
)
def test_an_options_value_may_be_a_file_too(option: str) -> None:
    assert stray("-i", "a.mkv", option, "/etc/x", "b.mkv") == ["/etc/x"]
    assert stray("-i", "a.mkv", option, "file:/etc/x", "b.mkv") == ["file:/etc/x"]
    assert stray("-i", "a.mkv", option, "/media/x", "b.mkv") == []


@pytest.mark.parametrize(
    "option",
    ["-attach", "-passlogfile", "-dump_attachment:t:0", "-filter_script:v", "-/filter:v", "-vstats_file"],
)
def test_an_options_file_that_climbs_out_is_outside(option: str) -> None:
    assert stray("-i", "a.mkv", option, "../../x", "b.mkv") == ["../../x"]


@pytest.mark.parametrize(
    "option", ["-metadata", "-metadata:s:a:0", "-headers", "-user_agent", "-cookies", "-tag:v"]
)
def test_words_that_look_like_files_are_words(option: str) -> None:
    assert stray("-i", "a.mkv", option, "/etc/x", "b.mkv") == []


def test_all_that_stray_are_told_in_their_order() -> None:
    assert stray("-i", "/x/a", "-i", "/media/a", "-passlogfile", "/x/log", "/x/b", "-") == [
        "/x/a",
        "/x/log",
        "/x/b",
    ]


@pytest.mark.parametrize("args", [(), ("-version",), ("-h", "full"), ("-i",)])
def test_a_command_without_files_does_not_stray(args: tuple[str, ...]) -> None:
    assert stray(*args, cwd=None) == []


def test_ffprobes_file_is_looked_at_too() -> None:
    assert stray("-show_format", "/etc/x", binary="ffprobe") == ["/etc/x"]
    assert stray("-show_format", "/media/x", "-o", "/etc/y", binary="ffprobe") == ["/etc/y"]


@pytest.mark.parametrize(
    ("folded", "outside"),
    [
        ([{"root": "Movies"}], False),
        ([{"root": "Movies"}, "/../x"], True),
        ([{"root": "Movies"}, {"b64": "Ly4uL3g="}], True),  # /../x
        ([{"b64": "L2V0Yy94"}], True),  # /etc/x
        ([{"b64": "Li4="}, "/", {"b64": "Li4="}, "/x"], True),  # ../../x
        (["file:", {"root": "Movies"}, "/x"], False),
        (["file:", "/etc/x"], True),
        (["fi", "le:/etc/x"], True),
        (["", "/etc/x"], True),
        ([{"b64": ""}, "/etc/x"], True),
        (["-", "/../../../x"], True),
        ([{"root": "Movies"}, "2/x"], True),  # a sibling: /media2/x
        ([{"root": "Movies"}, "../x"], True),
        (["concat:", {"root": "Movies"}, "/a"], True),
        (["x", {"root": "Movies"}], True),
        (["..", "/..", {"root": "Movies"}], True),
        ([], False),
    ],
    ids=str,
)
def test_pieces_are_looked_at_as_they_would_be_joined(folded: list[object], outside: bool) -> None:
    assert is_outside(folded, [{"root": "Movies"}, "/sub"]) is outside  # type: ignore[arg-type]
