"""What a plain HTML form sends: a few short fields."""

from __future__ import annotations

from urllib.parse import parse_qsl

from starlette.requests import Request

from app.web.auth import read_body
from app.web.problems import Problem

LONGEST = 16_384  # bytes of a form
FIELDS = 20


async def form(request: Request, longest: int = LONGEST) -> dict[str, str]:
    """The fields, the last of each name. Raises Problem 400, 413, 415."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise Problem(415, "unsupported-media-type", "expected a form: application/x-www-form-urlencoded")
    body = await read_body(request)
    if len(body) > longest:
        raise Problem(413, "too-large", f"a form has at most {longest} bytes")
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, max_num_fields=FIELDS, errors="strict"
        )
    except ValueError:
        raise Problem(400, "malformed", "the form cannot be read") from None
    return dict(pairs)
