"""Errors as one sentence and an exit status. The command shows no traceback."""

from __future__ import annotations

import os

FAILED, USAGE, NOT_FOUND, NOT_ALLOWED, UNREACHABLE = range(1, 6)
TRY_AGAIN, TIMED_OUT, INTERRUPTED = 75, 124, 130


class Failure(Exception):
    """The command cannot go on: a sentence for the person and a status for the shell."""

    def __init__(self, sentence: str, status: int = FAILED) -> None:
        super().__init__(sentence)
        self.status = status


def explain(error: Exception) -> tuple[int, str]:
    """The exit status and the sentence for an error. FFGRID_DEBUG=1 raises it instead."""
    if os.environ.get("FFGRID_DEBUG"):
        raise error
    if isinstance(error, Failure):
        return error.status, str(error)
    if isinstance(error, ModuleNotFoundError):
        missing = f"this command needs more than is installed ({error.name} is missing)"
        return USAGE, f"{missing}: pip install 'ffgrid[demo]', see README.md"
    if type(error).__name__ in ("BadSetting", "BadURL", "BadKeyFile"):
        return USAGE, str(error)
    if type(error).__module__.startswith(("redis.", "app.state.trouble")):
        return UNREACHABLE, f"cannot reach Redis: {error}"
    said = str(error) or type(error).__name__
    known = type(error).__module__.startswith(("app.", "worker.", "shim."))
    return FAILED, said if known else f"{said} ({type(error).__name__}; FFGRID_DEBUG=1 shows more)"
