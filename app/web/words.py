"""Numbers, times and foreign text as people read them. Pure; no HTML, no clock."""

from __future__ import annotations

import unicodedata
from math import ceil

NOTHING = "\N{EN DASH}"

_JOINERS = "\u200c\u200d"  # some languages and emoji are written with them
_HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")


def visible(text: str) -> str:
    r"""The text with an escape for every character that hides, or moves what stands around it: \x1b, \u202e."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escape(letter) if _is_hidden(letter) else letter for letter in text)


def shortened(text: str, limit: int) -> str:
    """The text, or its two ends with "…" between them when it is longer than `limit`."""
    if len(text) <= limit:
        return text
    head = (limit - 1) // 2
    return f"{text[:head]}…{text[head + 1 - limit :]}"


def ago(seconds: float) -> str:
    """How long ago, roughly."""
    if seconds < 2:
        return "now"
    if seconds < 60:
        return f"{int(seconds)} s ago"
    if seconds < 3600:
        return f"{int(seconds / 60)} min ago"
    if seconds < 86_400:
        return f"{int(seconds / 3600)} h ago"
    days = int(seconds / 86_400)
    return f"{days} days ago" if days > 1 else "1 day ago"


def duration(seconds: float) -> str:
    """How long something took, in at most two units."""
    whole = int(seconds)
    if whole < 10:
        return f"{max(seconds, 0.0):.1f} s"
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    if whole < 86_400:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3600} h"


def left(seconds: float | None) -> str:
    """How long it will take yet, rounded up: "3 min left"."""
    if seconds is None:
        return NOTHING
    whole = ceil(seconds)
    if whole < 60:
        return f"{whole} s left"
    minutes = ceil(whole / 60)
    return f"{minutes} min left" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min left"


def percent(fraction: float | None) -> str:
    """Whole percents, rounded down: 100 is for what is done."""
    return "" if fraction is None else f"{int(fraction * 100 + 1e-9)} %"


def fps(value: float | None) -> str:
    """Frames a second; a dash for none, as in a copy of streams."""
    if not value:
        return NOTHING
    return f"{value:.1f} fps" if value < 10 else f"{value:.0f} fps"


def speed(value: float | None) -> str:
    """Media seconds a second, with as many digits as matter."""
    if not value:
        return NOTHING
    digits = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{digits}f}\N{MULTIPLICATION SIGN}"


def size(count: float | None) -> str:
    """Bytes in decimal units."""
    if count is None:
        return NOTHING
    units = iter(("B", "kB", "MB", "GB", "TB", "PB"))
    unit = next(units)
    while count >= 999.5 and unit != "PB":
        count, unit = count / 1000, next(units)
    return f"{count:.1f} {unit}" if count < 99.95 and unit != "B" else f"{count:.0f} {unit}"


def bitrate(value: float | None) -> str:
    """Bits a second in decimal units."""
    return NOTHING if value is None else size(value).replace("B", "bit") + "/s"


def clock(seconds: float) -> str:
    """A time in media: 1:02:03.4."""
    tenths = max(0, int(seconds * 10))
    minutes, tenths = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{tenths // 10:02}.{tenths % 10}"


def after(seconds: float) -> str:
    """In how long something is: "in 3 min"."""
    return f"in {duration(seconds)}" if seconds >= 1 else "now"


def number(count: int) -> str:
    """Thousands apart, by a narrow space."""
    return f"{count:,}".replace(",", "\u202f")


def times(count: int) -> str:
    """Once, twice, 3 times."""
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def _is_hidden(letter: str) -> bool:
    return unicodedata.category(letter) in _HIDDEN and letter not in _JOINERS


def _escape(letter: str) -> str:
    code = ord(letter)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
