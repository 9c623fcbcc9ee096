"""The C headers say the same as the code: gate numbers, and a list of every function that is linked in the C tests."""

import re
from pathlib import Path

from qfw.program import gates

ROOT = Path(__file__).resolve().parents[3]
HEADERS = sorted((ROOT / "qpi/include/qpi").glob("*.h"))


def test_gate_numbers() -> None:
    text = (ROOT / "qpi/include/qpi/gates.h").read_text()
    header = {name: int(number) for name, number in re.findall(r"^\s+QPI_(\w+) = (\d+)", text, re.MULTILINE)}
    assert header == {gate.name.upper(): gate.id for gate in gates()}


def test_every_function_is_linked() -> None:
    declared = [name for h in HEADERS for name in re.findall(r"QPI_API [^;(]*?(qpi_\w+)\(", h.read_text())]
    linked = re.findall(r"\(function\)(qpi_\w+)", (ROOT / "tests/c/links.c").read_text())
    assert sorted(linked) == sorted(declared)
    assert len(declared) > 60


def test_the_umbrella_includes_every_header() -> None:
    included = re.findall(r'#include "qpi/(\w+\.h)"', (ROOT / "qpi/include/qpi/qpi.h").read_text())
    assert sorted(included) == sorted(h.name for h in HEADERS if h.name != "qpi.h")


def test_every_function_is_documented() -> None:
    page = (ROOT / "docs/c-api.md").read_text()
    declared = {name for h in HEADERS for name in re.findall(r"QPI_API [^;(]*?(qpi_\w+)\(", h.read_text())}
    assert {name for name in declared if name not in page} == set()
