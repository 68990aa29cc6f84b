"""The table of all commands: names, help, arguments and the function that runs each."""

from __future__ import annotations

from app.cli.asking import ASKING
from app.cli.command import Command
from app.cli.serving import SERVING

COMMANDS: tuple[Command, ...] = (*SERVING, *ASKING)
