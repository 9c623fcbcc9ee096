"""The Program: the one internal form of a quantum program, and the gate table that everything else reads.

A Program is immutable, validated, and identified by the SHA-256 of its bytes (docs/program-format.md). Qubit 0 is the
least significant; angles are radians, constant or affine in one parameter.
"""

from __future__ import annotations

from qfw._core.program import (
    BARRIER,
    FORMAT_VERSION,
    MAX_BITS,
    MAX_BLOCKS,
    MAX_INSTRUCTIONS,
    MAX_PARAMETERS,
    MAX_QUBITS,
    MAX_VARIABLES,
    MEASURE,
    RESET,
    UNITARY,
    Bit,
    Block,
    Builder,
    Gate,
    Instruction,
    PauliSum,
    Program,
    Var,
    gate,
    gates,
)
from qfw.program import errors
from qfw.program.angles import Affine

for _public in (Bit, Block, Builder, Gate, Instruction, PauliSum, Program, Var, gate, gates):
    _public.__module__ = __name__
del _public

__all__ = [
    "BARRIER",
    "FORMAT_VERSION",
    "MAX_BITS",
    "MAX_BLOCKS",
    "MAX_INSTRUCTIONS",
    "MAX_PARAMETERS",
    "MAX_QUBITS",
    "MAX_VARIABLES",
    "MEASURE",
    "RESET",
    "UNITARY",
    "Affine",
    "Bit",
    "Block",
    "Builder",
    "Gate",
    "Instruction",
    "PauliSum",
    "Program",
    "Var",
    "errors",
    "gate",
    "gates",
]
