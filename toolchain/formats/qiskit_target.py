"""A device as Qiskit's transpiler sees it."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence

from qiskit.circuit import Delay, Measure, Parameter, Reset
from qiskit.circuit import library as lib
from qiskit.transpiler import Target

from qfw.program import Gate, gates
from qfw.program.errors import UnknownGate

_ROWS = {row.name: row for row in gates()}


def make_target(
    names: Iterable[str], *, num_qubits: int, coupling: Sequence[tuple[int, int]] = (), without: Iterable[str] = ()
) -> Target:
    """A Target with measurement, reset, delay, and the named gates as far as Qiskit has them.

    Args:
        names: of the gate table; others ("unitary", "controlled", "measure") are passed over.
        coupling: directed pairs for gates on two qubits; empty: all to all. Wider gates are then left out.
        without: names to leave out.
    """
    target = Target(num_qubits=num_qubits)
    leave = set(without)
    ones = {(q,): None for q in range(num_qubits)} if coupling else None
    pairs = {tuple(pair): None for pair in coupling} if coupling else None
    for name in names:
        row = _ROWS.get("U" if name == "u" else name)
        if row is None or not row.qiskit or name in leave or (coupling and row.qubits > 2):
            continue
        where = pairs if row.qubits == 2 else ones if row.qubits == 1 else None
        target.add_instruction(_instruction(row), where)
    for operation in (Measure(), Reset(), Delay(Parameter("t"))):
        target.add_instruction(operation, ones)
    return target


def _instruction(row: Gate) -> object:
    cls = getattr(lib, row.qiskit, None)
    if cls is None or row.params > len(inspect.signature(cls).parameters):
        raise UnknownGate(f"gate {row.name!r}: Qiskit has no class {row.qiskit!r} with {row.params} parameters")
    return cls(*(Parameter(f"p{i}") for i in range(row.params)))
