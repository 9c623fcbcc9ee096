"""Limits on program text, checked before a parser sees it: a parser allocates what a declaration asks for."""

from __future__ import annotations

import re

from qfw.program.errors import LimitExceeded, ParseError

MAX_TEXT_BYTES = 16 << 20
MAX_QUBITS = 1 << 16
MAX_BITS = 1 << 20

_SIZE = re.compile(r"\b(?:(qreg|creg)\s+\w+\s*\[\s*(\d+)|(qubit|bit)\s*\[\s*(\d+))")


def check_text(text: str, name: str | None) -> None:
    """Refuses texts above 16 MiB and registers above what a Program can hold.

    Raises:
        LimitExceeded: with the size found and allowed.
    """
    size = len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_TEXT_BYTES:
        raise LimitExceeded(f"{name or '<text>'}: {size} bytes of program text; at most {MAX_TEXT_BYTES} allowed")
    for found in _SIZE.finditer(text):
        word, digits = found[1] or found[3], found[2] or found[4]
        limit = MAX_QUBITS if word in ("qreg", "qubit") else MAX_BITS
        if len(digits) > 9 or int(digits) > limit:
            line = text.count("\n", 0, found.start()) + 1
            raise LimitExceeded(f"{name or '<text>'}:{line}: {word} of size {digits[:20]}; at most {limit} allowed")


def is_panic(error: BaseException) -> bool:
    """Whether a Rust extension gave up (Qiskit's parser does on numbers beyond 64 bits): no Exception, by its class."""
    return type(error).__module__ == "pyo3_runtime"


def parse_error(message: str, name: str | None, line: int | None, column: int | None) -> ParseError:
    """A ParseError whose text starts with file:line:column; `line` and `column` count from 1, None where unknown."""
    where = ":".join(str(part) for part in (name or "<text>", line, column) if part is not None)
    return ParseError(f"{where}: {message}", file=name, line=line, column=column)
