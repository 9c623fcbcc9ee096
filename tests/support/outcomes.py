"""What a program gives, outcome by outcome, in plain numpy: an independent reference for dynamic programs.

Nothing is merged, deferred or sampled: every outcome of every measurement is followed with its probability.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qfw.program import Bit, Instruction, Program, Var, gate
from tests.support.dense import apply

_RARE = 1e-14
_WORD = 1 << 64


@dataclass
class Way:
    """One way through the program."""

    state: NDArray[np.complex128]
    weight: float
    bits: int
    variables: list[Any]
    block: int = 0
    at: int = 0


@dataclass
class Outcomes:
    """Probabilities of the final bits, and the states with their weights."""

    bits: dict[int, float] = field(default_factory=lambda: defaultdict(float))
    states: list[tuple[float, NDArray[np.complex128]]] = field(default_factory=list)


def outcomes(program: Program, row: Sequence[float] = ()) -> Outcomes:
    """Follows a program to all its ends."""
    start = np.zeros(1 << program.num_qubits, dtype=np.complex128)
    start[0] = 1.0
    found = Outcomes()
    ways = [Way(start, 1.0, 0, [value for _, value in program.variables])]
    code = [(block.instructions, block.terminator) for block in program.blocks]
    while ways:
        way = ways.pop()
        instructions, terminator = code[way.block]
        if way.at == len(instructions):
            _leave(way, terminator, ways, found)
            continue
        item = instructions[way.at]
        way.at += 1
        if item.op in ("measure", "reset"):
            ways += _read(way, item)
            continue
        if item.op in ("compute", "read_bits", "write_bit"):
            _classical(way, item, program)
        elif item.op in ("gate", "unitary"):
            way.state = apply(way.state, _matrix(item, way, row), list(item.qubits), item.controls)
        ways.append(way)
    return found


def _leave(way: Way, terminator: tuple[Any, ...], ways: list[Way], found: Outcomes) -> None:
    if terminator[0] == "end":
        found.bits[way.bits] += way.weight
        found.states.append((way.weight, way.state))
        return
    way.block = terminator[1] if terminator[0] == "jump" else terminator[2 if way.variables[terminator[1]] else 3]
    way.at = 0
    ways.append(way)


def _read(way: Way, item: Instruction) -> list[Way]:
    qubit = item.qubits[0]
    ones = (np.arange(len(way.state)) >> qubit & 1).astype(bool)
    out = []
    for outcome in (0, 1):
        state = np.where(ones == bool(outcome), way.state, 0)
        share = float(np.vdot(state, state).real)
        if way.weight * share < _RARE:
            continue
        state = state / math.sqrt(share)
        bits = way.bits
        if item.op == "measure":
            bits = bits & ~(1 << item.bits[0]) | outcome << item.bits[0]
        elif outcome:
            state = state[np.arange(len(state)) ^ (1 << qubit)]
        out.append(Way(state, way.weight * share, bits, list(way.variables), way.block, way.at))
    return out


def _matrix(item: Instruction, way: Way, row: Sequence[float]) -> NDArray[Any]:
    """Without the controls beyond the gate's own."""
    if item.matrix is not None:
        return item.matrix
    angles = [
        o if p is None else o + s * (way.variables[p.index] if isinstance(p, Var) else row[p])
        for o, s, p in item.angles
    ]
    return gate(item.name).matrix(angles)


def _wrap(value: int) -> int:
    return (value + _WORD // 2) % _WORD - _WORD // 2


def _divide(a: Any, b: Any) -> Any:
    if isinstance(a, float):
        return a / b
    return _wrap(abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1))


def _remainder(a: Any, b: Any) -> Any:
    return math.fmod(a, b) if isinstance(a, float) else a - b * _divide(a, b)


_COMPUTE: dict[str, Any] = {
    "copy": lambda a: a,
    "not": lambda a: not a if isinstance(a, bool) else ~a,
    "and": lambda a, b: a & b,
    "or": lambda a, b: a | b,
    "xor": lambda a, b: a ^ b,
    "shl": lambda a, b: a << b,
    "shr": lambda a, b: a >> b,
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": _divide,
    "mod": _remainder,
    "neg": lambda a: -a,
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "select": lambda a, b, c: b if a else c,
    "to_int": int,
    "to_float": float,
    "to_bool": bool,
}


def _classical(way: Way, item: Instruction, program: Program) -> None:
    values = [
        way.variables[o.index] if isinstance(o, Var) else bool(way.bits >> o.index & 1) if isinstance(o, Bit) else o
        for o in item.operands
    ]
    if item.op == "write_bit":
        way.bits = way.bits & ~(1 << item.bits[0]) | int(values[0]) << item.bits[0]
        return
    assert item.variable is not None
    if item.op == "read_bits":
        way.variables[item.variable] = way.bits >> item.bits[0] & ((1 << len(item.bits)) - 1)
        return
    value = _COMPUTE[item.name](*values)
    way.variables[item.variable] = _wrap(value) if program.variables[item.variable][0] == "int" else value
