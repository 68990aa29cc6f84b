"""Two real coordinator processes on each kind of server, and callers that say to them what they like.

pair   the processes, for all tests of this folder that break nothing
site   the same with an empty Redis, a key of each role, and the test as the worker
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import secrets
import socket
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from app.state.clients import Client, Master
from app.state.jobs import Jobs
from app.state.leases import Lease, Leases
from app.state.seal import Seal
from app.state.store import Store
from app.wire import attach as frames
from app.wire import signing, websocket
from app.wire.messages import JOBS, job_path
from tests.farm import Farm

Headers = list[tuple[str, str]]

ABOUT: dict[str, Any] = {
    "host": "den",
    "slots": 4,
    "roots": ["Movies", "TV"],
    "binaries": {"ffmpeg": "7.1", "ffprobe": "7.1"},
    "encoders": ["libx264"],
    "labels": {},
}
INPUT: list[Any] = ["-i", [{"root": "Movies"}, "/a.mkv"], "-f", "null", "-"]


@dataclass(frozen=True)
class Answer:
    """What came back; status 0 when the connection ended without a word, or nothing came in time."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)

    @property
    def type(self) -> str:
        """The problem's short name. Fails the test when this is no problem document."""
        assert self.headers["content-type"] == "application/problem+json", self
        problem = self.json
        assert problem["status"] == self.status
        assert problem["title"]
        return str(problem["type"]).removeprefix("urn:ffgrid:")

    @property
    def detail(self) -> str:
        """The problem's sentence for people."""
        assert self.type
        return str(self.json["detail"])


@dataclass(frozen=True)
class Key:
    """A client's key."""

    id: str
    secret: bytes

    def sign(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        *,
        created: int | None = None,
        nonce: str = "",
    ) -> Headers:
        """The three headers that sign a request."""
        return signing.sign(
            self.id,
            self.secret,
            method,
            target,
            body,
            created=int(time.time()) if created is None else created,
            nonce=nonce or secrets.token_hex(16),
        )


NOBODY = Key("nobody", bytes(32))


def request(
    method: str,
    target: str,
    headers: Headers,
    body: bytes = b"",
    *,
    host: str = "localhost",
    length: bool = True,
) -> bytes:
    """A request's bytes; nothing in it is checked."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
    if length and (body or method == "POST"):
        lines.append(f"Content-Length: {len(body)}")
    lines += [f"{name}: {value}" for name, value in headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def dial(port: int, within: float = 15.0) -> socket.socket:
    """A connection to a coordinator."""
    return socket.create_connection(("127.0.0.1", port), timeout=within)


def listen(connection: socket.socket, method: str = "GET") -> Answer:
    """One answer. Status 0 when none comes."""
    response = http.client.HTTPResponse(connection, method=method)
    try:
        response.begin()
        body = response.read()
    except (http.client.HTTPException, OSError):
        return Answer(0)
    finally:
        response.close()
    return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, body)


def say(port: int, data: bytes, within: float = 15.0) -> Answer:
    """Sends these bytes over a connection of their own; the answer."""
    with dial(port, within) as connection:
        with contextlib.suppress(OSError):  # it has been answered already: the rest is not wanted
            connection.sendall(data)
        return listen(connection, data[:4].decode("latin-1").strip())


def ask(
    port: int,
    key: Key,
    method: str,
    target: str,
    body: Any = b"",
    more: Headers | None = None,
    within: float = 15.0,
) -> Answer:
    """A signed request as it should be; a body that is no bytes is sent as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return say(
        port, request(method, target, [*(more or []), *key.sign(method, target, content)], content), within
    )


def submission(**changes: Any) -> dict[str, Any]:
    """A submission that differs from every other."""
    return {"key": secrets.token_hex(8), "binary": "ffmpeg", "args": INPUT, **changes}


def attach_path(job_id: str, after: int | str = 0) -> str:
    """Where a job's streams are."""
    return f"{job_path(job_id, 'attach')}?after={after}"


def handshake(key: Key | None, target: str, method: str = "GET", headers: Headers | None = None) -> bytes:
    """A request to attach."""
    asked, _ = websocket.handshake_headers(os.urandom(16))
    signed = key.sign(method, target) if key else []
    return request(method, target, [*asked, *signed, *(headers or [])], length=False)


class Attached:
    """A caller's end of an attach stream."""

    def __init__(self, port: int, key: Key, job_id: str, after: int = 0) -> None:
        self.socket = dial(port)
        self._decoder = websocket.Decoder()
        self._messages: list[tuple[int, bytes]] = []
        self.closed: int | None = None
        self.socket.sendall(handshake(key, attach_path(job_id, after)))
        head = b""
        while b"\r\n\r\n" not in head:
            data = self.socket.recv(4096)
            assert data, f"no answer, but {head!r}"
            head += data
        head, _, rest = head.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head
        self._messages += self._decoder.feed(rest)

    def __enter__(self) -> Attached:
        return self

    def __exit__(self, *ignored: object) -> None:
        self.cut()

    def send(self, kind: bytes, number: int, payload: bytes = b"") -> None:
        """Sends a frame."""
        self.message(frames.encode(kind, number, payload))

    def message(self, payload: bytes, opcode: int = websocket.BINARY) -> None:
        """Sends a message, whatever is in it."""
        self.socket.sendall(websocket.encode(payload, os.urandom(4), opcode))

    def receive(self) -> tuple[bytes, int, bytes] | None:
        """The next frame; None once the coordinator has closed, and then `closed` is the code."""
        while not self._messages:
            data = self.socket.recv(65_536)
            if not data:
                return None
            self._messages += self._decoder.feed(data)
        opcode, payload = self._messages.pop(0)
        if opcode == websocket.CLOSE:
            self.closed = int.from_bytes(payload[:2], "big")
            return None
        assert opcode == websocket.BINARY
        return frames.decode(payload)

    def rest(self) -> list[tuple[bytes, int, bytes]]:
        """All frames up to the exit, or to the close."""
        received = []
        while frame := self.receive():
            received.append(frame)
            if frame[0] == frames.EXIT:
                break
        return received

    def say_goodbye(self, code: int = 1000) -> None:
        """Sends the close frame."""
        self.message(code.to_bytes(2, "big"), websocket.CLOSE)

    def cut(self) -> None:
        """Closes the connection, as a kernel does for a process that has died."""
        self.socket.close()


@dataclass
class Site:
    """Two coordinators on a Redis of the test's own, a key of each role, and the test as the worker."""

    farm: Farm
    store: Store
    master: Master
    client: Key = NOBODY
    admin: Key = NOBODY
    worker: Key = NOBODY

    @property
    def jobs(self) -> Jobs:
        """The jobs, as a coordinator sees them."""
        return self.store.jobs(self.seal)

    @property
    def seal(self) -> Seal:
        """What this installation seals with."""
        return Seal(self.master.seal_key())

    def port(self, web: int = 0) -> int:
        """Where one of the coordinators listens."""
        return self.farm.webs[web].port

    async def key(self, name: str, role: str = "client", networks: tuple[str, ...] = ()) -> Key:
        """A new key."""
        return self.key_of(await self.store.clients.add(name, role, networks))

    def key_of(self, client: Client) -> Key:
        """The key of this record, as it is now."""
        return Key(client.id, self.master.secret(client.id, client.role, client.version))

    def ask(self, method: str, target: str, body: Any = b"", key: Key | None = None, web: int = 0) -> Answer:
        """A signed request, by the client if nobody else is named."""
        return ask(self.port(web), key or self.client, method, target, body)

    def submit(self, key: Key | None = None, web: int = 0, **changes: Any) -> str:
        """The id of a new job."""
        answer = self.ask("POST", JOBS, submission(**changes), key, web)
        assert answer.status == 201, answer
        return str(answer.json["id"])

    async def hire(self, name: str = "w1", **about: Any) -> Leases:
        """A live worker, played by the test."""
        boot = secrets.token_hex(6)
        await self.store.workers.register(name, boot, {**ABOUT, **about})
        return self.store.leases(name, boot)

    async def take(self, worker: Leases, job_id: str) -> Lease:
        """The worker's lease on this queued job."""
        job = await self.jobs.get(job_id)
        (lease,) = await worker.claim([self.store.keys.queue(job.cls, job.lane)], 1)
        assert lease.id == job_id
        return lease

    async def end(self, job_id: str, event: str = "succeed", status: int = 0) -> None:
        """Runs the job to its end."""
        worker = await self.hire(f"runner-{secrets.token_hex(3)}")
        lease = await self.take(worker, job_id)
        await worker.finish(lease, event, {"exit": status})
        await self.store.workers.retire(worker.worker, worker.boot)

    async def count(self) -> int:
        """How many jobs there are."""
        return int(await self.store.redis.zcard(self.store.keys.jobs))


async def open_site(farm: Farm) -> Site:
    """The site of this farm, with nothing in its Redis but a key of each role."""
    site = Site(farm, Store(farm.redis_url), Master.load(farm.folder / "master"))
    await site.store.redis.flushall()
    site.client, site.admin = await site.key("client"), await site.key("admin", "admin")
    site.worker = await site.key("worker", "worker")
    return site


@pytest.fixture(scope="package")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Farm]:
    """Two coordinators without a worker. One kind of server will do: app/state's own tests have both."""
    with Farm.start(tmp_path_factory.mktemp("pair"), workers=0) as farm:
        yield farm


@pytest.fixture
async def site(pair: Farm) -> AsyncIterator[Site]:
    """The coordinators with an empty Redis."""
    site = await open_site(pair)
    yield site
    await site.store.close()


@pytest.fixture
async def own_site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """The same for one test that breaks something."""
    with Farm.start(tmp_path_factory.mktemp("own"), workers=0) as farm:
        site = await open_site(farm)
        yield site
        await site.store.close()
