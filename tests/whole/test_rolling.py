"""Every coordinator is restarted, one after the other, again and again: no call and no job is lost, none fails."""

from __future__ import annotations

import hashlib
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.farm import Farm
from tests.whole.proxies import PROXIES, behind
from tests.whole.tools import direct, events, shim

ROUNDS = 2
SHORT = "-v error -f lavfi -i color=s=16x16:d=1 -f framemd5 -".split()
LONG = "-v error -re -f lavfi -i testsrc2=size=320x180:rate=25:d=8 -f rawvideo -".split()
TALK = "-hide_banner -nostats -re -f lavfi -i testsrc2=size=64x36:rate=25:d=8 -vf showinfo -f null -".split()


class Rolling:
    """Restarts the coordinators of a farm, round by round, while calls go on."""

    def __init__(self, farm: Farm) -> None:
        self.farm = farm
        self.ends: list[float] = []  # the seconds that each took to end
        self.over = False

    def run(self) -> None:
        try:
            for number in range(ROUNDS * len(self.farm.webs)):
                time.sleep(0.5)
                index = number % len(self.farm.webs)
                began = time.monotonic()
                status = self.farm.webs[index].end(within=20)
                self.ends.append(time.monotonic() - began)
                assert status in (0, -15)
                self.farm.restart_web(index)
        finally:
            self.over = True

    def repeat(self, once: Callable[[], subprocess.Popen[bytes]]) -> list[tuple[int, bytes, bytes]]:
        """Does it again and again until all is over: what each call ended with."""
        done = []
        while not self.over:
            call = once()
            out, err = call.communicate(timeout=60)
            done.append((call.returncode, out, err))
        return done


@pytest.mark.parametrize("kind", ["", *PROXIES])
def test_no_call_and_no_job_is_lost(own_farm: Farm, tmp_path: Path, kind: str) -> None:
    farm = own_farm
    farm.install_shim("--no-local")
    farm.start_worker("w2", slots=8)
    expected, film = direct(farm, *SHORT).stdout, hashlib.sha256(direct(farm, *LONG[:2], *LONG[3:]).stdout)
    with behind(kind, farm, tmp_path), ThreadPoolExecutor(6) as pool:
        rolling = Rolling(farm)
        long = [shim(farm, *LONG) for _ in range(2)]
        talk = farm.begin("submit", "--wait", "--", "ffmpeg", *TALK)
        watched = farm.ffgrid("submit", "--", "ffmpeg", *TALK).stdout.strip()
        watch = farm.begin("watch", watched)
        submit = ["submit", "--wait", "--", "ffmpeg", *SHORT]
        short = [
            pool.submit(rolling.repeat, lambda: shim(farm, *SHORT)),
            pool.submit(rolling.repeat, lambda: farm.begin(*submit)),
        ]
        threading.Thread(target=rolling.run).start()
        bytes_ = [pool.submit(call.communicate, timeout=60) for call in long]
        _, lines = talk.communicate(timeout=60)
        watched_out, watched_err = watch.communicate(timeout=60)
        done = [one.result() for one in short]

    assert len(rolling.ends) == ROUNDS * 2
    for calls in done:
        assert len(calls) > 5
        assert {(status, out) for status, out, _ in calls} == {(0, expected)}, calls
    assert [hashlib.sha256(one.result()[0]).digest() for one in bytes_] == [film.digest()] * 2
    assert [call.returncode for call in (*long, talk, watch)] == [0] * 4, (lines, watched_out, watched_err)
    numbers = [line.split(b"n:")[1].split()[0] for line in lines.splitlines() if b" n:" in line]
    assert [int(number) for number in numbers] == list(range(200))
    counted = events(farm)
    assert len(counted) == len(done[0]) + len(done[1]) + len(long) + 2
    assert all(one["submit"] == one["start"] == one["succeed"] == 1 for one in counted.values())
    assert max(rolling.ends) < 6, rolling.ends  # 3 s where nothing else runs
