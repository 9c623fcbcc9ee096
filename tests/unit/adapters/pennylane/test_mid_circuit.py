"""Measurements in the middle: each method gives the statistics of default.qubit's exact values."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pennylane as qml
import pytest
from pennylane import numpy as pnp

from qfw.program.errors import InvalidArgument, LimitExceeded

SHOTS = 40_000
METHODS = [None, "deferred", "one-shot", "tree-traversal", "device"]


@pytest.fixture
def device() -> Iterator[Any]:
    made = qml.device("qfw.device", wires=3, endpoint="embedded", seed=7)
    yield made
    made.close()


def _needs_branches(device: Any) -> None:
    if not device._follows:
        pytest.skip("the device statevec of this build runs no branches")


def _teleport(x: Any) -> list[Any]:
    qml.RY(x, 0)
    qml.H(1)
    qml.CNOT([1, 2])
    qml.CNOT([0, 1])
    qml.H(0)
    m0, m1 = qml.measure(0), qml.measure(1)
    qml.cond(m1, qml.X)(2)
    qml.cond(m0, qml.Z)(2)
    return [m0, m1]


def _reset(x: Any) -> list[Any]:
    qml.RX(x, 0)
    qml.CRY(0.7, [0, 1])
    m0 = qml.measure(0, reset=True)
    qml.RY(0.4, 0)
    m1 = qml.measure(0)
    m2 = qml.measure(1, reset=True)
    qml.cond(m0 + 2 * m1 - m2 >= 1, qml.RX, qml.RY)(0.9, wires=2)
    return [m0, m1, m2]


def _arithmetic(x: Any) -> list[Any]:
    measured = []
    for i in range(6):
        qml.RY(x + i / 3, i % 3)
        qml.CNOT([i % 3, (i + 1) % 3])
        measured.append(qml.measure(i % 3))
    a, b, c, *_ = measured
    qml.cond((a & b) | ~c, qml.RX)(0.3, wires=0)
    qml.cond((a ^ b) == c, qml.CRY)(1.1, wires=[0, 1])
    qml.cond(sum(measured) > 2, qml.Rot)(0.3, 0.8, 1.4, wires=2)
    return measured


def _postselected(x: Any) -> list[Any]:
    qml.RX(x, 0)
    qml.CRY(0.9, [0, 1])
    m0 = qml.measure(0, postselect=1, reset=True)
    m1 = qml.measure(1)
    qml.RY(0.3, 0)
    qml.cond(m0 & m1, qml.RX)(1.3, wires=0)
    return [m0, m1]


PLAIN: dict[str, Callable[[Any], list[Any]]] = {"teleport": _teleport, "reset": _reset, "arithmetic": _arithmetic}
CIRCUITS = {**PLAIN, "postselected": _postselected}
MEASURED: dict[str, Callable[[list[Any]], Any]] = {
    "wires": lambda m: (qml.expval(qml.Z(2)), qml.var(qml.X(2)), qml.probs(wires=[2, 0])),
    "values": lambda m: (qml.expval(m[0]), qml.var(m[1]), qml.probs(op=m[0]), qml.probs(op=[m[1], m[0]])),
    "arithmetic": lambda m: (qml.expval(m[0] * 2 + m[1]), qml.var(m[0] - 3 * m[-1]), qml.expval(~m[0])),
    "both": lambda m: (qml.expval(m[0]), qml.expval(qml.X(2)), qml.expval(qml.Z(2)), qml.probs(op=m)),
}


def _run(device: Any, circuit: str, measured: Callable[[list[Any]], Any], shots: Any = None, **options: Any) -> Any:
    x = options.pop("x", 0.8)

    def node() -> Any:
        return measured(CIRCUITS[circuit](x))

    return qml.set_shots(qml.QNode(node, device, diff_method=None, **options), shots)()


def _exact(circuit: str, measured: Callable[[list[Any]], Any], **options: Any) -> Any:
    return _run(qml.device("default.qubit"), circuit, measured, mcm_method="tree-traversal", **options)


def _close(found: Any, expected: Any, atol: float) -> None:
    for one, other in zip(found, expected, strict=True):
        assert np.shape(one) == np.shape(other)
        np.testing.assert_allclose(one, other, atol=atol)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("circuit", PLAIN)
@pytest.mark.parametrize("measured", MEASURED)
def test_with_shots(device: Any, method: str | None, circuit: str, measured: str) -> None:
    if method not in (None, "deferred"):
        _needs_branches(device)
    found = _run(device, circuit, MEASURED[measured], SHOTS, mcm_method=method)
    # Standard deviations are at most 2.5, those of variances less than 5: five sigma.
    _close(found, _exact(circuit, MEASURED[measured]), 25 / SHOTS**0.5)


@pytest.mark.parametrize("method", [None, "deferred", "tree-traversal", "device"])
@pytest.mark.parametrize("circuit", PLAIN)
@pytest.mark.parametrize("measured", MEASURED)
def test_exact(device: Any, method: str | None, circuit: str, measured: str) -> None:
    found = _run(device, circuit, MEASURED[measured], mcm_method=method)
    _close(found, _exact(circuit, MEASURED[measured]), 1e-9)


def test_samples_and_counts_have_the_forms_of_pennylane(device: Any) -> None:
    def measured(m: list[Any]) -> Any:
        samples = qml.sample(m[0]), qml.sample(m[0] + m[1]), qml.sample(m[:2]), qml.sample(wires=[2, 0])
        counts = qml.counts(m[0]), qml.counts(m), qml.counts(m[0] + m[1], all_outcomes=True), qml.counts(wires=[2])
        return *samples, *counts

    found = _run(device, "teleport", measured, 500)
    reference = _run(qml.device("default.qubit", seed=1), "teleport", measured, 500, mcm_method="one-shot")
    for one, other in zip(found[:4], reference[:4], strict=True):
        assert np.shape(one) == np.shape(other)
        assert np.issubdtype(one.dtype, np.integer) == np.issubdtype(other.dtype, np.integer)
    for one, other in zip(found[4:], reference[4:], strict=True):
        assert {type(k) for k in one} == {str} or {float(k) for k in one} == {float(k) for k in other}
        assert sum(one.values()) == 500
    assert found[0].sum() == found[4].get(1.0, 0)  # one and the same shots
    assert np.array_equal(found[2].sum(axis=1), found[1])


@pytest.mark.parametrize("method", [None, "deferred"])
def test_shot_vectors_and_batches(device: Any, method: str | None) -> None:
    x = np.array([0.2, 1.4])
    shots = (SHOTS, (10, 2))
    found = _run(device, "reset", MEASURED["both"], shots, x=x, mcm_method=method)
    exact = _run(qml.device("default.qubit"), "reset", MEASURED["both"], x=x, mcm_method="tree-traversal")
    assert len(found) == 3
    _close(found[0], exact, 25 / SHOTS**0.5)
    assert [np.shape(one) for one in found[2]] == [np.shape(one) for one in exact]


@pytest.mark.parametrize("method", [None, "deferred", "tree-traversal"])
@pytest.mark.parametrize("measured", MEASURED)
def test_exact_postselection(device: Any, method: str | None, measured: str) -> None:
    found = _run(device, "postselected", MEASURED[measured], mcm_method=method)
    _close(found, _exact("postselected", MEASURED[measured]), 1e-9)


def test_postselection_of_wires_of_any_kind() -> None:
    def node() -> Any:
        qml.RY(0.8, "a")
        qml.CNOT(["a", 7])
        m = qml.measure("a", postselect=0)
        qml.RX(0.4, "b")
        return qml.probs(wires=["b", 7]), qml.expval(m)

    expected = qml.QNode(node, qml.device("default.qubit"))()
    for wires in (None, ["b", 7, "a"], [5, "a", 7, "b"]):
        _close(qml.QNode(node, qml.device("qfw.device", wires=wires, endpoint="embedded"))(), expected, 1e-9)


@pytest.mark.parametrize("measured", MEASURED)
@pytest.mark.parametrize("mode", ["hw-like", "fill-shots"])
def test_postselection_with_shots(device: Any, measured: str, mode: str) -> None:
    _needs_branches(device)
    found = _run(device, "postselected", MEASURED[measured], SHOTS * 4, postselect_mode=mode)
    _close(found, _exact("postselected", MEASURED[measured]), 25 / SHOTS**0.5)


def test_reset_and_labels_of_wires() -> None:
    def node() -> Any:
        qml.RY(0.8, "a")
        qml.CNOT(["a", 7])
        m = [qml.measure("a"), qml.measure(7, reset=True)]
        qml.RX(0.4, "b")
        return qml.probs(wires=["b", 7]), qml.expval(m[0]), qml.probs(op=m), qml.expval(qml.Y("b"))

    expected = qml.QNode(node, qml.device("default.qubit"), mcm_method="tree-traversal")()
    for wires in (None, ["b", 7, "a"]):
        device = qml.device("qfw.device", wires=wires, endpoint="embedded", seed=3)
        _close(qml.set_shots(qml.QNode(node, device), SHOTS)(), expected, 5 / SHOTS**0.5)


def _one_of_two(postselect: int, x: float = np.pi / 2) -> Callable[[], Any]:
    def node() -> Any:
        qml.RX(x, 0)
        m = qml.measure(0, postselect=postselect)
        return qml.sample(wires=[0, 1]), qml.sample(m), qml.counts(wires=[0]), qml.expval(m), qml.probs(wires=[1])

    return node


def test_shots_are_left_out_or_filled_up(device: Any) -> None:
    left_out = qml.set_shots(qml.QNode(_one_of_two(1), device), 400)()
    assert 100 < len(left_out[0]) < 300
    assert len(left_out[1]) == len(left_out[0]) == left_out[2]["1"]
    filled = qml.set_shots(qml.QNode(_one_of_two(1), device, postselect_mode="fill-shots"), (400, 10))()
    assert [len(one[0]) for one in filled] == [400, 10]
    assert filled[0][2] == {"1": 400}
    assert filled[0][3] == 1.0


def test_postselection_that_leaves_no_shot(device: Any) -> None:
    samples, values, counts, mean, probabilities = qml.set_shots(qml.QNode(_one_of_two(1, 0.0), device), 10)()
    assert samples.shape == (0, 2)
    assert values.shape == (0,)
    assert counts == {}
    assert np.isnan(mean)
    assert np.isnan(probabilities).all()
    with pytest.raises(LimitExceeded, match="kept 0 of"):
        qml.set_shots(qml.QNode(_one_of_two(1, 0.0), device, postselect_mode="fill-shots"), 10)()


def test_tapes_of_one_structure_are_rows_of_one_task(device: Any) -> None:
    _needs_branches(device)
    tapes = []
    for x in (0.1, 0.2, 0.3):
        with qml.queuing.AnnotatedQueue() as queue:
            measured = _reset(x)
            qml.expval(measured[0])
            qml.expval(qml.Z(2))
        tapes.append(qml.tape.QuantumScript.from_queue(queue, shots=100))
    qml.execute(tapes, device, diff_method=None)
    assert [timing.circuits for timing in device.timings] == [3]


def test_gradients_by_shifts(device: Any) -> None:
    def function(x: Any) -> Any:
        m = _reset(x)
        return qml.expval(qml.Z(2)), qml.expval(m[1])

    def jacobian(device: Any, **options: Any) -> Any:
        node = qml.QNode(function, device, **options)
        return qml.jacobian(lambda x: qml.math.stack(node(x)))(pnp.array(0.8, requires_grad=True))

    expected = jacobian(qml.device("default.qubit"), mcm_method="deferred")
    np.testing.assert_allclose(jacobian(device), expected, atol=1e-9)
    node = qml.set_shots(qml.QNode(function, device, diff_method="parameter-shift"), SHOTS)
    found = qml.jacobian(lambda x: qml.math.stack(node(x)))(pnp.array(0.8, requires_grad=True))
    np.testing.assert_allclose(found, expected, atol=0.05)


def test_the_device_has_a_method_of_its_own() -> None:
    device = qml.device("qfw.device", wires=3, endpoint="embedded", mcm_method="deferred")
    config = device.setup_execution_config()
    assert config.mcm_config.mcm_method == "deferred"
    with pytest.raises(InvalidArgument, match="'one-shot'"):
        qml.device("qfw.device", wires=3, endpoint="embedded", mcm_method="one_shot")


def test_a_device_without_branches_says_so(device: Any) -> None:
    device._follows = False
    with pytest.raises(qml.exceptions.DeviceError, match="one-shot with conditional operations"):
        _run(device, "teleport", MEASURED["wires"], 10, mcm_method="one-shot")
    assert len(_run(device, "teleport", MEASURED["wires"], 10)) == 3  # deferred


def test_one_shot_needs_shots(device: Any) -> None:
    with pytest.raises(ValueError, match="analytic"):
        _run(device, "teleport", MEASURED["wires"], mcm_method="one-shot")
