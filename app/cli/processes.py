"""What a demonstration starts, and how: this command again, an ffmpeg, ports that are free, and an end to it all."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys

from app.cli.errors import Failure

STOP_SECONDS = 10.0


def this_command() -> list[str]:
    """This command again, whatever lies in the current directory."""
    return [sys.executable, "-P", "-m", "app.cli.main"]


def find_ffmpeg() -> str:
    """The ffmpeg on PATH, else the one that the imageio-ffmpeg wheel brings."""
    found = shutil.which("ffmpeg")
    if found:
        return found
    try:
        from imageio_ffmpeg import get_ffmpeg_exe
    except ImportError:
        raise Failure("there is no ffmpeg: install it, or pip install 'ffgrid[demo]'") from None
    return str(get_ffmpeg_exe())


def free_port() -> int:
    """A port of this host that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(port: int) -> bool:
    """Whether somebody listens on that port of this host."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def stop(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM, and SIGKILL if that is not enough."""
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
