"""`qfw.device` gives what `default.qubit` gives, on the embedded runtime."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pennylane as qml
import pytest
from pennylane import numpy as pnp


@pytest.fixture
def device() -> Iterator[Any]:
    made = qml.device("qfw.device", wires=4, endpoint="embedded", seed=7)
    yield made
    made.close()


def _both(device: Any, tapes: list[Any]) -> tuple[Any, Any]:
    reference = qml.device("default.qubit", wires=device.wires)
    return qml.execute(tapes, device, diff_method=None), qml.execute(tapes, reference, diff_method=None)


ANALYTIC: dict[str, Callable[[], list[Any]]] = {
    "pauli": lambda: [qml.expval(qml.Z(0)), qml.expval(qml.X(1) @ qml.Y(3)), qml.var(qml.Y(2))],
    "sum": lambda: [qml.expval(0.5 * qml.Z(0) - 1.5 * (qml.X(1) @ qml.Z(2)) + 0.25 * qml.I(0))],
    "hamiltonian": lambda: [qml.var(qml.Hamiltonian([0.3, -0.7], [qml.Z(0) @ qml.Z(1), qml.X(2)]))],
    "probs": lambda: [qml.probs(wires=[2, 0]), qml.probs(wires=[3]), qml.expval(qml.Z(1))],
    "all probs": lambda: [qml.probs()],
    "state": lambda: [qml.state()],
    "density": lambda: [qml.density_matrix([1, 3]), qml.purity([0])],
    "hermitian": lambda: [qml.expval(qml.Hermitian(np.array([[1, 2 - 1j], [2 + 1j, -1]]), 2)), qml.var(qml.H(0))],
    "projector": lambda: [qml.expval(qml.Projector([1, 0], wires=[1, 2]))],
    "probs of an observable": lambda: [qml.probs(op=qml.X(0) @ qml.Y(1))],
}


@pytest.mark.parametrize("kind", ANALYTIC)
@pytest.mark.parametrize("seed", range(3))
def test_analytic_measurements(device: Any, kind: str, seed: int, random_operations: Callable[..., list[Any]]) -> None:
    tape = qml.tape.QuantumScript(random_operations(seed, [0, 1, 2, 3], 15), ANALYTIC[kind]())
    found, expected = _both(device, [tape])
    for one, other in (
        zip(np.atleast_1d(found[0]), np.atleast_1d(expected[0]), strict=True)
        if len(tape.measurements) == 1
        else zip(found[0], expected[0], strict=True)
    ):
        np.testing.assert_allclose(one, other, atol=1e-10)
        assert np.shape(one) == np.shape(other)


@pytest.mark.parametrize("seed", range(10))
def test_random_circuits(device: Any, seed: int, random_operations: Callable[..., list[Any]]) -> None:
    tape = qml.tape.QuantumScript(random_operations(100 + seed, [0, 1, 2, 3], 30), [qml.state()])
    found, expected = _both(device, [tape])
    np.testing.assert_allclose(found[0], expected[0], atol=1e-10)


def test_wire_labels_and_no_wires(random_operations: Callable[..., list[Any]]) -> None:
    labels = ["b", 5, "a"]
    tape = qml.tape.QuantumScript(random_operations(1, labels, 12), [qml.probs(wires=["a", "b"]), qml.state()])
    found, expected = _both(qml.device("qfw.device", wires=labels, endpoint="embedded"), [tape])
    for one, other in zip(found[0], expected[0], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-10)
    free = qml.tape.QuantumScript(random_operations(2, [0, 1, 2], 12), [qml.probs(wires=[2, 1]), qml.expval(qml.Z(0))])
    found = qml.execute([free], qml.device("qfw.device", endpoint="embedded"), diff_method=None)
    expected = qml.execute([free], qml.device("default.qubit"), diff_method=None)
    for one, other in zip(found[0], expected[0], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-10)


def test_templates_broadcasts_and_deferred_measurements(device: Any) -> None:
    def circuit(x: Any) -> Any:
        qml.BasisEmbedding([1, 0, 1], wires=range(3))
        qml.StronglyEntanglingLayers(np.linspace(0, 1, 9).reshape(1, 3, 3), wires=range(3))
        qml.RX(x, 0)
        m = qml.measure(0)
        qml.cond(m, qml.RY)(0.7, wires=1)
        qml.MultiControlledX([0, 1, 2], control_values=[0, 1])
        return qml.expval(qml.Z(1)), qml.probs(wires=[2, 1])

    x = np.array([0.1, 0.5, 2.0])
    found = qml.QNode(circuit, device)(x)
    expected = qml.QNode(circuit, qml.device("default.qubit", wires=4))(x)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-10)
        assert np.shape(one) == np.shape(other)


def test_gradient_by_parameter_shift(device: Any) -> None:
    def circuit(x: Any) -> Any:
        qml.RX(x[0], 0)
        qml.CRY(x[1], [0, 1])
        qml.Rot(x[2], x[0], x[1], wires=1)
        return qml.expval(qml.Z(0) @ qml.X(1))

    x = pnp.array([0.3, 0.7, 1.1], requires_grad=True)
    found = qml.grad(qml.QNode(circuit, device))(x)
    expected = qml.grad(qml.QNode(circuit, qml.device("default.qubit", wires=2), diff_method="parameter-shift"))(x)
    np.testing.assert_allclose(found, expected, atol=1e-10)


class _Counted:
    """A mesh that notes what it is asked to run."""

    def __init__(self, mesh: Any) -> None:
        self.mesh = mesh
        self.messages: list[list[Any]] = []

    def run(self, tasks: Any, **options: Any) -> Any:
        self.messages.append(list(tasks))
        return self.mesh.run(tasks, **options)


def test_a_batch_is_one_message(device: Any) -> None:
    counted = device._mesh = _Counted(device._mesh)
    tapes = [qml.tape.QuantumScript([qml.RX(0.1 * i, i % 2)], [qml.expval(qml.Z(i % 2))]) for i in range(8)]
    found, expected = _both(device, tapes)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    (message,) = counted.messages
    assert [len(task.bindings) for task in message] == [4, 4]  # two structures, four rows each


def test_a_task_has_at_most_the_rows_of_the_device(device: Any) -> None:
    device._max_rows = 3
    counted = device._mesh = _Counted(device._mesh)
    tapes = [qml.tape.QuantumScript([qml.RX(0.1 * i, 0)], [qml.expval(qml.Z(0))]) for i in range(8)]
    found, expected = _both(device, tapes)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert [len(task.bindings) for task in counted.messages[0]] == [3, 3, 2]


@pytest.mark.parametrize("name", ["aer"])
def test_another_device_of_qfw(name: str) -> None:
    pytest.importorskip("qiskit_aer", reason="Aer is not installed")
    device = qml.device("qfw.device", wires=2, device=name, endpoint="embedded", seed=5)

    def circuit(x: Any) -> Any:
        qml.RX(x, 0)
        qml.ctrl(qml.S(1), 0, control_values=[0])
        qml.IsingXY(x, [0, 1])
        return qml.expval(qml.X(0) @ qml.Z(1)), qml.probs(wires=[1, 0]), qml.state()

    expected = qml.QNode(circuit, qml.device("default.qubit", wires=2))(0.7)
    for one, other in zip(qml.QNode(circuit, device)(0.7), expected, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-10)


def test_the_tracker_counts(device: Any) -> None:
    node = qml.QNode(lambda: qml.expval(qml.Z(0)), device)
    with qml.Tracker(device) as tracker:
        node()
        node()
    assert tracker.totals["executions"] == 2
    assert sum(t.circuits for t in device.timings) == 2


def test_the_tracker_adds_up(device: Any) -> None:
    node = qml.QNode(lambda: (qml.expval(qml.Z(0)), qml.expval(qml.X(0))), device, diff_method=None)
    with qml.Tracker(device) as tracker:
        node()
        qml.set_shots(node, 100)()
    assert tracker.totals["shots"] == 200  # of two bases
    assert (tracker.totals["batches"], tracker.totals["simulations"], tracker.totals["executions"]) == (2, 3, 4)


def test_snapshots(device: Any) -> None:
    def circuit() -> Any:
        qml.H(0)
        qml.Snapshot("early")
        qml.CNOT([0, 1])
        qml.Snapshot("late", measurement=qml.expval(qml.Z(0) @ qml.Z(1)))
        return qml.probs(wires=[0, 1])

    with pytest.warns(UserWarning, match="a tape will be created for each snapshot"):
        found = qml.snapshots(qml.QNode(circuit, device))()
    expected = qml.snapshots(qml.QNode(circuit, qml.device("default.qubit", wires=4)))()
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=1e-10)


def test_wires_that_are_allocated(device: Any) -> None:
    def circuit() -> Any:
        qml.H(0)
        with qml.allocate(1) as wires:
            qml.CNOT([0, wires[0]])
            qml.CNOT([wires[0], 1])
            qml.CNOT([0, wires[0]])
        return qml.probs(wires=[0, 1])

    np.testing.assert_allclose(qml.QNode(circuit, device)(), [0.5, 0, 0, 0.5], atol=1e-10)


def test_results_keep_the_shape_of_what_is_returned(device: Any) -> None:
    node = qml.QNode(lambda: [qml.expval(qml.Z(0)), qml.probs(wires=[1])], device)
    assert isinstance(node(), list)
    named = qml.QNode(lambda: {"z": qml.expval(qml.Z(0)), "p": qml.probs(wires=[1])}, device)()
    assert named["z"] == pytest.approx(1.0)
    np.testing.assert_allclose(named["p"], [1, 0], atol=1e-12)


def test_timing_is_kept_for_each_circuit(device: Any) -> None:
    qml.QNode(lambda: qml.expval(qml.Z(0)), device)()
    (entry,) = device.timings
    assert entry.circuits == 1
    assert entry.timing.convert_ns > 0
    assert entry.timing.total_ns >= entry.timing.convert_ns + entry.timing.execute_ns
