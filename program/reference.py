"""docs/gates.md, written from the gate table: ``python -m qfw.program.reference [FILE]``."""

from __future__ import annotations

import sys
from pathlib import Path

from qfw.program import Gate, gates

_HEAD = """\
# Gates

Written from the gate table (`program/native/gates.def`) by `scripts/dev/gen-gates`; do not edit.

Qubits are named in the order of the gate's arguments, controls first, and the first is the least significant index of
the matrix. Angles are radians, constant or affine in one parameter of the program. Any gate takes further controls, and
any 1- or 2-qubit matrix can stand in for a gate. Marks: **d** diagonal, **p** permutation (one non-zero entry in each
row), **s** its own inverse.

| number | gate | other names | qubits | controls | angles | marks | inverse | Qiskit | PennyLane | QASM 2 | QIR | is |
|---|---|---|---|---|---|---|---|---|---|---|---|---|
"""


def _marks(row: Gate) -> str:
    return "".join(
        mark for mark, on in zip("dps", (row.diagonal, row.permutation, row.self_inverse), strict=True) if on
    )


def _inverse(row: Gate) -> str:
    """The inverse's name with its parameters in terms of the gate's own: a, b, c, d."""
    if row.self_inverse:
        return "itself"
    letters = "abcd"[: row.params]
    inverse, slots = row.inverse([(index, 1.0, 0.0) for index in range(row.params)])
    params = [
        ("-" if slot[1] < 0 else "") + letters[slot[0]] if isinstance(slot, tuple) else f"{slot:g}" for slot in slots
    ]
    return f"`{inverse.name}({', '.join(params)})`" if params else f"`{inverse.name}`"


def _line(row: Gate) -> str:
    cells = [str(row.id), f"`{row.name}`", " ".join(f"`{name}`" for name in row.aliases)]
    cells += [str(row.qubits), str(row.controls), str(row.params), _marks(row)]
    cells.append(_inverse(row))
    cells += [f"`{name}`" if name else "" for name in (row.qiskit, row.pennylane, row.qasm2, row.qir)]
    return "| " + " | ".join([*cells, row.help]) + " |\n"


def gates_markdown() -> str:
    """The text of docs/gates.md."""
    return _HEAD + "".join(_line(row) for row in gates())


def main(arguments: list[str]) -> None:
    """Writes to the file named, else to standard output."""
    if arguments:
        Path(arguments[0]).write_text(gates_markdown(), encoding="utf-8")
    else:
        sys.stdout.write(gates_markdown())


if __name__ == "__main__":
    main(sys.argv[1:])
