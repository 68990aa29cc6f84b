"""Remembered answers: a folder that cannot grow beyond its slots, and that may be lost at any time.

    <folder>/queries/<set>.<way>   an answer. The hash of its key decides the set (hexadecimal); of the four
    <folder>/probes/<set>.<way>    ways there the oldest is overwritten when none is free
    <folder>/fleets/<4 digits>     the fleet last heard of at these coordinators, for these labels;
                                   the file's time is when they were last asked
    <folder>/new-<2 digits>        being written

Whatever goes wrong here is silent and means that there is no answer: the call is run as it would be without.
"""

from __future__ import annotations

import posix
from binascii import crc32
from time import time

try:  # hashlib loads OpenSSL, which costs the shim more than the hash itself
    from _sha2 import sha256
except ImportError:  # Python 3.11
    try:
        from _sha256 import sha256
    except ImportError:  # an interpreter built without its own SHA-2
        from hashlib import sha256

LIMIT = 1 << 20  # bytes of an answer that is kept
SETS = {"queries": 256, "probes": 1024}
WAYS = 4  # a server's forty questions in one way would not all find a place: two of them share one
FLEET_SECONDS = 60.0  # how long a fleet is believed to be the same without asking
TYPES = False
if TYPES:
    from collections.abc import Callable

_MAGIC = b"ffgrid-1"
_DIGITS = frozenset("0123456789abcdef")
_HEAD = 256  # bytes that the first line has at most
_READ = posix.O_RDONLY | posix.O_NONBLOCK | posix.O_NOFOLLOW
_WRITE = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_NOFOLLOW


class Answer:
    """What a program said and how it ended."""

    __slots__ = ("code", "stderr", "stdout")

    def __init__(self, code: int, stdout: bytes, stderr: bytes) -> None:
        self.code = code
        self.stdout = stdout
        self.stderr = stderr


class Answers:
    """The answers in one folder. `source` is whom the client asks: coordinators and labels."""

    __slots__ = ("_folder", "_source")

    def __init__(self, folder: str, source: str) -> None:
        self._folder = folder
        self._source = source.encode("utf-8", "surrogateescape")

    def find(self, kind: str, key: bytes, fleet: str) -> Answer | None:
        """The answer that this fleet gave, if it is here and sound."""
        key = fleet.encode() + b"\0" + key
        for path in self._paths(kind, key):
            found = _parse(self._read(path), key)
            if found:
                return found
        return None

    def keep(self, kind: str, key: bytes, fleet: str, answer: Answer) -> None:
        """Remembers it, in the place of what was in its slot."""
        key = fleet.encode() + b"\0" + key
        body = key + answer.stdout + answer.stderr
        if len(body) > LIMIT:
            return
        numbers = (answer.code, len(key), len(answer.stdout), len(answer.stderr))
        head = b"%s %s %d %d %d %d" % (_MAGIC, fleet.encode(), *numbers)
        data = b"%s %d\n%s" % (head, crc32(body, crc32(head)), body)
        self._write(kind, min(self._paths(kind, key), key=self._precedence(key)), data)

    def fleet(self) -> tuple[str, bool]:
        """The fleet last heard of ("" for none) and whether it is time to ask again."""
        path = self._fleet_path()
        name, _, source = self._read(path).partition(b"\n")
        if source != self._source or not is_fleet(name.decode("latin-1")):
            return "", True
        try:
            age = time() - posix.stat(path).st_mtime
        except OSError:
            return "", True
        return name.decode(), not -FLEET_SECONDS < age < FLEET_SECONDS

    def asked(self) -> None:
        """Notes that the coordinators have been asked for the fleet, or are about to be."""
        try:
            posix.utime(self._fleet_path())
        except OSError:
            return

    def heard(self, fleet: str) -> None:
        """Notes the fleet that a coordinator has named."""
        known, is_old = self.fleet()
        if fleet == known and is_old:
            self.asked()
        elif fleet != known and is_fleet(fleet):
            self._write("fleets", self._fleet_path(), fleet.encode() + b"\n" + self._source)

    def _fleet_path(self) -> str:
        return f"{self._folder}/fleets/{sha256(self._source).hexdigest()[:4]}"

    def _paths(self, kind: str, key: bytes) -> list[str]:
        at = int.from_bytes(sha256(key).digest()[:4], "big") % SETS[kind]
        return [f"{self._folder}/{kind}/{at:x}.{way}" for way in range(WAYS)]

    def _precedence(self, key: bytes) -> Callable[[str], float]:
        """Which place an answer takes, the least first: that of its key, a free one, that of the oldest."""

        def of(path: str) -> float:
            if _parse(self._read(path), key):
                return -2.0
            try:
                return posix.stat(path).st_mtime
            except OSError:
                return -1.0

        return of

    def _read(self, path: str) -> bytes:
        """A file of our own, or nothing."""
        try:
            descriptor = posix.open(path, _READ)
        except (OSError, ValueError):
            return b""
        try:
            found = posix.fstat(descriptor)
            if found.st_uid not in (posix.geteuid(), 0) or found.st_size > LIMIT + _HEAD:
                return b""
            return posix.read(descriptor, found.st_size)
        except OSError:
            return b""
        finally:
            posix.close(descriptor)

    def _write(self, kind: str, path: str, data: bytes) -> None:
        """Puts a file in its place at once. One that another process is about to write has precedence."""
        fresh = f"{self._folder}/new-{posix.getpid() & 0xFF:02x}"
        try:
            try:
                descriptor = posix.open(fresh, _WRITE, 0o600)
            except FileNotFoundError:
                _make(self._folder)
                descriptor = posix.open(fresh, _WRITE, 0o600)
        except FileExistsError:
            _remove(fresh)  # somebody was killed here; or lives, and then its answer is lost and nothing else
            return
        except (OSError, ValueError):
            return
        try:
            try:
                whole = posix.write(descriptor, data) == len(data)
            finally:
                posix.close(descriptor)
            if whole:
                self._place(kind, fresh, path)
            else:
                _remove(fresh)
        except OSError:
            _remove(fresh)

    def _place(self, kind: str, fresh: str, path: str) -> None:
        try:
            posix.replace(fresh, path)
        except FileNotFoundError:
            _make(f"{self._folder}/{kind}")
            posix.replace(fresh, path)


def _parse(data: bytes, key: bytes) -> Answer | None:
    """The answer in a file, if it is one to this key."""
    first, _, body = data.partition(b"\n")
    head, _, checksum = first.rpartition(b" ")
    if not body.startswith(key) or checksum != b"%d" % crc32(body, crc32(head)):
        return None
    words = head.split(b" ")
    if len(words) != 6 or words[0] != _MAGIC or not all(map(bytes.isdigit, words[2:])):
        return None
    code, *lengths = map(int, words[2:])
    if lengths[0] != len(key) or sum(lengths) != len(body):
        return None
    middle = lengths[0] + lengths[1]
    return Answer(code, body[lengths[0] : middle], body[middle:])


def is_fleet(name: str) -> bool:
    """Whether this is the id of a fleet: 16 hexadecimal digits."""
    return len(name) == 16 and _DIGITS.issuperset(name)


def _make(folder: str) -> None:
    """The folder with those above it, for this user only. Raises OSError."""
    try:
        posix.mkdir(folder, 0o700)
    except FileNotFoundError:
        _make(folder.rpartition("/")[0])
        posix.mkdir(folder, 0o700)
    except FileExistsError:
        return


def _remove(path: str) -> None:
    try:
        posix.unlink(path)
    except OSError:
        return
