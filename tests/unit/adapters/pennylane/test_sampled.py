"""Results with shots: statistics of fixed seeds against exact values, and the forms PennyLane expects."""

from __future__ import annotations

from typing import Any

import numpy as np
import pennylane as qml
import pytest

SHOTS = 40_000
OBSERVABLES = {
    "z": lambda: qml.Z(0),
    "word": lambda: qml.X(0) @ qml.Y(1) @ qml.Z(2),
    "hermitian": lambda: qml.Hermitian(np.array([[1, 2 - 1j], [2 + 1j, -1]]), 1),
    "projector": lambda: qml.Projector([1, 0], wires=[1, 2]),
    "hadamard": lambda: qml.H(2),
    "sum": lambda: 0.5 * qml.Z(0) + 2.0 * (qml.X(1) @ qml.X(2)) + 0.25 * qml.Y(0),
}


def _prepare() -> None:
    for wire, x in enumerate((0.3, 1.1, 2.0)):
        qml.RY(x, wires=wire)
        qml.RZ(x, wires=wire)
    qml.CNOT([0, 1])
    qml.IsingXX(0.7, [1, 2])


def _run(measurement: Any, *, device: Any = None, shots: Any = SHOTS) -> Any:
    def circuit() -> Any:
        _prepare()
        return measurement()

    device = device or qml.device("qfw.device", wires=3, endpoint="embedded", seed=11)
    return qml.set_shots(qml.QNode(circuit, device), shots)()


def _exact(measurement: Any) -> Any:
    return _run(measurement, device=qml.device("default.qubit", wires=3), shots=None)


@pytest.mark.parametrize("name", OBSERVABLES)
def test_expectation_values(name: str) -> None:
    def measure() -> Any:
        return qml.expval(OBSERVABLES[name]())

    # Every observable here has a standard deviation below 4: five sigma.
    assert _run(measure) == pytest.approx(_exact(measure), abs=5 * 4 / SHOTS**0.5)


@pytest.mark.parametrize("name", ["z", "word", "hermitian"])
def test_variances(name: str) -> None:
    def measure() -> Any:
        return qml.var(OBSERVABLES[name]())

    assert _run(measure) == pytest.approx(_exact(measure), abs=0.15)


def test_probabilities_and_observables_that_do_not_commute() -> None:
    def measure() -> Any:
        return qml.probs(wires=[2, 0]), qml.expval(qml.X(0)), qml.expval(qml.Z(0)), qml.probs(op=qml.Y(1))

    for one, other in zip(_run(measure), _exact(measure), strict=True):
        np.testing.assert_allclose(one, other, atol=0.025)


def test_samples_and_counts_have_the_forms_of_pennylane() -> None:
    def measure() -> Any:
        return qml.sample(wires=[2, 0]), qml.counts(wires=[0, 1]), qml.sample(qml.Z(1)), qml.counts(qml.Z(1))

    reference = _run(measure, device=qml.device("default.qubit", wires=3, seed=1), shots=500)
    samples, counts, eigenvalues, eigencounts = found = _run(measure, shots=500)
    for one, other in zip(found, reference, strict=True):
        assert type(one) is type(other)
        assert np.shape(one) == np.shape(other)
    assert samples.shape == (500, 2)
    assert set(np.unique(eigenvalues)) <= {-1.0, 1.0}
    assert sum(counts.values()) == sum(eigencounts.values()) == 500
    assert all(len(key) == 2 for key in counts)
    assert set(eigencounts) <= {-1.0, 1.0}


def test_counts_agree_with_probabilities() -> None:
    exact = _exact(lambda: qml.probs(wires=[0, 1, 2]))
    counts = _run(lambda: qml.counts(wires=[0, 1, 2]))
    found = np.array([counts.get(f"{i:03b}", 0) for i in range(8)]) / SHOTS
    np.testing.assert_allclose(found, exact, atol=0.0125)


def test_shot_vectors() -> None:
    def measure() -> Any:
        return qml.expval(qml.Z(0)), qml.sample(wires=[1, 2])

    found = _run(measure, shots=(10, 10, 1000))
    assert [np.shape(samples) for _, samples in found] == [(10, 2), (10, 2), (1000, 2)]
    exact = _exact(lambda: qml.expval(qml.Z(0)))
    assert found[2][0] == pytest.approx(exact, abs=0.16)


def test_a_seed_repeats_and_another_differs() -> None:
    def run(seed: int) -> list[float]:
        device = qml.device("qfw.device", wires=3, endpoint="embedded", seed=seed)
        return [float(_run(lambda: qml.expval(qml.X(0)), device=device, shots=1000)) for _ in range(3)]

    first = run(5)
    assert first == run(5)
    assert len(set(first)) > 1  # each execution draws a new seed
    assert first != run(6)


def test_rows_of_a_batch_are_sampled_independently() -> None:
    device = qml.device("qfw.device", wires=1, endpoint="embedded", seed=3)
    tapes = [qml.tape.QuantumScript([qml.RX(1.0, 0)], [qml.sample(wires=0)], shots=64) for _ in range(4)]
    samples = qml.execute(tapes, device, diff_method=None)
    assert len({np.asarray(s).tobytes() for s in samples}) == 4
