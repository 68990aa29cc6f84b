"""Farms of real processes, one of them with an ffmpeg that does what it is told; and coordinators that lie."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from app.wire import signing
from tests.farm import Farm, farm, own_farm

__all__ = ["acting", "fake", "farm", "own_farm"]

KEY_ID, SECRET = "tester", bytes(range(32))

ACTOR = """\
#!/bin/sh
# An ffmpeg that does what `-metadata act=...` says.
case "$*" in *-version*|*-encoders*) exec ffmpeg "$@";; esac
for arg; do
    case "$arg" in
        act=count) i=0; while [ $i -lt 250 ]; do i=$((i + 1)); echo "line $i" >&2; sleep 0.01; done;;
        act=crash) kill -SEGV $$;;
        act=hang) echo started >&2; exec sleep 60;;
        act=escape) printf 'a\\033[2Jb\\302\\233c\\n' >&2;;
        act=bytes) printf '\\377\\000\\r\\n\\001'; printf '\\376' >&2;;
        act=deaf) trap '' TERM; echo started >&2; sleep 60; sleep 60;;
        act=bye) trap 'echo bye >&2; exit 255' TERM; echo started >&2; sleep 60 & wait;;
        act=exit) exit 42;;
    esac
done
"""


@pytest.fixture(scope="session")
def acting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """A farm whose worker has an ffmpeg that acts."""
    folder = tmp_path_factory.mktemp("acting")
    actor = folder / "actor"
    actor.write_text(ACTOR)
    actor.chmod(0o755)
    with Farm.start(folder / "farm", workers=0) as started:
        started.start_worker("actor", slots=4, ffmpeg=str(actor))
        yield started


def act(what: str) -> list[str]:
    """The command that makes the acting ffmpeg do it. It leaves nothing behind."""
    return ["ffmpeg", "-f", "lavfi", "-i", "x", "-metadata", f"act={what}", "-f", "null", "-"]


@dataclass
class Fake:
    """A coordinator that answers from a script: one step a request, the last one again and again.

    A step is (status, headers, chunks). Chunks are sent one by one; None cuts the connection.
    """

    steps: list[tuple[int, dict[str, str], list[bytes | None]]]
    url: str = ""
    asked: list[tuple[str, str, bytes]] = field(default_factory=list)
    nonces: list[str] = field(default_factory=list)
    created: list[int] = field(default_factory=list)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        self.asked.append((request.command, request.path, body))
        claim = signing.read(
            request.headers["Signature-Input"],
            request.headers["Signature"],
            request.headers["Content-Digest"],
        )
        path, _, query = request.path.partition("?")
        assert signing.verify(claim, SECRET, request.command, path, query)
        assert claim.digest == signing.digest(body)
        self.nonces.append(claim.nonce)
        self.created.append(claim.created)
        status, headers, chunks = self.steps[0] if len(self.steps) == 1 else self.steps.pop(0)
        request.send_response_only(status)
        for name, value in {"Transfer-Encoding": "chunked", **headers}.items():
            request.send_header(name, value)
        request.end_headers()
        for chunk in chunks:
            if chunk is None:
                return
            request.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        request.wfile.write(b"0\r\n\r\n")


def said(
    status: int = 200, answer: Any = None, **headers: str
) -> tuple[int, dict[str, str], list[bytes | None]]:
    """A step with a JSON answer."""
    return status, headers, [json.dumps(answer).encode()]


def lines(*chunks: bytes | None) -> tuple[int, dict[str, str], list[bytes | None]]:
    """A step with the chunks of a log."""
    return 200, {}, list(chunks)


@pytest.fixture
def fake() -> Iterator[Callable[..., Fake]]:
    """Makes coordinators that answer as they are told."""
    with ExitStack() as stack:

        def make(*steps: tuple[int, dict[str, str], list[bytes | None]]) -> Fake:
            one = Fake(list(steps))

            class Handler(BaseHTTPRequestHandler):
                protocol_version = "HTTP/1.1"

                def do_GET(self) -> None:
                    self.close_connection = True
                    one.answer(self)

                do_POST = do_GET  # noqa: N815 (the name that http.server calls)

                def log_message(self, *ignored: object) -> None:
                    return

            server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.server_close)
            stack.callback(server.shutdown)
            one.url = f"http://127.0.0.1:{server.server_port}"
            return one

        yield make


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """The file of the key that fake coordinators know."""
    path = tmp_path / "tester.key"
    path.write_text(f"id {KEY_ID}\nsecret {SECRET.hex()}\n")
    path.chmod(0o600)
    return path
