"""One enumeration of errors: protobuf, C, C++ and Python carry the same numbers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from qfw.program import errors

ROOT = Path(__file__).parents[3]
C_NAMES = {
    "OK": "QPI_SUCCESS",
    "INVALID_ARGUMENT": "QPI_EINVAL",
    "INVALID_PROGRAM": "QPI_EPROGRAM",
    "UNKNOWN_GATE": "QPI_EGATE",
    "NOT_FOUND": "QPI_ENOTFOUND",
    "RESOURCE_EXHAUSTED": "QPI_ERESOURCE",
    "LIMIT_EXCEEDED": "QPI_ELIMIT",
    "DEADLINE_EXCEEDED": "QPI_EDEADLINE",
    "PERMISSION_DENIED": "QPI_EPERM",
}
PYTHON_NAMES = {
    "PARSE": "ParseError",
    "DEVICE": "DeviceError",
    "PROTOCOL": "ProtocolError",
    "INTERNAL": "InternalError",
    "TIMEOUT": "WaitTimeout",
}


def pairs(path: str, pattern: str) -> dict[str, int]:
    return {name: int(number) for name, number in re.findall(pattern, (ROOT / path).read_text(), re.MULTILINE)}


PROTO = pairs("qpm/api/v1/errors.proto", r"^  ([A-Z_]+) = (\d+);")


def camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def test_proto_has_the_numbers_in_order() -> None:
    assert list(PROTO.values()) == list(range(20))


def test_cpp() -> None:
    cpp = pairs("program/native/error.h", r"^\s+k([A-Za-z]+) = (\d+),")
    assert cpp == {camel(name): number for name, number in PROTO.items()}


def test_c() -> None:
    c = {name: -number for name, number in pairs("qpi/include/qpi/errno.h", r"^\s+(QPI_\w+) = (-?\d+)").items()}
    only_c = {"QPI_EAGAIN", "QPI_EAVAIL"}
    expected = {C_NAMES.get(name, "QPI_E" + name.replace("_", "")): number for name, number in PROTO.items()}
    assert {name: number for name, number in c.items() if name not in only_c} == expected
    assert not {c[name] for name in only_c} & set(PROTO.values())


@pytest.mark.parametrize(("name", "number"), [item for item in PROTO.items() if item[1]])
def test_python(name: str, number: int) -> None:
    error = errors.from_code(number, "why", transient=True, retry_after=2.5)
    assert type(error).__name__ == PYTHON_NAMES.get(name, camel(name))
    assert (error.code, str(error), error.transient, error.retry_after) == (number, "why", True, 2.5)


def test_the_page_lists_them_all() -> None:
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", (ROOT / "docs/errors.md").read_text(), re.MULTILINE)
    expected = {number: PYTHON_NAMES.get(name, camel(name)) for name, number in PROTO.items() if number}
    assert {int(number): name for number, name in rows} == expected


def test_numbers_outside_the_enumeration_are_a_defect() -> None:
    assert type(errors.from_code(99, "odd")) is errors.InternalError
    assert set(errors.BY_CODE) == set(PROTO.values()) - {0}
