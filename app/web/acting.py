"""What a page's button does ends here: with a word about it, and a line in the record of who did what."""

from __future__ import annotations

from contextlib import suppress

from starlette.requests import Request
from starlette.responses import Response

from app.state.activity import Activity
from app.state.clients import Client
from app.state.connect import RedisError
from app.web import door, live, pages


async def record(request: Request, did: str, what: str) -> None:
    """Keeps that the user who asks has done this: "cancelled", and a job's id. Raises a RedisError."""
    user = door.user(request)
    activity: Activity = request.app.state.store.activity
    await activity.add(f"user {user.name}" if user else "nobody", did, what)


async def noted(request: Request, client: Client, did: str, what: str) -> None:
    """The same for a key. It has been done already: a queue that goes away just now costs the line, not the answer."""
    activity: Activity = request.app.state.store.activity
    with suppress(RedisError):
        await activity.add(f"key {client.id}", did, what)


def acted(request: Request, said: str, back: str) -> Response:
    """It is done: htmx gets the sentence, a plain form is sent to the page `back`. What follows comes by the stream."""
    live.hub(request).touch()
    if pages.is_htmx(request):
        return pages.said(said, "good")
    return pages.redirect(back)
