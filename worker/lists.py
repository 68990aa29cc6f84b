"""Lists and scripts that name files, where there is no namespace: the job reads a copy with this host's names.

A copy lies beside its original, because relative names in it begin there; it is removed when the job has ended.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace

from app.wire import folding, placing, roots
from app.wire.command import bare
from worker.place import Place
from worker.plan import CannotRun, Plan

LIMIT = 1 << 20  # bytes of a list
_BEGINS = (b"ffconcat version", b"#EXTM3U", b"<MPD", b"<?xml")
_DEMUXERS = frozenset("concat hls applehttp dash sdp".split())
_OPTIONS = frozenset(
    "filter_complex_script filter_script /filter_complex /filter /vf /af hls_key_info_file".split()
)


def localize(ready: Plan, place: Place, view: Mapping[str, str]) -> Plan:
    """The plan with copies in the place of lists that name roots as `view` does.

    Raises CannotRun for a list that names a file outside every root.
    """
    _check_sources(ready)
    argv, copies = list(ready.argv), []
    for index in _lists(ready):
        path = os.path.join(ready.cwd or "/", argv[index + 1].removeprefix("file:"))
        text = _text(path)
        changed = _renamed(text, place.view, view, os.path.basename(path))
        if changed != text:
            copy = os.path.join(os.path.dirname(path), f"{ready.stem}{index}{os.path.splitext(path)[1]}")
            with open(copy, "w", encoding="utf-8", errors="surrogateescape", newline="") as file:
                file.write(changed)
            if place.names:
                place.names.add(copy, argv[index + 1])
            argv[index + 1] = copy
            copies.append(copy)
    return replace(ready, argv=argv, copies=copies)


def _lists(ready: Plan) -> Iterator[int]:
    """The arguments that are files which name other files."""
    read = ready.command
    for index, options in zip(read.inputs, read.input_options, strict=False):
        url = read.args[index]
        is_path = url.startswith(("/", "file:")) or ":" not in url
        if (
            is_path
            and options.get("f") != "lavfi"
            and (options.get("f") in _DEMUXERS or _is_list(url, ready))
        ):
            yield index
    for index, option in read.values.items():
        if option in _OPTIONS or bare(option) in _OPTIONS:
            yield index


def _check_sources(ready: Plan) -> None:
    """A list that is no file cannot be looked at. Raises CannotRun."""
    for index, options in zip(ready.command.inputs, ready.command.input_options, strict=False):
        url = ready.command.args[index]
        may_be = options.get("f") in _DEMUXERS or "safe" in options
        is_plain = "protocol_whitelist" not in options and not url.startswith("data:")
        if (url == "-" or placing.is_no_file(url)) and not (
            is_plain and (not may_be or url.startswith("http"))
        ):
            raise CannotRun(f"{url[:80]!r} could name any file, which only a worker with a namespace reads")


def _is_list(url: str, ready: Plan) -> bool:
    path = os.path.join(ready.cwd or "/", url.removeprefix("file:"))
    try:
        with open(path, "rb") as file:
            return os.path.isfile(path) and file.read(64).lstrip().startswith(_BEGINS)
    except OSError:
        return False


def _text(path: str) -> str:
    """What is in it; nothing if it cannot be read, which ffmpeg will say."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            text = file.read(LIMIT + 1)
    except OSError:
        return ""
    if len(text) > LIMIT:
        raise CannotRun(f"{os.path.basename(path)!r} is larger than {LIMIT} bytes, which no list is")
    return text


def _renamed(text: str, here: Mapping[str, str], there: Mapping[str, str], name: str) -> str:
    """The text with the caller's names of roots (`there`) changed into this host's. Raises CannotRun."""
    if folding.climbs(text):
        raise CannotRun(f"{name!r} names files with '..', which only a worker with a namespace follows")
    folded = folding.scan(text, {root: path for root, path in there.items() if root in here})
    left = roots.unfold(folded, dict.fromkeys(here, "\0"))
    if strayed := next((path for path in placing.paths(left) if os.path.exists(path)), None):
        raise CannotRun(f"{name!r} names {strayed!r}, which lies outside every root")
    return roots.unfold(folded, here)
