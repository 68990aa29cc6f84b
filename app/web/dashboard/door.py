"""Who gets in: every page and action of the dashboard goes through here, the API under /v1 does not.

Host is ours  ->  no other site has sent this  ->  session  ->  the role that the table asks for
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from functools import wraps
from urllib.parse import quote, urlsplit

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from app.state.connect import UNREACHABLE
from app.state.sessions import OLD_MS
from app.state.users import User
from app.web import pages
from app.web.parts import sessions
from app.web.visit import Reception, Visit
from app.web.words import shortened, visible

EVERYBODY = ""
# What each page and action takes. `guarded` refuses a route that is not here.
ROLES = {
    "GET /": "viewer",
    "GET /events": "viewer",
    "GET /live": "viewer",
    "GET /jobs": "viewer",
    "GET /jobs.new": "viewer",
    "GET /jobs.csv": "viewer",
    "GET /jobs.ndjson": "viewer",
    "GET /bulk": "operator",
    "POST /bulk": "operator",
    "POST /bulk/{operation_id}/stop": "operator",
    "GET /jobs/{job_id}": "viewer",
    "GET /jobs/{job_id}/raw": "viewer",
    "GET /jobs/{job_id}/log": "viewer",
    "GET /jobs/{job_id}/thumbs/{what}": "viewer",
    "POST /jobs/{job_id}/cancel": "operator",
    "POST /jobs/{job_id}/pause": "operator",
    "POST /jobs/{job_id}/resume": "operator",
    "POST /jobs/{job_id}/retry": "operator",
    "POST /jobs/{job_id}/media": "operator",
    "GET /submit": "operator",
    "POST /submit": "operator",
    "POST /submit/check": "operator",
    "GET /login": EVERYBODY,
    "POST /login": EVERYBODY,
    "GET /setup": EVERYBODY,
    "POST /setup": EVERYBODY,
    "POST /logout": "viewer",
    "GET /users": "admin",
    "POST /users": "admin",
    "POST /users/{name}/role": "admin",
    "POST /users/{name}/password": "admin",
    "POST /users/{name}/remove": "admin",
    "GET /about": "viewer",
    "GET /activity": "viewer",
    "GET /queues": "viewer",
    "GET /workers": "viewer",
    "GET /workers/{worker_id}": "viewer",
    "POST /workers/{worker_id}/pause": "operator",
    "POST /workers/{worker_id}/drain": "operator",
    "POST /workers/{worker_id}/resume": "operator",
    "POST /workers/{worker_id}/remove": "operator",
    "POST /keys": "admin",
    "POST /keys/{name}/rotate": "admin",
    "POST /keys/{name}/revoke": "admin",
}
SAFE = ("GET", "HEAD", "OPTIONS")
PATIENCE = 3.0  # seconds after which a Redis that does not answer counts as away
AWAY = (*UNREACHABLE, TimeoutError)

Handler = Callable[[Request], Awaitable[Response]]


class Unguarded(Exception):
    """A route has no role in the table."""


def guarded(routes: Iterable[BaseRoute]) -> list[BaseRoute]:
    """The routes behind the door. Raises Unguarded."""
    return [_guarded(route) for route in routes]


def _guarded(route: BaseRoute) -> Route:
    if not isinstance(route, Route) or not route.methods:
        raise Unguarded(f"{route!r} cannot be guarded: only a Route with methods can")
    needed = {}
    for method in sorted(route.methods - {"HEAD"}):
        if f"{method} {route.path}" not in ROLES:
            raise Unguarded(f"say in app/web/dashboard/door.py, ROLES, who may do {method} {route.path}")
        needed[method] = ROLES[f"{method} {route.path}"]
    return Route(
        route.path,
        route.endpoint,
        methods=list(needed),
        name=route.name,
        middleware=[Middleware(Door, needed), pages.SMALL],
    )


class Door:
    """Lets a request through to one route, or answers it. What it finds is in `request.state`: visit, user, cookie."""

    def __init__(self, app: ASGIApp, needed: dict[str, str]) -> None:
        """`needed` is the role by method; HEAD is GET's."""
        self._app = app
        self._needed = {**needed, "HEAD": needed.get("GET", "admin")}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer = await self._refusal(Request(scope, receive))
        await (answer or self._app)(scope, receive, send)

    async def _refusal(self, request: Request) -> Response | None:
        reception: Reception = request.app.state.reception
        visit = reception.visit(request)
        if not reception.knows(visit):
            host = shortened(visible(request.headers.get("host", "")), 100)
            return pages.page("refused.html", 421, host=host)
        cookie = request.cookies.get(cookie_name(visit), "")
        if is_foreign(request, visit, bool(cookie)):
            return pages.page("refused.html", 403, host="")
        request.state.visit, request.state.cookie = visit, cookie
        needed = self._needed[request.method]
        try:
            async with asyncio.timeout(PATIENCE):
                user = request.state.user = await sessions(request).user(cookie) if cookie else None
        except AWAY:
            request.state.user = None
            return outage(request) if needed else None
        if needed == EVERYBODY or (user and user.may(needed)):
            return None
        return pages.page("forbidden.html", 403, user=user, needed=needed) if user else sign_in(request)


def is_foreign(request: Request, visit: Visit, has_cookie: bool) -> bool:
    """Whether another site's page may have sent what changes something.

    Browsers say so themselves in Sec-Fetch-Site, but not over plain HTTP to a name in a local network: there they
    send Origin with every POST. Who sends neither is no browser, and has no cookie of one.
    """
    if request.method in SAFE:
        return False
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        return site not in ("same-origin", "none")
    return not visit.is_at(origin) if origin is not None else has_cookie


def sign_in(request: Request) -> Response:
    """The way to /login, and back to where the person was."""
    headers = request.headers
    if pages.is_htmx(request) and "text/event-stream" not in headers.get("accept", ""):
        seen = urlsplit(headers.get("hx-current-url", "/"))
        back = f"{seen.path}?{seen.query}" if seen.query else seen.path
        return pages.empty(401, {"HX-Redirect": pages.below(f"/login?next={quote(own_path(back))}")})
    if request.method not in SAFE:
        said = "You are not signed in any more, so nothing was done. Sign in and do it again."
        return pages.page("login.html", 401, said=said, next="/", name="", first=False)
    if "text/event-stream" in headers.get("accept", ""):
        return pages.empty(401)
    query = request.scope["query_string"].decode("latin-1")
    back = request.scope["path"] + (f"?{query}" if query else "")
    return pages.redirect("/login" if back == "/" else f"/login?next={quote(own_path(back))}")


def own_path(text: str) -> str:
    """The text if it is a path of ours, else "/". A browser reads //host and /\\host as another site's address."""
    printable = text.isascii() and text.isprintable() and not set(text) & {"\\", " "}
    return text if printable and text.startswith("/") and not text.startswith("//") else "/"


def outage(request: Request) -> Response:
    """Nobody can be recognised, so nothing is shown; a page asks again by itself."""
    if pages.is_htmx(request):
        return pages.empty(503)
    return pages.page("outage.html", 503)


def reachable(handler: Handler) -> Handler:
    """A handler that answers with the page of an outage while Redis is away."""

    @wraps(handler)
    async def handle(request: Request) -> Response:
        try:
            return await handler(request)
        except AWAY:
            return outage(request)

    return handle


def cookie_name(visit: Visit) -> str:
    """With __Host- no other host of the domain, and nobody on the way, can set it; browsers want TLS for that."""
    return "__Host-ffgrid" if visit.scheme == "https" else "ffgrid"


def set_cookie(request: Request, response: Response, value: str) -> Response:
    """The answer with this session's cookie; "" takes it away."""
    visit: Visit = request.state.visit
    response.set_cookie(
        cookie_name(visit),
        value,
        max_age=OLD_MS // 1000 if value else 0,
        httponly=True,
        secure=visit.scheme == "https",
        samesite="lax",
    )
    return response


def user(request: Request) -> User | None:
    """Who asks, behind the door."""
    found: User | None = request.state.user
    return found
