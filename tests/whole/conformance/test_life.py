"""C. Signals, and deaths of every part."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.farm import Farm, Web, until
from tests.whole.conformance.conftest import start_worker
from tests.whole.conformance.harness import (
    QUIET,
    RAW_SECOND,
    SOURCE,
    Ending,
    Feed,
    Pair,
    Side,
    frame,
    is_playable,
)
from tests.whole.conformance.proxy import Proxy

SOON = 20.0  # seconds in which a call that was told to end has to
CODED = ["-c:v", "libx264", "-preset", "ultrafast", "-g", 25]


def running(
    side: Side, *args: object, frames: int = 5, **options: object
) -> tuple[subprocess.Popen[bytes], Feed]:
    """A call that has reported so many frames, and what it says."""
    call = side.start(*args, **options)  # type: ignore[arg-type]
    feed = Feed(call.stderr)  # type: ignore[arg-type]
    until(lambda: frame(feed.data) >= frames)
    return call, feed


ENDING = {"SIGINT": 2, "SIGTERM": 15, "SIGXCPU": 24}


def ended_by(side: Side, number: int, *options: str) -> tuple[int, bytes, bool]:
    """How a call ends that gets this signal, its last line, and whether its file is whole."""
    call, feed = running(side, *options, "-re", *SOURCE, "-c:v", "mpeg4", side / "out.mkv")
    call.send_signal(number)
    status = call.wait(SOON)
    last = feed.end().replace(b"\r", b"\n").splitlines()[-1]
    return status, last if b"frame=" not in last else b"", is_playable(side / "out.mkv")


@pytest.mark.parametrize("number", ENDING.values(), ids=ENDING)
def test_c26_signals_end_it_normally_with_status_255(pair: Pair, number: int) -> None:
    expected = (255, f"Exiting normally, received signal {number}.".encode(), True)

    assert pair.both(lambda side: ended_by(side, number, "-nostdin")) == (expected, expected)


def test_c26_sigquit_does_what_it_does_to_the_real_program(pair: Pair) -> None:
    """ffmpeg 5.1 has a handler for it only while it listens to a terminal: elsewhere it dies of it."""
    real, shim = pair.both(lambda side: ended_by(side, signal.SIGQUIT, "-nostdin"))

    assert shim == real


DEADLY = {
    "ffprobe-SIGTERM": ("ffprobe", signal.SIGTERM),
    "ffprobe-SIGINT": ("ffprobe", signal.SIGINT),
    "ffprobe-SIGHUP": ("ffprobe", signal.SIGHUP),
    "ffmpeg-SIGHUP": ("ffmpeg", signal.SIGHUP),
    "ffmpeg-SIGUSR1": ("ffmpeg", signal.SIGUSR1),
}


@pytest.mark.parametrize(("binary", "number"), DEADLY.values(), ids=DEADLY)
def test_c27_other_signals_kill(pair: Pair, binary: str, number: int) -> None:
    def case(side: Side) -> int:
        if binary == "ffmpeg":
            call, _ = running(side, "-nostdin", "-re", *SOURCE, "-f", "null", "-")
        else:
            call = side.start("-show_frames", "-f", "lavfi", "testsrc=s=64x64", binary="ffprobe")
            frames = Feed(call.stdout)  # type: ignore[arg-type]
            until(lambda: len(frames.data) > 1000)
        call.send_signal(number)
        return call.wait(SOON)

    assert pair.both(case) == (-number, -number)


def test_c27_a_signal_reaches_a_call_whose_output_nobody_reads(pair: Pair) -> None:
    def case(side: Side) -> int:
        probe = ["-show_frames", "-f", "lavfi", "testsrc=s=64x64", "-show_entries", "frame"]
        call = side.start(*probe, binary="ffprobe")
        assert call.stdout
        call.stdout.read(1000)
        time.sleep(1)  # by now all pipes are full
        call.send_signal(signal.SIGTERM)
        return call.wait(SOON)

    assert pair.both(case) == (-signal.SIGTERM, -signal.SIGTERM)


def test_c28_the_fourth_interrupt_ends_it_hard(pair: Pair) -> None:
    def case(side: Side) -> tuple[int, bytes]:
        call = side.start("-nostdin", *SOURCE, *side.marked("hard"), "-f", "rawvideo", "-")  # nobody reads
        feed = Feed(call.stderr)  # type: ignore[arg-type]
        side.remote("hard")
        seen: list[int] = []
        until(
            lambda: (
                seen.append(len(feed.data)) or time.sleep(0.1) or (len(seen) > 8 and seen[-8] == seen[-1] > 0)
            )
        )
        for _ in range(4):
            call.send_signal(signal.SIGINT)
            time.sleep(0.2)  # two at once would be one
        return call.wait(SOON), feed.end()

    (real, said), (shim, told) = pair.both(case)

    assert (real, shim) == (123, 123)
    assert b"Received > 3 system signals, hard exiting" in said
    assert told.count(b"Received > 3 system signals, hard exiting") == 1


def test_c29_a_killed_caller_leaves_nothing_behind(pair: Pair) -> None:
    """The folder stays empty for 3 s (the checklist: 10 s)."""

    def case(side: Side) -> list[str]:
        folder = side / "hls"
        folder.mkdir()
        hls = [
            "-f",
            "hls",
            "-hls_time",
            1,
            "-hls_playlist_type",
            "vod",
            "-hls_segment_filename",
            folder / "%d.ts",
        ]
        call = side.start("-nostdin", "-re", *SOURCE, *CODED, *side.marked("hls"), *hls, folder / "x.m3u8")
        until(lambda: (folder / "1.ts").exists())
        call.kill()
        killed = time.monotonic()
        until(lambda: not side.is_running("hls"), within=10)
        time.sleep(max(0.0, killed + 1.5 - time.monotonic()))
        left = sorted(os.listdir(folder))
        shutil.rmtree(folder)
        folder.mkdir()
        time.sleep(3)
        assert os.listdir(folder) == []
        return left

    real, shim = pair.both(case)

    assert "x.m3u8" not in real + shim
    assert "0.ts" in shim


def test_c30_a_stopped_caller_pauses_ffmpeg(pair: Pair) -> None:
    """Stopped for 3 s (the checklist: 60 s); the output stops growing, goes on, and nothing is lost."""

    def case(side: Side) -> Ending:
        out = side / "out.raw"
        raw = ["-f", "rawvideo", "-flush_packets", 1, out.name]
        call, feed = running(side, "-nostdin", "-re", *SOURCE, "-t", 5, *side.marked("stop"), *raw, frames=30)
        remote = side.remote("stop")
        call.send_signal(signal.SIGSTOP)
        until(
            lambda: Path(f"/proc/{remote}/stat").read_text().rpartition(")")[2].split()[0] == "T", within=10
        )
        stopped = out.stat().st_size
        time.sleep(2)
        assert out.stat().st_size == stopped < 5 * RAW_SECOND
        call.send_signal(signal.SIGCONT)
        until(lambda: out.stat().st_size > stopped, within=10)
        return Ending(call.wait(20), b"", feed.end())

    _, shim = pair.same(case)

    assert (shim.status, frame(shim.err)) == (0, 125)


def test_c32_an_orphan_goes_on(pair: Pair) -> None:
    """Its parent dies: standard input ends, and nobody reads its output."""

    def case(side: Side) -> None:
        parent = ["sh", "-c", '"$0" "$@" <&0 & sleep 0.1; read line']
        args = ["-re", *SOURCE, "-t", 2, *side.marked("orphan"), "-c:v", "mpeg4", side / "out.mkv"]
        call = side.start(*args, before=parent, stdin=subprocess.PIPE)
        until(lambda: (side / "out.mkv").exists())  # before that the real program dies of SIGPIPE
        call.kill()
        call.wait()
        for stream in (call.stdin, call.stdout, call.stderr):
            assert stream
            stream.close()
        until(lambda: not side.is_running("orphan"))
        until(lambda: is_playable(side / "out.mkv"), within=10)

    pair.same(case)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_c33_ffmpeg_that_dies_of_a_signal_takes_the_caller_with_it(pair: Pair, number: int) -> None:
    def case(side: Side) -> tuple[int, bytes]:
        args = [*QUIET, "-re", *SOURCE, *side.marked("dies"), "-f", "null", "-"]
        call = side.start(*args)
        pid = side.remote("dies")
        time.sleep(0.3)
        os.kill(pid, number)
        ending = side.finish(call, within=SOON)
        return ending.status, ending.err

    (real, _), (shim, said) = pair.both(case)

    assert (real, shim) == (-number, -number)
    assert said.startswith(b"ffmpeg (ffgrid): ")
    assert said.count(b"\n") == 1


def numbered(side: Side) -> list[object]:
    """A call of three seconds whose raw output says whether anything was lost or doubled."""
    return ["-nostdin", "-re", *SOURCE, "-t", 3, *side.marked("cut"), "-f", "rawvideo", "-"]


def through(farm: Farm, proxy: Proxy) -> dict[str, str]:
    """The setting that leads a call through the proxy."""
    return {"FFGRID_URL": f"http://127.0.0.1:{proxy.port}"}


def test_c34_a_network_that_drops_everything_for_three_seconds(pair: Pair) -> None:
    def case(side: Side) -> Ending:
        with Proxy(pair.farm.webs[0].port) as proxy:
            call = side.start(*numbered(side), env=through(pair.farm, proxy))
            with ThreadPoolExecutor(1) as pool:
                ending = pool.submit(side.finish, call)
                side.remote("cut")
                proxy.hold()
                time.sleep(3)
                proxy.go_on()
                return ending.result()

    _, shim = pair.same(case)

    assert (shim.status, len(shim.out)) == (0, 3 * RAW_SECOND)


def test_c34_connections_that_are_reset(pair: Pair) -> None:
    def case(side: Side) -> Ending:
        with Proxy(pair.farm.webs[0].port) as proxy:
            call = side.start(*numbered(side), env=through(pair.farm, proxy))
            with ThreadPoolExecutor(1) as pool:
                ending = pool.submit(side.finish, call)
                side.remote("cut")
                for _ in range(3):
                    time.sleep(0.8)
                    proxy.cut()
                return ending.result()

    _, shim = pair.same(case)

    assert (shim.status, len(shim.out)) == (0, 3 * RAW_SECOND)


def test_c34_a_cut_longer_than_the_grace_ends_the_job(pair: Pair) -> None:
    """The grace of a closed connection is under a second; the caller comes back after that and hears of it."""

    def case(side: Side) -> tuple[int, bytes]:
        with Proxy(pair.farm.webs[0].port) as proxy:
            call = side.start(
                *QUIET, *numbered(side), env=through(pair.farm, proxy), stdout=subprocess.DEVNULL
            )
            side.remote("cut")
            proxy.refuse()
            until(lambda: not side.is_running("cut"), within=10)
            proxy.accept()
            return call.wait(20), Feed(call.stderr).end()  # type: ignore[arg-type]

    status, said = pair.alone(case)

    assert status not in (0, None)
    assert said.startswith(b"ffmpeg (ffgrid): ")
    assert said.count(b"\n") == 1


def test_c34_a_coordinator_that_is_restarted(pair: Pair) -> None:
    """Killed, and another one started at its address."""

    def case(side: Side) -> Ending:
        own: Web | None = None
        if side.is_shim:
            own = pair.farm.start_web()
        call = side.start(*numbered(side), env={"FFGRID_URL": own.url} if own else {})
        with ThreadPoolExecutor(1) as pool:
            ending = pool.submit(side.finish, call)
            side.remote("cut")
            if own:
                own.kill()
                pair.farm.webs.remove(own)
                pair.farm.start_web(own.port)
            return ending.result()

    _, shim = pair.same(case)

    assert (shim.status, len(shim.out)) == (0, 3 * RAW_SECOND)


def killed_worker(pair: Pair, mode: str, *args: object) -> Ending:
    """A call whose worker is killed and started again while ffmpeg runs."""

    def case(side: Side) -> Ending:
        call = side.start("-nostdin", *args, *side.marked("worker"), "-f", "null", "-")
        side.remote("worker")
        time.sleep(0.5)
        pair.farm.workers[-1].kill()
        start_worker(pair.farm, mode)
        return side.finish(call)

    return pair.alone(case)


def test_c35_a_killed_worker_before_any_output_is_replaced(pair: Pair, mode: str) -> None:
    done = killed_worker(pair, mode, "-v", "error", "-re", *SOURCE, "-t", 3)

    assert done == Ending(0, b"", b"")


def test_c35_a_killed_worker_after_output_is_an_error(pair: Pair, mode: str) -> None:
    done = killed_worker(pair, mode, "-re", *SOURCE)

    last = done.err.replace(b"\r", b"\n").splitlines()[-1]
    assert done.status not in (0, None)
    assert last.startswith(b"ffmpeg (ffgrid): ")
