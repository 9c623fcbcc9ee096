"""Finds out what a program is given as, without importing the package it comes from."""

from __future__ import annotations

import re
import sys
from pathlib import PurePath
from typing import Any, Literal

from qfw.program import Program
from qfw.program.errors import InvalidArgument, ParseError, Unsupported
from qfw.toolchain.formats.converted import Converted
from qfw.toolchain.formats.limits import parse_error

TextKind = Literal["qasm2", "qasm3", "qir"]

_BLANK = re.compile(r"(?:\s+|//[^\n]*|/\*.*?\*/)*", re.DOTALL)
_VERSION = re.compile(r"OPENQASM\s+(\d+)(?:\.\d+)?\s*;?")
_QASM2_WORD = re.compile(r"\bqreg\b|\bqelib1\.inc\b")
_QASM3_WORD = re.compile(r"\bqubit\b|\bstdgates\.inc\b|\$\d")
_QIR_WORD = re.compile(r"^(?:; ModuleID|source_filename|target (?:datalayout|triple)|define |declare |%\w+ = type)")
_BITCODE = b"BC\xc0\xde"
_PROGRAM = b"QFWP"


def text_kind(text: str, *, name: str | None = None) -> TextKind:
    """Which language a program text is written in, from its header.

    Raises:
        ParseError: the text begins like none of them.
    """
    start = _BLANK.match(text)
    at = start.end() if start else 0
    version = _VERSION.match(text, at)
    if version is not None:
        if version[1] in ("2", "3"):
            return "qasm2" if version[1] == "2" else "qasm3"
        raise _no_kind(text, at, f"OpenQASM version {version[1]}; versions 2 and 3 are read", name)
    if _QIR_WORD.match(text) or _QIR_WORD.match(text[at : at + 200]):
        return "qir"
    head = text[at : at + 4096]
    if _QASM2_WORD.search(head):
        return "qasm2"
    if _QASM3_WORD.search(head):
        return "qasm3"
    raise _no_kind(
        text, at, "neither OpenQASM 2, OpenQASM 3 nor QIR: no header 'OPENQASM 2.0;' or 'OPENQASM 3.0;'", name
    )


def _no_kind(text: str, at: int, message: str, name: str | None) -> ParseError:
    line = text.count("\n", 0, at) + 1
    return parse_error(message, name, line, at - text.rfind("\n", 0, at))


def load(source: Any, *, name: str | None = None) -> Converted:
    """Turns a program in any known form into a Program.

    Args:
        source: a Program, its bytes, OpenQASM 2 or 3 text, a Qiskit circuit or a PennyLane tape.
        name: what errors call a text, usually its file.

    Raises:
        ParseError, UnknownGate, Unsupported, InvalidArgument, LimitExceeded
    """
    if isinstance(source, Converted):
        return source
    if isinstance(source, Program):
        return Converted(source, parameter_names=tuple(source.parameters))
    if isinstance(source, str):
        return _load_text(source, name)
    if isinstance(source, bytes | bytearray | memoryview):
        return _load_bytes(bytes(source), name)
    return _load_object(source)


def _load_text(text: str, name: str | None) -> Converted:
    kind = text_kind(text, name=name)
    if kind == "qir":
        raise Unsupported(f"{name or '<text>'}: QIR is not read yet; OpenQASM 2 and 3 are")
    try:
        from qfw.toolchain.formats import qasm2, qasm3
    except ModuleNotFoundError as e:
        raise Unsupported(f"OpenQASM text needs the package {e.name}: pip install 'qfw[qiskit]'") from e
    return qasm2.loads(text, name=name) if kind == "qasm2" else qasm3.loads(text, name=name)


def _load_bytes(data: bytes, name: str | None) -> Converted:
    if data.startswith(_BITCODE):
        raise Unsupported(f"{name or '<bytes>'}: QIR bitcode is not read yet; OpenQASM 2 and 3 are")
    if data.startswith(_PROGRAM):
        program = Program.decode(data)
        return Converted(program, parameter_names=tuple(program.parameters))
    try:
        return _load_text(data.decode("utf-8"), name)
    except UnicodeDecodeError as e:
        raise parse_error(
            f"byte {data[e.start]:#04x} at offset {e.start}: neither UTF-8 text nor a Program", name, None, None
        ) from e


def _is(source: Any, module: str, cls: str) -> bool:
    """isinstance, where the module was imported by whoever made `source`."""
    found = getattr(sys.modules.get(module), cls, None)
    return found is not None and isinstance(source, found)


def _load_object(source: Any) -> Converted:
    if _is(source, "qiskit.circuit", "QuantumCircuit"):
        from qfw.toolchain.formats import qiskit

        return qiskit.to_program(source)
    if _is(source, "pennylane.tape", "QuantumScript"):
        from qfw.toolchain.formats import pennylane

        return pennylane.to_program(source)
    if isinstance(source, PurePath):
        raise InvalidArgument(f"{source!r} is a path; pass its text: path.read_text()")
    raise InvalidArgument(
        f"a program of type {type(source).__module__}.{type(source).__qualname__}; a Program, OpenQASM text, "
        "a Qiskit circuit or a PennyLane tape expected"
    )
