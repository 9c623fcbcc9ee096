"""A broadcasted tape is one task of many rows; its results have the shapes that default.qubit gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pennylane as qml
import pytest

X = np.array([0.1, 0.7, 2.0])


@pytest.fixture
def device() -> Iterator[Any]:
    made = qml.device("qfw.device", wires=3, endpoint="embedded", seed=7)
    yield made
    made.close()


class _Counted:
    """A mesh that notes the tasks it is asked to run."""

    def __init__(self, mesh: Any) -> None:
        self.mesh = mesh
        self.tasks: list[Any] = []

    def run(self, tasks: Any, **options: Any) -> Any:
        self.tasks += tasks
        return self.mesh.run(tasks, **options)


def _rows(x: Any) -> None:
    qml.RX(x, 0)
    qml.CRY(0.4, [0, 1])
    qml.adjoint(qml.RZ(x, 1))
    qml.ctrl(qml.IsingXX(2 * x, [1, 2]), 0, control_values=[0])


def _template(x: Any) -> None:
    qml.AngleEmbedding(np.stack([x, 2 * x, 3 * x], axis=1), wires=range(3))
    qml.BasicEntanglerLayers(np.ones((1, 3)), wires=range(3))


def _matrices(x: Any) -> None:
    matrices = np.stack([qml.matrix(qml.Rot(a, 2 * a, 0.3, wires=0)) for a in x])
    qml.QubitUnitary(matrices, wires=1)
    qml.RY(x, 2)


def _states(x: Any) -> None:
    qml.StatePrep(np.stack([np.cos(x), np.sin(x)], axis=1), wires=1)
    qml.CNOT([1, 0])


CIRCUITS = {"rows": _rows, "template": _template, "matrices": _matrices, "states": _states}
MEASURED: dict[str, Callable[[], Any]] = {
    "one": lambda: qml.expval(qml.Z(0) @ qml.X(1)),
    "several": lambda: (qml.expval(qml.X(2)), qml.var(qml.Z(1)), qml.probs(wires=[2, 0]), qml.state()),
    "from the state": lambda: (qml.purity([0]), qml.expval(qml.Hermitian(np.diag([1.0, 2.0]), 1))),
}


def _close(found: Any, expected: Any, atol: float) -> None:
    if isinstance(expected, tuple | list):
        assert type(found) is type(expected)
        for one, other in zip(found, expected, strict=True):
            _close(one, other, atol)
    else:
        assert np.shape(found) == np.shape(expected)
        np.testing.assert_allclose(found, expected, atol=atol)


def _run(
    device: Any, circuit: Callable[[Any], None], measured: Callable[[], Any], shots: Any = None, x: Any = X
) -> Any:
    def node() -> Any:
        circuit(x)
        return measured()

    return qml.set_shots(qml.QNode(node, device, diff_method=None), shots)()


@pytest.mark.parametrize("circuit", CIRCUITS)
@pytest.mark.parametrize("measured", MEASURED)
def test_analytic(device: Any, circuit: str, measured: str) -> None:
    found = _run(device, CIRCUITS[circuit], MEASURED[measured])
    _close(found, _run(qml.device("default.qubit", wires=3), CIRCUITS[circuit], MEASURED[measured]), 1e-10)


@pytest.mark.parametrize(("circuit", "rows"), [("rows", [3]), ("template", [3]), ("matrices", [1, 1, 1])])
def test_what_is_numbers_is_one_task(device: Any, circuit: str, rows: list[int]) -> None:
    counted = device._mesh = _Counted(device._mesh)
    _run(device, CIRCUITS[circuit], MEASURED["one"])
    assert [len(task.bindings) for task in counted.tasks] == rows


def test_a_batch_is_cut_at_the_rows_of_the_device(device: Any) -> None:
    device._max_rows = 4
    counted = device._mesh = _Counted(device._mesh)
    x = np.linspace(0, 3, 10)
    found = _run(device, lambda x: qml.RX(x, 0), lambda: qml.expval(qml.Z(0)), x=x)
    np.testing.assert_allclose(found, np.cos(x), atol=1e-10)
    assert [len(task.bindings) for task in counted.tasks] == [4, 4, 2]


def test_a_batch_of_one_keeps_its_axis(device: Any) -> None:
    assert np.shape(_run(device, lambda x: qml.RX(x, 0), MEASURED["one"], x=np.array([0.3]))) == (1,)


@pytest.mark.parametrize("shots", [20_000, (10_000, (20_000, 2))])
def test_with_shots(device: Any, shots: Any) -> None:
    def measured() -> Any:
        return qml.expval(qml.Z(0)), qml.expval(qml.X(0) @ qml.Z(1)), qml.probs(wires=[1])

    found = _run(device, _rows, measured, shots)
    _close(found, _run(qml.device("default.qubit", wires=3, seed=1), _rows, measured, shots), 0.08)


def test_counts_are_a_list(device: Any) -> None:
    found = _run(device, lambda x: qml.RX(x, 0), lambda: qml.counts(wires=[0]), 100)
    assert isinstance(found, list)
    assert [sum(counts.values()) for counts in found] == [100, 100, 100]


def test_samples_have_the_batch_first(device: Any) -> None:
    found = _run(device, lambda x: qml.RX(x, 0), lambda: qml.sample(wires=[0, 1]), 100)
    assert np.shape(found) == (3, 100, 2)


def test_batches_of_two_sizes_are_refused(device: Any) -> None:
    def circuit(x: Any) -> None:
        qml.RX(x, 0)
        qml.RY(np.array([1.0, 2.0]), 1)

    with pytest.raises(ValueError, match="batch"):
        _run(device, circuit, MEASURED["one"])


def test_batch_params(device: Any) -> None:
    node = qml.batch_params(qml.QNode(lambda x: (qml.RX(x, 0), qml.expval(qml.Z(0)))[1], device), all_operations=True)
    np.testing.assert_allclose(node(X), np.cos(X), atol=1e-10)
