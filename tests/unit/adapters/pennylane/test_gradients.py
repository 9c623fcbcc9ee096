"""Gradients equal those of default.qubit: by the runtime (adjoint), by shifted circuits, in each interface."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pennylane as qml
import pytest
from pennylane import numpy as pnp
from pennylane.devices import ExecutionConfig

from qfw.program.errors import Unsupported
from qfw.qpi.adapters.pennylane import gradients

X = np.array([0.3, 0.7, 1.1, -0.4])


@pytest.fixture
def device() -> Iterator[Any]:
    made = qml.device("qfw.device", wires=4, endpoint="embedded", seed=7)
    yield made
    made.close()


@pytest.fixture
def adjoint(device: Any) -> Any:
    if not device.supports_derivatives():
        pytest.skip("the device statevec of this build offers no gradients")
    return device


def _gates(x: Any) -> None:
    qml.RX(x[0], 0)
    qml.CRY(x[1], [0, 1])
    qml.Rot(x[2], 2 * x[0], x[1], wires=1)
    qml.adjoint(qml.Rot(x[3], x[0], x[1], wires=2))
    qml.ctrl(qml.IsingXY(x[2], [1, 2]), 0, control_values=[0])
    qml.QubitUnitary(np.array([[1, 1], [1, -1]]) / np.sqrt(2), wires=3)
    qml.GlobalPhase(x[3], wires=0)
    qml.ctrl(qml.GlobalPhase(x[3]), 3)
    qml.PhaseShift(x[3], 3)


def _template(x: Any) -> None:
    qml.AngleEmbedding(x, wires=range(4))
    qml.StronglyEntanglingLayers(qml.math.reshape(qml.math.stack([x, x, x]), (1, 4, 3)), wires=range(4))
    qml.SingleExcitation(x[1], wires=[0, 1])
    qml.PauliRot(x[2], "XYZ", wires=[1, 2, 3])


CIRCUITS: dict[str, Callable[[Any], None]] = {"gates": _gates, "template": _template}
OBSERVABLES: dict[str, Callable[[], list[Any]]] = {
    "one": lambda: [qml.Z(0) @ qml.X(1)],
    "several": lambda: [qml.Z(1), 0.5 * qml.X(3) - qml.Y(2) @ qml.Z(0) + 0.1 * qml.I(0), qml.Y(1)],
    "matrices": lambda: [qml.Hermitian(np.array([[1, 2 - 1j], [2 + 1j, -1]]), 1), qml.Projector([1, 0], [0, 2])],
}


def _node(device: Any, circuit: str, observables: str, **options: Any) -> Any:
    def function(x: Any) -> Any:
        CIRCUITS[circuit](x)
        found = tuple(qml.expval(o) for o in OBSERVABLES[observables]())
        return found[0] if len(found) == 1 else found

    return qml.QNode(function, device, **options)


def _jacobian(device: Any, circuit: str, observables: str, **options: Any) -> Any:
    node = _node(device, circuit, observables, **options)
    function = node if len(OBSERVABLES[observables]()) == 1 else lambda x: qml.math.stack(node(x))
    return qml.jacobian(function)(pnp.array(X, requires_grad=True))


@pytest.mark.parametrize("circuit", CIRCUITS)
@pytest.mark.parametrize("observables", OBSERVABLES)
@pytest.mark.parametrize("method", ["best", "adjoint", "device"])
def test_adjoint(adjoint: Any, circuit: str, observables: str, method: str) -> None:
    found = _jacobian(adjoint, circuit, observables, diff_method=method)
    expected = _jacobian(qml.device("default.qubit", wires=4), circuit, observables)
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("seed", range(12))
def test_random_circuits(adjoint: Any, seed: int, random_operations: Callable[..., list[Any]]) -> None:
    operations = random_operations(300 + seed, [0, 1, 2, 3], 25)
    tape = qml.tape.QuantumScript(operations, [qml.expval(qml.Z(0) @ qml.Y(2)), qml.expval(0.3 * qml.X(1))])
    numbers = tape.get_parameters(trainable_only=False, operations_only=True)
    tape.trainable_params = [i for i, number in enumerate(numbers) if np.ndim(number) == 0]
    (found,) = adjoint.compute_derivatives((tape,))
    step, shifted = 1e-5, []
    for i in tape.trainable_params:
        shifted += [tape.bind_new_parameters([numbers[i] + d], [i]) for d in (step, -step)]
    values = np.array(adjoint.execute(tuple(shifted))).reshape(-1, 2, 2)
    expected = (values[:, 0] - values[:, 1]).T / (2 * step)
    np.testing.assert_allclose(np.array(found).reshape(expected.shape), expected, atol=1e-7)


def test_a_matrix_of_trainable_numbers_is_decomposed(adjoint: Any) -> None:
    def gradient(device: Any) -> Any:
        def function(x: Any) -> Any:
            qml.QubitUnitary(qml.RY.compute_matrix(x) @ qml.RX.compute_matrix(2 * x), 0)
            return qml.expval(qml.Z(0))

        return qml.grad(qml.QNode(function, device))(pnp.array(0.4, requires_grad=True))

    np.testing.assert_allclose(gradient(adjoint), gradient(qml.device("default.qubit", wires=1)), atol=1e-9)


@pytest.mark.parametrize("postselect", [None, 1])
def test_measurements_in_the_middle(device: Any, postselect: int | None) -> None:
    def function(x: Any) -> Any:
        qml.RX(x, 0)
        m = qml.measure(0, postselect=postselect)
        qml.cond(m, qml.RY)(2 * x, 1)
        return qml.expval(qml.Z(1))

    method = "finite-diff" if postselect else "best"  # normalised results have no shift rule
    found = qml.grad(qml.QNode(function, device, diff_method=method))(pnp.array(0.4, requires_grad=True))
    expected = qml.grad(qml.QNode(function, qml.device("default.qubit")))(pnp.array(0.4, requires_grad=True))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_adjoint_is_one_task_for_values_and_derivatives(adjoint: Any) -> None:
    with qml.Tracker(adjoint) as tracker:
        _jacobian(adjoint, "gates", "several")
    assert tracker.totals["execute_and_derivative_batches"] == 1
    assert tracker.totals["derivatives"] == 1
    assert "simulations" not in tracker.totals
    assert len(adjoint.timings) == 1


def test_the_forward_pass_alone(adjoint: Any) -> None:
    with qml.Tracker(adjoint) as tracker:
        _jacobian(adjoint, "gates", "one", grad_on_execution=False)
    assert tracker.totals["executions"] == 1
    assert tracker.totals["derivative_batches"] == 1


def test_a_batch_of_parameters(adjoint: Any) -> None:
    x = pnp.array(np.linspace(0, 1, 12).reshape(4, 3), requires_grad=True)

    def jacobian(device: Any) -> Any:
        return qml.jacobian(_node(device, "gates", "one"))(x)

    np.testing.assert_allclose(jacobian(adjoint), jacobian(qml.device("default.qubit", wires=4)), atol=1e-9)


def test_products_with_the_jacobian(adjoint: Any) -> None:
    tape = qml.tape.QuantumScript([qml.RX(0.3, 0), qml.CRY(0.4, [0, 1])], [qml.expval(qml.Z(0)), qml.expval(qml.X(1))])
    config = ExecutionConfig(gradient_method="adjoint")
    reference = qml.device("default.qubit", wires=4)
    (expected,) = reference.compute_derivatives((tape,), config)
    (found,) = adjoint.compute_derivatives((tape,), config)
    np.testing.assert_allclose(found, expected, atol=1e-10)
    for cotangents in [(1.0, -2.0), np.array([[1.0, 2.0], [3.0, 4.0]])]:
        (one,) = adjoint.compute_vjp((tape,), (cotangents,), config)
        np.testing.assert_allclose(one, np.array(expected).T @ np.array(cotangents), atol=1e-10)
    results, (two,) = adjoint.execute_and_compute_jvp((tape,), ((0.5, 2.0),), config)
    np.testing.assert_allclose(two, np.array(expected) @ [0.5, 2.0], atol=1e-10)
    np.testing.assert_allclose(results[0], reference.execute((tape,))[0], atol=1e-10)


def test_device_vjp(adjoint: Any) -> None:
    found = _jacobian(adjoint, "gates", "several", diff_method="adjoint", device_vjp=True)
    expected = _jacobian(qml.device("default.qubit", wires=4), "gates", "several")
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("observable", [lambda: qml.probs(wires=[0]), lambda: qml.var(qml.Z(0))])
def test_what_has_no_adjoint_is_shifted(device: Any, observable: Callable[[], Any]) -> None:
    def jacobian(device: Any, **options: Any) -> Any:
        def function(x: Any) -> Any:
            _gates(x)
            return observable()

        return qml.jacobian(qml.QNode(function, device, **options))(pnp.array(X, requires_grad=True))

    np.testing.assert_allclose(jacobian(device), jacobian(qml.device("default.qubit", wires=4)), atol=1e-9)
    with pytest.raises(qml.exceptions.QuantumFunctionError, match="does not support adjoint"):
        jacobian(device, diff_method="adjoint")


def test_derivatives_of_coefficients(device: Any) -> None:
    def gradient(device: Any) -> Any:
        def function(c: Any) -> Any:
            qml.RX(0.4, 0)
            return qml.expval(qml.Hamiltonian(c, [qml.Z(0), qml.Y(0)]))

        return qml.grad(qml.QNode(function, device))(pnp.array([0.5, 2.0], requires_grad=True))

    np.testing.assert_allclose(gradient(device), gradient(qml.device("default.qubit", wires=1)), atol=1e-9)


@pytest.mark.parametrize("method", ["parameter-shift", "finite-diff", "spsa", "hadamard"])
def test_other_methods_are_one_batch(device: Any, method: str) -> None:
    options: dict[str, Any] = {"diff_method": method}
    if method == "spsa":
        options["gradient_kwargs"] = {"num_directions": 200, "sampler_rng": np.random.default_rng(3)}

    def function(x: Any) -> Any:
        qml.RX(x[0], 0)
        qml.RY(x[1], 1)
        qml.CNOT([0, 1])
        return qml.expval(qml.Z(1))

    x = pnp.array([0.3, 0.7], requires_grad=True)
    with qml.Tracker(device) as tracker:
        found = qml.grad(qml.QNode(function, device, **options))(x)
    expected = qml.grad(qml.QNode(function, qml.device("default.qubit", wires=2)))(x)
    np.testing.assert_allclose(found, expected, atol={"spsa": 0.2, "finite-diff": 1e-5}.get(method, 1e-9))
    assert tracker.totals["batches"] == 2  # the value, then all the circuits of the derivative


@pytest.mark.parametrize("method", ["best", "parameter-shift"])
def test_second_derivatives(device: Any, method: str) -> None:
    def function(x: Any) -> Any:
        qml.RX(x[0], 0)
        qml.Rot(x[1], 2 * x[0], x[2], wires=1)
        qml.CRY(x[2], [0, 1])
        return qml.expval(qml.Z(0) @ qml.X(1))

    def hessian(device: Any) -> Any:
        node = qml.QNode(function, device, diff_method=method, max_diff=2)
        return qml.jacobian(qml.grad(node))(pnp.array(X[:3], requires_grad=True))

    expected = hessian(qml.device("default.qubit", wires=4))
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(hessian(device), expected, atol=1e-8)
    with pytest.raises(qml.exceptions.QuantumFunctionError, match="does not support adjoint"):
        qml.grad(qml.QNode(function, device, diff_method="adjoint", max_diff=2))(pnp.array(X, requires_grad=True))


@pytest.mark.parametrize("method", ["best", "parameter-shift"])
@pytest.mark.parametrize("jit", [False, True], ids=["eager", "jit"])
def test_jax(device: Any, method: str, jit: bool) -> None:
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    jax.config.update("jax_enable_x64", True)
    node = _node(device, "gates", "one", diff_method=method, interface="jax")
    reference = _node(qml.device("default.qubit", wires=4), "gates", "one", interface="jax")
    function, gradient = (jax.jit(node), jax.jit(jax.grad(node))) if jit else (node, jax.grad(node))
    x = jax.numpy.array(X)
    assert isinstance(function(x), jax.Array)
    np.testing.assert_allclose(function(x), reference(x), atol=1e-9)
    np.testing.assert_allclose(gradient(x), jax.grad(reference)(x), atol=1e-9)


def test_jax_jacobian_of_several(device: Any) -> None:
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    jax.config.update("jax_enable_x64", True)
    x = jax.numpy.array(X)
    found = jax.jacobian(_node(device, "gates", "several", interface="jax"))(x)
    expected = jax.jacobian(_node(qml.device("default.qubit", wires=4), "gates", "several", interface="jax"))(x)
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("method", ["best", "parameter-shift"])
def test_torch(device: Any, method: str) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed (its wheel brings CUDA: gigabytes)")
    x = torch.tensor(X, requires_grad=True)
    value = _node(device, "gates", "one", diff_method=method, interface="torch")(x)
    value.backward()
    expected = qml.grad(_node(qml.device("default.qubit", wires=4), "gates", "one"))(pnp.array(X, requires_grad=True))
    np.testing.assert_allclose(x.grad.numpy(), expected, atol=1e-9)


def test_columns_follow_the_order_of_the_program() -> None:
    operations = [qml.adjoint(qml.Rot(0.1, 0.2, 0.3, wires=0)), qml.QubitUnitary(np.eye(2), 0), qml.CRX(0.4, [0, 1])]
    tape = qml.tape.QuantumScript(operations, [qml.expval(qml.Z(0))], trainable_params=[0, 1, 2, 4])
    first = gradients.columns(tape)
    assert sorted(first[:3]) == [0, 1, 2]
    assert first[3] == 3
    tape.trainable_params = [3]
    with pytest.raises(Unsupported, match="parameter 3"):
        gradients.columns(tape)


@pytest.mark.parametrize(
    ("matrix", "form"),
    [
        ([[1.0]], np.array(1.0)),
        ([[1.0, 2.0]], (1.0, 2.0)),
        ([[1.0], [2.0]], (1.0, 2.0)),
        ([[1.0, 2.0], [3.0, 4.0]], ((1.0, 2.0), (3.0, 4.0))),
        (np.empty((1, 0)), ()),
    ],
)
def test_forms_of_a_jacobian(matrix: Any, form: Any) -> None:
    found = gradients.jacobian(np.array(matrix))
    assert type(found) is type(form)
    np.testing.assert_array_equal(found, form)
