"""Measurements with shots that do not go together, or that need more than one basis change per qubit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pennylane as qml
import pytest

SHOTS = 40_000


def _prepare(x: Any) -> None:
    qml.RX(x, 0)
    qml.CNOT([0, 1])
    qml.RY(0.7, 1)
    qml.IsingXX(0.4, [1, 2])


def _run(measurement: Any, shots: Any = SHOTS, x: Any = 0.6, name: str = "qfw.device") -> Any:
    options = {"endpoint": "embedded", "seed": 5} if name == "qfw.device" else {}

    def node() -> Any:
        _prepare(x)
        return measurement()

    return qml.set_shots(qml.QNode(node, qml.device(name, wires=3, **options), diff_method=None), shots)()


def _hundreds() -> Any:
    words = [qml.pauli.string_to_pauli_word(a + b + c) for a in "IXYZ" for b in "IXYZ" for c in "IXYZ"]
    return qml.Hamiltonian([0.01 * i for i in range(4 * len(words))], words * 4)


def test_a_hamiltonian_of_hundreds_of_terms() -> None:
    assert len(_hundreds().operands) == 256

    def measure() -> Any:
        return qml.expval(_hundreds())

    exact = _run(measure, None, name="default.qubit")
    assert _run(measure, None) == pytest.approx(exact, abs=1e-9)
    # 27 bases of full weight, each with the given shots: a standard deviation of about 2.5 / sqrt(shots) per basis.
    assert _run(measure) == pytest.approx(exact, abs=5 * 2.5 * 27 / SHOTS**0.5)


@pytest.mark.parametrize("shots", [SHOTS, (SHOTS, SHOTS)])
def test_sums_are_measured_whole(shots: Any) -> None:
    def measure() -> Any:
        total = qml.X(0) + 0.5 * (qml.Z(0) @ qml.Y(1))
        return qml.var(total), qml.expval(qml.Y(2)), qml.probs(wires=[1]), qml.expval(total)

    found = _run(measure, shots)
    exact = _run(measure, None, name="default.qubit")
    for one in found if isinstance(shots, tuple) else [found]:
        for value, other in zip(one, exact, strict=True):
            np.testing.assert_allclose(value, other, atol=0.05)


def test_samples_of_a_sum_are_its_eigenvalues() -> None:
    found = _run(lambda: qml.sample(qml.X(0) + qml.Z(0)), 1000)
    np.testing.assert_allclose(np.abs(found), np.sqrt(2), atol=1e-12)


@pytest.mark.parametrize("x", [0.6, np.array([0.6, 1.0])], ids=["one", "batch"])
@pytest.mark.parametrize("shots", [10, (10, 20)], ids=["shots", "vector"])
def test_multiples_of_the_identity(x: Any, shots: Any) -> None:
    def measure() -> Any:
        return qml.expval(qml.I(0)), qml.expval(2.5 * qml.I(1)), qml.var(qml.I(2))

    found = _run(measure, shots, x)
    for one in found if isinstance(shots, tuple) else [found]:
        for value, expected in zip(one, (1.0, 2.5, 0.0), strict=True):
            assert np.shape(value) == np.shape(x)
            assert np.all(value == expected)


def test_a_classical_shadow() -> None:
    bits, recipes = _run(lambda: qml.classical_shadow([2, 0], seed=3), 20_000)
    assert bits.shape == recipes.shape == (20_000, 2)
    assert bits.dtype == np.int8
    _, expected = _run(lambda: qml.classical_shadow([2, 0], seed=3), 20_000, name="default.qubit")
    assert np.array_equal(recipes, expected)
    shadow = qml.ClassicalShadow(bits, recipes, wire_map=[2, 0])
    exact = _run(lambda: qml.expval(qml.X(2) @ qml.Z(0)), None, name="default.qubit")
    assert shadow.expval(qml.X(2) @ qml.Z(0)) == pytest.approx(exact, abs=0.15)


def test_expectation_values_of_shadows_beside_others() -> None:
    def measure() -> Any:
        return qml.expval(qml.X(1)), qml.shadow_expval(qml.Z(0) @ qml.Z(1)), qml.probs(wires=[2])

    found = _run(measure, (20_000, 20_000))
    exact = _run(lambda: (qml.expval(qml.X(1)), qml.expval(qml.Z(0) @ qml.Z(1)), qml.probs(wires=[2])), None)
    for one in found:
        for value, other in zip(one, exact, strict=True):
            np.testing.assert_allclose(value, other, atol=0.15)
    batched = _run(lambda: qml.shadow_expval(qml.Z(0)), 20_000, np.array([0.6, 1.4]))
    np.testing.assert_allclose(batched, np.cos([0.6, 1.4]), atol=0.1)


def test_all_outcomes_of_some_wires() -> None:
    counts = _run(lambda: qml.counts(wires=[2, 0], all_outcomes=True), 10, 0.0)
    assert set(counts) == {"00", "01", "10", "11"}
    assert sum(counts.values()) == 10
    eigenvalues = _run(lambda: qml.counts(qml.Z(0) @ qml.Z(1), all_outcomes=True), 10)
    assert set(eigenvalues) == {-1.0, 1.0}
