"""`ffgrid version`."""

from __future__ import annotations

import json
import platform
from argparse import Namespace


def run(arguments: Namespace) -> int:
    """Prints which ffgrid this is, and which Python it runs on."""
    if arguments.json:
        print(json.dumps({"version": version(), "python": platform.python_version()}))
    else:
        print(f"ffgrid {version()} (Python {platform.python_version()})")
    return 0


def version() -> str:
    """The version that is installed."""
    from importlib.metadata import version as installed

    return installed("ffgrid")
