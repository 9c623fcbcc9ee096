"""The command line `qfw`. What a command needs is imported when it runs: `qfw --help` answers in a blink."""

from __future__ import annotations

import sys
from typing import NoReturn

BAD_INPUT = 2  # what the user gave cannot be used; everything else that goes wrong is 1


def main() -> NoReturn:
    """Run the command line; an error of qfw is one line on stderr and an exit status, never a traceback."""
    from qfw.cli.app import app
    from qfw.program.errors import QfwError

    try:
        app(prog_name="qfw")
    except QfwError as error:
        print(f"qfw: {describe(error)}", file=sys.stderr)
        sys.exit(exit_status(error))
    except BrokenPipeError:  # `qfw devices | head`
        sys.stderr.close()
        sys.exit(1)
    sys.exit(0)


def exit_status(error: Exception) -> int:
    """2 for bad input, 1 for what went wrong with good input."""
    from qfw.program.errors import InvalidArgument, NotFound, ProgramError, Unsupported

    return BAD_INPUT if isinstance(error, InvalidArgument | ProgramError | NotFound | Unsupported) else 1


def describe(error: Exception) -> str:
    """The error in one line, with file:line:column in front where it has them."""
    from qfw.program.errors import ParseError

    text = " ".join(str(error).split())
    if not isinstance(error, ParseError):
        return text
    place = ":".join(str(part) for part in (error.file, error.line, error.column) if part is not None)
    return text if not place or text.startswith(place) else f"{place}: {text}"
