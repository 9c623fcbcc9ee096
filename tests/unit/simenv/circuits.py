"""Random programs over the whole gate table, and the dense reference they are compared with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from qfw import program

Matrix = NDArray[np.complex128]


@dataclass
class Step:
    """One operation: `name` of the gate table, or "unitary" with `matrix`."""

    name: str
    qubits: tuple[int, ...]
    params: tuple[float, ...] = ()
    controls: int = 0
    matrix: Matrix | None = None


@dataclass
class Circuit:
    num_qubits: int
    steps: list[Step] = field(default_factory=list)
    global_phase: float = 0.0

    def build(self, *, parametric: bool = False, measure: bool = False) -> tuple[program.Program, list[float]]:
        """The Program and its row; `parametric` makes every angle an affine function of a parameter of its own."""
        builder = program.Builder(self.num_qubits, self.num_qubits if measure else 0)
        row: list[float] = []
        builder.global_phase(self.global_phase)
        for step in self.steps:
            if step.matrix is not None:
                builder.unitary(step.matrix, step.qubits, controls=step.controls)
                continue
            params: list[Any] = list(step.params)
            if parametric:
                params = [program.Affine(builder.parameter(), scale=-0.5, offset=0.25) for _ in step.params]
                row += [(value - 0.25) / -0.5 for value in step.params]
            builder.gate(step.name, step.qubits, params, controls=step.controls)
        if measure:
            for qubit in range(self.num_qubits):
                builder.measure(qubit, qubit)
        return builder.finish(), row

    def reference(self) -> Matrix:
        """The final state from |0...0>, by dense matrices of the gate table."""
        state = np.zeros(2**self.num_qubits, dtype=np.complex128)
        state[0] = np.exp(1j * self.global_phase)
        for step in self.steps:
            state = apply(state, full_matrix(step), step.qubits, self.num_qubits)
        return state


def full_matrix(step: Step) -> Matrix:
    """With all controls, first qubit least significant."""
    if step.matrix is None:
        matrix: Matrix = program.gate(step.name).matrix(step.params, controls=step.controls)
        return matrix
    return controlled(step.matrix, step.controls)


def controlled(base: Matrix, controls: int) -> Matrix:
    """`base` under controls that come first."""
    dim = base.shape[0] << controls
    out = np.eye(dim, dtype=np.complex128)
    on = [(i << controls) | ((1 << controls) - 1) for i in range(base.shape[0])]
    out[np.ix_(on, on)] = base
    return out


def apply(state: Matrix, matrix: Matrix, qubits: tuple[int, ...], num_qubits: int) -> Matrix:
    if not qubits:
        return np.asarray(state * matrix[0, 0])
    tensor = state.reshape([2] * num_qubits)  # axis 0 is the highest qubit
    axes = [num_qubits - 1 - q for q in reversed(qubits)]
    k = len(qubits)
    moved = np.tensordot(matrix.reshape([2] * (2 * k)), tensor, axes=(list(range(k, 2 * k)), axes))
    return np.ascontiguousarray(np.moveaxis(moved, list(range(k)), axes)).reshape(-1)


def random_unitary(rng: np.random.Generator, dim: int) -> Matrix:
    q, r = np.linalg.qr(rng.normal(size=(dim, dim)) + 1j * rng.normal(size=(dim, dim)))
    return np.asarray(q * (np.diag(r) / np.abs(np.diag(r))))


def random_step(rng: np.random.Generator, num_qubits: int, names: list[str], max_controls: int = 2) -> Step:
    """A step that fits on `num_qubits`; "unitary" and "diagonal" may be among the names."""
    while True:
        name = str(rng.choice(names))
        own = int(rng.integers(1, 3)) if name in ("unitary", "diagonal") else program.gate(name).qubits
        if own <= num_qubits:
            break
    controls = int(rng.integers(0, min(max_controls, num_qubits - own) + 1))
    qubits = tuple(int(q) for q in rng.permutation(num_qubits)[: own + controls])
    if name == "unitary":
        return Step(name, qubits, controls=controls, matrix=random_unitary(rng, 2**own))
    if name == "diagonal":
        return Step(name, qubits, controls=controls, matrix=np.diag(np.exp(1j * rng.uniform(-4, 4, 2**own))))
    params = tuple(float(v) for v in rng.uniform(-4, 4, program.gate(name).params))
    return Step(name, qubits, params, controls)


def all_names() -> list[str]:
    return [gate.name for gate in program.gates()] + ["unitary", "unitary", "diagonal"]


def random_circuit(
    seed: int, num_qubits: int, length: int, names: list[str] | None = None, max_controls: int = 2
) -> Circuit:
    rng = np.random.default_rng(seed)
    chosen = names or all_names()
    steps = [random_step(rng, num_qubits, chosen, max_controls) for _ in range(length)]
    return Circuit(num_qubits, steps, float(rng.uniform(-3, 3)))
