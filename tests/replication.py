"""Servers over TCP: a master, its replicas, and a Sentinel that makes one of them the master when it must."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from tests.conftest import server_binary
from tests.ports import free_port

NAME = "ffgrid"  # of the master, for Sentinel
DOWN_MS = 600  # silence after which the Sentinel takes a server for dead
USUAL = ("--save", "", "--enable-debug-command", "local", "--repl-diskless-sync-delay", "0")


@dataclass
class Server:
    """One server in a folder of its own, or a Sentinel where `watch` has configured one."""

    kind: str
    folder: Path
    port: int
    options: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self, *options: str) -> None:
        """Starts it, again too, and waits until it listens."""
        command = [server_binary(self.kind), *self._command(), *self.options, *options]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_for(self._listens)

    def ask(self, *command: Any) -> Any:
        """What it answers. Raises what redis-py raises."""
        with Redis(port=self.port, socket_timeout=5, retry_on_error=[]) as client:
            return client.execute_command(*command)

    def says(self, section: str, name: str) -> Any:
        """One value of INFO, or None while it does not answer."""
        try:
            return self.ask("INFO", section).get(name)
        except RedisError:
            return None

    def differs(self, section: str, name: str, value: Any) -> bool:
        """Whether INFO says something else."""
        return bool(self.says(section, name) != value)

    def freeze(self) -> None:
        """It is there and says nothing."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """As if its host had lost power, but for what the kernel has."""
        self.process.kill()
        self.process.wait()

    def _command(self) -> list[str]:
        sentinel = self.folder / "sentinel.conf"
        if sentinel.exists():
            return [str(sentinel), "--port", str(self.port), "--sentinel"]
        return ["--port", str(self.port), "--dir", str(self.folder), *USUAL]

    def _listens(self) -> bool:
        assert self.process.poll() is None, (self.folder / "log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class Replication:
    """A master and its replicas, in step; with `watched` a Sentinel too. A context."""

    def __init__(
        self, folder: Path, kind: str, replicas: int = 1, watched: bool = False, options: tuple[str, ...] = ()
    ) -> None:
        self._servers: list[Server] = []
        self.master = self._add(Server(kind, folder / "master", free_port(), options))
        follow = ("--replicaof", "127.0.0.1", str(self.master.port), *options)
        self.replicas = [
            self._add(Server(kind, folder / f"replica-{number}", free_port(), follow))
            for number in range(replicas)
        ]
        self.sentinel = self._add(watch(kind, folder / "sentinel", self.master.port)) if watched else None

    def __enter__(self) -> Replication:
        wait_for(lambda: all(one.says("replication", "master_link_status") == "up" for one in self.replicas))
        if self.sentinel:
            wait_for(lambda: len(self._known()) == len(self.replicas))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in reversed(self._servers):
            server.thaw()
            server.kill()

    @property
    def url(self) -> str:
        """The address that goes through the Sentinel. The first of the two hosts is not there."""
        assert self.sentinel
        return f"redis+sentinel://127.0.0.1:9,127.0.0.1:{self.sentinel.port}/{NAME}"

    def fail_over(self) -> Server:
        """Kills the master and waits until a replica is in its place, which this gives."""
        self.master.kill()
        return self.successor()

    def successor(self) -> Server:
        """Waits until a replica is the master, for the Sentinel and for itself; gives it."""
        wait_for(lambda: any(self._leads(one) for one in self.replicas))
        (leader,) = filter(self._leads, self.replicas)
        return leader

    def _leads(self, server: Server) -> bool:
        return self._master_port() == server.port and not server.differs("replication", "role", "master")

    def _master_port(self) -> int:
        assert self.sentinel
        return int(self.sentinel.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME)[1])

    def _known(self) -> list[Any]:
        assert self.sentinel
        return list(self.sentinel.ask("SENTINEL", "REPLICAS", NAME))

    def _add(self, server: Server) -> Server:
        self._servers.append(server)
        return server


def watch(kind: str, folder: Path, master_port: int, *more: str) -> Server:
    """A Sentinel that watches this master, and needs nobody's consent to replace it; `more` lines configure it."""
    folder.mkdir(parents=True)
    lines = (
        f"dir {folder}",
        f"sentinel monitor {NAME} 127.0.0.1 {master_port} 1",
        f"sentinel down-after-milliseconds {NAME} {DOWN_MS}",
        f"sentinel failover-timeout {NAME} 4000",
        *more,
    )
    (folder / "sentinel.conf").write_text("\n".join(lines) + "\n")
    return Server(kind, folder, free_port())


def wait_for(condition: Callable[[], object], within: float = 20.0) -> None:
    """Returns once it holds."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"waited {within} s for {condition}"
        time.sleep(0.02)
