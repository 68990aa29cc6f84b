"""What ffmpeg says on its -progress descriptor, and how far along that is.

    frame=250
    speed=2.01x
    out_time_us=10000000      microseconds; so is out_time_ms, whatever its name says
    progress=continue         ends a block, progress=end the last one

Nothing that ffmpeg writes is an error here: what can't be read is None. Seen: N/A, times just below zero at
the start, and times near 2**63 microseconds (ffmpeg 9.0 with -copyts).
"""

from dataclasses import dataclass
from math import isfinite

# Longer without a newline or an end of block is not ffmpeg talking; it isn't kept.
_MOST = 1 << 16
# Media of a century; beyond is a number that ffmpeg computed from "unknown".
_LONGEST = 3e9
# A bar is full when ffmpeg has ended, not while it writes the trailer.
_NEARLY = 0.999


@dataclass(frozen=True, slots=True)
class Progress:
    """One block. Times in seconds, size in bytes, bitrate in bits per second; None is unknown."""

    frame: int | None = None
    fps: float | None = None
    speed: float | None = None
    out_time: float | None = None
    total_size: int | None = None
    bitrate: float | None = None
    dup: int | None = None  # frames that were doubled or left out to keep the rate
    drop: int | None = None
    ended: bool = False


class Reader:
    """Makes blocks out of bytes, which arrive in any pieces."""

    def __init__(self) -> None:
        self._rest = b""
        self._block: dict[str, str] = {}

    def feed(self, data: bytes) -> list[Progress]:
        """The blocks that these bytes complete."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _MOST:
            self._rest = b""
        blocks = [self._line(line.decode("ascii", "replace")) for line in lines]
        return [block for block in blocks if block is not None]

    def _line(self, line: str) -> Progress | None:
        key, _, value = line.partition("=")
        if len(self._block) < _MOST:
            self._block[key.strip()] = value.strip()
        if key.strip() != "progress":
            return None
        block, self._block = self._block, {}
        return _progress(block, ended=value.strip() == "end")


def _progress(block: dict[str, str], ended: bool) -> Progress:
    out_time = _number(block.get("out_time_us"), scale=1e-6, lowest=-_LONGEST)
    return Progress(
        frame=_whole(block.get("frame")),
        fps=_number(block.get("fps")),
        speed=_number(block.get("speed"), unit="x"),
        out_time=None if out_time is None or out_time > _LONGEST else max(out_time, 0.0),
        total_size=_whole(block.get("total_size")),
        bitrate=_number(block.get("bitrate"), unit="kbits/s", scale=1e3),
        dup=_whole(block.get("dup_frames")),
        drop=_whole(block.get("drop_frames")),
        ended=ended,
    )


def _number(text: str | None, unit: str = "", scale: float = 1.0, lowest: float = 0.0) -> float | None:
    try:
        number = float((text or "").removesuffix(unit)) * scale
    except ValueError:
        return None
    return number if isfinite(number) and number >= lowest else None


def _whole(text: str | None) -> int | None:
    text = text or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def fraction(
    progress: Progress, expected: float | None, frames: int | None, offset: float = 0.0
) -> float | None:
    """How much is done, 0 to 1, of that many seconds or that many frames, whichever limit is nearer.

    None if unknown. 1 once ffmpeg has ended, however that was, and never before.
    """
    if progress.ended:
        return 1.0
    done = None if progress.out_time is None else progress.out_time - offset
    parts = [part for part in (_part(done, expected), _part(progress.frame, frames)) if part is not None]
    return max(parts, default=None)


def _part(done: float | None, all_of_it: float | None) -> float | None:
    if done is None or all_of_it is None or not isfinite(done) or not 0 < all_of_it < float("inf"):
        return None
    return min(max(done / all_of_it, 0.0), _NEARLY)


def time_left(progress: Progress, expected: float | None, offset: float = 0.0) -> float | None:
    """Seconds until the end at the speed so far; None if unknown."""
    if progress.ended:
        return 0.0
    if expected is None or progress.out_time is None or not progress.speed:
        return None
    left = (expected + offset - progress.out_time) / progress.speed
    return max(left, 0.0) if isfinite(left) else None
