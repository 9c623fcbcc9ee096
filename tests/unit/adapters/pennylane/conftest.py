"""Random tapes over the gate table, and a reference for Programs that shares nothing with the simulator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from qfw.program import Program, gate, gates

pytest.importorskip("pennylane", reason="PennyLane is not installed")
import pennylane as qml


def angle_of(angle: Any, row: NDArray[np.float64]) -> float:
    """The value of an instruction's angle for a row of bindings."""
    offset, scale, parameter = angle
    return float(offset if parameter is None else offset + scale * row[parameter])


def with_controls(matrix: NDArray[np.complex128], controls: int) -> NDArray[np.complex128]:
    """The matrix with further controls as its least significant qubits."""
    for _ in range(controls):
        side = matrix.shape[0]
        wider = np.eye(2 * side, dtype=complex)
        on = 2 * np.arange(side) + 1
        wider[np.ix_(on, on)] = matrix
        matrix = wider
    return matrix


def state_of(program: Program, row: NDArray[np.float64]) -> NDArray[np.complex128]:
    """The state a Program leads to, one axis per qubit, qubit 0 the first: dense matrices from the gate table."""
    count = program.num_qubits
    state = np.zeros((2,) * count, dtype=complex)
    state[(0,) * count] = np.exp(1j * program.global_phase)
    for step in program.instructions:
        if step.op in ("measure", "barrier"):
            continue
        if step.op == "unitary":
            matrix = with_controls(np.asarray(step.matrix), step.controls)
        else:
            matrix = gate(step.name).matrix([angle_of(a, row) for a in step.angles], step.controls)
        axes = list(reversed(step.qubits))  # the matrix has its first qubit as the least significant
        width = len(axes)
        tensor = matrix.reshape((2,) * (2 * width))
        state = np.moveaxis(np.tensordot(tensor, state, (list(range(width, 2 * width)), axes)), range(width), axes)
    return state


def random_unitary(rng: np.random.Generator, side: int) -> NDArray[np.complex128]:
    """A unitary matrix drawn from no particular measure."""
    q, _ = np.linalg.qr(rng.standard_normal((side, side)) + 1j * rng.standard_normal((side, side)))
    return np.asarray(q)


def _table_classes() -> list[tuple[type, int, int]]:
    """(class, wires, numbers) of the rows that are PennyLane classes."""
    found = []
    for row in gates():
        cls = getattr(qml, row.pennylane, None) if row.pennylane else None
        if cls is not None:
            found.append((cls, row.qubits, row.params))
    return found


def random_operation(rng: np.random.Generator, wires: list[Any], depth: int = 0) -> Any:
    """One operation: a row of the table, or a matrix, or an inverse or controlled form of one."""
    table = _table_classes()
    kind = rng.integers(10) if depth < 2 else rng.integers(7)
    if kind < 6:
        cls, width, numbers = table[rng.integers(len(table))]
        while width > len(wires):
            cls, width, numbers = table[rng.integers(len(table))]
        chosen = [wires[i] for i in rng.permutation(len(wires))[:width]]
        return cls(*rng.uniform(-4, 4, numbers), wires=chosen)
    if kind == 6:
        width = int(rng.integers(1, min(2, len(wires)) + 1))
        chosen = [wires[i] for i in rng.permutation(len(wires))[:width]]
        return qml.QubitUnitary(random_unitary(rng, 2**width), wires=chosen)
    if kind == 7:
        return qml.adjoint(random_operation(rng, wires, depth + 2))
    if kind == 8 or len(wires) < 2:
        return qml.GlobalPhase(float(rng.uniform(-4, 4)))
    order = [wires[i] for i in rng.permutation(len(wires))]
    split = int(rng.integers(1, len(order)))
    base = random_operation(rng, order[split:], depth + 1)
    return qml.ctrl(base, control=order[:split], control_values=rng.integers(0, 2, split).astype(bool).tolist())


@pytest.fixture
def random_operations() -> Callable[[int, list[Any], int], list[Any]]:
    """(seed, wires, count) -> operations, the first a preparation in a basis state now and then."""

    def make(seed: int, wires: list[Any], count: int) -> list[Any]:
        rng = np.random.default_rng(seed)
        with qml.queuing.QueuingManager.stop_recording():
            operations = [random_operation(rng, wires) for _ in range(count)]
            if seed % 3 == 0:
                operations.insert(0, qml.BasisState(rng.integers(0, 2, len(wires)), wires=wires))
        return operations

    return make
