"""The `ffgrid` command: reads the command line and hands over to one function, imported when needed.

Exit status: 0 done, 1 failed, 2 wrong usage, 3 no such thing, 4 not allowed, 5 nobody answers,
75 try again later, 124 not ended in time, 130 interrupted. `submit --wait` and `watch --exit-status` end with
ffmpeg's own.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from app.cli import errors, parser
from app.cli.commands import COMMANDS
from app.cli.moments import TimedOut
from app.cli.parser import Parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; its exit status."""
    arguments = build().read(argv)
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
    except TimedOut as late:
        print(f"ffgrid: {late}", file=sys.stderr)
        return errors.TIMED_OUT
    except BrokenPipeError:
        sys.stderr.close()  # whoever read our output has gone: nobody is left to tell
        return errors.FAILED
    except Exception as error:
        status, sentence = errors.explain(error)
        print(f"ffgrid: {sentence}", file=sys.stderr)
        return status


def build() -> Parser:
    """The parser of the whole command."""
    return parser.build(COMMANDS)


if __name__ == "__main__":
    sys.exit(main())
