"""Becomes a command that does not hear SIGTERM: python -I -S unheard.py COMMAND..., as env --block-signal=TERM does.

That option of env came with coreutils 8.31, which clusters lack.
"""

from __future__ import annotations

import os
import signal
import sys


def main(command: list[str]) -> int:
    """Returns only when it failed: otherwise this process has become the command."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        os.execvp(command[0], command)
    except OSError as error:
        print(f"cannot execute {command[0]}: {error.strerror}", file=sys.stderr, flush=True)
        return 127


def before() -> list[str]:
    """What to put before a command."""
    return [sys.executable, "-I", "-S", os.path.abspath(__file__)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
