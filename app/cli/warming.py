"""Asks through fresh launchers what a media server will ask at its start, so that the answers are there by then."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic
from urllib.parse import urlencode

from app.cli.client import Client
from app.cli.errors import Failure
from app.settings import Settings
from app.wire.messages import FLEET

AT_ONCE = 4  # calls
SECONDS = 60.0  # how long all of it may take, when the workers are busy

_KEYS = "-hide_banner -f lavfi -i nullsrc=s=1x1:d={seconds} -f null -"
# What Jellyfin runs, and what else is commonly asked.
QUESTIONS = {
    "ffmpeg": """
        -version|-decoders|-encoders|-filters|-hwaccels|-h|-pix_fmts|-formats|-codecs|-bsfs|-protocols|-layouts
        -buildconf|-muxers|-demuxers
        -h filter=scale_cuda|-h filter=tonemap_cuda|-h filter=tonemap_opencl|-h filter=overlay_opencl
        -h filter=overlay_vaapi|-h filter=overlay_vulkan|-h filter=transpose_opencl|-h filter=overlay_cuda
        -h bsf=hevc_metadata|-h bsf=av1_metadata|-h bsf=dovi_rpu
        -loglevel quiet -hwaccel_flags +low_priority -hide_banner -f lavfi -i nullsrc=s=1x1:d=100 -f null -
    """,
    "ffprobe": "-version|-pix_fmts|-loglevel quiet -f lavfi -i nullsrc=s=1x1:d=1 -only_first_vframe",
}
KEYS_SECONDS = (
    1000,
    10000,
)  # of the picture during which Jellyfin asks for the keys; which one, the version says


def warm(folder: Path, settings: Settings) -> str:
    """Fills the cache through the launchers in `folder`; a sentence about what came of it. Never fails."""
    try:
        query = urlencode([("label", f"{name}={value}") for name, value in settings.labels.items()])
        fleet = Client.of(settings).get(f"{FLEET}?{query}" if query else FLEET)["fleet"]
    except Failure as failure:
        return f"no answers cached: {failure}"
    except (KeyError, TypeError):
        return "no answers cached: the coordinator does not say which fleet it has"
    if not fleet:
        return "no answers cached: no worker is there to give them"
    until = monotonic() + SECONDS
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda call: _ask(folder, until, *call), calls()))
    return f"{_count(Path(settings.cache), fleet)} answers cached for fleet {fleet} in {settings.cache}"


def calls() -> list[tuple[str, list[str], bytes]]:
    """What is asked: program, arguments, standard input."""
    asked = [
        (binary, line.split(), b"")
        for binary, lines in QUESTIONS.items()
        for line in lines.strip().replace("\n", "|").split("|")
    ]
    keys = [("ffmpeg", _KEYS.format(seconds=seconds).split(), b"?") for seconds in KEYS_SECONDS]
    return [*asked, *keys]


def _ask(folder: Path, until: float, binary: str, args: list[str], stdin: bytes) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("FFGRID_")}
    try:
        command = [str(folder / binary), *args]
        left = max(0.0, until - monotonic())
        subprocess.run(command, input=stdin, env=environ, capture_output=True, timeout=left, cwd="/")
    except (OSError, subprocess.TimeoutExpired):
        return  # it will be asked by whoever needs it


def _count(cache: Path, fleet: str) -> int:
    """How many answers of this fleet are there; its name is the second word of their files."""
    found = 0
    for path in (cache / "queries").glob("*"):
        try:
            with path.open("rb") as file:
                found += file.read(256).split(b" ", 2)[1:2] == [fleet.encode()]
        except OSError:
            continue
    return found
