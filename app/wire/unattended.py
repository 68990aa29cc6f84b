"""What a command without a caller cannot do: read a standard input, or send media through its standard output."""

from __future__ import annotations

from app.wire.command import Command

_STDIN = frozenset("- pipe: pipe:0 fd: /dev/stdin /dev/fd/0".split())
_STDOUT = frozenset("- pipe: pipe:1 fd: /dev/stdout /dev/fd/1".split())
_TEXTS = frozenset(
    "null ffmetadata framecrc framehash framemd5 crc hash md5 streamhash ass srt webvtt".split()
)


def trouble(read: Command) -> str:
    """Why the command needs a caller, in words; "" where it does not. Only the end of a long output is kept."""
    for text in read.texts(read.inputs):
        if text in _STDIN:
            return f"the input {text!r} is the standard input, which submit does not send"
    for at, options in zip(read.outputs, read.output_options, strict=True):
        is_small = options.get("f") in _TEXTS or "vframes" in options
        if read.binary == "ffmpeg" and read.args[at] in _STDOUT and not is_small:
            return (
                f"the output {read.args[at]!r} is the standard output, of which submit shows a log, "
                "too short for media"
            )
    return ""
