"""B. Standard input: data, commands, its end."""

from __future__ import annotations

import random
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.farm import until
from tests.whole.conformance.harness import (
    ANYWHERE,
    LONG,
    QUIET,
    SOURCE,
    Ending,
    Feed,
    Pair,
    Side,
    frame,
    is_playable,
)

SOON = 20.0  # seconds in which a call that was told to end has to; the checklist says 200 ms and the way


@pytest.mark.parametrize("url", ["pipe:0", "-", "pipe:", "fd:"])
def test_b18_six_megabytes_through_stdin(pair: Pair, url: str) -> None:
    data = random.Random(18).randbytes(6 << 20)
    raw = ["-f", "rawvideo", "-s", "64x64", "-pix_fmt", "rgb24"]

    _, shim = pair.same(
        lambda side: side.run("-v", "error", *raw, "-i", url, "-f", "rawvideo", "-", send=data)
    )

    # ffmpeg 5.1 has no protocol "fd:".
    assert (shim.status, shim.out) == ((0, data) if shim.status == 0 or url != "fd:" else (1, b""))


@pytest.mark.parametrize("binary", ["ffprobe", "ffmpeg"])
def test_b19_what_nobody_reads_stays_in_stdin(pair: Pair, binary: str) -> None:
    def case(side: Side) -> Ending:
        side.film()
        args = (
            ["-v", "error", "in.mkv"] if binary == "ffprobe" else [*QUIET, "-i", "in.mkv", "-f", "null", "-"]
        )
        reader = ["sh", "-c", '"$0" "$@" && cat']
        return side.run(*args, binary=binary, before=reader, send=b"a\nb\n")

    assert pair.same(case)[1] == Ending(0, b"a\nb\n", b"")


STOPS = {"q": (b"q", False), "q-newline": (b"q\n", False), "q-and-close": (b"q", True)}


@pytest.mark.parametrize(("keys", "closes"), STOPS.values(), ids=STOPS)
def test_b20_q_ends_it_with_a_whole_file(pair: Pair, keys: bytes, closes: bool) -> None:
    def case(side: Side) -> tuple[int, bool]:
        call = side.start("-re", *SOURCE, "-c:v", "mpeg4", side / "out.mkv", stdin=subprocess.PIPE)
        assert call.stdin
        feed = Feed(call.stderr)  # type: ignore[arg-type]
        until(lambda: frame(feed.data) > 10)
        call.stdin.write(keys)
        if closes:
            call.stdin.close()
        return call.wait(SOON), is_playable(side / "out.mkv")

    assert pair.both(case) == ((0, True), (0, True))


def test_b20_q_that_was_there_before_the_job(pair: Pair) -> None:
    def case(side: Side) -> int:
        call = side.start("-re", *SOURCE, "-f", "null", "-", stdin=subprocess.PIPE)
        assert call.stdin
        call.stdin.write(b"q\n")
        return call.wait(SOON)

    assert pair.both(case) == (0, 0)


def test_b21_nostdin_ignores_q(pair: Pair) -> None:
    def case(side: Side) -> Ending:
        return side.run("-nostdin", "-re", *SOURCE, "-t", 2, "-f", "null", "-", send=b"q\n")

    _, shim = pair.same(case)

    assert (shim.status, frame(shim.err)) == (0, 50)


def test_b22_the_end_of_stdin_ends_nothing(pair: Pair) -> None:
    """It is /dev/null, a pipe that is closed at once, and not there at all."""
    args = ["-re", *SOURCE, "-t", 2, "-f", "null", "-"]

    def case(side: Side) -> list[Ending]:
        closed = ["sh", "-c", 'exec "$0" "$@" <&-']
        calls = [
            side.start(*args),
            side.start(*args, stdin=subprocess.PIPE),
            side.start(*args, before=closed),
        ]
        with ThreadPoolExecutor(3) as pool:
            return list(pool.map(side.finish, calls, [None, b"", None]))

    _, shim = pair.same(case)

    assert [(ending.status, frame(ending.err)) for ending in shim] == [(0, 50)] * 3


def test_b23_c_freezes_and_a_newline_goes_on(pair: Pair) -> None:
    """Shortened: `c` after one second, the newline one second later."""

    def case(side: Side) -> tuple[int, bytes]:
        call = side.start("-hide_banner", "-re", *SOURCE, "-f", "null", "-", stdin=subprocess.PIPE)
        assert call.stdin
        feed = Feed(call.stderr)  # type: ignore[arg-type]
        until(lambda: frame(feed.data) > 20)
        call.stdin.write(b"c")
        feed.until(b"Enter command: <target>|all")
        time.sleep(0.3)  # what was on its way
        frozen = feed.data
        time.sleep(0.7)
        assert feed.data == frozen
        call.stdin.write(b"\n")
        feed.until(b"Parse error, at least 3 arguments were expected")
        until(lambda: frame(feed.data) > frame(frozen))
        call.stdin.write(b"q")
        status = call.wait(SOON)
        said = feed.end()
        return status, said[said.index(b"Enter command") :]

    _, (status, said) = pair.both(case)

    assert status == 0
    assert said.index(b"Enter command") < said.index(b"Parse error")


def test_b24_the_question_mark_probe_always_gets_the_keys(pair: Pair) -> None:
    """20 times; the real program may lose this race itself, the stand-in may not."""
    args = ["-hide_banner", "-f", "lavfi", "-i", "nullsrc=s=1x1:d=4000", "-f", "null", "-"]

    def ask(side: Side) -> tuple[int, bool]:
        call = side.start(*args, stdin=subprocess.PIPE)
        done = side.finish(call, b"?", LONG)
        return done.status, b"key    function" in done.err

    def case(side: Side) -> list[tuple[int, bool]]:
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(ask, [side] * 20))

    assert pair.alone(case, ANYWHERE) == [(0, True)] * 20
