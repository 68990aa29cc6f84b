"""Clocks that are wrong by ten minutes, where a signature is good for one: nobody notices."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.farm import Farm
from tests.whole.tools import direct, events, shim

PRINT = "-v error -f lavfi -i color=s=16x16:d=1 -f framemd5 -".split()
SKEWS = ("+600s", "-600s")


def clock(skew: str) -> dict[str, str]:
    """The environment of a program whose clock is wrong. Fails the test where there is no faketime."""
    command = ["faketime", "-f", skew, "env"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL)
    told = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    wanted = {name: told[name] for name in ("LD_PRELOAD", "FAKETIME")}
    return {**wanted, "FAKETIME_DONT_FAKE_MONOTONIC": "1", "FAKETIME_DONT_RESET": "1"}


@pytest.mark.parametrize("skew", SKEWS)
def test_a_client_whose_clock_is_wrong(own_farm: Farm, skew: str) -> None:
    own_farm.install_shim("--no-local")
    wrong = clock(skew)

    call = shim(own_farm, *PRINT, env={**own_farm.environ, **wrong})
    out, err = call.communicate(timeout=60)
    done = own_farm.ffgrid("submit", "--wait", "--", "ffmpeg", *PRINT, **wrong)

    assert (call.returncode, out, err) == (0, direct(own_farm, *PRINT).stdout, b"")
    assert (done.returncode, done.stderr) == (0, ""), done
    assert done.stdout.encode() == out
    assert len(events(own_farm)) == 2


@pytest.mark.parametrize("skew", SKEWS)
def test_a_coordinator_whose_clock_is_wrong(own_farm: Farm, skew: str) -> None:
    own_farm.install_shim("--no-local")
    own_farm.webs[0].kill()
    port = own_farm.webs[0].port
    own_farm.start_web(port, env=clock(skew))
    own_farm.webs[0] = own_farm.webs.pop()
    both = "-v error -re -f lavfi -i color=s=16x16:d=4 -f framemd5 -".split()

    call = shim(own_farm, *both)
    assert call.stdout
    head = os.read(call.stdout.fileno(), 1)
    own_farm.webs[0].end()  # and the other one's clock is right
    rest, err = call.communicate(timeout=60)
    done = own_farm.ffgrid("submit", "--wait", "--", "ffmpeg", *PRINT)

    assert (call.returncode, head + rest, err) == (0, direct(own_farm, *both[:2], *both[3:]).stdout, b"")
    assert (done.returncode, done.stderr) == (0, ""), done
