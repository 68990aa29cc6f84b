"""Places in a list or a stream, as clients send them back. Pure."""

from __future__ import annotations

from collections.abc import Callable

from app.state.job import is_id
from app.web.problems import Problem


def check_cursors(before: str, after: str) -> None:
    """Raises Problem 422 for what is no place in a list of jobs."""
    if before and not is_cursor(before, is_id):
        raise Problem(422, "invalid", "before: expected the 'next' of another page")
    if after and not is_cursor(after, is_id):
        raise Problem(422, "invalid", "after: expected the 'newer' of another page")
    if before and after:
        raise Problem(422, "invalid", "before, after: expected one of them")


def is_cursor(text: str, is_second: Callable[[str], bool]) -> bool:
    """Whether it is a number, a hyphen and what the second must be."""
    first, separator, second = text.partition("-")
    return bool(separator) and is_number(first) and is_second(second)


def is_number(text: str) -> bool:
    """Digits that fit into 64 bits."""
    return text.isascii() and text.isdigit() and len(text) < 20
