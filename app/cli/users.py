"""`ffgrid users`: who may use the dashboard. Needs Redis and the master key, so it runs on a coordinator's host."""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import sys
import time
from argparse import Namespace
from collections.abc import Awaitable, Callable
from typing import TypeVar

from app.cli.errors import USAGE, Failure
from app.cli.table import table
from app.settings import Settings
from app.state import passwords
from app.state.clients import Master
from app.state.store import Store
from app.state.users import Users

T = TypeVar("T")


def add(arguments: Namespace) -> int:
    """Makes a user."""
    hashed = passwords.make(_password())
    user = _with_users(arguments, lambda users: users.add(arguments.name, arguments.role, hashed))
    return _done(arguments, f"{user.name} can sign in, as {user.role}", role=user.role)


def role(arguments: Namespace) -> int:
    """Gives a user another role."""
    user = _with_users(
        arguments,
        lambda users: users.set_role(arguments.name, arguments.role),
        (f"set the role {arguments.role} of", arguments.name),
    )
    return _done(arguments, f"{user.name} is {user.role} now", role=user.role)


def password(arguments: Namespace) -> int:
    """Gives a user another password."""
    hashed = passwords.make(_password())
    _with_users(
        arguments,
        lambda users: users.set_password(arguments.name, hashed),
        ("set the password of", arguments.name),
    )
    return _done(arguments, f"{arguments.name} has another password, and is signed out everywhere")


def remove(arguments: Namespace) -> int:
    """Takes a user away."""
    _with_users(arguments, lambda users: users.remove(arguments.name), ("removed user", arguments.name))
    return _done(arguments, f"{arguments.name} is removed", removed=True)


def listing(arguments: Namespace) -> int:
    """Lists the users; never what is kept of their passwords."""
    found = _with_users(arguments, lambda users: users.list())
    if arguments.json:
        rows = [{"name": one.name, "role": one.role, "created": one.created} for one in found]
        print(json.dumps({"users": rows}))
        return 0
    days = [time.strftime("%Y-%m-%d", time.localtime(one.created)) if one.role else "" for one in found]
    print(
        table(
            ("NAME", "ROLE", "SINCE"),
            [(one.name, one.role or "unreadable", day) for one, day in zip(found, days, strict=True)],
        )
    )
    return 0


def _done(arguments: Namespace, sentence: str, **fields: str | bool) -> int:
    """Says what was done."""
    print(json.dumps({"name": arguments.name, **fields}) if arguments.json else sentence)
    return 0


def _password() -> str:
    """From the terminal, asked twice; else the first line that is piped in. Raises Failure."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    given = getpass.getpass("Password: ")
    if given != getpass.getpass("Password again: "):
        raise Failure("the two passwords are not the same", USAGE)
    return given


def _with_users(
    arguments: Namespace, act: Callable[[Users], Awaitable[T]], deed: tuple[str, str] | None = None
) -> T:
    """What `act` gives. The record of who did what gets the deed."""
    settings = Settings.load(os.environ, vars(arguments))
    master = Master.load(settings.master_file, create=True)

    async def run() -> T:
        store = Store(settings.redis_url, replicas=settings.replicas)
        try:
            done = await act(store.users(master))
            if deed:
                await store.activity.add("command line", *deed)
            return done
        finally:
            await store.close()

    return asyncio.run(run())
