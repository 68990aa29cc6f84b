"""`ffgrid keys`: needs Redis and the master key, so it runs on a coordinator's host."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from argparse import Namespace
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import TypeVar

from app.cli.table import table
from app.settings import Settings
from app.state.clients import Client, Clients, Master, write_private
from app.state.store import Store
from app.wire import keyfile

T = TypeVar("T")


def add(arguments: Namespace) -> int:
    """Makes a key."""
    settings = _settings(arguments)
    master = Master.load(settings.master_file, create=True)
    client = _with_clients(
        settings,
        lambda clients: clients.add(arguments.name, arguments.role, tuple(arguments.cidr)),
        (f"added {arguments.role} key", arguments.name),
    )
    return _hand_over(client, master, arguments)


def rotate(arguments: Namespace) -> int:
    """Makes a key's next version."""
    settings = _settings(arguments)
    master = Master.load(settings.master_file)
    return _hand_over(
        _with_clients(
            settings, lambda clients: clients.rotate(arguments.name), ("rotated key", arguments.name)
        ),
        master,
        arguments,
    )


def revoke(arguments: Namespace) -> int:
    """Makes a key useless."""
    deed = ("revoked key", arguments.name)
    _with_clients(_settings(arguments), lambda clients: clients.revoke(arguments.name), deed)
    if arguments.json:
        print(json.dumps({"id": arguments.name, "revoked": True}))
    else:
        print(f"{arguments.name} is revoked: nobody can use it any more")
    return 0


def listing(arguments: Namespace) -> int:
    """Lists the keys."""
    found = _with_clients(_settings(arguments), lambda clients: clients.list())
    if arguments.json:
        print(json.dumps({"keys": [asdict(client) for client in found]}))
        return 0
    rows = [
        (
            client.id,
            client.role,
            str(client.version),
            ",".join(client.networks) or "anywhere",
            _standing(client),
        )
        for client in found
    ]
    print(table(("NAME", "ROLE", "VERSION", "FROM", "STATE"), rows))
    return 0


def _standing(client: Client) -> str:
    return "revoked" if client.revoked else time.strftime("since %Y-%m-%d", time.localtime(client.created))


def _hand_over(client: Client, master: Master, arguments: Namespace) -> int:
    seal = master.seal_key() if client.role == "worker" else b""
    text = keyfile.dump(keyfile.Key(client.id, master.secret(client.id, client.role, client.version), seal))
    path = Path(arguments.out) if arguments.out is not None else None
    if path:
        if client.version > 1 and path.exists():
            os.unlink(path)
        write_private(path, text)
    if arguments.json:
        made = {"id": client.id, "role": client.role, "version": client.version}
        print(json.dumps({**made, "file": str(path) if path else None, "key": None if path else text}))
    elif path:
        print(f"wrote {path} for {client.id} ({client.role})", file=sys.stderr)
    else:
        print(text, end="")
    return 0


def _with_clients(
    settings: Settings, act: Callable[[Clients], Awaitable[T]], deed: tuple[str, str] | None = None
) -> T:
    """What `act` gives. The record of who did what gets the deed."""

    async def run() -> T:
        store = Store(settings.redis_url, replicas=settings.replicas)
        try:
            done = await act(store.clients)
            if deed:
                await store.activity.add("command line", *deed)
            return done
        finally:
            await store.close()

    return asyncio.run(run())


def _settings(arguments: Namespace) -> Settings:
    return Settings.load(os.environ, vars(arguments))
