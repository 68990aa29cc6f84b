"""Signing in and out, and the one-time links: the first user's, and one that signs a named user in.

No GET changes anything: a link's page has a button, for what looks at links beforehand would burn them.
"""

from __future__ import annotations

from math import ceil

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app.state import passwords
from app.state.sessions import Sessions
from app.state.users import BadLink, BadUser, User, Users
from app.web import pages
from app.web.dashboard import door
from app.web.dashboard.forms import form
from app.web.parts import sessions, store, users
from app.web.words import visible

WRONG = "That name and that password do not belong together."
GONE = "This link has been used, or is older than an hour."


@door.reachable
async def login_page(request: Request) -> Response:
    """The form; who is signed in already goes on."""
    back = door.own_path(request.query_params.get("next", "/"))
    if door.user(request):
        return pages.redirect(back)
    return _login(200, next=back, first=not await users(request).any())


@door.reachable
async def login(request: Request) -> Response:
    """A name and a password. Unknown names cost the same time and give the same answer."""
    fields = await form(request)
    name, back = fields.get("name", "")[:100], door.own_path(fields.get("next", "/"))
    wait = await sessions(request).attempt(name, request.state.visit.counted)
    if wait:
        seconds = ceil(wait)
        answer = _login(429, f"Too many tries. Try again in {seconds} s.", name, back)
        answer.headers["Retry-After"] = str(seconds)
        return answer
    user = await users(request).get(name)
    known = user if user and user.role else None
    if await passwords.beside(passwords.matches, known.password if known else "", fields.get("password", "")):
        assert known
        return await _enter(request, known, back)
    return _login(403, WRONG, name, back)


@door.reachable
async def logout(request: Request) -> Response:
    """Ends the session, for every process."""
    await sessions(request).end(request.state.cookie)
    return door.set_cookie(request, pages.redirect("/login"), "")


@door.reachable
async def setup_page(request: Request) -> Response:
    """What a one-time link opens."""
    secret = request.query_params.get("t", "")
    try:
        _, name = await sessions(request).linked(secret)
    except BadLink:
        return pages.page("setup.html", 403, said=GONE, secret="", user_name="", name="")
    return pages.page("setup.html", 200, said="", secret=secret, user_name=name, name="")


@door.reachable
async def setup(request: Request) -> Response:
    """Makes the first user, an admin, or signs in the user whom the link names; once."""
    fields = await form(request)
    secret, name = fields.get("t", ""), fields.get("name", "")
    try:
        mark, named = await sessions(request).linked(secret)
        if named:
            return await _enter(request, await sessions(request).burn(mark, named), "/")
        if fields.get("password") != fields.get("again"):
            raise BadUser("the two passwords are not the same")
        hashed = await passwords.beside(passwords.make, fields.get("password", ""))
        return await _enter(request, await users(request).add(name, "admin", hashed, mark), "/")
    except BadLink:
        return pages.page("setup.html", 403, said=GONE, secret="", user_name="", name="")
    except BadUser as error:
        said = visible(f"{error}.")
        said = said[0].upper() + said[1:]
        return pages.page("setup.html", 422, said=said, secret=secret, user_name="", name=visible(name[:64]))


async def invitation(found: Users, links: Sessions, address: str) -> str:
    """What to print while there is no user yet, else ""."""
    if await found.any():
        return ""
    link = f"{address}/setup?t={await links.link()}"
    return f"The dashboard has no user yet. This link makes the first one, once and within an hour:\n  {link}"


async def _enter(request: Request, user: User, back: str) -> Response:
    """A new session in the place of any other that this browser had."""
    cookie = await sessions(request).begin(user)
    await store(request).activity.add(f"user {user.name}", "signed in from", request.state.visit.address)
    if request.state.cookie:
        await sessions(request).end(request.state.cookie)
    return door.set_cookie(request, pages.redirect(back), cookie)


def _login(status: int, said: str = "", name: str = "", next: str = "/", first: bool = False) -> Response:  # noqa: A002 - the field's name
    return pages.page("login.html", status, said=said, name=visible(name), next=next, first=first)


ROUTES: list[BaseRoute] = [
    Route("/login", login_page, methods=["GET"]),
    Route("/login", login, methods=["POST"]),
    Route("/logout", logout, methods=["POST"]),
    Route("/setup", setup_page, methods=["GET"]),
    Route("/setup", setup, methods=["POST"]),
]
