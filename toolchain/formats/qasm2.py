"""OpenQASM 2 text to a Program, through Qiskit's importer.

The legacy gate set is always known (`swap` and `rzz` belong to it), and `include` opens no file of this machine:
only `qelib1.inc` is known.
"""

from __future__ import annotations

import re

from qiskit import QuantumCircuit, qasm2

from qfw.toolchain.formats import qiskit as circuits
from qfw.toolchain.formats.converted import Converted
from qfw.toolchain.formats.limits import check_text, is_panic, parse_error

_WHERE = re.compile(r"^<input>:(\d+),(\d+): ", re.DOTALL)


def loads(text: str, *, name: str | None = None) -> Converted:
    """Reads OpenQASM 2.

    Args:
        text: the program, at most 16 MiB.
        name: what errors call it, usually its file.

    Raises:
        ParseError: with file, line and column. LimitExceeded: too long, or too large a register.
        Unsupported: a statement that Programs do not hold (`if`).
    """
    return circuits.to_program(to_circuit(text, name=name))


def to_circuit(text: str, *, name: str | None = None) -> QuantumCircuit:
    """The Qiskit circuit of an OpenQASM 2 text; raises as `loads`."""
    check_text(text, name)
    try:
        return qasm2.loads(text, include_path=(), custom_instructions=qasm2.LEGACY_CUSTOM_INSTRUCTIONS)
    except qasm2.QASM2Error as e:
        message = str(e.message)
        found = _WHERE.match(message)
        if found is None:
            raise parse_error(message, name, None, None) from e
        raise parse_error(message[found.end() :], name, int(found[1]), int(found[2]) + 1) from e
    except (RecursionError, OverflowError, ValueError) as e:
        raise parse_error(f"{type(e).__name__}: {e}", name, None, None) from e
    except BaseException as e:
        if not is_panic(e):
            raise
        raise parse_error(f"the parser gave up: {e}", name, None, None) from e
