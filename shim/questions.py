"""Which calls a remembered answer can serve, and what decides the answer. Pure but for looking at the file.

query   about the program alone: -version, -encoders, -h filter=scale, and what media servers try at their start
probe   ffprobe of one local file, which stays as it is
"""

from __future__ import annotations

from posix import environ, getcwdb, stat

from app.wire import command

TYPES = False
if TYPES:
    from posix import stat_result

# What a media server runs on a picture of one pixel to find out what its ffmpeg can do (N is any length).
_SOURCE = "nullsrc=s=1x1:d="
_KEYS = "-hide_banner -f lavfi -i N -f null -"  # with "?" as the whole input, which lists the keys
_TRIALS = {
    "ffmpeg": (_KEYS, "-loglevel quiet -hwaccel_flags +low_priority -hide_banner -f lavfi -i N -f null -"),
    "ffprobe": ("-loglevel quiet -f lavfi -i N -only_first_vframe",),
}
_DEVICE_TRIAL = frozenset(("init_hw_device", "hide_banner", "v", "loglevel"))
# Options with which ffprobe may look at other things than the file.
_ELSEWHERE = frozenset(("f", "enable_drefs", "sub_name", "init_hw_device", "progress", "report"))
# What an answer may differ by besides its command; FFREPORT is not here, because it writes a file.
_ENVIRONMENT = (
    b"AMD_DEBUG",
    b"AV_LOG_FORCE_256COLOR",
    b"AV_LOG_FORCE_COLOR",
    b"AV_LOG_FORCE_NOCOLOR",
    b"LIBVA_DRIVER_NAME",
    b"NO_COLOR",
)
_REGULAR = 0o100000


class Question:
    """A call that has been asked before, perhaps. `key` is all that decides its answer but the fleet.

    `path` and `identity` are the file of a probe; `wants_keys` says that its input is to be looked at, and
    `stdin` is what was found there. `fragile`: the real program dies of SIGPIPE where it would answer.
    """

    __slots__ = ("fragile", "identity", "key", "path", "stdin", "wants_keys")

    def __init__(self, key: bytes, fragile: bool, path: bytes = b"", identity: bytes = b"") -> None:
        self.key = key
        self.fragile = fragile
        self.path = path
        self.identity = identity
        self.wants_keys = False
        self.stdin = b""

    @property
    def kind(self) -> str:
        """The folder for answers of this kind."""
        return "probes" if self.path else "queries"


def question(binary: str, args: list[str]) -> Question | None:
    """The question that this call asks, or None when it has to be run each time."""
    if b"FFREPORT" in environ:
        return None
    read = command.read(binary, args)
    if read.is_query or _tries_device(read):
        return Question(_key(binary, args), fragile=read.asks is not None or binary == "ffprobe")
    trial = _trial(binary, args)
    if trial:
        asked = Question(_key(binary, args), fragile=False)
        asked.wants_keys = trial == _KEYS
        return asked
    return _probe(read) if binary == "ffprobe" else None


def identity(path: bytes) -> bytes:
    """What changes when the file does; empty for what is no regular file or not there."""
    try:
        found = stat(path)
    except (OSError, ValueError):
        return b""
    return _identity(found) if found.st_mode & 0o170000 == _REGULAR else b""


def _identity(found: stat_result) -> bytes:
    return b"%d %d %d %d %d" % (
        found.st_dev,
        found.st_ino,
        found.st_size,
        found.st_mtime_ns,
        found.st_ctime_ns,
    )


def _key(binary: str, args: list[str], *more: bytes) -> bytes:
    around = [environ.get(name, b"") for name in _ENVIRONMENT]
    words = [word.encode("utf-8", "surrogateescape") for word in (binary, *args)]
    return b"\0".join([*around, *words, *more])


def _tries_device(read: command.Command) -> bool:
    """Whether it only makes a device and prints what that says; it fails then, because it has no output."""
    nothing_else = not read.inputs and not read.outputs and read.options.keys() <= _DEVICE_TRIAL
    return read.binary == "ffmpeg" and "init_hw_device" in read.options and nothing_else


def _trial(binary: str, args: list[str]) -> str:
    """The trial of a media server that this is, or ""."""
    if len(args) > 12:
        return ""
    general = " ".join("N" if _is_source(arg) else arg for arg in args)
    return general if general in _TRIALS[binary] else ""


def _is_source(arg: str) -> bool:
    return arg.startswith(_SOURCE) and command.is_whole(arg[len(_SOURCE) :])


def _probe(read: command.Command) -> Question | None:
    if len(read.inputs) != 1 or read.outputs or read.asks or read.reads_stdin:
        return None
    if read.options.keys() & _ELSEWHERE or any(name.startswith("/") for name in read.options):
        return None
    if any("/" in value for value in read.texts(read.values)):  # another file, perhaps
        return None
    path = _local(read.args[read.inputs[0]]).encode("utf-8", "surrogateescape")
    found = identity(path) if path else b""
    if not found:
        return None
    try:
        here = b"" if path.startswith(b"/") else getcwdb()
    except OSError:  # it has been deleted
        return None
    return Question(_key(read.binary, read.args, here, found), True, path, found)


def _local(url: str) -> str:
    """The path of a plain file; "" for a protocol, a stream or a pattern that stands for many files."""
    path = url.removeprefix("file:")
    is_plain = url.startswith("file:") or ":" not in url.partition("/")[0]
    special = path == "-" or path.startswith("/dev/") or any(map(_is_many, path.split("%")[1:]))
    return path if is_plain and not special else ""


def _is_many(behind_percent: str) -> bool:
    """Whether a `%` stands for a number or begins a glob, to the reader of pictures."""
    rest = behind_percent.lstrip("0123456789")
    return rest.startswith(("d", "*", "?", "[", "{"))
