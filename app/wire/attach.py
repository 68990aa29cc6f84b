"""The attach stream: what shim and coordinator say to each other while a job runs.

Each WebSocket message is one binary frame: a kind (1 byte), a position (16 bytes), a payload.

    from the job     STDOUT, STDERR  bytes as ffmpeg wrote them
                     TAKEN           the job has taken the caller's frames up to the position's number
                     EXIT            how it ended: see `Exit`
    from the caller  STDIN, EOF      bytes for ffmpeg's standard input; no more will come
                     SIGNAL          one byte: the signal's number
                     PAUSE, RESUME   the caller is stopped (SIGSTOP), or goes on
                     WINDOW          the caller has consumed the job's frames up to this position

A position of the job's frames is the id of a Redis stream entry (milliseconds and sequence, 8 bytes each,
big-endian). The caller's frames but WINDOW are numbered 1, 2, 3 ... in the second half. So both ends know
after a cut what the other has, any coordinator process can go on, and nothing is lost or doubled.
"""

from __future__ import annotations

STDOUT, STDERR, EXIT, TAKEN = b"O", b"E", b"X", b"T"
STDIN, EOF, SIGNAL, PAUSE, RESUME, WINDOW = b"I", b"F", b"S", b"P", b"R", b"W"
FROM_JOB = STDOUT + STDERR + EXIT + TAKEN
FROM_CALLER = STDIN + EOF + SIGNAL + PAUSE + RESUME + WINDOW

CHUNK = 1 << 16  # bytes of payload in one frame, at most
WINDOW_BYTES = 1 << 22  # how far the job may be ahead of the caller
STDIN_WINDOW_BYTES = 1 << 20  # how far the caller may be ahead of the job
HEAD = 17


class BadFrame(Exception):
    """Bytes that are no frame of the attach stream."""


class Exit:
    """How an attached job ended: an exit code, or a signal, or why there is neither."""

    __slots__ = ("code", "reason", "signal")

    def __init__(self, code: int | None, signal: int | None, reason: str) -> None:
        self.code = code
        self.signal = signal
        self.reason = reason

    def encode(self) -> bytes:
        """`code,signal,reason` with what is absent left empty."""
        code = "" if self.code is None else self.code
        signal = "" if self.signal is None else self.signal
        return f"{code},{signal},{self.reason}".encode()

    @classmethod
    def decode(cls, payload: bytes) -> Exit:
        """Raises BadFrame."""
        parts = payload.decode("utf-8", "replace").split(",", 2)
        if len(parts) != 3 or not all(part == "" or part.isdigit() for part in parts[:2]):
            raise BadFrame(f"an exit frame that says {payload!r}")
        return cls(int(parts[0]) if parts[0] else None, int(parts[1]) if parts[1] else None, parts[2])


def encode(kind: bytes, position: bytes, payload: bytes = b"") -> bytes:
    """A frame's bytes; `position` is 16 bytes (see `position`, `number`)."""
    return kind + position + payload


def decode(data: bytes) -> tuple[bytes, bytes, bytes]:
    """`(kind, position, payload)`. Raises BadFrame when the message is too short to be a frame."""
    if len(data) < HEAD:
        raise BadFrame(f"a message of {len(data)} bytes, shorter than a frame's head")
    return data[:1], data[1:HEAD], data[HEAD:]


def position(entry_id: str) -> bytes:
    """A Redis stream id (`1695-0`) as 16 bytes. Raises ValueError."""
    milliseconds, _, sequence = entry_id.partition("-")
    return int(milliseconds).to_bytes(8, "big") + int(sequence or 0).to_bytes(8, "big")


def entry_id(position: bytes) -> str:
    """16 bytes as a Redis stream id."""
    return f"{int.from_bytes(position[:8], 'big')}-{int.from_bytes(position[8:], 'big')}"


def numbered(number: int) -> bytes:
    """The position of the caller's frame with this number."""
    return number.to_bytes(16, "big")


def number(position: bytes) -> int:
    """The number of one of the caller's frames."""
    return int.from_bytes(position, "big")


START = bytes(16)
