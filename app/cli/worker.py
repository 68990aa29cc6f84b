"""`ffgrid worker`."""

from __future__ import annotations

import asyncio
import logging
import os
from argparse import Namespace

from app.settings import Settings


def run(arguments: Namespace) -> int:
    """Runs a worker until it has been drained."""
    from worker.main import work

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    asyncio.run(work(Settings.load(os.environ, vars(arguments))))
    return 0
