"""The parser of the command: argparse, which also says what may have been meant."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from app.cli.command import Command

SIMILAR = 0.6  # how much alike two words are, 0 to 1, of which one may have been meant


class Parser(argparse.ArgumentParser):
    """Refuses what it does not know, with the nearest thing that it does know."""

    def read(self, argv: Sequence[str] | None) -> argparse.Namespace:
        """The command line as its function takes it. Wrong usage ends the process."""
        found, extras = self.parse_known_args(argv)
        if extras:
            getattr(found, "parser", self).reject(extras)
        return found

    def reject(self, extras: Sequence[str]) -> NoReturn:
        """Ends the process: nobody knows what these words mean here."""
        word = next((extra for extra in extras if extra.startswith("-")), extras[0])
        flags = [flag for action in self._actions for flag in action.option_strings]
        self.error(f"there is no flag or word {word!r} here{meant(word.partition('=')[0], flags)}")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        known = list(action.choices or (value,))
        if value in known:
            return
        if isinstance(action, argparse._SubParsersAction):
            what = f"there is no command {value!r}{meant(str(value), known)} `{self.prog} --help` lists them"
            raise argparse.ArgumentError(None, what)
        choices = ", ".join(map(str, known))
        raise argparse.ArgumentError(
            action, f"expected one of {choices}, got {value!r}{meant(str(value), known)}"
        )


def meant(word: str, known: Iterable[str]) -> str:
    """`: did you mean 'jobs'?`, or nothing where no known word is like this one."""
    from difflib import get_close_matches  # what only mistakes need, no other start waits for

    near = get_close_matches(word, list(known), n=1, cutoff=SIMILAR)
    return f"; did you mean {near[0]!r}?" if near else "."


def build(commands: Sequence[Command]) -> Parser:
    """The parser for these commands."""
    parser = Parser(
        prog="ffgrid",
        description="Run ffmpeg on whichever of your machines has room for it.",
        epilog="Settings come from flags, FFGRID_* variables and the file that FFGRID_CONFIG names.\n"
        "`ffgrid COMMAND --help` explains each command and gives an example.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    groups = parser.add_subparsers(title="commands", metavar="COMMAND")
    for command in commands:
        _add(groups, command)
    return parser


def _add(groups: Any, command: Command) -> None:
    parser = groups.add_parser(
        command.name,
        help=command.summary,
        description=command.summary[0].upper() + command.summary[1:] + ".",
        epilog=_examples(command),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if command.children:
        below = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
        for child in command.children:
            _add(below, child)
        return
    for flags, options in command.arguments:
        parser.add_argument(*flags, **options)
    parser.set_defaults(function=command.function, parser=parser)


def _examples(command: Command) -> str:
    lines = [line for one in (command, *command.children) for line in one.example.splitlines()]
    return "\n  ".join(["example:" if len(lines) == 1 else "examples:", *lines]) if lines else ""


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *ignored: object) -> None:
        from app.cli.version import version

        parser.exit(0, f"ffgrid {version()}\n")
