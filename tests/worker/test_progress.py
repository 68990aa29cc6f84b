"""Progress: what ffmpeg writes, how much of the work that is, and whether real runs stay within 0 and 1."""

from __future__ import annotations

import random
import shlex
import shutil
import subprocess
from math import inf, nan
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.wire import command, mediatime
from worker.progress import Progress, Reader, fraction, time_left

BLOCK = b"""\
frame=42
fps=25.50
stream_0_0_q=28.0
bitrate= 812.6kbits/s
total_size=4063
out_time_us=1713000
out_time_ms=1713000
out_time=00:00:01.713000
dup_frames=0
drop_frames=0
speed=1.03e+03x
progress=continue
"""
HALF = Progress(frame=50, out_time=5.0, speed=2.0)


def one(*lines: str) -> Progress:
    return Reader().feed("".join(f"{line}\n" for line in (*lines, "progress=continue")).encode())[-1]


# Reading


def test_a_block_is_read_whole():
    assert Reader().feed(BLOCK) == [
        Progress(
            frame=42,
            fps=25.5,
            speed=1030.0,
            out_time=pytest.approx(1.713),
            total_size=4063,
            bitrate=pytest.approx(812_600.0),
            dup=0,
            drop=0,
            ended=False,
        )
    ]


def test_nothing_is_told_before_a_block_ends():
    reader = Reader()

    assert reader.feed(BLOCK[:-1]) == []
    assert len(reader.feed(b"\n")) == 1


@pytest.mark.parametrize("seed", range(20))
def test_bytes_may_arrive_in_any_pieces(seed: int):
    data, reader, found = BLOCK * 3 + BLOCK.replace(b"continue", b"end"), Reader(), []
    chance = random.Random(seed)
    while data:
        size = chance.randint(1, 60)
        found += reader.feed(data[:size])
        data = data[size:]

    assert [block.ended for block in found] == [False, False, False, True]
    assert {block.frame for block in found} == {42}


def test_a_block_says_nothing_of_the_one_before():
    assert Reader().feed(BLOCK + b"progress=end\n")[1] == Progress(ended=True)


def test_time_is_read_from_the_key_that_tells_the_truth():
    assert one("out_time_us=2000000", "out_time_ms=77", "out_time=00:00:09.0").out_time == 2.0


def test_lines_may_end_as_on_windows():
    assert one("frame=3\r", "speed=2x\r") == Progress(frame=3, speed=2.0)


def test_an_audio_block_has_no_frame():
    assert one("bitrate=N/A", "total_size=N/A", "out_time_us=23220").frame is None


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("out_time_us=N/A", None),
        ("out_time_us=", None),
        ("out_time_us=nan", None),
        ("out_time_us=-9223372036854775807", None),
        ("out_time_us=9223372036850775808", None),  # ffmpeg 9.0 with -copyts
        ("out_time_us=" + "9" * 400, None),
        ("out_time_us=-137000", 0.0),
        ("out_time_us=0", 0.0),
    ],
)
def test_a_time_that_cannot_be_is_unknown_and_one_before_the_start_is_the_start(
    line: str, value: float | None
):
    assert one(line).out_time == value


@pytest.mark.parametrize(
    "text", ["N/A", "nan", "inf", "-inf", "-1", "", "x", "0x10", "1e999", "٣٣٣x", "9" * 5000]
)
def test_garbage_is_unknown(text: str):
    found = one(
        f"frame={text}", f"fps={text}", f"speed={text}x", f"total_size={text}", f"bitrate={text}kbits/s"
    )
    known = [value for value in (found.fps, found.speed, found.bitrate) if value not in (None, 333.0)]

    assert found.frame is None
    assert found.total_size is None
    assert known == []


def test_what_is_not_ffmpegs_is_not_kept():
    reader = Reader()
    for _ in range(100):
        assert reader.feed(b"x" * 10_000) == []

    assert reader.feed(b"\n" + BLOCK)[-1].frame == 42


@given(
    st.lists(
        st.one_of(st.binary(max_size=40), st.sampled_from([BLOCK, b"progress=", b"out_time_us=", b"=\n"]))
    )
)
def test_no_bytes_make_it_fail(pieces: list[bytes]):
    reader = Reader()
    for piece in pieces:
        for block in reader.feed(piece):
            share, left = fraction(block, 10.0, 100), time_left(block, 10.0)

            assert share is None or 0.0 <= share <= 1.0
            assert left is None or 0.0 <= left < inf


# How far


def test_the_fraction_is_the_share_of_the_expected_time():
    assert fraction(HALF, 10.0, None) == 0.5
    assert fraction(HALF, 10.0, None, offset=2.0) == pytest.approx(0.3)


def test_the_nearer_limit_counts():
    assert fraction(HALF, 10.0, 60) == pytest.approx(50 / 60)
    assert fraction(HALF, None, 100) == 0.5
    assert fraction(Progress(out_time=5.0), 10.0, 100) == 0.5


@pytest.mark.parametrize(
    ("progress", "expected", "frames"),
    [
        (HALF, None, None),
        (HALF, 0.0, None),
        (HALF, -1.0, 0),
        (HALF, nan, None),
        (HALF, inf, None),
        (Progress(), 10.0, 100),
    ],
)
def test_without_a_limit_or_a_report_the_fraction_is_unknown(
    progress: Progress, expected: float | None, frames: int | None
):
    assert fraction(progress, expected, frames) is None


def test_only_the_end_is_everything():
    assert fraction(Progress(out_time=99.0), 10.0, None) == 0.999
    assert fraction(Progress(out_time=1.0), 10.0, None, offset=5.0) == 0.0
    assert fraction(Progress(out_time=3.0, ended=True), 10.0, None) == 1.0
    assert fraction(Progress(ended=True), None, None) == 1.0


def test_the_time_left_follows_from_the_speed():
    assert time_left(HALF, 10.0) == 2.5
    assert time_left(HALF, 10.0, offset=2.0) == 3.5
    assert time_left(HALF, 4.0) == 0.0
    assert time_left(Progress(ended=True), None) == 0.0


@pytest.mark.parametrize(
    ("progress", "expected"),
    [
        (HALF, None),
        (HALF, nan),
        (HALF, inf),
        (Progress(out_time=5.0), 10.0),
        (Progress(out_time=5.0, speed=0.0), 10.0),
        (Progress(out_time=5.0, speed=1e-320), 10.0),
        (Progress(speed=2.0), 10.0),
    ],
)
def test_the_time_left_may_be_unknown(progress: Progress, expected: float | None):
    assert time_left(progress, expected) is None


# Real runs

DURATION = 8.0


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a.mkv: eight seconds of picture and sound."""
    folder = tmp_path_factory.mktemp("media")
    made = f"-f lavfi -i testsrc=d={DURATION}:s=64x64:r=25 -f lavfi -i sine=d={DURATION} -c:v mpeg4 -c:a pcm_s16le"
    ffmpeg(folder, *shlex.split(made), "a.mkv")
    return folder


def ffmpeg(folder: Path, *args: str, stdin: bytes = b"") -> bytes:
    """Runs it; what it prints."""
    assert shutil.which("ffmpeg"), "ffmpeg is not installed: run `make test`, which installs it"
    line = ["ffmpeg", "-v", "error", "-y", "-stats_period", "0.001", *args]
    return subprocess.run(
        line, cwd=folder, input=stdin, stdout=subprocess.PIPE, timeout=60, check=True
    ).stdout


def report(folder: Path, line: str, stdin: bytes = b"") -> list[Progress]:
    return Reader().feed(ffmpeg(folder, "-progress", "pipe:1", *shlex.split(line), stdin=stdin))


@pytest.mark.parametrize(
    "line",
    [
        "-i a.mkv b.mkv",
        "-i a.mkv -vn b.mp3",
        "-i a.mkv -vn -f null -",
        "-i a.mkv -c copy b.mkv",
        "-i a.mkv -t 3 b.mkv",
        "-ss 2 -i a.mkv -f null -",
        "-ss 2 -to 5 -i a.mkv b.mkv",
        "-ss 2 -t 3 -i a.mkv b.mkv",
        "-sseof -3 -i a.mkv b.mkv",
        "-i a.mkv -ss 2 -to 5 b.mkv",
        "-stream_loop 2 -i a.mkv b.mkv",
        "-stream_loop -1 -t 9 -i a.mkv b.mkv",
        "-itsoffset 2 -i a.mkv b.mkv",
        "-itsoffset -2 -i a.mkv b.mkv",
        "-ss -2 -i a.mkv b.mkv",
        "-ss 2 -i a.mkv -copyts b.mkv",
        "-ss 2 -i a.mkv -copyts -to 5 b.mkv",
        "-i a.mkv -t 2 b.mkv -t 4 c.mkv",
        "-i a.mkv -stream_loop -1 -i a.mkv -map 0:v -map 1:a -shortest b.mkv",
        "-i a.mkv -i a.mkv -map 1 -filter:v scale=32:32 b.mkv",
    ],
)
def test_a_real_run_goes_from_0_to_1_and_ends_where_it_was_expected(line: str, media: Path):
    read = command.read("ffmpeg", shlex.split(line))
    expected, offset = mediatime.expected(read, [DURATION] * len(read.inputs)), mediatime.offset(read)
    blocks = report(media, line)
    shares = [fraction(block, expected, None, offset) for block in blocks]
    known = [share for share in shares if share is not None]
    left = [time_left(block, expected, offset) for block in blocks]

    assert expected is not None
    assert blocks[-1].out_time == pytest.approx(offset + expected, abs=0.15)
    assert [block.ended for block in blocks] == [False] * (len(blocks) - 1) + [True]
    assert all(0.0 <= share < 1.0 for share in known[:-1])
    assert shares[-1] == 1.0
    assert left[-1] == 0.0
    assert all(seconds is None or 0.0 <= seconds < 3600.0 for seconds in left)


def test_a_real_run_of_unknown_length_ends_all_the_same(media: Path):
    blocks = report(media, "-i pipe:0 -f null -", stdin=(media / "a.mkv").read_bytes())
    expected = mediatime.expected(command.read("ffmpeg", shlex.split("-i pipe:0 -f null -")), [None])

    assert expected is None
    assert [fraction(block, expected, None) for block in blocks[:-1]] == [None] * (len(blocks) - 1)
    assert fraction(blocks[-1], expected, None) == 1.0
    assert blocks[-1].out_time == pytest.approx(DURATION, abs=0.15)


def test_a_real_run_is_measured_by_its_frames(media: Path):
    line = "-re -i a.mkv -frames:v 20 -an b.mkv"
    frames = mediatime.frames(command.read("ffmpeg", shlex.split(line)))
    shares = [fraction(block, None, frames) for block in report(media, line)]

    assert frames == 20
    assert [share for share in shares if share is not None and not 0.0 <= share <= 1.0] == []
    assert shares[-1] == 1.0
    assert any(share and share < 1.0 for share in shares)


def test_a_real_run_tells_size_and_rates(media: Path):
    last = report(media, "-i a.mkv b.mkv")[-1]

    assert last.frame == DURATION * 25
    assert last.total_size == (media / "b.mkv").stat().st_size
    assert last.speed is not None
    assert last.bitrate == pytest.approx(last.total_size * 8 / (last.out_time or 1.0), rel=0.02)
