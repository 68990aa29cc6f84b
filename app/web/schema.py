"""What the API takes, as types: they check requests and describe them in /openapi.json."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

import msgspec

from app.web.problems import Problem
from app.wire import roots
from app.wire.messages import ARGUMENT_LIMIT, ARGUMENTS_LIMIT, ENVIRONMENT, VALUE_LIMIT

Key = Annotated[
    str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{8,64}$(?!\n)", description="made by the client, one a run")
]
JobId = Annotated[str, msgspec.Meta(pattern=r"^[0-9A-HJKMNP-TV-Z]{26}$(?!\n)")]
RootName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,63}$(?!\n)")]
_VARIABLES = f"of {', '.join(ENVIRONMENT)}: at most {VALUE_LIMIT} characters each"
Word = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
UserId = Annotated[int, msgspec.Meta(ge=0, lt=(1 << 32) - 1)]  # the last one means "the same as now"


class Piece(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A part of a folded argument: a root's name, or bytes that are not UTF-8. Exactly one of the two.

    `written` is how the root stands there when that is not its path in `view`: with the escapes of a filter.
    """

    root: RootName | None = None
    b64: str | None = None
    written: Annotated[str, msgspec.Meta(min_length=1, max_length=8192)] | None = None


Argument = str | list[str | Piece]


class Submission(msgspec.Struct, forbid_unknown_fields=True):
    """A command to run; see `app.wire.messages`."""

    key: Key
    binary: Literal["ffmpeg", "ffprobe"]
    args: Annotated[list[Argument], msgspec.Meta(max_length=4096)]
    cwd: Argument | None = None
    view: dict[RootName, Argument] = {}
    lane: Literal["live", "high", "normal", "low"] = "normal"
    nice: Annotated[int, msgspec.Meta(ge=0, le=19)] = 0
    env: Annotated[dict[str, str], msgspec.Meta(max_length=16, description=_VARIABLES)] = {}
    labels: Annotated[dict[Word, Word], msgspec.Meta(max_length=16)] = {}
    attach: bool = False
    in_place: bool = False
    stdin: Literal["none", "open", "ready"] = "open"
    umask: Annotated[int, msgspec.Meta(ge=0, le=0o777)] | None = None
    user: Annotated[list[UserId], msgspec.Meta(min_length=2, max_length=66)] | None = None
    require_worker: bool = False
    max_attempts: Annotated[int, msgspec.Meta(ge=1, le=10)] = 3
    redo: Literal["suspected", "fenced", "never"] | None = None
    retries: Annotated[int, msgspec.Meta(ge=0, le=10)] = 0
    retry_delay: Annotated[float, msgspec.Meta(ge=0.1, le=3600, description="seconds")] = 10
    max_seconds: Annotated[float, msgspec.Meta(ge=0, le=2_592_000, description="0: for ever")] = 0
    stall_seconds: Annotated[float, msgspec.Meta(ge=0, le=86_400, description="0: for ever")] | None = None


class Fallback(msgspec.Struct, forbid_unknown_fields=True):
    """Calls that ran on the client's own host for one reason; `at` is the last of them, in Unix seconds."""

    at: Annotated[float, msgspec.Meta(ge=0, le=1e11)]
    binary: Literal["ffmpeg", "ffprobe"]
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=512)]
    count: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1


class Fallbacks(msgspec.Struct, forbid_unknown_fields=True):
    """What a client has run itself since it last said so."""

    fallbacks: Annotated[list[Fallback], msgspec.Meta(min_length=1, max_length=200)]


class Words(msgspec.Struct, forbid_unknown_fields=True):
    """Which jobs: the words of GET /v1/jobs. Without any, all."""

    state: str = ""
    lane: str = ""
    worker: str = ""
    owner: str = ""
    label: Annotated[list[str], msgspec.Meta(max_length=16, description="`name=value` each")] = []
    q: str = ""
    since: str | int | float = ""
    until: str | int | float = ""


class Bulk(msgspec.Struct, forbid_unknown_fields=True):
    """An action on many jobs: on those with these ids, or on all that match the filter."""

    key: Key
    action: Literal["cancel", "retry", "lane"]
    ids: Annotated[list[JobId], msgspec.Meta(min_length=1, max_length=1000)] | None = None
    filter: Words | None = None
    lane: Literal["live", "high", "normal", "low"] | None = None
    dry_run: bool = False


class Retry(msgspec.Struct, forbid_unknown_fields=True):
    """Runs an ended job's command again, as a new job."""

    key: Key


T = TypeVar("T")


def decode(body: bytes, form: type[T]) -> T:
    """The body as that type. Raises Problem: 400 for what is not JSON, 422 for what is not as described."""
    try:
        return msgspec.json.decode(body, type=form)
    except msgspec.ValidationError as error:
        message, _, where = str(error).partition(" - at ")
        path = where.strip("`") or "$"
        detail = f"{path.removeprefix('$.')}: {_lowered(message)}"
        raise Problem(422, "invalid", detail, errors=[{"pointer": path, "detail": message}]) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Problem(400, "malformed", f"the body is not JSON: {_lowered(str(error))}") from None


def given(wanted: Submission, names: tuple[str, ...]) -> dict[str, Any]:
    """The fields of these names that are not null."""
    return {name: value for name in names if (value := getattr(wanted, name)) is not None}


def labels(pairs: list[str]) -> dict[str, str]:
    """The labels that a query names, `label=name=value` each. Raises Problem 422."""
    named = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    sound = all(0 < len(word) <= 64 for pair in named.items() for word in pair)
    if len(named) != len(pairs) or not sound or len(named) > 16:
        raise Problem(
            422,
            "invalid",
            f"label: expected at most 16 different name=value, 64 characters each, got {pairs!r}",
        )
    return named


def folded(argument: Argument, where: str) -> roots.Folded:
    """An argument as the wire has it. Raises Problem 422 for what no argument can be."""
    if isinstance(argument, str):
        return _text(argument, where)
    return [_text(piece, where) if isinstance(piece, str) else _piece(piece, where) for piece in argument]


def environment(variables: dict[str, str]) -> dict[str, str]:
    """The variables that a job gets. Raises Problem 422 for what no caller may set, or no variable can be."""
    for name, value in variables.items():
        if name not in ENVIRONMENT:
            raise Problem(
                422, "invalid", f"env: {name!r} cannot be set, expected one of {', '.join(ENVIRONMENT)}"
            )
        if len(value) > VALUE_LIMIT:
            raise Problem(
                422, "invalid", f"env.{name}: {len(value)} characters, expected at most {VALUE_LIMIT}"
            )
        if "\0" in value:
            raise Problem(422, "invalid", f"env.{name}: a variable cannot hold a NUL")
    return variables


def check_sizes(arguments: list[str]) -> None:
    """Raises Problem 422 for arguments that no kernel would take."""
    sizes = [len(argument.encode("utf-8", "surrogateescape")) for argument in arguments]
    if sum(sizes) > ARGUMENTS_LIMIT:
        raise Problem(422, "invalid", f"args: {sum(sizes)} bytes in all, expected at most {ARGUMENTS_LIMIT}")
    for index, size in enumerate(sizes):
        if size > ARGUMENT_LIMIT:
            raise Problem(422, "invalid", f"args[{index}]: {size} bytes, expected at most {ARGUMENT_LIMIT}")


def _piece(piece: Piece, where: str) -> dict[str, str]:
    if (piece.root is None) == (piece.b64 is None):
        raise Problem(422, "invalid", f"{where}: a piece has either 'root' or 'b64'")
    if piece.written is not None and (piece.root is None or not piece.written.startswith("/")):
        raise Problem(422, "invalid", f"{where}: 'written' is the spelling of a root: it begins with '/'")
    if piece.root is not None and piece.written is not None:
        return {"root": piece.root, "written": _text(piece.written, where)}
    if piece.root is not None:
        return {"root": piece.root}
    try:
        _text(roots.decode(piece.b64 or ""), where)
    except ValueError:
        raise Problem(422, "invalid", f"{where}: 'b64' is not base64") from None
    return {"b64": piece.b64 or ""}


def _text(text: str, where: str) -> str:
    if "\0" in text:
        raise Problem(422, "invalid", f"{where}: an argument cannot hold a NUL")
    return text


def _lowered(message: str) -> str:
    return message if message[:2].isupper() else message[:1].lower() + message[1:]
