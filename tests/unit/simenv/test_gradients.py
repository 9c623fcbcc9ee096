"""Adjoint gradients against finite differences of a dense reference, shift rules and PennyLane."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from qfw import program, simenv
from qfw.program.errors import InvalidArgument, Unsupported

_spec = importlib.util.spec_from_file_location("simenv_circuits", Path(__file__).with_name("circuits.py"))
assert _spec is not None and _spec.loader is not None
circuits = importlib.util.module_from_spec(_spec)
sys.modules["simenv_circuits"] = circuits
_spec.loader.exec_module(circuits)

LEVELS = simenv.simd_levels()
Terms = list[tuple[float, str, list[int]]]


def random_sum(rng: np.random.Generator, qubits: int, terms: int) -> Terms:
    out: Terms = [(float(rng.normal()), "", [])]
    for _ in range(terms):
        chosen = [int(q) for q in rng.permutation(qubits)[: rng.integers(1, min(qubits, 4) + 1)]]
        out.append((float(rng.normal()), "".join(rng.choice(list("XYZ"), len(chosen))), chosen))
    return out


def expectations(built: program.Program, row: NDArray[np.float64], sums: list[Terms]) -> NDArray[np.float64]:
    return simenv.simulate(built, row=row, observables=sums)["expectations"]


def differences(function: Callable[[NDArray[np.float64]], NDArray[np.float64]], row: list[float]) -> NDArray[Any]:
    """The Jacobian by a central difference of fourth order; its error is near 1e-11."""
    columns = []
    for i in range(len(row)):
        step = np.zeros(len(row))
        step[i] = 2e-3
        at = np.asarray(row)
        columns.append(
            (8 * (function(at + step) - function(at - step)) - (function(at + 2 * step) - function(at - 2 * step)))
            / (12 * 2e-3)
        )
    return np.stack(columns, axis=-1)


def jacobian(built: program.Program, row: list[float], sums: list[Terms], **kwargs: Any) -> NDArray[np.float64]:
    return simenv.simulate(built, row=row, observables=sums, gradients=True, **kwargs)["gradients"]


@pytest.mark.parametrize("gate", [g.name for g in program.gates() if g.params])
def test_every_gate_with_parameters(gate: str) -> None:
    rng = np.random.default_rng(8)
    info = program.gate(gate)
    mix = circuits.random_circuit(1, 5, 12, ["unitary"], 0).steps
    for controls in (0, 1, 2):
        qubits = tuple(int(q) for q in rng.permutation(5)[: info.qubits + controls])
        step = circuits.Step(gate, qubits, tuple(rng.uniform(-4, 4, info.params)), controls)
        built, row = circuits.Circuit(5, [*mix, step, *mix[:6]]).build(parametric=True)
        sums = [random_sum(rng, 5, 6), random_sum(rng, 5, 1)]
        expected = differences(lambda at, b=built, s=sums: expectations(b, at, s), row)
        for level in LEVELS:
            assert np.abs(jacobian(built, row, sums, simd=level) - expected).max() < 1e-8, (qubits, level)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), qubits=st.integers(1, 13), length=st.integers(1, 50), level=st.sampled_from(LEVELS))
def test_random_circuits(seed: int, qubits: int, length: int, level: str) -> None:
    rng = np.random.default_rng(seed)
    built, row = circuits.random_circuit(seed, qubits, length).build(parametric=True)
    sums = [random_sum(rng, qubits, int(rng.integers(0, 12))) for _ in range(int(rng.integers(1, 6)))]
    found = jacobian(built, row, sums, simd=level)
    assert found.shape == (len(sums), len(row))
    if row:
        expected = differences(lambda at: expectations(built, at, sums), row)
        assert np.abs(found - expected).max() < 1e-7


@pytest.mark.parametrize("names", [["ry", "rz", "cx"], ["h", "cp", "rx"], ["rzz", "rx", "p", "crz"], None])
def test_states_of_several_blocks(names: list[str] | None) -> None:
    rng = np.random.default_rng(4)
    circuit = circuits.random_circuit(11, 16, 90, names, max_controls=1)
    built, row = circuit.build(parametric=True)
    sums = [random_sum(rng, 16, 20) for _ in range(5)]
    found = jacobian(built, row, sums)
    some = [int(i) for i in rng.permutation(len(row))[:6]]
    for i in some:

        def at(x: float, i: int = i) -> NDArray[np.float64]:
            return expectations(built, np.asarray([*row[:i], row[i] + x, *row[i + 1 :]]), sums)

        expected = (8 * (at(2e-3) - at(-2e-3)) - (at(4e-3) - at(-4e-3))) / (12 * 2e-3)
        assert np.abs(found[:, i] - expected).max() < 1e-7, i
    assert np.array_equal(jacobian(built, row, sums, gradient_parameters=some), found[:, some])
    assert np.array_equal(jacobian(built, row, sums, threads=3), found)


def test_shared_parameters_add_up_with_their_scales() -> None:
    builder = program.Builder(2)
    theta, unused = builder.parameter("theta"), builder.parameter("unused")
    builder.gate("rx", [0], [program.Affine(theta, scale=2.0, offset=0.3)])
    builder.gate("rx", [1], [program.Affine(theta, scale=-0.5)])
    found = jacobian(builder.finish(), [0.7, 1.0], [[(1.0, "Z", [0]), (1.0, "Z", [1])], [(2.0, "", [])]])
    assert unused == 1
    assert found[0] == pytest.approx([-2 * np.sin(1.7) - 0.5 * np.sin(0.35), 0.0])
    assert np.abs(found[1]).max() < 1e-15


def test_other_outputs_beside() -> None:
    built, row = circuits.random_circuit(5, 6, 40).build(parametric=True)
    sums = [[(1.0, "Z", [0])]]
    plain = simenv.simulate(built, row=row, observables=sums, statevector=True, probabilities=True)
    both = simenv.simulate(built, row=row, observables=sums, statevector=True, probabilities=True, gradients=True)
    for name, value in plain.items():
        assert np.array_equal(both[name], value), name


def test_refusals() -> None:
    builder = program.Builder(1, 1)
    builder.gate("rx", [0], [program.Affine(builder.parameter())])
    plain = builder.finish()
    with pytest.raises(InvalidArgument, match="no observable"):
        simenv.simulate(plain, row=[0.1], gradients=True)
    with pytest.raises(InvalidArgument, match="parameter 1; the program has 1"):
        jacobian(plain, [0.1], [[(1.0, "Z", [0])]], gradient_parameters=[1])
    with pytest.raises(InvalidArgument, match="twice"):
        jacobian(plain, [0.1], [[(1.0, "Z", [0])]], gradient_parameters=[0, 0])
    middle = program.Builder(1, 1)
    middle.gate("rx", [0], [program.Affine(middle.parameter())])
    middle.measure(0, 0)
    middle.gate("h", [0])
    with pytest.raises(Unsupported, match="measures or resets in the middle"):
        jacobian(middle.finish(), [0.1], [[(1.0, "Z", [0])]])


def test_agrees_with_pennylane() -> None:
    qml = pytest.importorskip("pennylane", reason="PennyLane is not installed")
    rng = np.random.default_rng(2)
    values = rng.uniform(-3, 3, 12)

    def tape() -> Any:
        with qml.tape.QuantumTape() as made:
            for q in range(4):
                qml.RY(values[q], q)
                qml.RZ(values[4 + q], q)
            for q in range(3):
                qml.CRX(values[8 + q], [q, q + 1])
            qml.IsingXX(values[11], [0, 3])
            qml.expval(qml.PauliX(0) @ qml.PauliY(2))
            qml.expval(qml.PauliZ(1) + 0.5 * qml.PauliZ(3))
        made.trainable_params = list(range(12))
        return made

    expected = np.array(qml.device("lightning.qubit", wires=4).compute_derivatives(tape()))
    builder = program.Builder(4)
    angles = [program.Affine(builder.parameter()) for _ in range(12)]
    for q in range(4):
        builder.gate("ry", [q], [angles[2 * q]])
        builder.gate("rz", [q], [angles[2 * q + 1]])
    for q in range(3):
        builder.gate("crx", [q, q + 1], [angles[8 + q]])
    builder.gate("rxx", [0, 3], [angles[11]])
    row = [*(values[4 * (i % 2) + i // 2] for i in range(8)), *values[8:]]
    found = jacobian(builder.finish(), row, [[(1.0, "XY", [0, 2])], [(1.0, "Z", [1]), (0.5, "Z", [3])]])
    assert np.abs(found - expected).max() < 1e-12
