"""Launchers as `ffgrid shim install` writes them, a local program that tells on itself, and coordinators that lie."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from hashlib import sha1
from pathlib import Path
from typing import Any

import pytest

from app.cli.main import main

Said = bytes | Callable[[str], bytes]

KEY = "id tester\nsecret " + "ab" * 32 + "\n"

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # of RFC 6455

# A local ffmpeg: says who it is and what it got, then copies its input.
LOCAL = """\
#!/bin/sh
printf 'local %s\\n' $$
printf '<%s>' "$@"
grep SigIgn /proc/$$/status
ls /proc/$$/fd
cat
"""


def answer(status: int, body: Any = None, date: float | None = None, **headers: str) -> bytes:
    """An answer as a coordinator makes it; JSON, a problem if the status is one."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = "application/problem+json" if status >= 400 else "application/json"
    lines = [f"HTTP/1.1 {status} x", f"Date: {formatdate(date, usegmt=True)}", f"Content-Type: {kind}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, f"Content-Length: {len(content)}", "", ""]).encode() + content


def upgraded(*frames: bytes) -> Callable[[str], bytes]:
    """Makes the connection a WebSocket and sends these frames over it."""

    def accept(head: str) -> bytes:
        (key,) = [
            line.partition(": ")[2] for line in head.split("\r\n") if line.startswith("Sec-WebSocket-Key")
        ]
        digest = sha1((key + GUID).encode(), usedforsecurity=False).digest()
        lines = ["HTTP/1.1 101 x", "Connection: Upgrade", "Upgrade: websocket"]
        lines += [f"Sec-WebSocket-Accept: {b64encode(digest).decode()}", "", ""]
        return "\r\n".join(lines).encode() + b"".join(map(_unmasked, frames))

    return accept


def _unmasked(payload: bytes) -> bytes:
    size = len(payload)
    return b"\x82" + (bytes((size,)) if size < 126 else b"\x7f" + size.to_bytes(8, "big")) + payload


def problem(status: int, detail: str, date: float | None = None, name: str = "", **more: Any) -> bytes:
    """A refusal. A coordinator that cannot serve says that no worker can, unless it says something else."""
    kind = f"urn:ffgrid:{name or {503: 'no-worker', 404: 'no-such-job'}.get(status, 'x')}"
    body = {"type": kind, "title": "x", "status": status, "detail": detail, **more}
    return answer(status, json.dumps(body, separators=(",", ":")).encode(), date)


@dataclass
class Fake:
    """A coordinator that answers each request with the next of its answers, the last one again and again.

    An answer is bytes, or makes them of the request's head; empty ones close the connection, and so do
    refusals. What it was asked is in `asked`: (head, body); what came after an upgrade in `heard`.
    """

    answers: list[Said]
    listener: socket.socket
    asked: list[tuple[str, bytes]] = field(default_factory=list)
    heard: bytes = b""
    served: int = 0  # connections that have ended

    @property
    def port(self) -> int:
        port: int = self.listener.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def run(self) -> None:
        """Serves one connection after the other, until the listener is closed."""
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(20)
                self._serve(connection)
            self.served += 1

    def _serve(self, connection: socket.socket) -> None:
        try:
            while request := self._request(connection):
                self.asked.append(request)
                said = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
                answered = said if isinstance(said, bytes) else said(request[0])
                connection.sendall(answered)
                if not answered.startswith((b"HTTP/1.1 20", b"HTTP/1.1 101")):
                    return
        except OSError:
            return

    def _request(self, connection: socket.socket) -> tuple[str, bytes] | None:
        data = b""
        while b"\r\n\r\n" not in data:
            more = connection.recv(65_536)
            if not more:
                self.heard += data
                return None
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
        while len(body) < length:
            body += connection.recv(65_536)
        return head.decode(), body


@pytest.fixture
def fake() -> Iterator[Callable[..., Fake]]:
    """Makes coordinators that answer as they are told."""
    made: list[tuple[Fake, threading.Thread]] = []

    def make(*answers: Said) -> Fake:
        one = Fake(list(answers), socket.create_server(("127.0.0.1", 0)))
        thread = threading.Thread(target=one.run)
        thread.start()
        made.append((one, thread))
        return one

    yield make
    for one, thread in made:
        one.listener.shutdown(socket.SHUT_RDWR)
        one.listener.close()
        thread.join(10)


@dataclass
class Place:
    """A client's host: a root, a key, a local program and a folder for launchers."""

    folder: Path
    root: Path
    key_file: Path
    local: Path
    bin: Path

    def install(
        self, *flags: str, url: str = "http://127.0.0.1:9", into: Path | None = None, warm: bool = False
    ) -> Path:
        """Writes the launchers; the one that is called ffmpeg."""
        where = into or self.bin
        roots = f"Media={self.root}"
        arguments = [
            "shim",
            "install",
            str(where),
            "--url",
            url,
            "--key-file",
            str(self.key_file),
            "--roots",
            roots,
            *(() if warm else ("--no-warm",)),
        ]
        assert main([*arguments, *flags]) == 0
        return where / "ffmpeg"

    def run(
        self, program: Path, *args: str | bytes, env: dict[str, str] | None = None, **options: Any
    ) -> subprocess.CompletedProcess[bytes]:
        """Calls it in the root, with nothing in its environment unless told."""
        defaults = {"cwd": self.root, "env": env or {}, "stdin": subprocess.DEVNULL, "timeout": 60}
        return subprocess.run([program, *args], capture_output=True, check=False, **{**defaults, **options})


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A client's host, whose local ffmpeg and ffprobe are the program LOCAL."""
    for name in [name for name in os.environ if name.startswith("FFGRID_")]:
        monkeypatch.delenv(name)
    (tmp_path / "root").mkdir()
    (tmp_path / "key").write_text(KEY)
    (tmp_path / "key").chmod(0o600)
    (tmp_path / "real").mkdir()
    for name in ("ffmpeg", "ffprobe"):
        (tmp_path / "real" / name).write_text(LOCAL)
        (tmp_path / "real" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'real'}:{os.environ['PATH']}")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    return Place(
        tmp_path, tmp_path / "root", tmp_path / "key", tmp_path / "real" / "ffmpeg", tmp_path / "bin"
    )
