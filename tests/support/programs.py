"""Programs and tasks that many tests send."""

from __future__ import annotations

import numpy as np

from qfw import qpi
from qfw.program import Affine


def flip(bits: int, width: int = 8) -> qpi.Program:
    """Prepares and measures a number."""
    builder = qpi.Builder(width, width)
    for q in range(width):
        if bits >> q & 1:
            builder.gate("x", [q])
        builder.measure(q, q)
    return builder.finish()


def rotations(qubits: int, layers: int) -> qpi.Program:
    builder = qpi.Builder(qubits, qubits)
    theta = builder.parameter("theta")
    for layer in range(layers):
        for q in range(qubits):
            builder.gate("rx", [q], [Affine(theta, 1.0 + layer)])
        for q in range(qubits - 1):
            builder.gate("cx", [q, q + 1])
    for q in range(qubits):
        builder.measure(q, q)
    return builder.finish()


def endless(**given: object) -> qpi.Task:
    """Runs for minutes unless it is stopped."""
    return qpi.Task(rotations(18, 12), bindings=np.zeros((50_000, 1)), shots=1, **given)  # type: ignore[arg-type]
