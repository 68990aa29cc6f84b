"""The `ffgrid` command: reads the command line and hands over to one function, imported when needed.

Exit status: 0 done, 1 failed, 2 wrong usage, 3 no such thing, 4 not allowed, 5 nobody answers,
75 try again later, 130 interrupted. `submit --wait` ends with ffmpeg's own.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from app.cli import errors
from app.cli.command import Command
from app.cli.commands import COMMANDS


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; its exit status."""
    arguments = build().parse_args(argv)
    if not hasattr(arguments, "function"):
        build().print_help()
        return errors.USAGE
    module, _, function = arguments.function.partition(":")
    try:
        status: int = getattr(import_module(module), function)(arguments)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return errors.INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has gone: nobody is left to tell
        return errors.FAILED
    except Exception as error:
        status, sentence = errors.explain(error)
        print(f"ffgrid: {sentence}", file=sys.stderr)
        return status


def build() -> argparse.ArgumentParser:
    """The parser of the whole command."""
    parser = argparse.ArgumentParser(
        prog="ffgrid",
        description="Run ffmpeg on whichever of your machines has room for it.",
        epilog="Settings come from flags, FFGRID_* variables and the file that FFGRID_CONFIG names. See README.md.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    groups = parser.add_subparsers(title="commands", metavar="COMMAND")
    for command in COMMANDS:
        _add(groups, command)
    return parser


def _add(groups: argparse._SubParsersAction[argparse.ArgumentParser], command: Command) -> None:
    parser = groups.add_parser(
        command.name,
        help=command.summary,
        description=command.summary[0].upper() + command.summary[1:] + ".",
        epilog=command.example and f"example:\n  {command.example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if command.children:
        below = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
        for child in command.children:
            _add(below, child)
        return
    for flags, options in command.arguments:
        parser.add_argument(*flags, **options)
    parser.set_defaults(function=command.function)


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *ignored: object) -> None:
        from importlib.metadata import version

        parser.exit(0, f"ffgrid {version('ffgrid')}\n")


if __name__ == "__main__":
    sys.exit(main())
