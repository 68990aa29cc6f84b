"""Answers from the client's cache, as a media server meets them: through launchers, a coordinator and a worker."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.farm import Farm, until
from tests.whole.tools import direct

JELLYFIN = [
    ("ffmpeg", line)
    for line in """
        -version|-decoders|-encoders|-filters|-h filter=scale_cuda|-h filter=tonemap_cuda
        -h filter=tonemap_opencl|-h filter=overlay_opencl|-h filter=overlay_vaapi|-h filter=overlay_vulkan
        -h filter=transpose_opencl|-h filter=overlay_cuda|-h bsf=hevc_metadata|-h bsf=av1_metadata
        -h bsf=dovi_rpu|-hwaccels|-version
        -loglevel quiet -hwaccel_flags +low_priority -hide_banner -f lavfi -i nullsrc=s=1x1:d=100 -f null -
    """.strip()
    .replace("\n", "|")
    .split("|")
]
JELLYFIN.append(("ffprobe", "-loglevel quiet -f lavfi -i nullsrc=s=1x1:d=1 -only_first_vframe"))
KEYS = "-hide_banner -f lavfi -i nullsrc=s=1x1:d=1000 -f null -".split()
LOOK = ["-v", "error", "-print_format", "json", "-show_format", "-show_streams"]
NEW_BUILD = """\
#!/bin/sh
case "$*" in *-version*) echo "ffmpeg version 99.9 Copyright (c) a newer build"; exit;; esac
exec ffmpeg "$@"
"""


def call(
    farm: Farm, *args: str | Path, binary: str = "ffmpeg", stdin: bytes = b"", **env: str
) -> subprocess.CompletedProcess[bytes]:
    """A call of the stand-in, to its end."""
    if not (farm.folder / "bin" / binary).exists():
        farm.install_shim("--no-local")
    command = [str(farm.folder / "bin" / binary), *map(str, args)]
    environ = {**farm.environ, **env}
    return subprocess.run(
        command, cwd=farm.client_root, env=environ, input=stdin, capture_output=True, timeout=60
    )


def told(done: subprocess.CompletedProcess[bytes]) -> tuple[int, bytes, bytes]:
    return done.returncode, done.stdout, done.stderr


def jobs(farm: Farm) -> int:
    """How many jobs there have been."""
    return len(farm.jobs())


def cache(farm: Farm) -> Path:
    return farm.folder / "home" / ".cache" / "ffgrid"


@pytest.fixture(scope="module")
def film(farm: Farm) -> Path:
    """A film that nobody has touched for more than five seconds; beside it one to be touched, and one that is none."""
    path = farm.media("settled.mkv", seconds=1)
    path.with_name("touched.mkv").write_bytes(path.read_bytes())
    path.with_name("broken.mkv").write_bytes(b"\0" * 1000)
    until(lambda: time.time() > path.stat().st_ctime + 5.2)
    return path


def test_a_media_server_starts_while_nothing_answers(own_farm: Farm) -> None:
    done = own_farm.ffgrid("shim", "install", str(own_farm.folder / "bin"), "--no-local")
    kept, _, fleet = done.stdout.splitlines()[-1].partition(" answers cached for fleet ")
    assert done.returncode == 0
    assert len(fleet.split()[0]) == 16, done.stdout
    assert len(list((cache(own_farm) / "queries").iterdir())) == int(kept) >= 32
    for process in (*own_farm.webs, *own_farm.workers):
        process.kill()
    for path in (cache(own_farm) / "fleets").iterdir():  # a minute has passed
        os.utime(path, (1, 1))

    for binary, line in JELLYFIN:
        real = direct(own_farm, *line.split(), binary=binary)
        assert told(call(own_farm, *line.split(), binary=binary)) == told(real), line
    assert b"?      show this help" in call(own_farm, *KEYS, stdin=b"?").stderr
    assert call(own_farm, "-h", "filter=never_asked").returncode == 1  # no local program: it is not invented


def test_another_build_is_asked_anew(own_farm: Farm) -> None:
    def version() -> bytes:
        for path in (cache(own_farm) / "fleets").glob("*"):
            os.utime(path, (1, 1))
        return call(own_farm, "-version").stdout

    program = own_farm.folder / "newer"
    program.write_text(NEW_BUILD)
    program.chmod(0o755)
    old = version()
    assert old == version() == direct(own_farm, "-version").stdout
    assert jobs(own_farm) == 1

    own_farm.start_worker("w2")  # of the same build: nothing changes
    assert version() == old
    assert jobs(own_farm) == 1
    for worker in own_farm.workers:
        worker.end()
    own_farm.start_worker("w3", ffmpeg=str(program))

    until(lambda: version().startswith(b"ffmpeg version 99.9 "))
    count = jobs(own_farm)
    assert version().startswith(b"ffmpeg version 99.9 ")
    assert jobs(own_farm) == count


def test_the_second_probe_of_a_file_makes_no_job(farm: Farm, film: Path) -> None:
    before = jobs(farm)

    said = [call(farm, *LOOK, f"file:{film.name}", binary="ffprobe") for _ in range(3)]

    assert jobs(farm) == before + 1
    real = direct(farm, *LOOK, f"file:{film.name}", binary="ffprobe")
    assert [told(done) for done in said] == [told(real)] * 3
    assert b"settled.mkv" in real.stdout


def test_a_touched_file_is_looked_at_again(farm: Farm, film: Path) -> None:
    path = film.with_name("touched.mkv")
    args = [*LOOK, "-show_chapters", str(path)]
    before = jobs(farm)
    for _ in range(2):
        call(farm, *args, binary="ffprobe")
    assert jobs(farm) == before + 1

    os.utime(path, (1_000_000, 1_000_000))
    call(farm, *args, binary="ffprobe")

    assert jobs(farm) == before + 2


def test_a_growing_file_is_looked_at_each_time(farm: Farm) -> None:
    path = farm.client_root / "growing.mkv"
    farm.media("whole.mkv", seconds=2)
    content = (farm.client_root / "whole.mkv").read_bytes()
    before, sizes = jobs(farm), []
    for part in (len(content) // 2, len(content)):
        path.write_bytes(content[:part])
        for _ in range(2):
            done = call(farm, "-v", "quiet", "-show_entries", "format=size", path, binary="ffprobe")
            sizes.append(done.stdout.split(b"size=")[1].split()[0])

    assert sizes == [b"%d" % (len(content) // 2)] * 2 + [b"%d" % len(content)] * 2
    assert jobs(farm) == before + 4


def test_a_file_that_cannot_be_probed_is_looked_at_each_time(farm: Farm, film: Path) -> None:
    path = film.with_name("broken.mkv")
    before = jobs(farm)

    assert [call(farm, path, binary="ffprobe").returncode for _ in range(2)] == [1, 1]
    assert jobs(farm) == before + 2


def test_the_keys_are_listed_before_and_from_the_cache(farm: Farm) -> None:
    before = jobs(farm)

    first, second = (call(farm, *KEYS, stdin=b"?") for _ in range(2))

    assert b"?      show this help" in first.stderr
    assert told(first) == told(second)
    assert first.returncode == 0
    assert jobs(farm) == before + 1


@pytest.mark.parametrize("folder", ["", "/proc/self/nowhere"])
def test_without_a_cache_everything_works_as_before(farm: Farm, film: Path, folder: str) -> None:
    before = jobs(farm)

    said = [call(farm, "-show_format", film, binary="ffprobe", FFGRID_CACHE=folder) for _ in range(2)]
    said += [call(farm, "-hide_banner", "-hwaccels", FFGRID_CACHE=folder) for _ in range(2)]

    assert [done.returncode for done in said] == [0] * 4
    assert told(said[0]) == told(said[1])
    assert jobs(farm) == before + 4


def test_calls_go_to_workers_with_the_label_and_so_do_their_answers(own_farm: Farm) -> None:
    program = own_farm.folder / "newer"
    program.write_text(NEW_BUILD)
    program.chmod(0o755)
    own_farm.start_worker("gpu", ffmpeg=str(program), env={"FFGRID_LABELS": "gpu=nvidia"})

    plain = own_farm.install_shim("--label", "gpu=nvidia")
    said = [subprocess.run([plain / "ffmpeg", "-version"], capture_output=True, env={}) for _ in range(2)]

    assert [done.stdout[:19] for done in said] == [b"ffmpeg version 99.9"] * 2
    assert jobs(own_farm) == 1
    assert own_farm.jobs()[0]["worker"] == "gpu"
