"""OpenQASM 3 text to a Program, through the reference parser and Qiskit's importer, extended by `qasm3_import`.

The importer raises whatever went wrong inside it (IndexError, AttributeError, ZeroDivisionError, RecursionError ...);
here all of that becomes a ParseError, with the position of the statement it was reading.
"""

from __future__ import annotations

import re
from types import TracebackType
from typing import Any

from qiskit import QuantumCircuit

from qfw.program.errors import Unsupported
from qfw.toolchain.formats import qiskit as circuits
from qfw.toolchain.formats.converted import Converted
from qfw.toolchain.formats.limits import check_text, parse_error

_IMPORTER = re.compile(r"^(\d+),(\d+): ", re.DOTALL)
_PARSER = re.compile(r"^L(\d+):C(\d+): ", re.DOTALL)
Position = tuple[int | None, int | None]


def loads(text: str, *, name: str | None = None) -> Converted:
    """Reads OpenQASM 3.

    Args:
        text: the program, at most 16 MiB.
        name: what errors call it, usually its file.

    Raises:
        ParseError: with file, line and column where known. LimitExceeded: too long, or too large a register.
        Unsupported: the importer is not installed.
    """
    return circuits.to_program(to_circuit(text, name=name))


def to_circuit(text: str, *, name: str | None = None) -> QuantumCircuit:
    """The Qiskit circuit of an OpenQASM 3 text; raises as `loads`."""
    check_text(text, name)
    try:
        import openqasm3

        from qfw.toolchain.formats import qasm3_import
    except ModuleNotFoundError as e:
        raise Unsupported(f"OpenQASM 3 needs qiskit-qasm3-import ({e.name}): pip install 'qfw[qiskit]'") from e
    try:
        return qasm3_import.to_circuit(openqasm3.parse(text), text)
    except Exception as e:
        message, (line, column) = _explain(e)
        raise parse_error(message, name, line, column) from e


def _explain(error: Exception) -> tuple[str, Position]:
    message = str(getattr(error, "message", error))
    for pattern in (_IMPORTER, _PARSER):
        found = pattern.match(message)
        if found is not None:
            return message[found.end() :], (int(found[1]), int(found[2]) + 1)
    token = _offending_token(error)
    if token is not None:
        text = "end of file" if token.type < 0 else repr(token.text)
        return f"unexpected {text}", (token.line, token.column + 1)
    if isinstance(error, RecursionError):
        return "nested too deeply", _statement(error.__traceback__)
    if not message or isinstance(error, AttributeError):
        message = "not OpenQASM 3" + (f" ({message})" if message else "")
    return message, _statement(error.__traceback__)


def _offending_token(error: BaseException) -> Any:
    """The token at which the parser gave up; it hides in the arguments of the exception's cause."""
    todo: list[object] = [error.__cause__]
    while todo:
        item = todo.pop()
        token = getattr(item, "offendingToken", None)
        if token is not None:
            return token
        if isinstance(item, BaseException):
            todo += [item.__cause__, *item.args]
    return None


def _statement(trace: TracebackType | None) -> Position:
    """The innermost syntax node that the importer was visiting when it failed."""
    found: Position = (None, None)
    while trace is not None:
        span = getattr(trace.tb_frame.f_locals.get("node"), "span", None)
        if span is not None:
            found = (span.start_line, span.start_column + 1)
        trace = trace.tb_next
    return found
