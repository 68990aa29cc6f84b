"""Somebody at the dashboard: a web process's application, asked without a network by people of every role."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote, urlencode

import pytest
from starlette.applications import Starlette

from app.state.clients import Master
from app.state.jobs import Jobs, Submission
from app.state.leases import Leases
from app.state.requirements import Requirement, requirement
from app.state.seal import Seal
from app.state.store import Store
from app.web.main import create_app

MASTER = Master(bytes(32))
NEEDS = requirement("ffmpeg", ["Movies"], {}, [])
ABOUT = {
    "host": "den",
    "slots": 2,
    "roots": ["Movies"],
    "binaries": {"ffmpeg": "7.1"},
    "encoders": ["libx264"],
    "labels": {},
}
HOSTILE = "<img src=x onerror=window.__pwned=1>'\"&\u202e</hx-partial>\x1b.mkv"


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def words(self) -> str:
        """What a person reads: the text without its tags."""
        plain = re.sub(r"<(script|style|title)\b.*?</\1>|<[^>]*>", " ", self.text, flags=re.S)
        return " ".join(html.unescape(plain).split())


class Visitor:
    """Asks as the users that were made for it: see `role` of `ask`."""

    def __init__(self, app: Starlette, store: Store, cookies: dict[str, str]) -> None:
        self.app = app
        self.store = store
        self.jobs: Jobs = store.jobs(Seal(MASTER.seal_key()))
        self._cookies = cookies
        self._count = 0

    async def get(self, path: str, role: str = "viewer", tag: str = "") -> Answer:
        """A page; `tag` is what it was like when it was asked for last."""
        return await self.ask("GET", path, role, more=[("hx-ptag", tag)] if tag else [])

    async def post(self, path: str, role: str = "operator", /, htmx: bool = False, **fields: str) -> Answer:
        """A form, as a browser sends it."""
        return await self.ask("POST", path, role, urlencode(fields).encode(), [("hx-request", "true")] * htmx)

    async def ask(
        self, method: str, path: str, role: str, body: bytes = b"", more: Sequence[tuple[str, str]] = ()
    ) -> Answer:
        """One request, straight into the application."""
        sent: list[dict[str, Any]] = []
        path, _, query = path.partition("?")
        headers = [("host", "localhost:8000"), ("cookie", f"ffgrid={self._cookies.get(role, '')}")]
        headers += [
            ("origin", "http://localhost:8000"),
            ("content-type", "application/x-www-form-urlencoded"),
        ]
        headers += [("content-length", str(len(body))), *more]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "method": method,
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "scheme": "http",
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers],
            "client": ("127.0.0.1", 5000),
            "server": ("127.0.0.1", 8000),
        }

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        answered = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Answer(
            sent[0]["status"], answered, b"".join(one.get("body", b"") for one in sent[1:]).decode()
        )

    async def submit(self, name: str = "a.mkv", needs: Requirement = NEEDS, **more: Any) -> str:
        """The id of a new job."""
        self._count += 1
        spec = {
            "binary": "ffmpeg",
            "args": ["-i", [{"root": "Movies"}, "/in.mkv"], [{"root": "Movies"}, f"/{name}"]],
            "attach": False,
        }
        usual = {"lane": "normal", "redo": "never", **more}
        made = Submission(f"key-{self._count}", "d", "jellyfin", spec, needs, **usual)
        return (await self.jobs.submit(made)).id

    async def worker(self, name: str = "den", **about: Any) -> Leases:
        """A worker that has just registered."""
        await self.store.workers.register(name, f"boot-{name}", {**ABOUT, **about})
        return self.store.leases(name, f"boot-{name}")

    async def silence(self, worker: str, seconds: float) -> None:
        """As if nobody had heard of that worker for so long."""
        now, _ = await self.store.redis.time()
        await self.store.redis.zadd(self.store.keys.workers, {worker: (now - seconds) * 1000})

    async def deeds(self) -> list[tuple[str, str, str]]:
        """Who did what to what, the last first."""
        return [(one.who, one.did, one.what) for one in await self.store.activity.newest(50)]


@pytest.fixture
async def site(store: Store, redis_url: str) -> AsyncIterator[Visitor]:
    """An application with a user of each role."""
    app = create_app(redis_url, MASTER)
    cookies = {}
    for role in ("viewer", "operator", "admin"):
        user = await app.state.users.add(role, role, "no hash")
        cookies[role] = await app.state.sessions.begin(user)
    yield Visitor(app, store, cookies)
    await app.state.store.close()
