"""`ffgrid config show`: what is set, and where it was said. No secret is shown."""

from __future__ import annotations

import json
import os
from argparse import Namespace
from collections.abc import Mapping

from app.cli.table import table
from app.cli.terminal import printable, put
from app.settings import Settings, origins

HIDDEN = "***"


def show(arguments: Namespace) -> int:
    """Prints each setting: its value and, with --origin, where that is from."""
    settings = Settings.load(os.environ, vars(arguments))
    said = origins(os.environ, vars(arguments))
    rows = [(name, _value(settings, name), origin) for name, origin in sorted(said.items())]
    if arguments.json:
        print(json.dumps({name: {"value": value, "origin": origin} for name, value, origin in rows}))
        return 0
    shown = [(f"FFGRID_{name.upper()}", printable(value) or "-", origin) for name, value, origin in rows]
    heads = ("SETTING", "VALUE", "FROM")
    width = 3 if arguments.origin else 2
    put(table(heads[:width], [row[:width] for row in shown]))
    return 0


def _value(settings: Settings, name: str) -> str:
    value = settings.urls if name == "url" else getattr(settings, name)
    if name == "metrics_token":
        return HIDDEN if value else ""
    if name in ("redis_url", "url"):
        return " ".join(map(without_secrets, value if name == "url" else [value]))
    if isinstance(value, Mapping):
        joint = ":" if name == "roots" else ","
        return joint.join(f"{key}={item}" for key, item in value.items())
    return " ".join(value) if isinstance(value, tuple) else "" if value is None else str(value)


def without_secrets(url: str) -> str:
    """The address with *** for a user's password, and for what stands behind a "?"."""
    scheme, mark, rest = url.partition("://")
    rest, question, _ = rest.partition("?")
    who, at, place = rest.rpartition("@")
    user, colon, _ = who.partition(":")
    shown = f"{user}{colon}{HIDDEN if colon else ''}{at}{place}"
    return f"{scheme}{mark}{shown}" + (f"?{HIDDEN}" if question else "")
