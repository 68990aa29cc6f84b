"""Mount namespaces in which a job finds each root where its caller has it, and nothing else of this host.

    bwrap --bind /srv/nas/films /media/movies ... cat     holds the namespace; made once for each caller's view
    nsenter --target PID --mount ... ffmpeg ...           enters it: 1.5 ms, and ffmpeg is our own child, so that
                                                          its signals and its exit status are exact

A job is in a user namespace too, also one of root: else it could go through /proc/PID/root of any process of
its user into this host's files. Works as root, and without root where user namespaces are allowed. The holder
ends with this process: it reads from a pipe that the kernel closes.
"""

from __future__ import annotations

import asyncio
import functools
import json
import os
import shutil
import subprocess
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from glob import glob
from pathlib import Path
from typing import IO

from worker.aside import PATIENCE, aside

HELD = 8  # namespaces kept ready; an older one lives as long as the jobs in it
HOME = "/run/ffgrid"  # what a job has as its home: caches of fonts and shaders
MEMORY = ("/dev/shm", "/tmp", HOME)  # noqa: S108
SCRATCH = "268435456"  # bytes of each of these directories of the namespace's own

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store")
# Of /etc only what programs need to find libraries, fonts, certificates, hosts, users and drivers.
ETC = """alternatives ca-certificates crypto-policies drirc fonts glvnd group host.conf hosts ld.so.cache ld.so.conf
    ld.so.conf.d libva.conf localtime mime.types nsswitch.conf nvidia OpenCL passwd pki pulse resolv.conf services
    ssl timezone vdpau_wrapper.cfg vulkan""".split()
VISIBLE = ("/sys", "/proc", "/var/cache/fontconfig", "/run/opengl-driver", "/run/systemd/resolve")
DEVICES = """null zero full random urandom dri nvidia* kfd video* media* mpp_service rga dma_heap accel
    dxg""".split()
_LINKS = {"/dev/fd": "/proc/self/fd"} | {
    f"/dev/{name}": f"/proc/self/fd/{number}" for number, name in enumerate(("stdin", "stdout", "stderr"))
}
_RESERVED = (*SYSTEM, "/etc", "/dev", "/sys", "/proc", HOME)


class NoSandbox(Exception):
    """No namespace can be made here, or not this one; the text says why."""


class Sandbox:
    """One namespace, as long as its holder lives."""

    def __init__(self, binds: Sequence[tuple[str, str]], programs: Iterable[str]) -> None:
        """`binds`: (path here, path in the namespace). Blocks some milliseconds. Raises NoSandbox."""
        bwrap, self._nsenter = _tool("bwrap", "bubblewrap"), _tool("nsenter", "util-linux")
        is_root = os.geteuid() == 0
        reader, writer = os.pipe()
        command = [
            bwrap,
            *_mounts(binds, programs),
            "--info-fd",
            str(writer),
            *(("--cap-add", "CAP_SYS_ADMIN", _tool("unshare", "util-linux"), "--user") if is_root else ()),
            "--",
            "/bin/sh",
            "-c",
            "echo; exec cat",
        ]
        try:
            self._holder = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=(writer,),
            )
        finally:
            os.close(writer)
        with os.fdopen(reader, "rb") as info:
            said = info.read()
        if _pipe(self._holder.stdout).read(1) != b"\n":
            why = _pipe(self._holder.stderr).read().decode("utf-8", "replace").strip()
            self.close()
            raise NoSandbox(why or "bubblewrap ended without a word")
        self._pid = json.loads(said)["child-pid"]
        try:
            if is_root:
                _map_all(self._pid)
        except OSError as error:
            self.close()
            raise NoSandbox(f"cannot give it our users: {error.strerror}") from None

    def enter(self, cwd: str) -> tuple[str, ...]:
        """What to put before a command, so that it runs inside, in this directory."""
        there = ("--target", str(self._pid), "--user", "--preserve-credentials", "--mount")
        # The directory is looked for inside: a link here may lead out.
        if _knows_directories(self._nsenter):
            return (self._nsenter, *there, f"--wdns={cwd}", "--")
        return (self._nsenter, *there, "--", _tool("env", "coreutils"), f"--chdir={cwd}")

    def is_alive(self) -> bool:
        """Whether it can still be entered."""
        return self._holder.poll() is None

    def close(self) -> None:
        """Lets it go; jobs inside keep it until they end."""
        self._holder.kill()
        self._holder.wait()
        for end in (self._holder.stdin, self._holder.stdout, self._holder.stderr):
            _pipe(end).close()


class Sandboxes:
    """The namespaces that are ready, one for each set of mounts; the least used goes first."""

    def __init__(self, programs: Iterable[str]) -> None:
        self._programs = tuple(programs)
        self._ready: OrderedDict[tuple[object, ...], Sandbox] = OrderedDict()
        self._making: dict[tuple[object, ...], asyncio.Future[Sandbox]] = {}

    async def get(
        self, view: Mapping[str, str], mapped: Mapping[str, str], within: float = PATIENCE
    ) -> Sandbox:
        """The one in which the roots that this host has (`mapped`) lie where `view` says.

        Raises NoSandbox, and Hung when one of them does not answer `within` seconds.
        """
        binds, key = await aside(self._wanted, view, mapped, within=within)
        found = self._ready.pop(key, None)
        if found and not found.is_alive():
            found.close()
            found = None
        if found is None:  # whoever wants the same meanwhile waits for it too, and nobody else
            if key not in self._making:
                self._making[key] = asyncio.ensure_future(aside(Sandbox, binds, self._programs))
                self._making[key].add_done_callback(functools.partial(self._made, key))
            found = await asyncio.shield(self._making[key])
        self._ready[key] = found
        while len(self._ready) > HELD:
            self._ready.popitem(last=False)[1].close()
        return found

    def _made(self, key: tuple[object, ...], made: asyncio.Future[Sandbox]) -> None:
        del self._making[key]
        if not made.cancelled():
            made.exception()  # even if nobody waits for it any more

    def _wanted(
        self, view: Mapping[str, str], mapped: Mapping[str, str]
    ) -> tuple[list[tuple[str, str]], tuple[object, ...]]:
        """The mounts, and what tells them from others: what is mounted there may have changed."""
        binds = binds_of(view, mapped, self._programs)
        return binds, tuple((here, there, _identity(here)) for here, there in binds)

    def close(self) -> None:
        """Lets all of them go."""
        while self._ready:
            self._ready.popitem()[1].close()


def binds_of(
    view: Mapping[str, str], mapped: Mapping[str, str], programs: Iterable[str] = ()
) -> list[tuple[str, str]]:
    """(path here, path in the namespace) of each root, the outer ones first.

    Raises NoSandbox for a place that is no plain path or that would hide what programs need.
    """
    taken = (*_RESERVED, *_parts(programs))
    for path in view.values():
        if path[:1] != "/" or path[:2] in ("/", "//") or path != os.path.normpath(path):
            raise NoSandbox(f"its caller has a root at {path!r}")
        if any(_overlaps(path, one) for one in taken):
            raise NoSandbox(f"its caller has a root at {path}, where programs are")
    both = [(mapped[name], path) for name, path in view.items() if name in mapped]
    binds = sorted(both, key=lambda bind: (bind[1].count("/"), bind[1]))
    for at, (_, there) in enumerate(binds):
        around = [bind for bind in binds[:at] if there.startswith(f"{bind[1]}/")]
        if around and _is_linked(around[-1][0], there[len(around[-1][1]) :]):
            raise NoSandbox(f"its caller has a root at {there}, which is behind a link here")
    return binds


def _mounts(binds: Sequence[tuple[str, str]], programs: Iterable[str]) -> list[str]:
    memory = [(["--perms", "1777", "--size", SCRATCH, "--tmpfs"], path) for path in MEMORY]
    mounts: list[tuple[list[str], str]] = []  # options and where
    for path in SYSTEM:
        linked = os.path.islink(path)
        mounts.append((["--symlink", os.readlink(path)] if linked else ["--ro-bind-try", path], path))
    for path in (*(f"/etc/{name}" for name in ETC), *VISIBLE, *_parts(programs)):
        mounts.append((["--ro-bind-try", path], path))
    for path in (device for name in DEVICES for device in sorted(glob(f"/dev/{name}"))):
        mounts.append((["--dev-bind-try", path], path))
    mounts += [(["--symlink", target], path) for path, target in _LINKS.items()]
    mounts += [(["--bind", here], there) for here, there in binds]
    # What is in memory comes first: a program, or a root, may lie there.
    return [*_in_directories(memory), *_in_directories(mounts), "--remount-ro", "/"]


def _in_directories(mounts: Sequence[tuple[list[str], str]]) -> list[str]:
    """The words for these mounts and the directories above. Made by the way, those would be root's alone."""
    above = {str(parent) for _, path in mounts for parent in Path(path).parents}
    kept = [path for path in sorted(above) if path not in ("/", *MEMORY) and not _is_systems(path)]
    made = [word for path in kept for word in ("--perms", "0755", "--dir", path)]
    return made + [word for options, path in mounts for word in (*options, path)]


def _is_systems(path: str) -> bool:
    return any(f"{path}/".startswith(f"{top}/") for top in SYSTEM)


def _parts(programs: Iterable[str]) -> list[str]:
    """What belongs to programs that lie elsewhere than the system's own."""
    found = [path for path in os.environ.get("LD_LIBRARY_PATH", "").split(":") if path.startswith("/")]
    for program in programs:
        for path in dict.fromkeys((program, os.path.realpath(program))):
            folder, top = os.path.dirname(path), os.path.dirname(os.path.dirname(path))
            found.append(path)
            if os.path.basename(folder) == "bin":
                found += [f"{top}/{name}" for name in ("lib", "lib64", "share")]
    return [path for path in found if not _is_systems(path)]


def _is_linked(top: str, below: str) -> bool:
    """Whether a link is on the way: bubblewrap would follow it when it makes the place for a mount."""
    here = os.path.realpath(top)
    return os.path.realpath(here + below) != here + below


def _map_all(pid: int) -> None:
    """Gives the process's new user namespace each user and group of ours, under its own number."""
    for kind in ("uid_map", "gid_map"):
        with open(f"/proc/self/{kind}") as ours:
            lines = [f"{line.split()[0]} {line.split()[0]} {line.split()[2]}" for line in ours]
        with open(f"/proc/{pid}/{kind}", "w") as file:
            file.write("\n".join(lines))


def _overlaps(path: str, taken: str) -> bool:
    return f"{path}/".startswith(f"{taken}/") or f"{taken}/".startswith(f"{path.rstrip('/')}/")


def _identity(path: str) -> tuple[int, int]:
    """What tells that something else has been mounted there. Raises NoSandbox when nothing is there."""
    try:
        found = os.stat(path)
    except OSError as error:
        raise NoSandbox(f"cannot reach {path}: {error.strerror}") from None
    return found.st_dev, found.st_ino


@functools.cache
def _knows_directories(nsenter: str) -> bool:
    """Whether it changes the directory itself (util-linux 2.38): that saves a program, and a millisecond."""
    return b"--wdns" in subprocess.run([nsenter, "--help"], capture_output=True, check=False).stdout


def _tool(name: str, package: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise NoSandbox(f"there is no {name}: install {package}")
    return path


def _pipe(end: IO[bytes] | None) -> IO[bytes]:
    assert end is not None  # every pipe above is asked for
    return end
