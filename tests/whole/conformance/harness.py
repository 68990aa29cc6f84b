"""Every case of the conformance checklist twice: by the real program, and by the stand-in through a farm.

    def case(side: Side) -> Ending:
        side.film()                                        # <root>/<item>/real/in.mkv, and .../shim/in.mkv
        return side.run("-i", side / "in.mkv", side / "out.mp4")

    pair.same(case)

`same` runs the case on both sides at once, each in a folder of its own, and compares what it returns (statuses,
bytes) and the files that are there afterwards. The folders' names are equally long, so sizes are equal too. It
also demands that the farm made a job for each call, or else a call that fell back to the local program would
pass for one that was served.

The worker has the root at another path, and the client's path is not there for it.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Self, TypeVar

import pytest
from redis import Redis

from app.state.keys import Keys
from tests.farm import Farm, until
from tests.whole.tools import ffmpegs

T = TypeVar("T")

ALL_MODES = pytest.StashKey[bool]()  # set by `make conformance`
FARM, LOCAL, ANYWHERE = "farm", "local", "anywhere"  # where a case's calls have to run

SOURCE = ["-f", "lavfi", "-i", "testsrc=s=64x64:r=25"]  # endless; RAW_SECOND bytes a second as rgb24
RAW_SECOND = 64 * 64 * 3 * 25
QUIET = ["-v", "error", "-nostdin"]
LONG = 60.0  # seconds after which a call hangs

REPORT = re.compile(rb"(?:frame=|size=|Lsize=)[^\r\n]*?(?:speed=|bitrate=)[^\r\n]*[\r\n]")
VARYING = (
    (re.compile(rb"0x[0-9a-f]+"), b"0x"),
    (re.compile(rb"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+Z?)?"), b"DATE"),
    (re.compile(rb"(bench: [a-z]*time=)[\d.]+s?"), rb"\1"),
)
SIDE = re.compile(rb"([/-])shim([/-])")  # in escaped paths, and in marks
PACKETS: dict[str, str] = {}  # hash of a film's bytes: what `packets` has said of it
DIGEST_ABOVE = 1 << 15  # longer bytes are compared by their hash: a diff of them helps nobody


@dataclass(frozen=True)
class Ending:
    """How a call ended: its wait status as Popen has it, and what it wrote."""

    status: int
    out: bytes = b""
    err: bytes = b""


@dataclass
class Feed:
    """Collects what a process writes to a pipe, and when."""

    stream: IO[bytes]
    chunks: list[tuple[float, bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            while data := os.read(self.stream.fileno(), 1 << 16):
                self.chunks.append((time.monotonic(), data))
        except (OSError, ValueError):  # it was closed
            return

    @property
    def data(self) -> bytes:
        """All of it so far."""
        return b"".join(data for _, data in self.chunks)

    def until(self, text: bytes, within: float = 40.0) -> bytes:
        """What has come once that text has come."""
        until(lambda: text in self.data, within)
        return self.data

    def end(self) -> bytes:
        """All of it, once the writer has gone."""
        self._thread.join(LONG)
        return self.data


class Side:
    """One of the two: its programs, and its folder in the root. `side / "a.mkv"` is a file there."""

    def __init__(self, name: str, folder: Path, programs: Path, environ: dict[str, str]) -> None:
        folder.mkdir(parents=True)
        self.name = name
        self.folder = folder
        self.programs = programs
        self.environ = environ
        self.calls = 0
        self.started: list[subprocess.Popen[bytes]] = []

    def __truediv__(self, name: str) -> Path:
        return self.folder / name

    @property
    def is_shim(self) -> bool:
        return self.name == "shim"

    def program(self, binary: str = "ffmpeg") -> Path:
        """The path of the program that this side calls ffmpeg."""
        return self.programs / binary

    def start(
        self,
        *args: object,
        binary: str = "ffmpeg",
        before: Sequence[str | Path] = (),
        env: dict[str, str] | None = None,
        **options: Any,
    ) -> subprocess.Popen[bytes]:
        """Starts a call: in this side's folder, with pipes for its output and nothing for its input.

        `before` is what stands before it on the command line: `nice -n 10`.
        """
        self.calls += 1
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        command = [*map(str, before), str(self.program(binary)), *map(str, args)]
        settings = {"cwd": self.folder, "env": {**self.environ, **(env or {})}, **pipes, **options}
        started = subprocess.Popen(command, bufsize=0, **settings)
        self.started.append(started)
        return started

    def run(self, *args: object, send: bytes | None = None, within: float = LONG, **options: Any) -> Ending:
        """A call to its end; `send` is its whole standard input."""
        if send is not None:
            options["stdin"] = subprocess.PIPE
        return self.finish(self.start(*args, **options), send, within)

    def finish(
        self, call: subprocess.Popen[bytes], send: bytes | None = None, within: float = LONG
    ) -> Ending:
        """Waits until a call has ended. Fails the test when that takes too long."""
        try:
            out, err = call.communicate(send, timeout=within)
        except subprocess.TimeoutExpired:
            call.kill()
            _, err = call.communicate()
            raise AssertionError(f"{self.name} has not ended in {within} s: {err[-500:]!r}") from None
        return Ending(call.returncode, out or b"", err or b"")

    def marked(self, text: str) -> list[str]:
        """An option that marks a command, so that `remote` finds its process."""
        return ["-metadata", f"comment={self.mark(text)}"]

    def mark(self, text: str) -> str:
        """The word in the command: of this call, this case and this process."""
        return f"{text}-{self.name}-{self.folder.parent.name}-{os.getpid()}"

    def remote(self, text: str) -> int:
        """The process id of the real ffmpeg that runs the marked command, on whichever host."""
        return until(lambda: ffmpegs(self.mark(text)))[0]

    def is_running(self, text: str) -> bool:
        """Whether a real ffmpeg runs the marked command."""
        return bool(ffmpegs(self.mark(text)))

    def make(self, *args: object) -> None:
        """Makes material with the real program, in this side's folder."""
        command = [real("ffmpeg"), "-v", "error", "-y", *map(str, args)]
        done = subprocess.run(command, cwd=self.folder, stdin=subprocess.DEVNULL, capture_output=True)
        assert done.returncode == 0, done.stderr

    def film(self, name: str = "in.mkv") -> Path:
        """Four seconds with sound, as the checklist's setup has them: a copy in this side's folder."""
        shutil.copyfile(self.folder.parent.parent / "in.mkv", self.folder / name)
        return self.folder / name

    def write(self, name: str, text: str) -> Path:
        """A text file in this side's folder."""
        (self.folder / name).write_text(text)
        return self.folder / name

    def end(self) -> None:
        """Ends what still runs."""
        for started in self.started:
            if started.poll() is None:
                started.send_signal(signal.SIGCONT)
                started.kill()
            started.wait()
            for stream in (started.stdin, started.stdout, started.stderr):
                if stream:
                    stream.close()
        self.started.clear()


@dataclass
class Pair:
    """The two sides of one case."""

    real: Side
    shim: Side
    farm: Farm
    seen: set[str] = field(default_factory=set)

    @classmethod
    def on(cls, farm: Farm, item: str) -> Self:
        """A pair in a new folder of the farm's root."""
        folder = farm.client_root / item
        environ = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("FFGRID_", "XDG_", "AV_LOG", "FFREPORT"))
        } | {"HOME": str(farm.folder / "home")}
        programs = Path(real("ffmpeg")).parent
        # Without the cache of answers: a case that an earlier one has answered would not be served.
        quiet = environ | {"FFGRID_CACHE": "", "FFGRID_WAIT": "never"}
        return cls(
            Side("real", folder / "real", programs, environ),
            Side("shim", folder / "shim", farm.folder / "bin", quiet),
            farm,
        )

    def same(self, case: Callable[[Side], T], where: str = FARM) -> tuple[T, T]:
        """Runs the case on both sides and compares all there is; what it returned on (real, shim)."""
        told = self.both(case, where)
        assert not (differs := differences(normal(told[0], self.real), normal(told[1], self.shim))), differs
        assert not (differs := differences(tree(self.real), tree(self.shim))), differs
        return told

    def both(self, case: Callable[[Side], T], where: str = FARM) -> tuple[T, T]:
        """The same without comparing: for cases that look at what cannot be equal."""
        before, calls = self.jobs(), self.shim.calls
        pool = ThreadPoolExecutor(2)
        try:
            running = [pool.submit(case, side) for side in (self.real, self.shim)]
            told = running[0].result(100), running[1].result(100)
        finally:
            self.end()
            pool.shutdown(wait=False, cancel_futures=True)
        self.ran(where, self.shim.calls - calls, before)
        return told

    def alone(self, case: Callable[[Side], T], where: str = FARM) -> T:
        """Runs it by the stand-in only."""
        before, calls = self.jobs(), self.shim.calls
        told = case(self.shim)
        self.ran(where, self.shim.calls - calls, before)
        return told

    def ran(self, where: str, calls: int, before: set[str]) -> None:
        """Checks that so many calls have run where they have to; notes where they did."""
        new = self.jobs() - before
        taken = [job for job in new if self._hash(job).get(b"attempt", b"0") != b"0"]
        self.seen.add(FARM if new else LOCAL)
        if where == FARM:
            assert (len(new), len(taken)) == (calls, calls), (
                f"of {calls} calls the farm has served {len(taken)}"
            )
        elif where == LOCAL:
            assert not new, f"the farm has got {len(new)} of {calls} calls that have to run on their own host"

    def jobs(self) -> set[str]:
        """The ids of all jobs that there ever were."""
        with Redis.from_url(self.farm.redis_url) as redis:
            return {job.decode() for job in redis.zrange(Keys().jobs, 0, -1)}

    def _hash(self, job: str) -> dict[bytes, bytes]:
        with Redis.from_url(self.farm.redis_url) as redis:
            return dict(redis.hgetall(Keys().job(job)))

    def end(self) -> None:
        """Ends what still runs on both sides."""
        self.real.end()
        self.shim.end()


def other_user() -> list[str]:
    """What starts a program as a user and a group that have no names, and who may still open all of these files.

    Root becomes another user; anybody else gets another number in a namespace.
    """
    if os.geteuid() == 0:
        ids = ["--reuid", "54321", "--regid", "54321", "--clear-groups"]
        return ["setpriv", *ids, "--inh-caps", "+dac_override", "--ambient-caps", "+dac_override", "--"]
    return ["unshare", "--user", "--map-user=54321", "--map-group=54321", "--"]


def real(binary: str) -> str:
    """The path of the real program."""
    found = shutil.which(binary)
    assert found, f"{binary} is not installed: run `make test`, which installs it"
    return found


def differences(near: Any, far: Any) -> str:
    """What is not equal, as lines: those of the real program with a minus, those of the stand-in with a plus."""
    if near == far:
        return ""
    found = list(
        difflib.unified_diff(list(lines(near)), list(lines(far)), "real", "stand-in", lineterm="", n=0)
    )
    return "\n".join(line[:500] for line in found[:40]) or f"{near!r} is not {far!r}"


def lines(told: Any, name: str = "") -> Iterator[str]:
    """What a case returned, a line each for everything that can differ."""
    if isinstance(told, Ending):
        told = {"status": told.status, "stdout": told.out, "stderr": told.err}
    if isinstance(told, dict):
        for key, value in told.items():
            yield from lines(value, f"{name} {key!s}")
    elif isinstance(told, list):
        for number, value in enumerate(told):
            yield from lines(value, f"{name} {number}")
    elif isinstance(told, bytes):
        yield from (f"{name}: {line!r}" for line in told.splitlines(keepends=True))
    else:
        yield f"{name}: {told!r}"


def normal(told: Any, side: Side) -> Any:
    """What a case returned without what may differ between two runs of one program."""
    if isinstance(told, Ending):
        return Ending(told.status, normal(told.out, side), messages(normal_bytes(told.err, side)))
    if isinstance(told, dict):
        return {normal(key, side): normal(value, side) for key, value in told.items()}
    if isinstance(told, list | tuple):
        return [normal(one, side) for one in told]
    if isinstance(told, bytes):
        found = normal_bytes(told, side)
        return (len(found), hashlib.sha256(found).hexdigest()) if len(found) > DIGEST_ABOVE else found
    if isinstance(told, str):
        return told.replace(str(side.folder), "$R")
    return told


def normal_bytes(data: bytes, side: Side) -> bytes:
    """The same bytes with another name for the side's folder, of whatever escaping its name has got."""
    return SIDE.sub(rb"\1real\2", data.replace(os.fsencode(side.folder), b"$R"))


def messages(err: bytes) -> bytes:
    """What ffmpeg said, without its reports of progress: only whether there were any."""
    for pattern, instead in VARYING:
        err = pattern.sub(instead, err)
    said = REPORT.sub(b"", err)
    return said + b"(and reports)" if said != err else said


def tree(side: Side) -> dict[str, Any]:
    """All files below the side's folder: kind, mode, size and content (that of films by packets)."""
    return {str(path.relative_to(side.folder)): _entry(path, side) for path in sorted(side.folder.rglob("*"))}


def _entry(path: Path, side: Side) -> tuple[Any, ...]:
    if path.is_symlink():
        return "link", normal(os.readlink(path), side)
    mode = oct(path.stat().st_mode & 0o7777)
    if path.is_dir():
        return "folder", mode
    data = normal_bytes(path.read_bytes(), side)
    digest = hashlib.sha256(data).hexdigest()
    if not is_film(path):
        return mode, len(data), digest
    if digest not in PACKETS:  # a library is many copies of a film
        PACKETS[digest] = packets(path)
    return mode, len(data), PACKETS[digest]


def is_film(path: Path) -> bool:
    """Whether two of them can have the same content and other bytes."""
    return path.suffix in (".mkv", ".mka", ".mks", ".webm")


def packets(path: Path) -> str:
    """A hash over all packets of a film and their times."""
    command = [
        real("ffmpeg"),
        "-v",
        "error",
        "-i",
        f"file:{path}",
        "-map",
        "0",
        "-c",
        "copy",
        "-f",
        "framemd5",
        "-",
    ]
    done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL)
    return hashlib.sha256(done.stdout).hexdigest() if done.stdout else f"no film: {done.stderr!r}"


def is_playable(path: Path) -> bool:
    """Whether a film is whole: it decodes to its end without a word, and knows how long it is."""
    command = [real("ffprobe"), "-v", "error", "-count_frames", "-show_entries", "format=duration", str(path)]
    done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL)
    return (done.returncode, done.stderr) == (0, b"") and b"duration=N/A" not in done.stdout


def frame(err: bytes) -> int:
    """The number of frames in the last report."""
    found = re.findall(rb"frame= *(\d+)", err)
    return int(found[-1]) if found else 0
