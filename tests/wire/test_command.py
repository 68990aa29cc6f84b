"""Command lines: how they are read, what follows from them, and whether ffmpeg itself agrees."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from math import nan
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.wire import command, mediatime
from app.wire.command import Command

ROOT = Path(__file__).resolve().parent.parent.parent
BINARIES = ("ffmpeg", "ffprobe")


def read(line: str, binary: str = "ffmpeg") -> Command:
    return command.read(binary, shlex.split(line))


def names(found: Command) -> tuple[list[str], list[str]]:
    return found.texts(found.inputs), found.texts(found.outputs)


def run(
    binary: str, *args: str, cwd: Path | None = None, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    assert shutil.which(binary), f"{binary} is not installed: run `make test`, which installs it"
    return subprocess.run([binary, *args], input=stdin, capture_output=True, text=True, cwd=cwd, timeout=60)


# Reading


def test_an_option_belongs_to_the_next_url():
    found = read("-ss 60 -i a.mkv -c:v libx264 -t 5 b.mkv -f null -")

    assert names(found) == (["a.mkv"], ["b.mkv", "-"])
    assert found.input_options == [{"ss": "60"}]
    assert found.output_options == [{"c": "libx264", "t": "5"}, {"f": "null"}]


def test_a_value_knows_its_option_as_written():
    found = read("-i a -metadata:s:a:0 title=/m/x -map_metadata -1 b")

    assert found.values == {3: "metadata:s:a:0", 5: "map_metadata"}


def test_a_value_may_look_like_an_option():
    found = read("-sseof -5 -i a -map -0:s -user_agent -i -b:v 1M b")

    assert names(found) == (["a"], ["b"])
    assert found.values == {1: "sseof", 5: "map", 7: "user_agent", 9: "b:v"}


def test_the_last_of_two_equal_options_wins():
    assert read("-t 5 -t 7 -i a -frames:v 1 -vframes 3 b").input_options == [{"t": "7"}]
    assert mediatime.frames(read("-i a -frames:v 1 -vframes 3 b")) == 3


def test_a_flag_has_no_value_with_or_without_a_stream_specifier():
    found = read("-an:0 -y -i a -vn -copyinkf:v b")

    assert found.values == {}
    assert found.output_options == [{"vn": "1", "copyinkf": "1"}]


def test_a_flag_can_be_negated():
    found = read("-nostdin -noautorotate -noaccurate_seek -i a -nostats b")

    assert found.options == {"stdin": "0", "autorotate": "0", "accurate_seek": "0", "stats": "0"}
    assert names(found) == (["a"], ["b"])


def test_no_before_an_option_that_takes_a_value_is_an_option_of_its_own():
    assert read("-noise_reduction 5 -i a b").values == {1: "noise_reduction"}


@pytest.mark.parametrize(
    ("line", "values"),
    [("-autorotate 1 -i a b", {1: "autorotate"}), ("-autorotate -i a b", {}), ("-i a -autoscale:v:0 b", {})],
)
def test_autorotate_takes_a_number_as_in_5_or_nothing_as_in_7(line: str, values: dict[int, str]):
    assert read(line).values == values
    assert names(read(line)) == (["a"], ["b"])


def test_a_dash_alone_is_a_url():
    assert names(read("-f s16le -i - -f wav -")) == (["-"], ["-"])


def test_behind_two_dashes_ffmpeg_takes_one_argument_as_it_is():
    assert names(read("-i a -- -odd.mkv -an b")) == (["a"], ["-odd.mkv", "b"])
    assert names(read("-i a -- -- -odd.mkv")) == (["a"], ["-odd.mkv"])


def test_behind_two_dashes_ffprobe_takes_all_arguments_as_they_are():
    assert names(read("-show_format -- -odd.mkv", "ffprobe")) == (["-odd.mkv"], [])


def test_a_value_from_a_file_is_not_the_value():
    found = read("-i a -/t limit.txt -/filter_complex graph.txt b")

    assert found.values == {3: "/t", 5: "/filter_complex"}
    assert mediatime.expected(found, [10.0]) is None


def test_a_loopback_decoder_ends_a_group_like_an_input():
    found = read("-i a -c:v libx264 b -c:v libdav1d -dec 0:0 -c:v mpeg4 c")

    assert found.encoders == ["libx264", "mpeg4"]
    assert found.values[8] == "dec"


def test_a_codec_before_an_input_is_a_decoder():
    found = read(
        "-c:v h264_cuvid -i a -codec:v:0 libx265 -acodec aac -c:s copy b -scodec mov_text c -c:v gif"
    )

    assert found.encoders == ["libx265", "aac", "mov_text"]


def test_ffprobe_has_an_input_with_or_without_its_option():
    assert names(read("-v error a.mkv -show_streams -o out.json", "ffprobe")) == (["a.mkv"], ["out.json"])
    assert names(read("-of json -i a.mkv", "ffprobe")) == (["a.mkv"], [])
    assert names(read("-noi a.mkv", "ffprobe")) == (["a.mkv"], [])


def test_all_of_ffprobes_options_are_about_its_input():
    assert read("-f matroska a -show_format", "ffprobe").input_options == [
        {"f": "matroska", "show_format": "1"}
    ]


def test_an_unfinished_command_is_read_as_far_as_it_goes():
    assert read("-i").inputs == []
    assert read("-i a b -c:v").options["c"] == ""
    assert read("").outputs == []


WORDS = st.sampled_from(
    shlex.split("-y -i -- - -an -t 5 -c:v libx264 -noy -version -dec -o -/t a.mkv -f null -map ''")
)


@given(st.sampled_from(BINARIES), st.lists(st.one_of(WORDS, st.text(max_size=5)), max_size=20))
def test_every_argument_is_one_thing_and_nothing_fails(binary: str, args: list[str]):
    found = command.read(binary, args)
    roles = [*found.inputs, *found.outputs, *found.values]
    others = [args[at] for at in range(len(args)) if at not in roles]

    assert len(set(roles)) == len(roles)
    assert all(arg.startswith("-") and arg != "-" for arg in others)
    assert len(found.input_options) == len(found.inputs)
    assert len(found.output_options) == len(found.outputs)
    assert command.kind(found) in ("none", "atomic", "stream")
    assert (mediatime.expected(found, [3.0, None]) or 0.0) >= 0.0
    assert found.is_query in (True, False)
    assert found.reads_stdin in (True, False)
    assert found.writes_stdout in (True, False)


def test_reading_loads_no_other_module():
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); before = set(sys.modules); import app.wire.command;"
        "print(*set(sys.modules) - before)"
    )
    loaded = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True
    )

    assert set(loaded.stdout.split()) <= {"app", "app.wire", "app.wire.command"}


# The real binaries agree


@cache
def help_of(binary: str) -> tuple[list[str], set[str]]:
    """The options of the program itself, and those of its libraries, which all take a value."""
    text = run(binary, "-hide_banner", "-h", "full").stdout
    own = re.split(r"^\S.* AVOptions:", text, maxsplit=1, flags=re.MULTILINE)[0]
    listed = [name.partition("[")[0] for name in re.findall(r"^-(\S+)", own, re.MULTILINE)]
    return listed, set(re.findall(r"^\s+-([\w-]+)\s+<", text, re.MULTILINE))


def takes_nothing(binary: str, name: str) -> bool:
    return command.read(binary, [f"-{name}", "@"]).values == {}


def exits(binary: str, name: str) -> bool:
    return command.read(binary, [f"-{name}"]).asks is not None


def test_ffmpeg_agrees_on_which_options_are_flags(tmp_path: Path):
    unsure = {"v", "loglevel", "autorotate", "autoscale"}  # the first two are needed here, the others vary
    listed = [name for name in help_of("ffmpeg")[0] if name not in unsure and not exits("ffmpeg", name)]
    line = [part for name in listed for part in (f"-{name}", "@")]
    told = run("ffmpeg", "-loglevel", "debug", *line, "-version", cwd=tmp_path).stderr
    read_as = dict(re.findall(r"Reading option '-(\S+)' \.\.\. matched as .*? argument '(.)'\.", told))

    assert len(listed) > 100
    assert {name: read_as[name] == "1" for name in listed} == {
        name: takes_nothing("ffmpeg", name) for name in listed
    }


def test_ffprobe_agrees_on_which_options_are_flags(tmp_path: Path):
    def is_flag(name: str) -> bool:
        return "Missing argument" not in run("ffprobe", "-v", "error", f"-{name}", cwd=tmp_path).stderr

    listed = [name for name in help_of("ffprobe")[0] if name not in ("i", "o") and not exits("ffprobe", name)]
    with ThreadPoolExecutor() as pool:
        flags = dict(zip(listed, pool.map(is_flag, listed), strict=True))

    assert flags == {name: takes_nothing("ffprobe", name) for name in listed}


def test_every_query_that_the_help_lists_is_known_as_one():
    section = run("ffmpeg", "-hide_banner", "-h").stdout.partition("capabilities:\n")[2].partition("\n\n")[0]
    listed = re.findall(r"^-(\S+)", section, re.MULTILINE)

    assert len(listed) >= 10
    assert [name for name in listed if not exits("ffmpeg", name)] == []


@pytest.mark.parametrize("binary", BINARIES)
def test_no_option_of_a_library_is_mistaken_for_a_flag(binary: str):
    own, libraries = help_of(binary)

    assert len(libraries) > 300
    assert [name for name in sorted(libraries - set(own)) if takes_nothing(binary, name)] == []


def test_ffmpeg_ends_at_a_query_wherever_it_stands(tmp_path: Path):
    told = run("ffmpeg", "-v", "error", "-i", "missing", "out.mkv", "-version", "-y", cwd=tmp_path)

    assert told.stdout.startswith("ffmpeg version")
    assert read("-i missing out.mkv -version -y").asks == "version"
    assert read("-i missing out.mkv -version -y").values == {4: "version"}


def test_ffmpeg_agrees_on_two_dashes(tmp_path: Path):
    run("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=d=0.1", "--", "-odd.mkv", cwd=tmp_path)

    assert (tmp_path / "-odd.mkv").exists()


# Questions


@pytest.mark.parametrize(
    ("binary", "line"),
    [
        ("ffmpeg", "-version"),
        ("ffmpeg", "-hide_banner -encoders"),
        ("ffmpeg", "-h filter=scale_cuda"),
        ("ffmpeg", "-hide_banner -h"),
        ("ffmpeg", "--help"),
        ("ffmpeg", "-threads 0 -version"),
        ("ffmpeg", "-hwaccels"),
        ("ffprobe", "-pix_fmts"),
        ("ffprobe", "-sections"),
        ("ffprobe", "-v quiet -of json -show_versions"),
    ],
)
def test_a_query_asks_about_the_build_alone(binary: str, line: str):
    found = read(line, binary)

    assert found.is_query
    assert found.writes_stdout
    assert not found.reads_stdin
    assert command.kind(found) == "none"


@pytest.mark.parametrize(
    ("binary", "line"),
    [
        ("ffmpeg", ""),
        ("ffmpeg", "-i a -version"),
        ("ffmpeg", "-version -y out.mkv"),
        ("ffmpeg", "-sources alsa"),
        ("ffmpeg", "-report -version"),
        ("ffmpeg", "-progress /m/p -version"),
        ("ffmpeg", "-v verbose -hide_banner -init_hw_device vaapi=va:/dev/dri/renderD128"),
        ("ffmpeg", "-init_hw_device vaapi -version"),
        ("ffprobe", "-show_format a.mkv"),
        ("ffprobe", "-show_versions a.mkv"),
        ("ffprobe", "-show_versions -o out.json"),
    ],
)
def test_what_touches_a_file_or_a_device_is_no_query(binary: str, line: str):
    assert not read(line, binary).is_query


@pytest.mark.parametrize(
    ("binary", "line", "reads"),
    [
        ("ffmpeg", "-i a b", True),
        ("ffmpeg", "-nostdin -i a b", False),
        ("ffmpeg", "-nostdin -stdin -i a b", True),
        ("ffmpeg", "-i a", False),
        ("ffmpeg", "-dump_attachment:t '' -i a", True),
        ("ffmpeg", "-version", False),
        ("ffmpeg", "-nostdin -i - b", True),
        ("ffmpeg", "-nostdin -i pipe:0 b", True),
        ("ffmpeg", "-nostdin -i async:cache:pipe:0 b", True),
        ("ffmpeg", "-nostdin -i /dev/stdin b", True),
        ("ffmpeg", "-nostdin -i file:/dev/stdin b", True),
        ("ffmpeg", "-i pipe:3 b", False),
        ("ffmpeg", "-nostdin -i a -attach pipe:0 b", True),
        ("ffprobe", "a", False),
        ("ffprobe", "-", True),
        ("ffprobe", "-i pipe:", True),
        ("ffprobe", "-i fd:", True),
    ],
)
def test_stdin_is_read_for_data_or_for_keys(binary: str, line: str, reads: bool):
    assert read(line, binary).reads_stdin == reads


@pytest.mark.parametrize(
    ("binary", "line", "listens"),
    [
        ("ffmpeg", "-i a b", True),
        ("ffmpeg", "-y -i a -f null -", True),
        ("ffmpeg", "-nostdin -i a b", False),
        ("ffmpeg", "-i - b", False),
        ("ffmpeg", "-i pipe:0 -i a b", False),
        ("ffmpeg", "-i a", False),
        ("ffmpeg", "-version", False),
        ("ffprobe", "a", False),
        ("ffprobe", "-", False),
    ],
)
def test_keys_act_where_stdin_is_no_data(binary: str, line: str, listens: bool):
    assert read(line, binary).listens == listens


@pytest.mark.parametrize("line", ["-i a.mkv", "-i pipe:3 -f null -", "-nostdin -i a.mkv -f null -"])
def test_what_reads_no_stdin_leaves_it_to_the_next_program(line: str, tmp_path: Path):
    run("ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=d=0.5", "a.mkv", cwd=tmp_path)
    rest = run("sh", "-c", f"ffmpeg -v quiet {line} 3< a.mkv; cat", cwd=tmp_path, stdin="a\nb\n")

    assert not read(line).reads_stdin
    assert rest.stdout == "a\nb\n"


@pytest.mark.parametrize(
    ("binary", "line", "writes"),
    [
        ("ffmpeg", "-i a b.mkv", False),
        ("ffmpeg", "-i a -f mpegts -", True),
        ("ffmpeg", "-i a -f mpegts pipe:", True),
        ("ffmpeg", "-i a -f mpegts pipe:1", True),
        ("ffmpeg", "-i a -f mpegts /dev/stdout", True),
        ("ffmpeg", "-i a -f null -", False),
        ("ffmpeg", "-i a b.mkv -f rawvideo -", True),
        ("ffmpeg", "-i - b.mkv", False),
        ("ffmpeg", "-i a -progress - b.mkv", True),
        ("ffmpeg", "-i a -progress pipe:1 -f null -", True),
        ("ffmpeg", "-i a -progress pipe:2 b.mkv", False),
        ("ffmpeg", "-i a -f segment -segment_list pipe:1 s%d.ts", True),
        ("ffmpeg", "-i a -segment_list - s%d.ts", False),
        ("ffmpeg", "-i a -f tee '[f=mpegts]pipe:1|[f=mpegts]b.ts'", True),
        ("ffmpeg", "-i a -vf metadata=print:file=- -f null -", True),
        ("ffmpeg", "-i a -vf 'metadata=print:file=pipe\\:1' -f null -", True),
        ("ffprobe", "a", True),
        ("ffprobe", "-o out.json a", False),
        ("ffprobe", "-o - a", True),
    ],
)
def test_stdout_is_written_by_outputs_and_by_whatever_names_it(binary: str, line: str, writes: bool):
    assert read(line, binary).writes_stdout == writes


@pytest.mark.parametrize(
    ("line", "answer"),
    [("-y -i a b", True), ("-i a -n b", False), ("-i a b", None), ("-i a b -y", True), ("-noy -i a b", None)],
)
def test_the_line_says_whether_to_overwrite(line: str, answer: bool | None):
    assert read(line).overwrite is answer


def test_the_line_says_whether_it_reports_progress_already():
    assert read("-i a b -progress http://127.0.0.1/p").has_progress
    assert not read("-i a b").has_progress


WITH_A_LIBRARY = "libx264 libsvtav1 libopus libfdk_aac librav1e"
WITH_HARDWARE = """h264_nvenc nvenc_h264 hevc_vaapi h264_qsv av1_amf h264_videotoolbox h264_v4l2m2m
    h264_vulkan hevc_mf h264_omx hevc_rkmpp aac_at vp9_mediacodec"""
EVERYWHERE = "mpeg4 aac flac mjpeg pcm_s16le prores_ks rawvideo mov_text gif"


@pytest.mark.parametrize("encoder", shlex.split(f"{WITH_A_LIBRARY} {WITH_HARDWARE}"))
def test_some_encoders_depend_on_the_build_or_the_machine(encoder: str):
    assert command.build_dependent(encoder)


@pytest.mark.parametrize("encoder", shlex.split(EVERYWHERE))
def test_other_encoders_are_in_every_ffmpeg(encoder: str):
    assert not command.build_dependent(encoder)


# Traces


@pytest.mark.parametrize(
    ("line", "kind", "files"),
    [
        ("-i a b.mkv", "atomic", ["b.mkv"]),
        ("-i a file:/m/b.mkv '/m/c d.mp4'", "atomic", ["file:/m/b.mkv", "/m/c d.mp4"]),
        ('-i a "/m/it\'s: a.mkv" C:/m/b.mkv /dev/shm/c.mkv', "atomic", None),
        ("-i a -progress pipe:1 b.mkv", "atomic", ["b.mkv"]),
        ("-i a b.mkv -f null -", "atomic", ["b.mkv"]),
        ("-i a -pass 2 -passlogfile /m/log b.mkv", "atomic", ["b.mkv"]),
        ("-i a -frames:v 1 cover.jpg", "atomic", ["cover.jpg"]),
        ("-i a -frames:v 1 -f image2 cover.jpg", "atomic", ["cover.jpg"]),
        ("-i - b.mkv", "atomic", ["b.mkv"]),
        ("-i a -f null -", "none", []),
        ("-i a -f null out", "none", []),
        ("-i a -f mp4 -y /dev/null", "none", []),
        ("-i a", "none", []),
        ("-i a -progress pipe:1 -f null -", "none", []),
        ("-i a -f mpegts -", "stream", []),
        ("-i a -f mpegts pipe:1 b.mkv", "stream", ["b.mkv"]),
        ("-i a rtmp://host/live", "stream", []),
        ("-i a -f mpegts /dev/fd/5", "stream", []),
        ("-i a crypto:/m/b.mkv", "stream", []),
        ("-i a /m/b/", "stream", []),
        ("-i a -f hls b", "stream", []),
        ("-i a b.M3U8", "stream", []),
        ("-i a b.mpd", "stream", []),
        ("-i a -f segment b.mkv", "stream", []),
        ("-i a -f tee 'b.mkv|c.ts'", "stream", []),
        ("-i a frame%04d.png", "stream", []),
        ("-i a frame%d.png", "stream", []),
        ("-i a -f image2 -strftime 1 %Y.jpg", "stream", []),
        ("-i a -f image2 %5.jpg", "stream", []),
        ("-i a 'half 50%.mkv'", "atomic", ["half 50%.mkv"]),
        ("-i a -f hls /dev/null", "stream", []),
        ("-i a -f alsa hw:0", "stream", []),
        ("-i a -/f muxer.txt b.mkv", "stream", []),
        ("-i a -pass 1 -passlogfile /m/log -f null /dev/null", "stream", []),
        ("-i a -vstats b.mkv", "stream", ["b.mkv"]),
        ("-i a -vstats_file /m/v.log b.mkv", "stream", ["b.mkv"]),
        ("-i a -progress /m/p.txt b.mkv", "stream", ["b.mkv"]),
        ("-report -i a b.mkv", "stream", ["b.mkv"]),
        ("-dump_attachment:t '' -i a", "stream", []),
        ("-i a -stats_enc_post:v /m/s.log b.mkv", "stream", ["b.mkv"]),
        ("-i a -vf psnr=stats_file=/m/p.log b.mkv", "stream", ["b.mkv"]),
        ("-i a -c:v libx264 -x264-params pass=1:stats=/m/x b.mkv", "stream", ["b.mkv"]),
    ],
)
def test_the_kind_tells_what_stays_behind(line: str, kind: str, files: list[str] | None):
    found = read(line)

    assert command.kind(found) == kind
    assert found.texts(command.output_files(found)) == (names(found)[1] if files is None else files)


def test_ffprobe_leaves_nothing_unless_it_is_told_to():
    assert command.kind(read("-of csv=p=0 -show_format a", "ffprobe")) == "none"
    assert command.kind(read("-f hls -o out.json a", "ffprobe")) == "atomic"


@pytest.mark.parametrize(
    ("arguments", "made"),
    [
        ("-frames:v 1 -f image2 cover.jpg", ["cover.jpg"]),
        ("-frames:v 2 many%d.jpg", ["many1.jpg", "many2.jpg"]),
        ("-f null some.mkv", []),
        ("plain%d.mkv", ["plain%d.mkv"]),
        ("-vf metadata=print:file=side.txt b.mkv", ["b.mkv", "side.txt"]),
    ],
)
def test_ffmpeg_makes_the_files_that_the_kind_promises(arguments: str, made: list[str], tmp_path: Path):
    line = f"-v error -f lavfi -i testsrc=d=0.2:s=64x64 {arguments}"
    done = run("ffmpeg", *shlex.split(line), cwd=tmp_path)
    found = read(line)

    assert done.returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == made
    assert command.kind(found) == "stream" or found.texts(command.output_files(found)) == made


# Media time

DURATIONS = [
    ("10", 10.0),
    ("1:02", 62.0),
    ("01:02:03.5", 3723.5),
    ("100:00:00", 360000.0),
    ("5.5s", 5.5),
    ("200ms", 0.2),
    ("3000us", 0.003),
    ("1:02ms", 0.062),
    ("5.", 5.0),
    (" 5", 5.0),
    ("+5", 5.0),
]
REFUSED = [
    "",
    ".5",
    "1e1",
    "90m",
    "5 ",
    "1:60",
    "61:30",
    "1:002",
    "1:2:3:4",
    "1:",
    "1.5.2",
    "0x10",
    "5S",
    "٣",
    "now",
]


@pytest.mark.parametrize(
    ("text", "value"), [*DURATIONS, ("-5", -5.0), ("-1:00", -60.0), ("0", 0.0), ("-0:30", -30)]
)
def test_a_duration_is_read_as_ffmpeg_reads_it(text: str, value: float):
    assert mediatime.seconds(text) == pytest.approx(value)


@pytest.mark.parametrize("text", [*REFUSED, "9" * 30, "-", "N/A", "nan", "inf", "1:-2"])
def test_no_duration_is_none(text: str):
    assert mediatime.seconds(text) is None


@pytest.mark.parametrize("text", [text for text, _ in DURATIONS] + REFUSED)
def test_ffmpeg_agrees_on_what_is_a_duration(text: str):
    accepts = run("ffmpeg", "-v", "error", "-stats_period", text, "-version").returncode == 0

    assert accepts == (mediatime.seconds(text) is not None)


@pytest.mark.parametrize(
    ("line", "durations", "expected"),
    [
        ("-i a b", [100.0], 100.0),
        ("-i a b", [None], None),
        ("-i a b", [nan], None),
        ("-i a b", [-3.0], None),
        ("-i a b", [float("inf")], None),
        ("-i a b", [], None),
        ("-ss 40 -i a b", [100.0], 60.0),
        ("-ss 1:00 -i a b", [100.0], 40.0),
        ("-ss 140 -i a b", [100.0], 0.0),
        ("-t 30 -i a b", [100.0], 30.0),
        ("-t 30 -i a b", [20.0], 20.0),
        ("-t 30 -i a b", [None], 30.0),
        ("-ss 40 -to 50 -i a b", [100.0], 10.0),
        ("-ss 40 -to 50 -t 3 -i a b", [100.0], 3.0),
        ("-ss 50 -to 40 -i a b", [100.0], 0.0),
        ("-sseof -5 -i a b", [100.0], 5.0),
        ("-sseof -500 -i a b", [100.0], 100.0),
        ("-sseof -5 -i a b", [None], None),
        ("-ss 10 -sseof -5 -i a b", [100.0], 90.0),
        ("-stream_loop 2 -i a b", [100.0], 300.0),
        ("-stream_loop -1 -i a b", [100.0], None),
        ("-stream_loop -1 -t 30 -i a b", [100.0], 30.0),
        ("-stream_loop -1 -i a -t 30 b", [100.0], 30.0),
        ("-loop 1 -i a.png -t 7 b", [0.04], 7.0),
        ("-loop 1 -i a.png b", [0.04], None),
        ("-r 50 -i a.h264 b", [100.0], None),
        ("-i a -t 30 b", [100.0], 30.0),
        ("-i a -t 30 b", [None], 30.0),
        ("-i a -to 30 b", [100.0], 30.0),
        ("-i a -ss 40 b", [100.0], 60.0),
        ("-i a -ss 40 -t 30 b", [100.0], 30.0),
        ("-i a -ss 40 -to 50 b", [100.0], 10.0),
        ("-ss 40 -i a -ss 10 -t 100 b", [100.0], 50.0),
        ("-itsoffset 2 -i a b", [100.0], 100.0),
        ("-itsoffset -2 -i a b", [100.0], 98.0),
        ("-i a -i b c", [100.0, 40.0], 100.0),
        ("-i a -i b c", [100.0, None], None),
        ("-i a -i b -map 0 -map -0:s c", [100.0, None], 100.0),
        ("-i a -i b -map 1:v:0? c", [None, 40.0], 40.0),
        ("-i a -i b -filter_complex '[0][1]overlay' -map 0 c", [100.0, None], None),
        ("-i a -i b -map '[x]' c", [100.0, 40.0], 100.0),
        ("-i a -i b -shortest c", [100.0, 40.0], 40.0),
        ("-i a -i b -noshortest c", [100.0, 40.0], 100.0),
        ("-i a -f lavfi -i anullsrc -shortest c", [100.0, None], 100.0),
        ("-i a -t 5 b -t 8 c", [100.0], 8.0),
        ("-i a -t 5 b c", [None], None),
        ("-ss 40 -i a -copyts b", [100.0], 60.0),
        ("-ss 40 -i a -copyts -to 60 b", [100.0], 20.0),
        ("-ss 40 -i a -copyts -t 20 b", [100.0], 0.0),
        ("-i a -vf scale=-2:720,setpts=PTS-STARTPTS b", [100.0], 100.0),
        ("-i a -vf setpts=0.5*PTS b", [100.0], None),
        ("-i a -filter:a atempo=2 -t 9 b", [100.0], 9.0),
        ("-i a -i b -filter_complex concat=n=2 c", [100.0, 40.0], None),
        ("-i a -filter_complex_script g.txt b", [100.0], None),
        ("-ss later -i a b", [100.0], None),
        ("-i a -t soon b", [100.0], None),
        ("-i a", [100.0], None),
        ("-version", [], None),
    ],
)
def test_the_expected_length_follows_from_the_inputs(
    line: str, durations: list[float | None], expected: float | None
):
    assert mediatime.expected(read(line), durations) == expected


@pytest.mark.parametrize(
    ("line", "offset"),
    [
        ("-ss 40 -i a b", 0.0),
        ("-itsoffset 2 -i a b", 2.0),
        ("-itsoffset -2 -i a b", 0.0),
        ("-ss -2 -i a b", 2.0),
        ("-i a -itsoffset 2 -i b c", 0.0),
        ("-itsoffset 5 -i a -ss 3 b", 2.0),
        ("-ss 40 -i a -copyts b", 0.0),
        ("-itsoffset 2 -i a -copyts b", 0.0),
        ("-version", 0.0),
    ],
)
def test_out_time_starts_at_an_offset(line: str, offset: float):
    assert mediatime.offset(read(line)) == offset


@pytest.mark.parametrize(
    ("line", "frames"),
    [
        ("-i a -frames:v 25 b", 25),
        ("-i a -frames:v:0 25 b", 25),
        ("-i a -vframes 1 b", 1),
        ("-i a -frames 3 b", 3),
        ("-i a -frames:a 3 b", None),
        ("-i a -frames:v many b", None),
        ("-i a -frames:v 25 b c", None),
        ("-i a -frames:v 25 b -vframes 3 c", 25),
        ("-i a b", None),
        ("-version", None),
    ],
)
def test_a_limit_of_frames_counts_when_all_outputs_have_one(line: str, frames: int | None):
    assert mediatime.frames(read(line)) == frames


# Jellyfin's own

HLS = """-analyzeduration 200M -probesize 1G -f matroska
 -i file:"/media/HD0/TV/The Office (2005)/Season 01/Episode 01.mkv" -map_metadata -1 -map_chapters -1
 -threads 0 -map 0:0 -map 0:1 -map -0:s -codec:v:0 libx264 -preset veryfast -crf 23 -maxrate 4875352
 -bufsize 9750704
 -x264opts:0 subme=0:me_range=4:rc_lookahead=10:me=dia:no_chroma_me:8x8dct=0:partitions=none
 -force_key_frames:0 "expr:gte(t,n_forced*3)" -sc_threshold:v:0 0
 -vf "setparams=color_primaries=bt709,scale=trunc(min(max(iw\\,ih*a)\\,1918)/2)*2:-2,format=yuv420p"
 -codec:a:0 copy -copyts -avoid_negative_ts disabled -max_muxing_queue_size 2048 -f hls -max_delay 5000000
 -hls_time 3 -hls_segment_type mpegts -start_number 0
 -hls_segment_filename "/var/lib/jellyfin/transcodes/2a308e%d.ts" -hls_playlist_type vod -hls_list_size 0
 -y "/var/lib/jellyfin/transcodes/2a308e.m3u8" """
SEEK = """-analyzeduration 200M -probesize 1G -ss 00:21:15.000 -i 'file:/media3/It'"'"'s a "Movie" [2020].mkv'
 -codec:v:0 libx264 -codec:a:0 libfdk_aac -copyts -f hls -hls_segment_type fmp4
 -hls_fmp4_init_filename 468b-1.mp4 -start_number 425 -hls_segment_filename /cache/468b%d.mp4
 -hls_segment_options movflags=+frag_discont+skip_sidx -y /cache/468b.m3u8"""
REMUX = """-fflags +genpts -readrate 10 -i file:/m/a.mkv -map 0:0 -map 0:1 -map -0:s -codec:v:0 copy
 -tag:v:0 hvc1 -bsf:v hevc_mp4toannexb -start_at_zero -codec:a:0 copy -copyts -f hls -y /cache/a.m3u8"""
VAAPI = """-init_hw_device vaapi=va:/dev/dri/renderD128,driver=iHD -init_hw_device opencl=ocl@va
 -filter_hw_device va -hwaccel vaapi -hwaccel_output_format vaapi -noautorotate -canvas_size 1920x1080
 -i file:/m/a.mkv -noautoscale -map 0:0 -codec:v:0 h264_vaapi -f hls -y /cache/b.m3u8"""
BURN_IN = """-i file:/m/a.mkv -i /media/x.idx -filter_complex
 "[1:4]scale,scale=-1:1080:fast_bilinear,crop[sub];[0:0]scale[main];[main][sub]overlay=eof_action=pass"
 -map -0:0 -codec:v:0 libx265 -f hls -y /cache/c.m3u8"""
DISC = """-f concat -safe 0 -i /cache/concat/0a1b.concat -codec:v:0 libx264 -f mp4 -y /cache/d.mp4"""
TRICKPLAY = """-loglevel error -threads 4 -skip_frame nokey -i file:/media/x.mkv -an -sn
 -vf fps=0.1,scale=320:-2 -threads 4 -c:v mjpeg -qscale:v 4 -fps_mode passthrough -f image2 /tmp/jellyfin/9f/%08d.jpg"""
COVER = """-i file:/music/a.flac -map 0:1 -threads 0 -v quiet -vframes 1 -vf scale=round(iw*sar/2)*2:-2
 -fps_mode auto -f image2 /tmp/jellyfin/0fb7.jpg"""
LOUDNESS = (
    "-hide_banner -f concat -safe 0 -i /tmp/jellyfin/GUID.concat -af ebur128=framelog=verbose -f null -"
)
KEYS = "-hide_banner -f lavfi -i nullsrc=s=1x1:d=1000 -f null -"
LIVE = """-analyzeduration 3000000 -user_agent "Mozilla/5.0 (X)" -fflags +genpts
 -i http://192.168.1.110:8096/LiveTv/stream.ts -codec:v:0 libx264 -flags -global_header -f hls
 -hls_base_url hls/NAME/ -hls_playlist_type event -y /cache/e.m3u8"""
RECORD = """-async 1 -fflags +genpts -re -readrate_catchup 100 -stream_loop -1 -reconnect_at_eof 1
 -i http://h/1.ts -codec:v:0 copy -map_metadata -1 -threads 2 -codec:a:0 copy -sn -y /tv/f.ts"""
SUBTITLES = """-nostdin -y -i file:/m/a.mkv -map 0:2 -an -vn -c:s copy -flush_packets 1 /c/2.srt -map 0:3
 -an -vn -c:s copy /c/3.ass"""
ATTACHMENTS = '-dump_attachment:t "" -y -i file:/m/a.mkv -t 0 -f null null'


@pytest.mark.parametrize(
    ("line", "urls", "encoders", "kind", "reads_stdin"),
    [
        (HLS, [1, 1], ["libx264"], "stream", True),
        (SEEK, [1, 1], ["libx264", "libfdk_aac"], "stream", True),
        (REMUX, [1, 1], [], "stream", True),
        (VAAPI, [1, 1], ["h264_vaapi"], "stream", True),
        (BURN_IN, [2, 1], ["libx265"], "stream", True),
        (DISC, [1, 1], ["libx264"], "atomic", True),
        (TRICKPLAY, [1, 1], ["mjpeg"], "stream", True),
        (COVER, [1, 1], [], "atomic", True),
        (LOUDNESS, [1, 1], [], "none", True),
        (KEYS, [1, 1], [], "none", True),
        (LIVE, [1, 1], ["libx264"], "stream", True),
        (RECORD, [1, 1], [], "atomic", True),
        (SUBTITLES, [1, 2], [], "atomic", False),
        (ATTACHMENTS, [1, 1], [], "stream", True),
    ],
)
def test_jellyfins_commands_are_understood(
    line: str, urls: list[int], encoders: list[str], kind: str, reads_stdin: bool
):
    found = read(line)

    assert [len(found.inputs), len(found.outputs)] == urls
    assert all(url.rpartition(".")[2].isalnum() or url in ("-", "null") for url in names(found)[1])
    assert found.encoders == encoders
    assert command.kind(found) == kind
    assert found.reads_stdin == reads_stdin
    assert not found.is_query
    assert not found.writes_stdout


def test_the_names_in_jellyfins_commands_are_found_whole():
    assert names(read(HLS))[0] == ["file:/media/HD0/TV/The Office (2005)/Season 01/Episode 01.mkv"]
    assert names(read(SEEK))[0] == ['file:/media3/It\'s a "Movie" [2020].mkv']
    assert names(read(SUBTITLES))[1] == ["/c/2.srt", "/c/3.ass"]


@pytest.mark.parametrize(
    "line",
    [
        "-analyzeduration 200M -probesize 1G -i file:/m/a.mkv -threads 0 -v warning -print_format json"
        " -show_streams -show_chapters -show_format -show_frames -only_first_vframe",
        "-fflags +genpts -v error -skip_frame nokey -show_entries format=duration"
        " -show_entries stream=duration -show_entries packet=pts_time,flags -select_streams v -of csv"
        " file:/m/a.mkv",
        "-loglevel error -print_format json -show_format -sexagesimal -show_streams -probesize 50000000"
        " file:/m/a.mkv",
    ],
)
def test_probes_of_media_servers_are_understood(line: str):
    found = read(line, "ffprobe")

    assert names(found) == (["file:/m/a.mkv"], [])
    assert command.kind(found) == "none"
    assert not found.reads_stdin
    assert found.writes_stdout


def test_the_length_of_a_jellyfin_transcode_after_a_seek_is_what_is_left():
    assert mediatime.expected(read(SEEK), [3600.0]) == 3600.0 - (21 * 60 + 15)
    assert mediatime.offset(read(SEEK)) == 0.0
