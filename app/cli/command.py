"""What a command is: a row of the tables, and the flags that several have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Argument = tuple[tuple[str, ...], dict[str, Any]]


@dataclass(frozen=True)
class Command:
    """One command, or a group of commands (`children`)."""

    name: str
    summary: str
    function: str = ""
    arguments: tuple[Argument, ...] = ()
    example: str = ""
    children: tuple[Command, ...] = ()


def argument(*flags: str, **options: Any) -> Argument:
    """One argument, as argparse's add_argument takes it."""
    return flags, options


JSON = argument("--json", action="store_true", help="print JSON, for programs")
REDIS = argument("--redis-url", metavar="URL", help="where Redis is (FFGRID_REDIS_URL)")
CONFIG = argument("--config", metavar="FILE", help="a TOML file with settings (FFGRID_CONFIG)")
MASTER = argument("--master-file", metavar="FILE", help="the master key (FFGRID_MASTER_FILE)")
KEY = argument("--key-file", metavar="FILE", help="the key to sign with (FFGRID_KEY_FILE)")
ROOTS = argument("--roots", metavar="NAME=DIR[:...]", help="where the roots are on this host (FFGRID_ROOTS)")
URL = argument("--url", metavar="URL", help="the coordinator's address, or several (FFGRID_URL)")
