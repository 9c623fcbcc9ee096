"""Circuits that simulators are compared on, as lists of gates; qubit 0 is the least significant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from qfw.program import Affine, Builder, Program


@dataclass(frozen=True)
class Gate:
    """A row of the gate table, or "unitary" with a 4x4 matrix; `angle` of its one parameter."""

    name: str
    qubits: tuple[int, ...]
    angle: float | None = None
    matrix: NDArray[np.complex128] | None = None


@dataclass
class Circuit:
    qubits: int
    gates: list[Gate] = field(default_factory=list)

    def add(self, name: str, *qubits: int, angle: float | None = None) -> None:
        self.gates.append(Gate(name, qubits, angle))

    def program(self, *, parametric: bool = False) -> Program:
        """`parametric`: every angle is a parameter, in the order of the gates."""
        builder = Builder(self.qubits)
        for gate in self.gates:
            if gate.matrix is not None:
                builder.unitary(gate.matrix, gate.qubits)
            elif gate.angle is None:
                builder.gate(gate.name, gate.qubits)
            else:
                builder.gate(gate.name, gate.qubits, [Affine(builder.parameter()) if parametric else gate.angle])
        return builder.finish()

    def angles(self) -> list[float]:
        return [gate.angle for gate in self.gates if gate.angle is not None]


def ghz(n: int) -> Circuit:
    circuit = Circuit(n)
    circuit.add("h", 0)
    for q in range(n - 1):
        circuit.add("cx", q, q + 1)
    return circuit


def qft(n: int) -> Circuit:
    circuit = Circuit(n)
    for q in reversed(range(n)):
        circuit.add("h", q)
        for p in reversed(range(q)):
            circuit.add("cp", p, q, angle=np.pi / 2 ** (q - p))
    for q in range(n // 2):
        circuit.add("swap", q, n - 1 - q)
    return circuit


def qv(n: int, depth: int = 10) -> Circuit:
    """A brickwork of random SU(4)."""
    rng = np.random.default_rng(1)
    circuit = Circuit(n)
    for layer in range(depth):
        for q in range(layer % 2, n - 1, 2):
            z = rng.normal(size=(4, 4)) + 1j * rng.normal(size=(4, 4))
            unitary, r = np.linalg.qr(z)
            circuit.gates.append(Gate("unitary", (q, q + 1), None, unitary * (np.diag(r) / np.abs(np.diag(r)))))
    return circuit


def pairs(n: int, depth: int = 20) -> Circuit:
    """Random SU(4) on random pairs: no order of the qubits suits it."""
    rng = np.random.default_rng(2)
    circuit = Circuit(n)
    for _ in range(depth):
        order = [int(q) for q in rng.permutation(n)]
        for a, b in zip(order[0::2], order[1::2], strict=False):
            z = rng.normal(size=(4, 4)) + 1j * rng.normal(size=(4, 4))
            unitary, r = np.linalg.qr(z)
            circuit.gates.append(Gate("unitary", (a, b), None, unitary * (np.diag(r) / np.abs(np.diag(r)))))
    return circuit


def hea(n: int, layers: int = 5) -> Circuit:
    """RY and RZ on every qubit, then a ladder of CX: the ansatz of many variational algorithms."""
    rng = np.random.default_rng(2)
    circuit = Circuit(n)
    for _ in range(layers):
        for q in range(n):
            circuit.add("ry", q, angle=float(rng.uniform(-3, 3)))
            circuit.add("rz", q, angle=float(rng.uniform(-3, 3)))
        for q in range(n - 1):
            circuit.add("cx", q, q + 1)
    return circuit


def qaoa(n: int, layers: int = 4) -> Circuit:
    """On a 3-regular graph: a ring, and every qubit with its opposite."""
    rng = np.random.default_rng(3)
    edges = [(q, (q + 1) % n) for q in range(n)] + [(q, q + n // 2) for q in range(n // 2)]
    circuit = Circuit(n)
    for q in range(n):
        circuit.add("h", q)
    for _ in range(layers):
        gamma, beta = rng.uniform(-1, 1, 2)
        for a, b in edges:
            circuit.add("rzz", a, b, angle=float(gamma))
        for q in range(n):
            circuit.add("rx", q, angle=float(beta))
    return circuit


def tfim(n: int, steps: int = 20) -> Circuit:
    """Trotter steps of the transverse-field Ising chain."""
    circuit = Circuit(n)
    for _ in range(steps):
        for q in range(n - 1):
            circuit.add("rzz", q, q + 1, angle=0.1)
        for q in range(n):
            circuit.add("rx", q, angle=0.17)
    return circuit


CIRCUITS: dict[str, Callable[[int], Circuit]] = {
    "ghz": ghz, "qft": qft, "qv": qv, "hea": hea, "qaoa": qaoa, "tfim": tfim
}  # fmt: skip

Terms = list[tuple[float, str, list[int]]]


def ising_terms(n: int) -> Terms:
    """The transverse-field Ising chain: n - 1 ZZ and n X terms."""
    return [(-1.0, "ZZ", [q, q + 1]) for q in range(n - 1)] + [(-0.7, "X", [q]) for q in range(n)]
