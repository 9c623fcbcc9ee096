"""C programs, compiled against the installed library as a user would."""

import os
import shlex
import subprocess
from pathlib import Path

from qfw import _core

# No error, and nothing definitely lost; the descriptions of what it finds go to standard error, the exit status is 9.
VALGRIND = (
    *("valgrind", "--quiet", "--error-exitcode=9", "--leak-check=full"),
    *("--errors-for-leak-kinds=definite", "--show-leak-kinds=definite"),
)
STRICT = ("-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror")


def compiled(source: Path, folder: Path, *flags: str) -> Path:
    """The program of a source file."""
    environ = {**os.environ, "PKG_CONFIG_PATH": str(Path(_core.__file__ or "").parent / "lib/pkgconfig")}
    asked = ["pkg-config", "--cflags", "--libs", "qpi"]
    found = subprocess.run(asked, env=environ, capture_output=True, text=True, check=True, timeout=60).stdout
    program = folder / source.stem
    needed = shlex.split(found)  # a path may have spaces: pkg-config quotes them for a shell
    subprocess.run(["cc", *STRICT, *flags, str(source), *needed, "-o", str(program)], check=True, timeout=120)
    return program
