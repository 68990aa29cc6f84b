"""Looking at a job's files: the commands that do it, and what they print made into rows. Pure.

The coordinator never opens a file. A small job does, on whichever worker has the roots, with the names that the
job's own command has:

    ffmpeg -i {Movies}/a.mkv {Movies}/b.mkv   ->   ffprobe ... -i {Movies}/a.mkv         what is in it ("in", "out")
                                                   ffmpeg -ss 60 -i {Movies}/b.mkv ...   a picture ("10", "50", "90")
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from app.state.job import OWN
from app.web import words
from app.web.dashboard.shell import path_of
from app.web.words import NOTHING, visible
from app.wire import command, placing, roots

Spec = dict[str, Any]

OWNER = OWN + "look"  # of the small jobs; no key can be called that
PICTURES = ("10", "50", "90")  # at so many percent
WHATS = ("in", "out", *PICTURES)
SECONDS = 60  # a look may take
STREAMS = 24  # of a file that are shown
_KINDS = {"video": "Video", "audio": "Audio", "subtitle": "Subtitles"}
_PROBE = ["-v", "error", "-of", "json", "-show_format", "-show_streams"]
_SMALL = ["-frames:v", "1", "-an", "-sn", "-vf", "scale=320:-2", "-c:v", "mjpeg", "-f", "image2pipe", "-"]
_KEPT = ("cwd", "view", "umask", "user")  # of the job whose files these are


class Unreadable(ValueError):
    """A look has printed something else than it should; the text says what, for people."""


@dataclass(frozen=True)
class Files:
    """The job's first input and output that are files, folded; or None, and why."""

    input: roots.Folded | None
    output: roots.Folded | None
    no_input: str = ""
    no_output: str = ""


def files(spec: Mapping[str, Any]) -> Files:
    """The files of a job."""
    named = roots.names([*spec["args"], spec.get("cwd") or ""])
    view = {name: path_of(name) for name in named}
    read = command.read(spec["binary"], [roots.unfold(one, view) for one in spec["args"]])
    there = placing.files(read)
    inputs = [at for at in read.inputs if at in there]
    outputs = [at for at in command.output_files(read) if at in there] if spec["binary"] == "ffmpeg" else []
    return Files(
        input=spec["args"][inputs[0]] if inputs else None,
        output=spec["args"][outputs[0]] if outputs else None,
        no_input="" if inputs else "it reads no file: a stream, a device or a test picture",
        no_output="" if outputs else "it writes no single file: a stream, a set of files, or nothing",
    )


def probe(spec: Mapping[str, Any], file: roots.Folded) -> Spec:
    """The job that says what is in a file."""
    return _spec(spec, "ffprobe", [*_PROBE, "-i", file])


def picture(spec: Mapping[str, Any], file: roots.Folded, what: str, duration: float) -> Spec:
    """The job that makes a picture of a video at that many percent of it."""
    at = f"{duration * int(what) / 100:.3f}"
    return _spec(spec, "ffmpeg", ["-nostdin", "-v", "error", "-ss", at, "-i", file, *_SMALL])


def _spec(old: Mapping[str, Any], binary: str, args: list[roots.Folded]) -> Spec:
    return {
        "cwd": None,
        "view": {},
        **{name: old[name] for name in _KEPT if name in old},
        "binary": binary,
        "args": args,
        "labels": {},
        "lane": "high",
        "nice": 10,
        "env": {},
        "attach": False,
        "in_place": True,
        "redo": "suspected",
        "max_attempts": 2,
        "retries": 0,
        "retry_delay": 10,
        "max_seconds": SECONDS,
        "stall_seconds": SECONDS,
    }


def summary(printed: bytes) -> bytes:
    """What is kept of ffprobe's report. Raises Unreadable."""
    try:
        report = json.loads(printed)
        kind, streams = report["format"], report["streams"]
        kept = {
            "container": str(kind.get("format_name", "")),
            "duration": _number(kind.get("duration")),
            "size": _number(kind.get("size")),
            "bitrate": _number(kind.get("bit_rate")),
            "streams": [_stream(one) for one in streams[:STREAMS]],
            "more": max(0, len(streams) - STREAMS),
        }
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise Unreadable("ffprobe has not said what is in it") from None
    return json.dumps(kept).encode()


def jpeg(printed: bytes) -> bytes:
    """The picture. Raises Unreadable."""
    if printed[:3] != b"\xff\xd8\xff" or printed[-2:] != b"\xff\xd9":
        raise Unreadable("ffmpeg has made no picture there")
    return printed


def _stream(one: Mapping[str, Any]) -> dict[str, str]:
    kind = str(one.get("codec_type", ""))
    size = (
        f"{one['width']}\N{MULTIPLICATION SIGN}{one['height']}" if "width" in one and "height" in one else ""
    )
    channels = {1: "mono", 2: "stereo"}.get(one.get("channels", 0), f"{one.get('channels', 0)} channels")
    details = {
        "video": [str(one.get("pix_fmt", "")), size, _rate(str(one.get("avg_frame_rate", "")))],
        "audio": [f"{one.get('sample_rate', '?')} Hz", channels],
    }.get(kind, [])
    language = str(one.get("tags", {}).get("language", ""))
    parts = [str(one.get("codec_name", "unknown")), *details, "" if language == "und" else language]
    return {"kind": kind[:40], "text": ", ".join(part for part in parts if part)[:200]}


def _rate(text: str) -> str:
    above, _, below = text.partition("/")
    if not (above.isdigit() and below.isdigit() and len(text) < 20) or int(below) == 0 or int(above) == 0:
        return ""
    return f"{int(above) / int(below):.3f}".rstrip("0").rstrip(".") + " fps"


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if isfinite(number) else None


Row = tuple[str, str, str]


def rows(inside: Mapping[str, Any] | None, outside: Mapping[str, Any] | None) -> tuple[Row, ...]:
    """Both files side by side: name, input, output."""
    one, two = inside or {}, outside or {}
    table: list[Row] = [
        ("Container", visible(one.get("container", "")), visible(two.get("container", ""))),
        ("Duration", _duration(one.get("duration")), _duration(two.get("duration"))),
        ("Size", words.size(one.get("size")), _compared(one.get("size"), two.get("size"))),
        ("Bit rate", words.bitrate(one.get("bitrate")), words.bitrate(two.get("bitrate"))),
        *((title, _streams(one, kind), _streams(two, kind)) for kind, title in _KINDS.items()),
        ("Other streams", _others(one), _others(two)),
    ]
    return tuple(row for row in table if set(row[1:]) - {"", NOTHING})


def duration_of(seen: Mapping[str, Any] | None) -> float | None:
    """How long a video is, if the file holds one."""
    if not seen or not any(one["kind"] == "video" for one in seen["streams"]):
        return None
    found = seen["duration"]
    return float(found) if found else None


def _duration(seconds: float | None) -> str:
    return "" if seconds is None else words.clock(seconds)


def _compared(before: float | None, after: float | None) -> str:
    if not before or after is None:
        return words.size(after)
    return f"{words.size(after)} ({after / before * 100:.3g} % of the input)"


def _streams(seen: Mapping[str, Any], kind: str) -> str:
    return visible("; ".join(one["text"] for one in seen.get("streams", ()) if one["kind"] == kind))


def _others(seen: Mapping[str, Any]) -> str:
    texts = [one["text"] for one in seen.get("streams", ()) if one["kind"] not in _KINDS]
    more = [f"{seen['more']} more"] if seen.get("more") else []
    return visible("; ".join([*texts, *more]))
