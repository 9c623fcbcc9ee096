"""The linear systems A x = b that the example solves, written for a quantum computer.

A is a weighted sum of Pauli strings, b is prepared by a circuit, and an ansatz with few parameters can hold x.
Wire 0 is the most significant bit of the index of a vector, as in PennyLane.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import pennylane as qml
from numpy.typing import NDArray

Vector = NDArray[np.float64]

PAULIS = {
    "I": np.eye(2, dtype=complex),
    "X": np.array([[0, 1], [1, 0]], dtype=complex),
    "Y": np.array([[0, -1j], [1j, 0]]),
    "Z": np.diag([1.0 + 0j, -1.0]),
}


@dataclass(frozen=True)
class Problem:
    """A linear system of 2^wires real unknowns.

    `terms` are (coefficient, word), one letter per wire. `prepare_b` is its own inverse. Where `symmetric` is True, A
    and the states of the ansatz are real, so only the real parts are measured and each pair of terms once.
    """

    name: str
    wires: int
    terms: tuple[tuple[float, str], ...]
    prepare_b: Callable[[], None]
    b: Vector  # normalised
    ansatz: Callable[[Any], None]
    start: tuple[float, ...]  # of the search; about x = b
    symmetric: bool = False
    evaluations: int = 60  # of the cost, that COBYLA needs for a good solution
    steps: int = 30  # that gradient descent needs
    step_size: float = 0.8  # of gradient descent; beyond the inverse of the cost's curvature it leaves the valley
    momentum: float = 0.0  # of gradient descent

    def matrix(self) -> Vector:
        """A as a dense matrix."""
        total = sum(c * reduce(np.kron, [PAULIS[letter] for letter in word]) for c, word in self.terms)
        return np.real(np.asarray(total))

    def exact(self) -> Vector:
        """The solution by numpy."""
        return np.linalg.solve(self.matrix(), self.b)


def pauli_terms(matrix: Vector, tolerance: float = 1e-12) -> tuple[tuple[float, str], ...]:
    """The Pauli strings of a real symmetric 2^n x 2^n matrix: coefficient = trace(P A) / 2^n."""
    side = matrix.shape[0]
    wires = side.bit_length() - 1
    if matrix.shape != (side, side) or side != 1 << wires or not np.allclose(matrix, matrix.T):
        raise ValueError(f"need a symmetric matrix of 2^n rows, not one of shape {matrix.shape}")
    found = []
    for word in itertools.product("IXYZ", repeat=wires):
        pauli = reduce(np.kron, [PAULIS[letter] for letter in word])
        coefficient = float(np.real(np.trace(pauli @ matrix))) / side
        if abs(coefficient) > tolerance:
            found.append((coefficient, "".join(word)))
    return tuple(found)


def uniform(wires: int) -> Callable[[], None]:
    """The preparation of the vector with equal entries."""

    def prepare() -> None:
        for wire in range(wires):
            qml.Hadamard(wires=wire)

    return prepare


def ising() -> Problem:
    """A = I + 0.2 X0 Z1 + 0.2 X0 on three qubits, b uniform: 72 circuits for one evaluation of the cost."""

    def ansatz(weights: Sequence[Any]) -> None:
        for wire in range(3):
            qml.Hadamard(wires=wire)
        for wire, weight in enumerate(weights):
            qml.RY(weight, wires=wire)

    terms = ((1.0, "III"), (0.2, "XZI"), (0.2, "XII"))
    return Problem("ising", 3, terms, uniform(3), np.full(8, 8**-0.5), ansatz, start=(0.0, 0.0, 0.0))


def poisson() -> Problem:
    """Pressure in a Hele-Shaw channel: -d2p/dx2 = q with an even source q and p = 0 at both ends, in 8 cells.

    The pressure is positive and mirror-symmetric, and so are the states of the ansatz: a free real state of two wires
    for one half, copied to the other half by a Hadamard and two CNOTs.
    """
    matrix = 2 * np.eye(8) - np.eye(8, k=1) - np.eye(8, k=-1)

    def ansatz(weights: Sequence[Any]) -> None:
        qml.RY(weights[0], wires=1)
        qml.CNOT(wires=[1, 2])
        qml.RY(weights[1], wires=1)
        qml.RY(weights[2], wires=2)
        qml.Hadamard(wires=0)
        qml.CNOT(wires=[0, 1])
        qml.CNOT(wires=[0, 2])

    start = (0.0, np.pi / 2, np.pi / 2)
    b = np.full(8, 8**-0.5)
    search = {"evaluations": 100, "steps": 60, "step_size": 0.005, "momentum": 0.7}
    return Problem("poisson", 3, pauli_terms(matrix), uniform(3), b, ansatz, start, symmetric=True, **search)


PROBLEMS: dict[str, Callable[[], Problem]] = {"ising": ising, "poisson": poisson}
