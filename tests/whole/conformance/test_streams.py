"""A. Streams and exit codes."""

from __future__ import annotations

import hashlib
import http.server
import itertools
import re
import statistics
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.farm import until
from tests.whole.conformance.harness import (
    ANYWHERE,
    QUIET,
    RAW_SECOND,
    SOURCE,
    Ending,
    Feed,
    Pair,
    Side,
)
from tests.whole.conformance.proxy import Proxy

LISTINGS = """
    -encoders -decoders -filters -hwaccels -h -bsfs -formats -protocols -buildconf -L -pix_fmts -layouts -devices
    -codecs -muxers
""".split()
MEMORY = 64 << 20  # bytes that a process of ours may grow while a stream passes through it


def test_a1_version_first_byte_and_nothing_on_stderr(pair: Pair) -> None:
    for binary in ("ffmpeg", "ffprobe"):
        _, shim = pair.same(lambda side, binary=binary: side.run("-version", binary=binary), ANYWHERE)  # type: ignore[misc]

        assert (shim.status, shim.err) == (0, b"")
        assert shim.out.startswith(f"{binary} version ".encode())


def test_a2_listings_on_stdout_banner_on_stderr(pair: Pair) -> None:
    def case(side: Side) -> dict[str, Ending]:
        calls = {
            f"{binary} {hide} {listing}": (*hide.split(), listing, binary)
            for hide in ("", "-hide_banner")
            for binary, listing in [*(("ffmpeg", name) for name in LISTINGS), ("ffprobe", "-pix_fmts")]
        }
        with ThreadPoolExecutor(2) as pool:
            endings = pool.map(lambda call: side.run(*call[:-1], binary=call[-1]), calls.values())
            return dict(zip(calls, endings, strict=True))

    _, shim = pair.same(case, ANYWHERE)

    for call, ending in shim.items():
        assert (ending.status, len(ending.out) > 50) == (0, True), call
        assert (ending.err == b"") == ("-hide_banner" in call), call


@pytest.mark.parametrize("binary", ["ffmpeg", "ffprobe"])
def test_a3_no_arguments_usage_on_stderr(pair: Pair, binary: str) -> None:
    _, shim = pair.same(lambda side: side.run(binary=binary), ANYWHERE)

    assert (shim.status, shim.out) == (1, b"")
    assert b"usage: " in shim.err.lower()


def test_a4_missing_input_is_named_as_the_caller_named_it(pair: Pair) -> None:
    _, shim = pair.same(lambda side: side.run("-i", side / "nope.mkv", "-f", "null", "-"))
    assert shim.status == 1
    assert b"nope.mkv: No such file or directory" in shim.err

    _, shim = pair.same(lambda side: side.run("-i", "/nope.mkv", "-f", "null", "-"), ANYWHERE)
    assert shim.status == 1
    assert b"/nope.mkv: No such file or directory" in shim.err


ERRORS = {
    "bad-option": ["-nosuch", "1", "-i", "in.mkv", "-f", "null", "-"],
    "unknown-encoder": ["-i", "in.mkv", "-c:v", "nosuch", "-f", "null", "-"],
    "missing-folder": ["-i", "in.mkv", "{R}/no/folder/x.mkv"],
    "no-output": ["-i", "{R}/in.mkv"],
}


@pytest.mark.parametrize("args", ERRORS.values(), ids=ERRORS)
def test_a5_errors_with_their_exact_text(pair: Pair, args: list[str]) -> None:
    def case(side: Side) -> Ending:
        side.film()
        return side.run(*(arg.replace("{R}", str(side.folder)) for arg in args))

    _, shim = pair.same(case)

    assert shim.status == 1
    assert shim.err


def test_a6_ffprobe_of_a_missing_file_prints_an_empty_object(pair: Pair) -> None:
    asked = ["-v", "quiet", "-print_format", "json", "-show_format"]
    _, shim = pair.same(lambda side: side.run(*asked, side / "nope", binary="ffprobe"))
    assert (shim.status, shim.out, shim.err) == (1, b"{\n\n}\n", b"")

    _, shim = pair.same(lambda side: side.run(*asked, "/nope", binary="ffprobe"), ANYWHERE)
    assert (shim.status, shim.out, shim.err) == (1, b"{\n\n}\n", b"")


@pytest.mark.parametrize("output", ["-", "pipe:", "pipe:1"])
def test_a7_binary_stdout_is_byte_exact(pair: Pair, output: str) -> None:
    _, shim = pair.same(lambda side: side.run(*QUIET, *SOURCE, "-t", 1, "-f", "rawvideo", output))

    assert (shim.status, len(shim.out)) == (0, RAW_SECOND)


def resident(pid: int) -> int:
    """How many bytes of memory a process has."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) << 10 if found else 0


def read_slowly(call: subprocess.Popen[bytes], a_second: int, sample: list[int]) -> Iterator[bytes]:
    """Reads its output at so many bytes a second; `sample` are processes whose memory must not grow."""
    assert call.stdout
    began, done = time.monotonic(), 0
    first = {pid: resident(pid) for pid in sample}
    while data := call.stdout.read(1 << 18):
        if done == 0:
            first[call.pid] = resident(call.pid)
        if done >> 22 != (done + len(data)) >> 22:
            grown = {pid: (resident(pid) or size) - size for pid, size in first.items()}
            assert max(grown.values()) < MEMORY, grown
        done += len(data)
        yield data
        time.sleep(max(0.0, done / a_second - (time.monotonic() - began)))


def test_a9_slow_readers_hold_ffmpeg_back_and_memory_is_bounded(pair: Pair) -> None:
    """100 MB read at 25 MB/s (the checklist: 500 MB at 10 MB/s); no part of the way grows by 64 MiB."""
    big = [*QUIET, "-f", "lavfi", "-i", "testsrc=s=1280x720:r=25", "-frames:v", 73, "-pix_fmt", "yuv420p"]
    ours = [process.pid for process in (*pair.farm.webs, *pair.farm.workers) if process.is_alive]

    def case(side: Side) -> tuple[str, int, int]:
        call = side.start(*big, "-f", "rawvideo", "-")
        digest, size = hashlib.sha256(), 0
        for data in read_slowly(call, 25_000_000, ours if side.is_shim else []):
            digest.update(data)
            size += len(data)
        return digest.hexdigest(), size, call.wait(20)

    _, (_, size, status) = pair.same(case)

    assert (size, status) == (73 * 1280 * 720 * 3 // 2, 0)


def test_a9_a_reader_that_never_reads_stalls_ffmpeg(pair: Pair) -> None:
    def written(pid: int) -> int:
        found = re.search(r"wchar: (\d+)", Path(f"/proc/{pid}/io").read_text())
        assert found
        return int(found[1])

    def case(side: Side) -> None:
        raw = ["-f", "lavfi", "-i", "testsrc=s=1280x720:r=25", *side.marked("stall"), "-f", "rawvideo", "-"]
        side.start(*QUIET, *raw)
        pid = side.remote("stall")
        seen: list[int] = []

        def has_stalled() -> bool:
            seen.append(written(pid))
            time.sleep(0.1)
            return len(seen) > 8 and seen[-8] == seen[-1] > 0

        until(has_stalled)
        assert seen[-1] < 32 << 20, f"{seen[-1]} bytes are on their way and nobody reads"

    pair.both(case)


def test_a9_a_reader_that_pauses_for_long_loses_nothing(pair: Pair) -> None:
    """A player that is paused: longer than the network bears it (2 s here, 45 s by default)."""
    big = [*QUIET, "-f", "lavfi", "-i", "testsrc=s=1280x720:r=25", "-frames:v", 20, "-pix_fmt", "yuv420p"]

    def case(side: Side) -> tuple[int, bytes]:
        with Proxy(pair.farm.webs[0].port, patience=2) as proxy:
            through = {"FFGRID_URL": f"http://127.0.0.1:{proxy.port}"}
            call = side.start(*big, "-f", "rawvideo", "-", env=through)
            assert call.stdout
            first = call.stdout.read(1000)
            time.sleep(6)
            rest = b"".join(iter(lambda: call.stdout.read(1 << 16), b""))
            return call.wait(20), first + rest

    _, (status, data) = pair.same(case)

    assert (status, len(data)) == (0, 20 * 1280 * 720 * 3 // 2)


def test_a10_a_reader_that_goes_away_is_a_broken_pipe(pair: Pair) -> None:
    def case(side: Side) -> tuple[int, bool]:
        call = side.start("-nostdin", *SOURCE, *side.marked("head"), "-f", "mpegts", "-")
        err = Feed(call.stderr)  # type: ignore[arg-type]
        assert call.stdout
        assert call.stdout.read(1000)
        call.stdout.close()
        status = call.wait(20)
        until(lambda: not side.is_running("head"), within=10)
        return status, b"Broken pipe" in err.end() and err.data.endswith(b"Conversion failed!\n")

    assert pair.same(case)[1] == (1, True)


def test_a11_a_closed_stderr_ends_nothing(pair: Pair) -> None:
    def case(side: Side) -> int:
        call = side.start("-nostdin", "-re", *SOURCE, "-t", 2, "-c:v", "mpeg4", side / "out.mkv")
        assert call.stderr
        said = b""
        while b"frame=" not in said:  # before that the real program dies of SIGPIPE
            said += call.stderr.read(100)
        call.stderr.close()
        return call.wait(20)

    assert pair.same(case)[1] == 0


def test_a12_a_megabyte_of_progress_without_a_newline(pair: Pair) -> None:
    """600 000 frames; every report is whole, and none goes backwards."""
    frames = 24_000 * 25
    args = [
        "-nostdin",
        "-hide_banner",
        "-stats_period",
        "0.0002",
        "-f",
        "lavfi",
        "-i",
        "nullsrc=s=16x16:d=24000:r=25",
    ]

    def case(side: Side) -> tuple[int, bytes, int, bool]:
        ending = side.run(*args, "-f", "null", "-", within=90)
        reports = ending.err[ending.err.index(b"frame=") :]
        one = (
            rb"frame= *\d+ fps= *[\d.]+ q=[-\d.]+ L?size=N/A time=[\d:.]+ bitrate=N/A"
            rb" speed= *(?:[\d.e+]+x|N/A) *[\r\n]"
        )
        rest = re.sub(one, b"", reports)
        counts = [int(found) for found in re.findall(rb"frame= *(\d+)", reports)]
        assert len(reports) > 200_000, len(reports)
        assert counts == sorted(counts)
        return ending.status, rest, counts[-1], reports.count(b"\n") < 5

    assert pair.same(case)[1][0::2] == (0, frames)


def test_a13_the_first_byte_and_every_report_come_at_once(pair: Pair) -> None:
    """Within 300 ms of the direct run (the best of five, because machines are busy), and never held for a newline."""

    def first_byte(side: Side) -> float:
        began = time.monotonic()
        call = side.start("-nostdin", "-re", *SOURCE, "-f", "null", "-")
        assert call.stderr
        assert call.stderr.read(1)
        took = time.monotonic() - began
        call.kill()
        return took

    def gaps(side: Side) -> float:
        call = side.start("-nostdin", "-stats_period", "0.1", "-re", *SOURCE, "-t", 3, "-f", "null", "-")
        feed = Feed(call.stderr)  # type: ignore[arg-type]
        assert call.wait(20) == 0
        feed.end()
        times = [at for at, data in feed.chunks if b"frame=" in data]
        assert len(times) >= 12, feed.chunks
        return statistics.median(after - before for before, after in itertools.pairwise(times))

    for _ in range(5):
        direct, through = first_byte(pair.real), pair.alone(first_byte)
        if through - direct < 0.3:
            break
    else:
        pytest.fail(f"the first byte took {through:.3f} s, and {direct:.3f} s without the farm")
    assert pair.both(gaps)[1] < 0.25


PROMPTS = {"yes": b"y\n", "no": b"n\n"}


@pytest.mark.parametrize("answer", PROMPTS.values(), ids=PROMPTS)
def test_a14_the_prompt_is_seen_before_its_answer(pair: Pair, answer: bytes) -> None:
    def case(side: Side) -> tuple[Ending, bytes]:
        side.make(*SOURCE, "-t", 1, "exists.mp4")
        call = side.start(*SOURCE, "-t", 1, "exists.mp4", stdin=subprocess.PIPE)
        feed = Feed(call.stderr)  # type: ignore[arg-type]
        prompt = feed.until(b"Overwrite? [y/N] ")
        assert call.stdin
        call.stdin.write(answer)
        return Ending(call.wait(20), b"", feed.end()), prompt

    _, (ending, prompt) = pair.same(case)

    assert ending.status == (0 if answer == b"y\n" else 1)
    assert prompt.endswith(b"[y/N] ")
    assert (b"Not overwriting - exiting" in ending.err) == (answer == b"n\n")


@pytest.mark.parametrize("flag", ["", "-nostdin", "-n", "-y"])
def test_a14_nobody_to_ask(pair: Pair, flag: str) -> None:
    def case(side: Side) -> Ending:
        side.make(*SOURCE, "-t", 1, "exists.mp4")
        return side.run(*flag.split(), *SOURCE, "-t", 1, "exists.mp4")

    _, shim = pair.same(case)

    assert shim.status == (0 if flag == "-y" else 1)


@pytest.mark.parametrize("where", ["pipe:1", "-", "pipe:2"])
def test_a15_progress_through_a_pipe(pair: Pair, where: str) -> None:
    def case(side: Side) -> tuple[int, set[bytes], bytes]:
        done = side.run(*QUIET, "-progress", where, *SOURCE, "-t", 1, "-f", "null", "-")
        told = done.err if where == "pipe:2" else done.out
        assert (done.out, done.err)[where != "pipe:2"] == b""
        lines = told.splitlines()
        assert all(line.count(b"=") == 1 for line in lines), told
        last = [line for line in lines if line.startswith((b"frame=", b"out_time="))][-2:]
        return done.status, {line.partition(b"=")[0] for line in lines}, b" ".join([*last, lines[-1]])

    _, (status, _, end) = pair.same(case)

    assert (status, end) == (0, b"frame=25 out_time=00:00:01.000000 progress=end")


def test_a15_progress_to_the_callers_own_listener(pair: Pair) -> None:
    def case(side: Side) -> tuple[int, bytes]:
        with listener() as (port, got):
            to = ["-progress", f"http://127.0.0.1:{port}/p"]
            done = side.run(*QUIET, *to, *SOURCE, "-t", 1, "-f", "null", "-")
            until(lambda: b"progress=end" in b"".join(got))
        last = [line for line in b"".join(got).splitlines() if line.startswith(b"frame=")][-1]
        return done.status, last

    assert pair.same(case, ANYWHERE)[1] == (0, b"frame=25")


@contextmanager
def listener() -> Iterator[tuple[int, list[bytes]]]:
    """An HTTP server on the caller's host: its port, and the bodies that are posted to it."""
    got: list[bytes] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            while size := int(self.rfile.readline(), 16):
                got.append(self.rfile.read(size))
                self.rfile.readline()
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Says nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port, got
        finally:
            server.shutdown()
            thread.join()


def test_a16_the_exit_comes_after_the_last_byte(pair: Pair) -> None:
    """100 times, four at once."""

    def case(side: Side) -> list[Ending]:
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(lambda _: side.run("-loglevel", "error", "-i", "nope"), range(100)))

    assert set(pair.alone(case)) == {Ending(1, b"", b"nope: No such file or directory\n")}
