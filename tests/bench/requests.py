"""Signed requests a second of one coordinator process, over 32 connections and over one.

The load comes from a process of its own that signs all its requests before the clock starts and then only
sends, waits (epoll) and counts answers. Beside it: `GET /livez`, which is not signed and asks nobody, from
the same process in the same run. By turns; the median of the rounds.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

from app.state.store import Store
from app.state.workers import BEAT
from app.web import schema
from app.web.preparing import prepare
from app.wire import keyfile, signing
from app.wire.messages import JOBS, job_path
from tests.bench.figure import Aim, Figure, ratio
from tests.bench.harness import Options, Stage, say
from tests.bench.stats import median

MANY = 32
ROUNDS = 3
COUNTS = {("livez", MANY): 4000, ("show", MANY): 2000, ("submit", MANY): 2000}
COUNTS |= {("livez", 1): 800, ("show", 1): 500, ("submit", 1): 500}
RATE = Aim(3000, at_least=True)
LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)


def run(options: Options) -> Iterator[Figure]:
    """The figures."""
    with Stage(options) as stage:
        port, key = stage.web(), str(stage.key("caller", "client"))
        job_id = stage.ask(lambda store: _someone_qualifies(stage, store))
        rounds = ROUNDS * (5 if options.long else 1)
        side = stage.side(load, port=port, key=key, job_id=job_id, rounds=rounds)
        while not side.speaks_within(BEAT):
            stage.ask(_beat)
        rates: dict[str, list[float]] = side.hear()
    for connections in (MANY, 1):
        bare = median(rates[f"livez {connections}"])
        for what in ("show", "submit"):
            value = median(rates[f"{what} {connections}"])
            name = f"requests.{what}.{connections}"
            aim = RATE if connections == MANY else None
            yield ratio(name, value, "/s", bare, "GET /livez, not signed", aim)


def load(url: str, port: int, key: str, job_id: str, rounds: int) -> None:
    """Asks and asks; says how many answers a second, for each kind of request and number of connections."""
    rates: dict[str, list[float]] = {}
    with open(key, encoding="utf-8") as file:
        signer = _Signer(keyfile.parse(file.read()), job_id)
    for number in range(rounds + 1):
        for (what, connections), count in COUNTS.items():
            count = count if number else count // 10  # the first round warms up
            rate = _drive(port, connections, [getattr(signer, what)() for _ in range(count)])
            if number:
                rates.setdefault(f"{what} {connections}", []).append(rate)
    say(rates)


class _Signer:
    """Makes whole requests, each with a nonce of its own."""

    def __init__(self, key: keyfile.Key, job_id: str) -> None:
        self._key = key
        self._target = job_path(job_id)

    def livez(self) -> bytes:
        return _request("GET", "/livez", b"", [])

    def show(self) -> bytes:
        return self._signed("GET", self._target, b"")

    def submit(self) -> bytes:
        body = {"key": os.urandom(16).hex(), "binary": "ffmpeg", "args": ["-version"]}
        return self._signed("POST", JOBS, json.dumps(body).encode())

    def _signed(self, method: str, target: str, body: bytes) -> bytes:
        nonce = signing.new_nonce(os.urandom(16))
        key = self._key
        created = int(time.time())
        return _request(
            method,
            target,
            body,
            signing.sign(key.id, key.secret, method, target, body, created=created, nonce=nonce),
        )


def _request(method: str, target: str, body: bytes, headers: list[tuple[str, str]]) -> bytes:
    lines = [
        f"{method} {target} HTTP/1.1",
        "Host: 127.0.0.1",
        *(f"{name}: {value}" for name, value in headers),
    ]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _drive(port: int, connections: int, requests: list[bytes]) -> float:
    """Answers a second when every connection sends its next request as soon as it has an answer."""
    waiting = select.epoll()
    following = iter(requests).__next__
    lines = [_Line(port, following) for _ in range(connections)]
    by_number = {line.socket.fileno(): line for line in lines}
    for number in by_number:
        waiting.register(number, select.EPOLLIN)
    began, left = time.perf_counter(), len(requests)
    for line in lines:
        line.ask()
    while left:
        for number, _ in waiting.poll():
            left -= by_number[number].hear()
    took = time.perf_counter() - began
    for line in lines:
        line.socket.close()
    waiting.close()
    return len(requests) / took


class _Line:
    """One connection: a request in the air at a time."""

    def __init__(self, port: int, following: Callable[[], bytes]) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._following = following
        self._heard = b""
        self._size = 0

    def ask(self) -> None:
        """Sends the next request, if there is one."""
        with contextlib.suppress(StopIteration):
            self.socket.sendall(self._following())

    def hear(self) -> bool:
        """Reads; True when that was the end of an answer."""
        self._heard += self.socket.recv(65_536)
        if not self._size:
            head = self._heard.find(b"\r\n\r\n")
            found = LENGTH.search(self._heard)
            if head < 0 or not found:
                return False
            if not self._heard.startswith(b"HTTP/1.1 20"):
                raise ValueError(self._heard.decode("latin-1"))
            self._size = head + 4 + int(found[1])
        if len(self._heard) < self._size:
            return False
        self._heard, self._size = b"", 0
        self.ask()
        return True


async def _someone_qualifies(stage: Stage, store: Store) -> str:
    """Makes a job to look at and a worker that could run such jobs and takes none; the job's id."""
    about: dict[str, Any] = {"binaries": {"ffmpeg": "0"}, "roots": [], "encoders": [], "labels": {}}
    await store.workers.register("idle", "boot", about)
    body = json.dumps({"key": "key-of-this-one", "binary": "ffmpeg", "args": ["-version"]}).encode()
    return (await stage.jobs(store).submit(prepare(schema.decode(body, schema.Submission), "caller"))).id


async def _beat(store: Store) -> None:
    """That worker still lives: submissions are answered as they usually are."""
    await store.leases("idle", "boot").beat(0, list(await store.workers.classes()), {})
