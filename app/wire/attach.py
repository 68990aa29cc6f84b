"""The attach stream: what shim and coordinator say to each other while a job runs.

Each WebSocket message is one binary frame: a kind (1 byte), a number (8 bytes, big-endian), a payload.

    from the job     STDOUT, STDERR  bytes as ffmpeg wrote them
                     TAKEN           payload: the number up to which the job has taken the caller's frames
                     EXIT            how it ended: see `Exit`
    from the caller  STDIN, EOF      bytes for ffmpeg's standard input; no more will come
                     SIGNAL          one byte: the signal's number
                     CLOSED          nobody reads what is written to STDOUT or STDERR (the payload) any more
                     WINDOW          payload: the number up to which the caller has consumed the job's frames

Each side numbers its frames 1, 2, 3 ... So both ends know after a cut what the other has, any coordinator
process can go on, and nothing is lost or doubled: a frame is stored under its number, once. What the job has
not taken is sent again; WINDOW is not, a caller that comes back says anew how far it is.
"""

from __future__ import annotations

STDOUT, STDERR, EXIT, TAKEN = b"O", b"E", b"X", b"T"
STDIN, EOF, SIGNAL, CLOSED, WINDOW = b"I", b"F", b"S", b"C", b"W"
FROM_JOB = STDOUT + STDERR + EXIT + TAKEN
FROM_CALLER = STDIN + EOF + SIGNAL + CLOSED + WINDOW

CHUNK = 1 << 18  # bytes of payload in one frame, at most
WINDOW_BYTES = 1 << 22  # how far the job may be ahead of the caller, as `weight` counts
STDIN_WINDOW_BYTES = 1 << 20  # how far the caller may be ahead of the job
HEAD = 9
KEEPING = 64  # bytes that it costs to keep a frame, beside its payload


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
        return f"{code},{signal},{self.reason}".encode("utf-8", "backslashreplace")

    @classmethod
    def decode(cls, payload: bytes) -> Exit:
        """Raises BadFrame."""
        parts = payload.decode("utf-8", "replace").split(",", 2)
        if len(parts) != 3 or not all(
            part == "" or (part.isascii() and part.isdigit()) for part in parts[:2]
        ):
            raise BadFrame(f"an exit frame that says {payload!r}")
        return cls(int(parts[0]) if parts[0] else None, int(parts[1]) if parts[1] else None, parts[2])


def encode(kind: bytes, number: int, payload: bytes = b"") -> bytes:
    """A frame's bytes."""
    return kind + number.to_bytes(8, "big") + payload


def decode(data: bytes) -> tuple[bytes, int, bytes]:
    """`(kind, number, payload)`. Raises BadFrame when the message is too short to be a frame."""
    if len(data) < HEAD:
        raise BadFrame(f"a message of {len(data)} bytes, shorter than a frame's head")
    return data[:1], int.from_bytes(data[1:HEAD], "big"), data[HEAD:]


def weight(payload: bytes | memoryview) -> int:
    """What a frame from the job takes of the window: many small ones fill it too."""
    return KEEPING + len(payload)


def is_sound(kind: bytes, number: int, payload: bytes) -> bool:
    """Whether this can be a caller's frame: of a known kind, numbered, with a payload that the kind can have."""
    if len(kind) != 1 or kind not in FROM_CALLER or not 0 < number < 1 << 63:
        return False
    if kind == SIGNAL:
        return len(payload) == 1 and 0 < payload[0] <= 64
    if kind == WINDOW:
        return len(payload) == 8 and unpack(payload) < 1 << 63
    if kind == CLOSED:
        return payload in (STDOUT, STDERR)
    return len(payload) <= CHUNK if kind == STDIN else not payload


def pack(number: int) -> bytes:
    """A number as the payload of TAKEN and WINDOW."""
    return number.to_bytes(8, "big")


def unpack(payload: bytes) -> int:
    """The number in the payload of TAKEN and WINDOW."""
    return int.from_bytes(payload, "big")
