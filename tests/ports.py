"""Ports for servers of the tests: of this process' own, and none that a connection gets by chance.

A port that the kernel hands out is free until somebody connects to anything at all: a server that is started again
at its port, a moment after it has ended, may find it taken.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import socket
from collections.abc import Iterator


def ports() -> Iterator[int]:
    """Ports below those of the kernel, again and again; each of the processes that share the tests has its own."""
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 8
    own = range(10_000 + 2000 * number, 12_000 + 2000 * number)
    first = random.randrange(len(own))  # beside another run of the tests
    return itertools.cycle([*own[first:], *own[:first]])


PORTS = ports()


def free_port() -> int:
    """A port that nobody listens on, now and as long as the test runs."""
    for port in PORTS:
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("unreachable")
