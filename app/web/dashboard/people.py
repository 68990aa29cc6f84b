"""The admins' page: who may use the dashboard, and which keys sign requests. Plain forms, one function an action."""

from __future__ import annotations

import time
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from app.state import passwords
from app.state.clients import ROLES as KEY_ROLES
from app.state.clients import BadKey, Client, Master
from app.state.users import ROLES, BadUser
from app.web import pages
from app.web.dashboard import door, live
from app.web.dashboard.acting import record
from app.web.dashboard.forms import form
from app.web.parts import store, users
from app.web.words import visible
from app.wire import keyfile


@dataclass(frozen=True)
class KeyRow:
    """A key as the page shows it."""

    id: str
    role: str
    version: int
    networks: str
    created: str
    revoked: bool


def guarding(handler: door.Handler) -> door.Handler:
    """A handler whose BadUser and BadKey are shown above the page's forms."""

    @door.reachable
    async def handle(request: Request) -> Response:
        try:
            return await handler(request)
        except (BadUser, BadKey) as error:
            return await _page(request, 422, visible(str(error)))

    return handle


@guarding
async def people(request: Request) -> Response:
    """All users and all keys."""
    return await _page(request, 200, "")


@guarding
async def add_user(request: Request) -> Response:
    """A new user, with a password that the admin tells them."""
    fields = await form(request)
    hashed = await passwords.beside(passwords.make, fields.get("password", ""))
    made = await users(request).add(fields.get("name", ""), fields.get("role", ""), hashed)
    await record(request, f"added the {made.role}", made.name)
    return pages.redirect("/users")


@guarding
async def set_role(request: Request) -> Response:
    """Another role, from the user's next request on."""
    role = (await form(request)).get("role", "")
    await users(request).set_role(_name(request), role)
    await record(request, f"set the role {role} of", _name(request))
    return pages.redirect("/users")


@guarding
async def set_password(request: Request) -> Response:
    """Another password; the user's sessions end."""
    hashed = await passwords.beside(passwords.make, (await form(request)).get("password", ""))
    await users(request).set_password(_name(request), hashed)
    await record(request, "set the password of", _name(request))
    return pages.redirect("/users")


@guarding
async def remove_user(request: Request) -> Response:
    """The user is gone at once."""
    await users(request).remove(_name(request))
    await record(request, "removed user", _name(request))
    return pages.redirect("/users")


@guarding
async def add_key(request: Request) -> Response:
    """A new key, whose secret is on this answer and never again."""
    fields = await form(request)
    networks = tuple(fields.get("networks", "").replace(",", " ").split())
    made = await store(request).clients.add(fields.get("name", ""), fields.get("role", ""), networks)
    await record(request, f"added {made.role} key", made.id)
    return _secret(request, made)


@guarding
async def rotate_key(request: Request) -> Response:
    """The key's next version; the one before stays good for a day."""
    made = await store(request).clients.rotate(_name(request))
    await record(request, "rotated key", made.id)
    return _secret(request, made)


@guarding
async def revoke_key(request: Request) -> Response:
    """The key is good for nothing, within a second."""
    await store(request).clients.revoke(_name(request))
    await record(request, "revoked key", _name(request))
    return pages.redirect("/users")


async def _page(request: Request, status: int, said: str) -> Response:
    found, keys = await users(request).list(), await store(request).clients.list()
    return pages.page(
        "users.html",
        status,
        user=door.user(request),
        live=await live.show(request),
        said=said,
        users=[(one.name, one.role, _day(one.created)) for one in found],
        keys=[_row(one) for one in keys],
        roles=ROLES,
        key_roles=KEY_ROLES,
    )


def _secret(request: Request, client: Client) -> Response:
    master: Master = request.app.state.master
    seal = master.seal_key() if client.role == "worker" else b""
    key = keyfile.Key(client.id, master.secret(client.id, client.role, client.version), seal)
    encrypted = request.state.visit.scheme == "https"
    return pages.page(
        "key.html",
        200,
        user=door.user(request),
        key=_row(client),
        text=keyfile.dump(key),
        encrypted=encrypted,
    )


def _row(one: Client) -> KeyRow:
    networks = ", ".join(one.networks) or "anywhere"
    return KeyRow(one.id, one.role, one.version, networks, _day(one.created), one.revoked)


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))


def _name(request: Request) -> str:
    name: str = request.path_params["name"]
    return name


ROUTES: list[BaseRoute] = [
    Route("/users", people, methods=["GET"]),
    Route("/users", add_user, methods=["POST"]),
    Route("/users/{name}/role", set_role, methods=["POST"]),
    Route("/users/{name}/password", set_password, methods=["POST"]),
    Route("/users/{name}/remove", remove_user, methods=["POST"]),
    Route("/keys", add_key, methods=["POST"]),
    Route("/keys/{name}/rotate", rotate_key, methods=["POST"]),
    Route("/keys/{name}/revoke", revoke_key, methods=["POST"]),
]
