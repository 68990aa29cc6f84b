"""`ffgrid web`."""

from __future__ import annotations

import asyncio
import os
import socket
from argparse import Namespace

from app import logs
from app.cli.errors import Failure
from app.settings import Settings


def run(arguments: Namespace) -> int:
    """Runs one coordinator process until SIGTERM."""
    from app.state.clients import Master
    from app.state.reach import glance
    from app.web.main import create_app
    from app.web.serve import CannotListen, serve

    settings = Settings.load(os.environ, vars(arguments))
    logs.setup(settings.log_format, settings.log_level)
    master = Master.load(settings.master_file, create=True)
    address = _address(arguments.host, arguments.port)
    seen = (settings.hosts, settings.trusted_proxies, address, settings.root_path)
    try:
        if not arguments.embedded:
            asyncio.run(glance(settings.redis_url))
            app = create_app(settings.redis_url, master, settings.replicas, *seen, settings.metrics_token)
            serve(app, arguments.host, arguments.port)
            return 0
        from app.state.embedded import FSYNC, Embedded

        with Embedded(settings.data_dir) as server:
            print(f"Redis for workers and `ffgrid keys`: FFGRID_REDIS_URL={server.url}", flush=True)
            print(
                f"Its data: {settings.data_dir}, appendfsync {FSYNC}: see README.md, Durability", flush=True
            )
            app = create_app(server.url, master, 0, *seen, settings.metrics_token)
            serve(app, arguments.host, arguments.port)
    except CannotListen as error:
        raise Failure(str(error)) from None
    return 0


def _address(host: str, port: int) -> str:
    """Where a browser finds a process that listens there."""
    name = socket.gethostname() if host in ("0.0.0.0", "::", "") else host  # noqa: S104 - compared, not listened on
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"
