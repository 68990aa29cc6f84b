"""What operations of the API have in common: who may ask, and a line in the record of who did what."""

from __future__ import annotations

from contextlib import suppress

from starlette.requests import Request

from app.state.clients import Client
from app.state.connect import RedisError
from app.web.parts import store

ANYBODY = ("client", "admin")  # roles of keys


async def noted(request: Request, client: Client, did: str, what: str) -> None:
    """Keeps that a key has done this. It has been done: a queue that goes away now costs the line, not the answer."""
    with suppress(RedisError):
        await store(request).activity.add(f"key {client.id}", did, what)
