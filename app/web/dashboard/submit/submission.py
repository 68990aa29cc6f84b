"""What somebody has filled into the form at /submit, made into a job, or into words beside the fields. Pure.

The same checks as for `POST /v1/jobs`: the fields become the body of such a request.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from app.state.jobs import Submission
from app.web import preparing, schema
from app.web.dashboard import shell
from app.web.dashboard.submit import typed
from app.web.problems import Problem
from app.wire import command, unattended
from app.wire.messages import LANES, STALL_SECONDS

Fields = Mapping[str, str]

NUMBERS = {"retries": "0", "retry_delay": "10", "max_seconds": "0", "stall_seconds": str(STALL_SECONDS)}
EMPTY = {"command": "", "cwd": "", "lane": "normal", "labels": "", **NUMBERS, "in_place": "", "source": ""}
LONGEST = 400_000  # bytes of a form: a command of the longest kind, with its escapes
# What a copy has of its original without being asked.
_KEPT = ("nice", "env", "umask", "user", "max_attempts", "redo")
_FIELD = {"args": "command", "binary": "command", "view": "command", "$": "command"}
_UNUSED = "not-checked-yet"  # in the place of a key


@dataclass(frozen=True)
class Checked:
    """The fields as they were typed, and what is to be stored or what is wrong: field: sentence."""

    fields: dict[str, str]
    errors: dict[str, str] = field(default_factory=dict)
    stored: Submission | None = None
    body: dict[str, Any] = field(default_factory=dict)

    @property
    def is_folded_wrong(self) -> bool:
        """Something is wrong among the fields that are folded away."""
        return not self.errors.keys().isdisjoint(NUMBERS)

    @property
    def line(self) -> str:
        """The same for a shell."""
        return shell.submit_line(self.stored.spec) if self.stored else ""

    @property
    def json(self) -> str:
        """The same for the API."""
        return (
            json.dumps({"key": "made by you, new for each job", **self.body}, indent=2) if self.body else ""
        )


class Wrong(ValueError):
    """A field cannot be read."""

    def __init__(self, name: str, sentence: str) -> None:
        super().__init__(sentence)
        self.name = name


def filled(spec: Mapping[str, Any], job_id: str) -> dict[str, str]:
    """The form for one more job like this one. Raises CannotRead."""
    known = {name: f"{spec[name]:g}" for name in NUMBERS if name in spec and not spec.get("attach")}
    return {
        **EMPTY,
        **known,
        "command": typed.text(spec),
        "cwd": typed.path(spec.get("cwd")),
        "lane": spec.get("lane", "normal"),
        "labels": " ".join(f"{name}={value}" for name, value in spec.get("labels", {}).items()),
        "in_place": "on" if spec.get("in_place") else "",
        "source": job_id,
    }


def check(given: Fields, owner: str, original: Mapping[str, Any] | None = None) -> Checked:
    """`original` is the specification of the job that this is a copy of."""
    fields = {name: given.get(name, default) for name, default in EMPTY.items()}
    if "command" in given:
        fields["in_place"] = given.get("in_place", "")  # an unticked box sends nothing
    kept = {name: original[name] for name in _KEPT if original and name in original}
    try:
        body = {**kept, **_body(fields)}
        wanted = schema.decode(json.dumps({"key": _UNUSED, **body}).encode(), schema.Submission)
        stored = preparing.prepare(wanted, owner)
        _check_alone(wanted.binary, stored)
    except Wrong as error:
        return Checked(fields, {error.name: _sentence(str(error))})
    except Problem as problem:
        return Checked(fields, dict([_beside(problem.detail)]))
    return Checked(fields, stored=stored, body=body)


def keyed(stored: Submission, form: str) -> Submission:
    """With a key of this form and of what is in it: the same twice is one job, something else is another."""
    return replace(stored, key=f"{form[:32]}-{stored.digest[:24]}")


def _body(fields: Fields) -> dict[str, Any]:
    try:
        binary, args = typed.program(typed.split(fields["command"]))
    except typed.CannotRead as error:
        raise Wrong("command", str(error)) from None
    folded = typed.fold(binary, args)
    cwd = typed.fold_path(fields["cwd"].strip()) if fields["cwd"].strip() else None
    if fields["lane"] not in LANES:
        raise Wrong("lane", f"expected one of {', '.join(LANES)}")
    return {
        "binary": binary,
        "args": folded,
        **({} if cwd is None else {"cwd": cwd}),
        "view": typed.view([*folded, cwd or ""]),
        "lane": fields["lane"],
        "labels": _labels(fields["labels"]),
        **{name: _number(name, fields[name], default) for name, default in NUMBERS.items()},
        "in_place": bool(fields["in_place"]),
    }


def _number(name: str, text: str, default: str) -> float:
    try:
        number = float(text.strip() or default)
    except ValueError:
        raise Wrong(name, f"expected a number, got {text!r}") from None
    if number != number or abs(number) > 1e9:
        raise Wrong(name, f"expected a number, got {text!r}")
    return int(number) if number == int(number) else number


def _labels(text: str) -> dict[str, str]:
    labels = {}
    for pair in text.replace(",", " ").split():
        name, equals, value = pair.partition("=")
        if not (name and equals and value):
            raise Wrong("labels", f"expected name=value, got {pair!r}")
        labels[name] = value
    return labels


def _check_alone(binary: str, stored: Submission) -> None:
    """Such a job has no caller. Raises Wrong."""
    plain = [typed.plain(argument) for argument in stored.spec["args"]]
    if needs := unattended.trouble(command.read(binary, plain)):
        raise Wrong("command", f"{needs}: name a file")


def _beside(detail: str) -> tuple[str, str]:
    """The field that a problem is about, and the problem."""
    where, _, sentence = detail.partition(": ")
    name = where.partition("[")[0].partition(".")[0]
    name = _FIELD.get(name, name)
    return (name, _sentence(sentence)) if name in EMPTY and sentence else ("command", _sentence(detail))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."
