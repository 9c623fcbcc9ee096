"""What the library exports: the C API under its version, as listed in tests/c/abi.txt, and nothing else to use."""

import ctypes
import re
import subprocess
from pathlib import Path

import qfw
from qfw import _core

ROOT = Path(__file__).resolve().parents[3]
LIBRARY = Path(_core.__file__ or "").parent / "lib/libqpi.so.1"
PUBLIC = "QPI_1"
PRIVATE = "QFW_PRIVATE"  # qfw's own programs of the same build


def exported() -> dict[str, str]:
    """Name and version of every symbol that is defined here."""
    command = ["nm", "--dynamic", "--defined-only", "--with-symbol-versions", str(LIBRARY)]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    symbols = (line.split()[-1] for line in lines)
    return {
        name: version
        for name, _, version in (re.split(r"(@+)", symbol, maxsplit=1) for symbol in symbols if "@" in symbol)
    }


def test_the_exported_functions_are_those_of_the_list() -> None:
    """A function that was released stays: a line may be added to the list, none may go."""
    found = sorted(f"{name} {version}" for name, version in exported().items() if version not in (PRIVATE, ""))
    listed = (ROOT / "tests/c/abi.txt").read_text().splitlines()
    assert [line for line in found if not line.startswith((f"{PUBLIC} ", f"{PRIVATE} "))] == listed


def test_the_list_is_what_the_headers_declare() -> None:
    headers = sorted((ROOT / "qpi/include/qpi").glob("*.h"))
    declared = {name for h in headers for name in re.findall(r"QPI_API [^;(]*?(qpi_\w+)\(", h.read_text())}
    listed = {line.split()[0] for line in (ROOT / "tests/c/abi.txt").read_text().splitlines()}
    assert listed == declared


def test_every_function_is_called_by_a_program_in_c() -> None:
    """links.c only names them."""
    programs = [*(ROOT / "tests/c").glob("*.c"), *(ROOT / "examples/c").glob("*.c")]
    called = {name for p in programs if p.stem != "links" for name in re.findall(r"qpi_\w+(?=\()", p.read_text())}
    listed = {line.split()[0] for line in (ROOT / "tests/c/abi.txt").read_text().splitlines()}
    assert listed - called == set()


def test_everything_else_is_private() -> None:
    others = {name for name, version in exported().items() if version == PRIVATE and name != PRIVATE}
    assert others, "the Python module links with them"
    assert {name for name in others if "qfw" not in name} == set()


def test_the_version_is_that_of_the_package() -> None:
    library = ctypes.CDLL(str(LIBRARY))
    library.qpi_version.restype = ctypes.c_char_p
    assert library.qpi_version().decode() == qfw.__version__ == _core.__version__
