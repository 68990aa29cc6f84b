"""A job's command as lines for a shell, each of which can be copied and does what it says. Pure.

caller_line   the command as its caller wrote it
submit_line   the same through `ffgrid submit`, with the roots and everything else that was asked for
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from shlex import quote
from typing import Any

from app.wire import roots
from app.wire.messages import STALL_SECONDS

DEFAULTS = {"nice": 0, "max_attempts": 3, "retries": 0, "retry_delay": 10, "max_seconds": 0}


def path_of(root: str) -> str:
    """Where a command finds a root of which its caller has not said where it is (see `worker.place`)."""
    return f"/ffgrid/{root}"


def view_of(spec: Mapping[str, Any]) -> dict[str, str]:
    """Where the command finds each root that it names."""
    view = {name: roots.unfold(path, {}) for name, path in spec.get("view", {}).items()}
    named = roots.names([*spec["args"], spec.get("cwd") or ""])
    return {name: view.get(name, path_of(name)) for name in sorted(named)}


def caller_line(spec: Mapping[str, Any]) -> str:
    """The command, in the directory where it was called if that is in a root."""
    return _within(spec, joined([spec["binary"], *_words(spec)]))


def submit_line(spec: Mapping[str, Any]) -> str:
    """The line that makes such a job once more."""
    view = view_of(spec)
    mapped = ":".join(f"{name}={path}" for name, path in view.items())
    flags = ["--roots", mapped] if view else []
    flags += _flags(spec)
    return _within(spec, joined(["ffgrid", "submit", *flags, "--", spec["binary"], *_words(spec)]))


def joined(words: Iterable[str]) -> str:
    """The words as a shell reads them."""
    return " ".join(map(quoted, words))


def quoted(word: str) -> str:
    """One word as a shell (bash, zsh, ksh) reads it; what cannot be seen is escaped."""
    if word.isprintable():
        return quote(word)
    return "$'" + "".join(map(_escaped, word)) + "'"


def _escaped(letter: str) -> str:
    if letter in "'\\":
        return "\\" + letter
    if letter.isprintable():
        return letter
    return "".join(f"\\x{byte:02x}" for byte in letter.encode("utf-8", "surrogateescape"))


def _words(spec: Mapping[str, Any]) -> list[str]:
    view = view_of(spec)
    return [roots.unfold(argument, view, as_written=True) for argument in spec["args"]]


def _within(spec: Mapping[str, Any], line: str) -> str:
    if spec.get("cwd") is None:
        return line
    return f"cd {quoted(roots.unfold(spec['cwd'], view_of(spec)))} && {line}"


def _flags(spec: Mapping[str, Any]) -> list[str]:
    flags = [] if spec.get("lane", "normal") == "normal" else ["--lane", spec["lane"]]
    for name, value in spec.get("labels", {}).items():
        flags += ["--label", f"{name}={value}"]
    for name, default in DEFAULTS.items():
        if spec.get(name, default) != default:
            flags += [f"--{name.replace('_', '-')}", _number(spec[name])]
    stall = spec.get("stall_seconds", STALL_SECONDS)
    if stall != STALL_SECONDS and not spec.get("attach"):
        flags += ["--stall-seconds", _number(stall)]
    if spec.get("in_place"):
        flags.append("--in-place")
    return flags + (["--redo", spec["redo"]] if spec.get("redo") else [])


def _number(value: float) -> str:
    return f"{value:g}"
