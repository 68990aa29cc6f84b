"""A network that resets every connection again and again costs a call nothing but time."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from tests.cutter import Cutter
from tests.farm import Farm
from tests.whole.tools import shim

EVERY = 0.3  # seconds between two cuts
LINES = 2_000
# In ffmpeg's place: numbered lines on stderr, for about two seconds.
TALKATIVE = f"""#!/bin/sh
if [ "$1" != -nostdin ]; then echo "ffmpeg version 0"; exit; fi
exec {sys.executable} -I -S -c '
import os, time
for number in range({LINES}):
    os.write(2, b"line %d\\n" % number)
    if number % 10 == 0: time.sleep(0.01)
'
"""


def call(farm: Farm, cutter: Cutter, *args: str | Path) -> subprocess.Popen[bytes]:
    """A call of the stand-in over that network."""
    farm.install_shim()
    environ = {**farm.environ, "FFGRID_URL": f"http://127.0.0.1:{cutter.port}"}
    return shim(farm, *args, env=environ)


def test_of_numbered_lines_none_is_lost_doubled_or_out_of_its_order(own_farm: Farm) -> None:
    program = own_farm.folder / "talkative"
    program.write_text(TALKATIVE)
    program.chmod(0o755)
    own_farm.workers[0].end()
    # This interpreter is in no namespace.
    own_farm.start_worker("w2", ffmpeg=str(program), env={"FFGRID_SANDBOX": "rewrite"})

    with Cutter(own_farm.webs[0].port, EVERY) as cutter:
        talking = call(own_farm, cutter, "-nostdin")
        out, err = talking.communicate(timeout=30)

    assert (talking.returncode, out) == (0, b"")
    assert err.splitlines() == [b"line %d" % number for number in range(LINES)]
    assert cutter.cuts >= 3


def test_of_random_bytes_each_arrives_once_and_in_its_place(own_farm: Farm) -> None:
    film = own_farm.client_root / "random.raw"
    film.write_bytes(os.urandom(25 << 20))
    raw = ["-f", "rawvideo", "-pixel_format", "gray", "-video_size", "1024x800"]

    with Cutter(own_farm.webs[0].port, EVERY) as cutter:
        copying = call(
            own_farm, cutter, "-v", "error", "-re", *raw, "-i", film, "-c", "copy", "-f", "rawvideo", "-"
        )
        out, err = copying.communicate(timeout=30)

    assert (copying.returncode, err) == (0, b"")
    assert hashlib.sha256(out).digest() == hashlib.sha256(film.read_bytes()).digest()
    assert cutter.cuts >= 2
