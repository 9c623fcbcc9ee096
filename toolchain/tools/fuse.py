"""Fewer gates: runs of constant gates on one or two qubits become one matrix each.

Exact to rounding, global phase included. Gates with parameters, gates on three or more qubits, measurements, resets and
barriers stay as they are, and nothing moves across them on their qubits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qfw.program import Affine, Builder, Program, gate
from qfw.toolchain.tools.tool import program_of, replace

Matrix = NDArray[np.complex128]
_IDENTITY = 1e-14  # a product this near to a phase times the identity is only a phase


@dataclass(frozen=True, slots=True)
class Fuse:
    """The tool `fuse`; it has no options."""

    name: str = field(default="fuse", init=False)

    def expand(self, task: Any, device: Any) -> tuple[list[Any], None]:
        """One task, with the shorter program."""
        return [replace(task, program=fuse(program_of(task)))], None

    def reduce(self, results: Sequence[Any], state: None) -> Any:
        """The one result."""
        return results[0]


@dataclass(slots=True)
class _Group:
    """Constant gates that follow one another on one or two qubits; `matrix` is their product."""

    qubits: tuple[int, ...]  # least significant first
    items: list[Any]
    matrix: Matrix


class _Fuser:
    def __init__(self, builder: Builder) -> None:
        self._builder = builder
        self._open: dict[int, _Group] = {}  # by qubit

    def add(self, item: Any) -> None:
        matrix = constant_matrix(item)
        if matrix is None:
            self.close(item.qubits)
            emit(self._builder, item)
            return
        groups = [self._open.get(q) for q in item.qubits]
        if groups[0] is not None and set(item.qubits) <= set(groups[0].qubits):
            _append(groups[0], item, matrix)
            return
        for group in groups:
            if group is not None and len(group.qubits) == 2:
                self.close(group.qubits)
        made = _Group(tuple(item.qubits), [], np.eye(len(matrix), dtype=np.complex128))
        for q in item.qubits:
            before = self._open.get(q)
            if before is not None:
                _append(made, None, before.matrix, before.qubits)
                made.items += before.items
            self._open[q] = made
        _append(made, item, matrix)

    def close(self, qubits: Sequence[int]) -> None:
        for q in qubits:
            group = self._open.pop(q, None)
            if group is None:
                continue
            for other in group.qubits:
                self._open.pop(other, None)
            self._emit(group)

    def _emit(self, group: _Group) -> None:
        if len(group.items) == 1:
            emit(self._builder, group.items[0])
            return
        phase = group.matrix[0, 0]
        if np.abs(group.matrix - phase * np.eye(len(group.matrix))).max() < _IDENTITY:
            self._builder.global_phase(float(np.angle(phase)))
        else:
            self._builder.unitary(group.matrix, group.qubits)

    def close_all(self) -> None:
        self.close(sorted(self._open))


def fuse(program: Program) -> Program:
    """The program with its runs of constant gates fused; a dynamic one as it is."""
    if program.dynamic:
        return program
    builder = Builder(program.num_qubits, program.num_bits)
    for name in program.parameters:
        builder.parameter(name)
    for name, first, size in program.registers:
        builder.register(name, first, size)
    builder.global_phase(program.global_phase)
    fuser = _Fuser(builder)
    for item in program.instructions:
        fuser.add(item)
    fuser.close_all()
    return builder.finish()


def constant_matrix(item: Any) -> Matrix | None:
    """The matrix of a constant one- or two-qubit gate on `item.qubits`, least significant first; else None."""
    if item.op not in ("gate", "unitary") or not 1 <= len(item.qubits) <= 2:
        return None
    if item.op == "unitary":
        own = np.asarray(item.matrix, dtype=np.complex128)
    elif any(parameter is not None for _, _, parameter in item.angles):
        return None
    else:
        own = np.asarray(gate(item.name).matrix([offset for offset, _, _ in item.angles]), dtype=np.complex128)
    if not item.controls:
        return own
    matrix = np.eye(2 * len(own), dtype=np.complex128)
    matrix[1::2, 1::2] = own
    return matrix


def _append(group: _Group, item: Any, matrix: Matrix, qubits: tuple[int, ...] | None = None) -> None:
    qubits = tuple(item.qubits) if qubits is None else qubits
    if qubits != group.qubits:
        matrix = _widen(matrix, qubits, group.qubits)
    group.matrix = matrix @ group.matrix
    if item is not None:
        group.items.append(item)


def _widen(matrix: Matrix, qubits: tuple[int, ...], onto: tuple[int, ...]) -> Matrix:
    """The same operation as a matrix on the qubits `onto`, which hold `qubits`."""
    if len(qubits) == 2:  # the same two, in the other order
        swap = [0, 2, 1, 3]
        return matrix[np.ix_(swap, swap)]
    eye = np.eye(2, dtype=np.complex128)
    wide = np.kron(eye, matrix) if onto[0] == qubits[0] else np.kron(matrix, eye)
    return np.asarray(wide, dtype=np.complex128)


def emit(builder: Builder, item: Any) -> None:
    """Appends an instruction of another program unchanged."""
    if item.op == "gate":
        params = [offset if p is None else Affine(p, scale, offset) for offset, scale, p in item.angles]
        builder.gate(item.name, item.qubits, params, item.controls)
    elif item.op == "unitary":
        builder.unitary(item.matrix, item.qubits, item.controls)
    elif item.op == "measure":
        builder.measure(item.qubits[0], item.bits[0])
    elif item.op == "reset":
        builder.reset(item.qubits[0])
    else:
        builder.barrier(item.qubits)
