"""What a page's button does ends here: with a word about it, and a line in the record of who did what."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from app.web import pages
from app.web.dashboard import door, live
from app.web.parts import store


async def record(request: Request, did: str, what: str) -> None:
    """Keeps that the user who asks has done this: "cancelled", and a job's id. Raises a RedisError."""
    user = door.user(request)
    await store(request).activity.add(f"user {user.name}" if user else "nobody", did, what)


def acted(request: Request, said: str, back: str) -> Response:
    """It is done: htmx gets the sentence, a plain form is sent to the page `back`. What follows comes by the stream."""
    live.hub(request).touch()
    if pages.is_htmx(request):
        return pages.said(said, "good")
    return pages.redirect(back)
