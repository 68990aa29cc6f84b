"""A disk that gets full. ffmpeg may end with status 0 when it could not write the end of a file."""

from __future__ import annotations

from pathlib import Path

from tests.farm import Farm, until
from tests.whole.tools import litter

# Answers as ffmpeg does, and else does as ffmpeg 5.1 on a disk without room for the last block.
WITHOUT_ROOM = """#!/bin/sh
case "$*" in *-version*|*-encoders*|*-buildconf*) exec ffmpeg "$@";; esac
for last; do :; done
echo half > "$last"
echo "Error writing trailer of $last: No space left on device" >&2
"""


def test_a_file_that_lacks_its_end_gets_no_name_whatever_ffmpeg_says(own_farm: Farm, tmp_path: Path) -> None:
    program = tmp_path / "without-room"
    program.write_text(WITHOUT_ROOM)
    program.chmod(0o755)
    own_farm.workers[0].end()
    own_farm.start_worker("w2", ffmpeg=str(program))

    done = own_farm.ffgrid("submit", "--", "ffmpeg", "-i", own_farm.media("in.mkv", 1), "out.mkv")
    job = done.stdout.strip()
    until(lambda: own_farm.job(job)["state"] not in ("queued", "running"))

    ended = own_farm.job(job)
    assert (ended["state"], ended["exit"], ended["cause"]) == ("failed", 0, "disk_full")
    assert not (own_farm.client_root / "out.mkv").exists()
    assert litter(own_farm) == []
