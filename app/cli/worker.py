"""`ffgrid worker`."""

from __future__ import annotations

import asyncio
import os
from argparse import Namespace

from app import logs
from app.settings import Settings


def run(arguments: Namespace) -> int:
    """Runs a worker until it has been drained."""
    from worker.main import work

    settings = Settings.load(os.environ, vars(arguments))
    logs.setup(settings.log_format, settings.log_level)
    logs.about(worker=settings.worker_id)
    asyncio.run(work(settings))
    return 0
