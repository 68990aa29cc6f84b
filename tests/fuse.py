"""A directory shown at another place through /dev/fuse, by a server that can be told not to answer. No library.

    with Mount(backing, place) as mount:
        mount.hang("rename")        takes renames and answers nothing; without a name it takes whatever is asked
        mount.held()                what it has taken: ["rename"]
        mount.answer()              does all that, and answers from now on
        mount.fail()                answers all that with an error, and does it not; then as before

Who waits for an answer hangs in the kernel and cannot be killed. When the server ends, the kernel answers for it.

    python -m tests.fuse BACKING PLACE     is the server; it obeys lines of its input and says each again when done
"""

from __future__ import annotations

import ctypes
import errno
import os
import select
import stat
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

OPERATIONS = {
    1: "lookup",
    2: "forget",
    3: "getattr",
    4: "setattr",
    9: "mkdir",
    10: "unlink",
    11: "rmdir",
    12: "rename",
    13: "link",
    14: "open",
    15: "read",
    16: "write",
    17: "statfs",
    18: "release",
    20: "fsync",
    25: "flush",
    26: "init",
    27: "opendir",
    28: "readdir",
    29: "releasedir",
    30: "fsyncdir",
    35: "create",
    36: "interrupt",
    38: "destroy",
    42: "batch_forget",
    45: "rename2",
}
UNANSWERED = ("forget", "batch_forget", "interrupt")  # the kernel waits for no answer
HEADER = struct.Struct("=IIQQIIII")  # length, operation, number, node, user, group, process, (more)
VERSION = (7, 31)
WRITE_BYTES = 1 << 17  # the most that one request writes
FLAGS = 1 << 5  # writes of more than a page
NOSUID_NODEV, DETACH = 2 | 4, 2
SET_MODE, SET_OWNER, SET_SIZE, SET_TIMES = 1, 2 | 4, 8, 16 | 32
ROOT = 1  # the node of the directory itself


class Mount:
    """One such directory, as a context; `backing` is where its files really are. Fails the test if none can be made."""

    def __init__(self, backing: Path, place: Path) -> None:
        assert os.path.exists("/dev/fuse"), (
            "this test needs /dev/fuse: `modprobe fuse`, or hand it into the container"
        )
        assert os.geteuid() == 0, "this test mounts a file system: run it as root"
        backing.mkdir(parents=True, exist_ok=True)
        place.mkdir(parents=True, exist_ok=True)
        self.place = place
        command = [sys.executable, "-m", "tests.fuse", backing, place]
        self._server = subprocess.Popen(
            command,
            cwd=Path(__file__).parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # it ends when we do, however that is
        )
        if self._line() != "ready":
            _, why = self._server.communicate()
            raise AssertionError(f"no file system can be mounted here:\n{why.decode()}")

    def __enter__(self) -> Mount:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def hang(self, *operations: str) -> None:
        """Answers none of these any more, or nothing at all."""
        self._say(" ".join(["hang", *operations]))

    def answer(self) -> None:
        """Does and answers what it has taken meanwhile, and what comes."""
        self._say("answer")

    def fail(self) -> None:
        """Does nothing of what it has taken meanwhile, and says so; does what comes."""
        self._say("fail")

    def held(self) -> list[str]:
        """What it has taken and not answered."""
        return self._say("held").split()[1:]

    def close(self) -> None:
        """Takes it away, whoever uses it."""
        assert self._server.stdin
        self._server.stdin.close()
        self._server.wait()
        for end in (self._server.stdout, self._server.stderr):
            assert end
            end.close()

    def _say(self, order: str) -> str:
        assert self._server.stdin
        self._server.stdin.write(f"{order}\n".encode())
        self._server.stdin.flush()
        return self._line()

    def _line(self) -> str:
        assert self._server.stdout
        return self._server.stdout.readline().decode().strip()


class Server:
    """The server's side."""

    def __init__(self, backing: str, place: str) -> None:
        self._device = os.open("/dev/fuse", os.O_RDWR)
        self._place = os.fsencode(place)
        self._paths, self._nodes = {ROOT: backing}, {backing: ROOT}
        self._handles: dict[int, int] = {}
        self._hung: Callable[[str], bool] = lambda name: False
        self._held: list[tuple[str, bytes]] = []
        self._orders = b""

    def serve(self) -> None:
        """Until its input ends, or the directory is unmounted. Raises OSError."""
        libc = ctypes.CDLL(None, use_errno=True)
        options = f"fd={self._device},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
        if libc.mount(b"none", self._place, b"fuse.tests", NOSUID_NODEV, options):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), self._place)
        print("ready", flush=True)
        try:
            while True:
                ready, _, _ = select.select([self._device, 0], [], [])
                if 0 in ready and not self._obey(os.read(0, 4096)):
                    return
                if self._device in ready:
                    self._take(os.read(self._device, WRITE_BYTES + 4096))
        except OSError as error:
            if error.errno != errno.ENODEV:  # unmounted
                raise
        finally:
            libc.umount2(self._place, DETACH)

    def _obey(self, data: bytes) -> bool:
        *lines, self._orders = (self._orders + data).split(b"\n")
        for line in lines:
            order, *names = line.decode().split()
            if order == "hang":
                self._hung = (lambda name, names=names: name in names) if names else lambda name: True
            elif order == "held":
                names = [name for name, _ in self._held]
            else:
                self._hung = lambda name: False
                held, self._held = self._held, []
                for name, request in held:
                    self._answer(name, request, fails=order == "fail")
            print(order, *names, flush=True)
        return bool(data)

    def _take(self, request: bytes) -> None:
        name = OPERATIONS.get(HEADER.unpack_from(request)[1], "")
        if name in UNANSWERED:
            return
        if self._hung(name):
            self._held.append((name, request))
        else:
            self._answer(name, request)

    def _answer(self, name: str, request: bytes, *, fails: bool = False) -> None:
        _, _, number, node, user, group, _, _ = HEADER.unpack_from(request)
        error, reply = 0, b""
        try:
            if fails:
                raise OSError(errno.EIO, "")
            work = getattr(self, f"do_{name}", None)
            if work is None:
                raise OSError(errno.ENOSYS, "")
            reply = work(node, request[HEADER.size :], user, group)
        except OSError as failure:
            error = -(failure.errno or errno.EIO)
        try:
            os.write(self._device, struct.pack("=IiQ", 16 + len(reply), error, number) + reply)
        except FileNotFoundError:  # nobody waits for it any more
            return

    # What can be asked. Each is given the node, the rest of the request, and the user and group who ask.

    def do_init(self, node: int, body: bytes, user: int, group: int) -> bytes:
        return struct.pack(
            "=IIIIHHIIHHI7I", *VERSION, WRITE_BYTES, FLAGS, 12, 9, WRITE_BYTES, 1, 0, 0, 0, *[0] * 7
        )

    def do_destroy(self, node: int, body: bytes, user: int, group: int) -> bytes:
        return b""

    def do_statfs(self, node: int, body: bytes, user: int, group: int) -> bytes:
        found = os.statvfs(self._paths[ROOT])
        sizes = found.f_blocks, found.f_bfree, found.f_bavail, found.f_files, found.f_ffree
        return struct.pack("=5Q4I24x", *sizes, found.f_bsize, 255, found.f_frsize, 0)

    def do_lookup(self, node: int, body: bytes, user: int, group: int) -> bytes:
        return self._entry(self._child(node, body))

    def do_getattr(self, node: int, body: bytes, user: int, group: int) -> bytes:
        return self._attributes(self._paths[node])

    def do_setattr(self, node: int, body: bytes, user: int, group: int) -> bytes:
        wanted, _, _, size, _, read, changed, _, read_ns, changed_ns, _, mode, _, owner, its_group = (
            struct.unpack_from("=IIQQQQQQIIIIIII", body)
        )
        path = self._paths[node]
        if wanted & SET_MODE:
            os.chmod(path, stat.S_IMODE(mode))
        if wanted & SET_OWNER:
            os.chown(path, owner if wanted & 2 else -1, its_group if wanted & 4 else -1)
        if wanted & SET_SIZE:
            os.truncate(path, size)
        if wanted & SET_TIMES:
            os.utime(path, ns=(read * 10**9 + read_ns, changed * 10**9 + changed_ns))
        return self._attributes(path)

    def do_mkdir(self, node: int, body: bytes, user: int, group: int) -> bytes:
        path = self._child(node, body[8:])
        os.mkdir(path, struct.unpack_from("=I", body)[0])
        os.chown(path, user, group)
        return self._entry(path)

    def do_unlink(self, node: int, body: bytes, user: int, group: int) -> bytes:
        os.unlink(self._child(node, body))
        return b""

    def do_rmdir(self, node: int, body: bytes, user: int, group: int) -> bytes:
        os.rmdir(self._child(node, body))
        return b""

    def do_rename(self, node: int, body: bytes, user: int, group: int) -> bytes:
        return self._rename(node, struct.unpack_from("=Q", body)[0], body[8:])

    def do_rename2(self, node: int, body: bytes, user: int, group: int) -> bytes:
        folder, flags = struct.unpack_from("=QI", body)
        if flags:
            raise OSError(errno.EINVAL, "")
        return self._rename(node, folder, body[16:])

    def do_link(self, node: int, body: bytes, user: int, group: int) -> bytes:
        (linked,) = struct.unpack_from("=Q", body)
        path = self._child(node, body[8:])
        os.link(self._paths[linked], path)
        return self._entry(path)

    def do_open(self, node: int, body: bytes, user: int, group: int) -> bytes:
        (flags,) = struct.unpack_from("=I", body)
        return self._opened(os.open(self._paths[node], flags & ~(os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW)))

    def do_create(self, node: int, body: bytes, user: int, group: int) -> bytes:
        flags, mode = struct.unpack_from("=II", body)
        path = self._child(node, body[16:])
        handle = os.open(path, flags | os.O_CREAT, stat.S_IMODE(mode))
        os.fchmod(handle, stat.S_IMODE(mode))
        os.fchown(handle, user, group)
        return self._entry(path) + self._opened(handle)

    def do_read(self, node: int, body: bytes, user: int, group: int) -> bytes:
        handle, offset, size = struct.unpack_from("=QQI", body)
        return os.pread(handle, size, offset)

    def do_write(self, node: int, body: bytes, user: int, group: int) -> bytes:
        handle, offset, size = struct.unpack_from("=QQI", body)
        return struct.pack("=II", os.pwrite(handle, body[40 : 40 + size], offset), 0)

    def do_flush(self, node: int, body: bytes, user: int, group: int) -> bytes:
        return b""

    def do_fsync(self, node: int, body: bytes, user: int, group: int) -> bytes:
        return b""

    do_fsyncdir = do_releasedir = do_opendir_ = do_fsync

    def do_release(self, node: int, body: bytes, user: int, group: int) -> bytes:
        os.close(struct.unpack_from("=Q", body)[0])
        return b""

    def do_opendir(self, node: int, body: bytes, user: int, group: int) -> bytes:
        return struct.pack("=QII", 0, 0, 0)

    def do_readdir(self, node: int, body: bytes, user: int, group: int) -> bytes:
        _, offset, size = struct.unpack_from("=QQI", body)
        listed = b""
        for number, name in enumerate(sorted(os.listdir(os.fsencode(self._paths[node])))):
            entry = struct.pack("=QQII", number + 1, number + 1, len(name), 0) + name
            entry += bytes(-len(entry) % 8)
            if number >= offset and len(listed) + len(entry) <= size:
                listed += entry
        return listed

    # Within

    def _child(self, node: int, name: bytes) -> str:
        return os.path.join(self._paths[node], os.fsdecode(name.rstrip(b"\0")))

    def _rename(self, node: int, folder: int, names: bytes) -> bytes:
        old, new, _ = names.split(b"\0", 2)
        before, after = self._child(node, old), self._child(folder, new)
        os.rename(before, after)
        known = self._nodes.pop(before, None)
        if known is not None:
            self._paths[known], self._nodes[after] = after, known
        return b""

    def _entry(self, path: str) -> bytes:
        attributes = self._attributes(path)
        node = self._nodes.setdefault(path, max(self._paths) + 1)
        self._paths[node] = path
        return struct.pack("=QQQQII", node, 0, 0, 0, 0, 0) + attributes[16:]

    def _opened(self, handle: int) -> bytes:
        return struct.pack("=QII", handle, 0, 0)

    def _attributes(self, path: str) -> bytes:
        found = os.lstat(path)
        times = [
            divmod(moment, 10**9) for moment in (found.st_atime_ns, found.st_mtime_ns, found.st_ctime_ns)
        ]
        whole, rest = zip(*times, strict=True)
        sizes = found.st_ino, found.st_size, found.st_blocks
        what = found.st_mode, found.st_nlink, found.st_uid, found.st_gid, 0, 4096, 0
        return struct.pack("=QII6Q10I", 0, 0, 0, *sizes, *whole, *rest, *what)


if __name__ == "__main__":
    Server(sys.argv[1], sys.argv[2]).serve()
