"""Every row of the gate table against Qiskit's and PennyLane's own matrices, and against its flags."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qfw.program import Affine, Gate, errors, gate, gates

PARAMS = (0.3, -1.1, 2.7, 0.9)
ROWS = gates()
angle = st.floats(-20, 20, allow_nan=False)


def matrix(row: Gate, params: tuple[float, ...] = PARAMS) -> np.ndarray:
    return row.matrix(params[: row.params])


@pytest.mark.parametrize("row", [r for r in ROWS if r.qiskit], ids=lambda r: r.name)
def test_matrix_is_qiskits(row: Gate) -> None:
    library = pytest.importorskip("qiskit.circuit.library", reason="qiskit is not installed")
    theirs = getattr(library, row.qiskit)(*PARAMS[: row.params])
    np.testing.assert_allclose(matrix(row), theirs.to_matrix(), atol=1e-12)
    assert theirs.num_qubits == row.qubits


def pennylane_operation(name: str, params: tuple[float, ...], wires: list[int]) -> Any:
    qml = pytest.importorskip("pennylane", reason="PennyLane is not installed")
    if name.startswith("Adjoint("):
        return qml.adjoint(pennylane_operation(name[8:-1], params, wires))
    return getattr(qml, name)(*params, wires=wires)


@pytest.mark.parametrize("row", [r for r in ROWS if r.pennylane], ids=lambda r: r.name)
def test_matrix_is_pennylanes(row: Gate) -> None:
    qml = pytest.importorskip("pennylane", reason="PennyLane is not installed")
    wires = list(range(row.qubits))
    operation = pennylane_operation(row.pennylane, PARAMS[: row.params], wires)
    theirs = qml.matrix(operation, wire_order=wires[::-1])  # PennyLane's first wire is the most significant
    np.testing.assert_allclose(matrix(row), theirs, atol=1e-12)


@pytest.mark.parametrize("row", [r for r in ROWS if r.qasm2], ids=lambda r: r.name)
def test_name_in_openqasm2_is_known(row: Gate) -> None:
    qasm2 = pytest.importorskip("qiskit.qasm2", reason="qiskit is not installed")
    params = f"({','.join(map(repr, PARAMS[: row.params]))})" if row.params else ""
    operands = ",".join(f"q[{i}]" for i in range(row.qubits))
    text = f'OPENQASM 2.0; include "qelib1.inc"; qreg q[{row.qubits}]; {row.qasm2}{params} {operands};'
    circuit = qasm2.loads(text, include_path=(), custom_instructions=qasm2.LEGACY_CUSTOM_INSTRUCTIONS)
    from qiskit.quantum_info import Operator

    np.testing.assert_allclose(Operator(circuit).data, matrix(row), atol=1e-12)


@given(row=st.sampled_from(ROWS), values=st.tuples(angle, angle, angle, angle))
def test_unitary_and_inverse(row: Gate, values: tuple[float, ...]) -> None:
    ours = matrix(row, values)
    identity = np.eye(2**row.qubits)
    np.testing.assert_allclose(ours @ ours.conj().T, identity, atol=1e-10)
    inverse, params = row.inverse(values[: row.params])
    np.testing.assert_allclose(inverse.matrix(params) @ ours, identity, atol=1e-10)
    if row.self_inverse:
        assert inverse is row or inverse == row


@given(row=st.sampled_from(ROWS), values=st.tuples(angle, angle, angle, angle))
def test_flags_hold_for_every_angle(row: Gate, values: tuple[float, ...]) -> None:
    ours = matrix(row, values)
    if row.diagonal:
        assert not np.any(ours - np.diag(np.diag(ours)))
    if row.permutation:
        assert np.all(np.count_nonzero(ours, axis=0) == 1)
        assert np.all(np.count_nonzero(ours, axis=1) == 1)


@given(row=st.sampled_from(ROWS), value=angle, scale=angle, offset=angle)
def test_inverse_of_affine_angles_follows_the_parameter(row: Gate, value: float, scale: float, offset: float) -> None:
    slots = tuple(Affine(i, scale, offset) for i in range(row.params))
    inverse, slots = row.inverse(slots)
    values = [value + i for i in range(row.params)]
    bound = [o + s * values[p] for p, s, o in (Affine(*slot) for slot in slots)]
    ours = row.matrix([offset + scale * v for v in values])
    np.testing.assert_allclose(inverse.matrix(bound), ours.conj().T, atol=1e-9)


@pytest.mark.parametrize("row", [r for r in ROWS if r.controls and r.base != r], ids=lambda r: r.name)
def test_controlled_rows_are_their_base_with_controls(row: Gate) -> None:
    np.testing.assert_array_equal(matrix(row), row.base.matrix(PARAMS[: row.params], controls=row.controls))


@settings(max_examples=20)
@given(controls=st.integers(1, 4), row=st.sampled_from([r for r in ROWS if r.qubits]))
def test_further_controls_come_first(controls: int, row: Gate) -> None:
    ours = row.matrix(PARAMS[: row.params], controls=controls)
    on = [i for i in range(len(ours)) if i % 2**controls == 2**controls - 1]
    off = [i for i in range(len(ours)) if i not in on]
    np.testing.assert_array_equal(ours[np.ix_(on, on)], matrix(row))
    np.testing.assert_array_equal(ours[np.ix_(off, off)], np.eye(len(off)))
    assert not np.any(ours[np.ix_(on, off)]) and not np.any(ours[np.ix_(off, on)])


def test_rows_are_found_by_number_and_name() -> None:
    for number, row in enumerate(ROWS):
        assert row.id == number
        assert gate(number) == gate(row.name) == gate(row) == row
        assert pickle.loads(pickle.dumps(row)) == row  # noqa: S301 our own bytes
    assert len({r.name for r in ROWS}) == len(ROWS)
    assert hash(gate("x")) == hash(gate(2))


def test_openqasm3_standard_gates_are_found() -> None:
    names = "p x y z h s sdg t tdg sx rx ry rz cx cy cz cp crx cry crz ch swap ccx cswap cu CX phase cphase id u1 u3 U"
    for name in (*names.split(), "gphase"):
        assert name == gate(name).name or name in gate(name).aliases
    assert gate("u1") == gate("phase") == gate("p")


@pytest.mark.parametrize("unknown", ["hadamard", "", "rxy", "X" * 10_000, 60_000, 65_536, 2**31])
def test_unknown_gates(unknown: str | int) -> None:
    with pytest.raises(errors.UnknownGate, match="unknown gate"):
        gate(unknown)


def test_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(errors.UnknownGate, match="'rzz'"):
        gate("rzzz")


def test_bad_arguments() -> None:
    with pytest.raises(errors.InvalidArgument, match="takes 1 parameter"):
        gate("rx").matrix()
    with pytest.raises(errors.InvalidArgument, match="takes 1 parameter"):
        gate("rx").inverse((1.0, 2.0))
    with pytest.raises(errors.LimitExceeded, match="limit of 10"):
        gate("x").matrix(controls=10)
    with pytest.raises(TypeError):
        gate(1.5)  # type: ignore[arg-type]
