"""Derivatives by the runtime: which tapes have them, and how a Jacobian is handed to PennyLane.

The runtime differentiates expectation values of Pauli sums with respect to the parameters of a Program (by the adjoint
method: docs/simulator.md). A tape's trainable numbers are such parameters, except those inside matrices, which are
decomposed before.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pennylane as qml
from numpy.typing import NDArray
from pennylane.devices.preprocess import null_postprocessing
from pennylane.measurements import ExpectationMP
from pennylane.ops import MidMeasure

from qfw.qpi.adapters.pennylane.split import Batch
from qfw.qpi.errors import Unsupported
from qfw.toolchain.formats.pennylane import accepts, broadcasts, sources, tables

METHODS = frozenset({"adjoint", "device", "best"})

_MATRIX_WIRES = 6  # widest observable given as a matrix that is written as a sum of Pauli words


def differentiable(tape: Any) -> bool:
    """Whether the runtime has the derivatives of a tape: exact expectation values of fixed observables."""
    if tape.shots:
        return False
    for m in tape.measurements:
        if m.__class__ is not ExpectationMP or m.obs is None or not _is_fixed_sum(m.obs):
            return False
    native = tables().native
    return all(op.__class__ in native or _has_derivatives(op) for op in tape.operations)


def _has_derivatives(op: Any) -> bool:
    if isinstance(op, MidMeasure):
        return op.postselect is None  # what is left is normalised: no expectation value any more
    return _is_fixed(op) or accepts(op) or bool(op.has_decomposition)


def _is_fixed(op: Any) -> bool:
    return not any(qml.math.requires_grad(number) for number in op.data)


def _is_fixed_sum(obs: Any) -> bool:
    if obs.data and not _is_fixed(obs):
        return False
    if (rep := obs.pauli_rep) is not None:
        return all(complex(c).imag == 0 for c in rep.values())
    return bool(obs.has_matrix) and len(obs.wires) <= _MATRIX_WIRES


def keeps_parameters(op: Any) -> bool:
    """Whether an operation can be written with its trainable numbers as parameters of the Program."""
    return accepts(op) and (broadcasts(op) or _is_fixed(op))


@qml.transform
def pauli_observables(tape: Any) -> Batch:
    """Writes observables given as matrices as sums of Pauli words."""
    if all(m.obs is None or m.obs.pauli_rep is not None for m in tape.measurements):
        return (tape,), null_postprocessing
    measurements = [m if m.obs.pauli_rep is not None else ExpectationMP(_as_sum(m.obs)) for m in tape.measurements]
    new = tape.copy(measurements=measurements)
    count = sum(len(op.data) for op in tape.operations)
    new.trainable_params = [i for i in tape.trainable_params if i < count]  # numbers of observables come after
    return (new,), null_postprocessing


def _as_sum(obs: Any) -> Any:
    return qml.pauli_decompose(qml.math.unwrap([obs.matrix()])[0], wire_order=obs.wires, pauli=False)


def columns(tape: Any) -> tuple[int, ...]:
    """The parameters of the tape's Program that its trainable numbers are, in their order.

    Raises Unsupported for a trainable number of a matrix or of an observable.
    """
    trainable = tape.trainable_params
    if not trainable:
        return ()
    where: list[int | None] = []
    used = 0
    for op in tape.operations:
        own: list[int | None] = [None] * len(op.data)
        for source in sources(op):
            own[source] = used
            used += 1
        where += own
    found = []
    for index in trainable:
        column = where[index] if index < len(where) else None
        if column is None:
            raise Unsupported(f"parameter {index} of the tape is of a matrix or an observable: no derivative is known")
        found.append(column)
    return tuple(found)


def jacobian(matrix: NDArray[np.float64]) -> Any:
    """A matrix observables x parameters in PennyLane's form: tuples, left away where there is one of them."""
    lines = [tuple(np.array(v) for v in line) for line in matrix]
    out = [line[0] if len(line) == 1 else line for line in lines]
    return out[0] if len(out) == 1 else tuple(out)


def matrix_of(jac: Any, observables: int, parameters: int) -> NDArray[np.float64]:
    """The matrix of a Jacobian in PennyLane's form."""
    return np.array(jac, dtype=np.float64).reshape(observables, parameters)


def vjp(tape: Any, cotangents: Any, jac: Any) -> tuple[Any, ...]:
    """The cotangents (one per measurement, each a number or an array over a batch of them) times the Jacobian."""
    matrix = matrix_of(jac, len(tape.measurements), len(tape.trainable_params))
    dy = np.asarray(cotangents, dtype=np.float64)
    product = matrix.T @ (dy[np.newaxis] if len(tape.measurements) == 1 else dy)
    return tuple(product)


def jvp(tape: Any, tangents: Iterable[Any], jac: Any) -> Any:
    """The Jacobian times the tangents, one per trainable number."""
    matrix = matrix_of(jac, len(tape.measurements), len(tape.trainable_params))
    product: Sequence[Any] = matrix @ np.array([float(t) for t in tangents])
    return product[0] if len(product) == 1 else tuple(product)


__all__ = ["METHODS", "columns", "differentiable", "jacobian", "jvp", "keeps_parameters", "pauli_observables", "vjp"]
