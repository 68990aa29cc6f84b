"""The farm that a run under faults happens to: coordinators behind a balancer, workers behind gates, a small disk.

Each fault of `plan.FAULTS` has two halves here, `begin` and `end`. What has died in between is started again.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable

from redis.exceptions import RedisError

from tests.bench.harness import FFGRID, ROOT
from tests.bench.timing import Broken, wait_until
from tests.chaos.plan import WEBS, WORKERS, Fault
from tests.chaos.scene import Scene
from tests.farm import answers
from tests.ports import free_port

BALANCER = ROOT / "deploy" / "haproxy.cfg"
WHERE = "/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin"
SLOTS = 3
SMALL, SIZE = "small", 8 << 20  # the disk that gets full, and its bytes


class World(Scene):
    """A context. `proxy` is the port that clients know."""

    def __enter__(self) -> World:
        super().__enter__()
        try:
            self._build()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _build(self) -> None:
        self.disk = self.mount(SMALL, SIZE)
        self.ports = [free_port() for _ in range(WEBS)]
        self.webs = [self._web(port) for port in self.ports]
        self.members = [self.launch(f"w{number}", SLOTS, gated=True) for number in range(WORKERS)]
        self.proxy = self._balancer()
        self.until_live(member.name for member in self.members)
        self._drained: set[int] = set()

    def _web(self, port: int) -> subprocess.Popen[bytes]:
        return self.start([*FFGRID, "web", "--port", str(port)], self.environment())

    def _balancer(self) -> int:
        """The port of the balancer of deploy/, in front of these coordinators."""
        program = shutil.which("haproxy", path=WHERE)
        if not program:
            raise Broken("haproxy is not installed: `make chaos` installs it")
        port = free_port()
        places = dict(zip(("8080", "8001", "8002"), (port, *self.ports), strict=True))
        text = re.sub(r"127\.0\.0\.1:(\d+)", lambda at: f"127.0.0.1:{places[at[1]]}", BALANCER.read_text())
        (self.folder / "proxy.cfg").write_text(text)
        self.start([program, "-db", "-f", self.folder / "proxy.cfg"], os.environ)
        wait_until(lambda: answers(f"http://127.0.0.1:{port}/readyz"), "no coordinator is ready")
        return port

    # Faults

    def begin(self, fault: Fault) -> None:
        """It happens."""
        self._halves(fault)[0]()

    def end(self, fault: Fault) -> None:
        """It is over."""
        self._halves(fault)[1]()

    def revive(self) -> None:
        """Starts again the workers that have ended by themselves, as they were asked to."""
        for number in list(self._drained):
            self._again(number)

    def heal(self) -> None:
        """Everything lives, and is connected."""
        if self.redis.poll() is not None:
            self.start_redis()
        for number, member in enumerate(self.members):
            if number in self._drained:
                self.stop(member.process)
            member.thaw()
            member.join()
            self._again(number)
        for number, web in enumerate(self.webs):
            if web.poll() is not None:
                self.webs[number] = self._web(self.ports[number])
        self._empty()
        self.until_live(member.name for member in self.members)

    def _halves(self, fault: Fault) -> tuple[Callable[[], object], Callable[[], object]]:
        number, milliseconds = fault.number, int(fault.lasts * 1000)
        return {
            "kill worker": (
                lambda: self.stop(self.members[number].process),
                lambda: self._again(number),
            ),
            "freeze worker": (lambda: self.members[number].freeze(), lambda: self.members[number].thaw()),
            "cut worker": (lambda: self.members[number].cut(), lambda: self.members[number].join()),
            "drain worker": (lambda: self._drain(number), lambda: None),
            "kill web": (lambda: self.stop(self.webs[number]), lambda: self._web_again(number)),
            "kill redis": (self.kill_redis, self.start_redis),
            "pause redis": (lambda: self._tell("CLIENT", "PAUSE", milliseconds, "ALL"), lambda: None),
            "flush scripts": (lambda: self._tell("SCRIPT", "FLUSH"), lambda: None),
            "fill disk": (self._fill, self._empty),
        }[fault.what]

    def _tell(self, *words: str | int) -> None:
        try:
            self.command(*words)
        except RedisError:
            return  # it is down: that is another fault

    def _again(self, number: int) -> None:
        """Starts the worker again if it has ended."""
        if self.members[number].process.poll() is not None:
            self._drained.discard(number)
            self.members[number] = self.restart(self.members[number].name)

    def _web_again(self, number: int) -> None:
        self.webs[number] = self._web(self.ports[number])

    def _drain(self, number: int) -> None:
        self.members[number].process.send_signal(signal.SIGTERM)
        self._drained.add(number)

    def _fill(self) -> None:
        """Nobody else can write there any more."""
        try:
            with (self.disk / "full").open("wb") as file:
                while True:
                    file.write(bytes(4096))
                    file.flush()
        except OSError:
            return

    def _empty(self) -> None:
        (self.disk / "full").unlink(missing_ok=True)
