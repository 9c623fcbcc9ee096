"""The paper's listing: PennyLane's `qiskit.remote` over QFWBackend, with the packages that it pins."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip(
    "pennylane_qiskit", reason="pennylane-qiskit is not installed (it pins an older Qiskit; scripts/dev/test-a has it)"
)
import pennylane as qml
from pennylane import numpy as pnp

from qfw.qpm import run as runs
from qfw.qpm import run_cli
from qfw_qiskit import QFWBackend, QFwBackend, QFWBackendCapability, QFWBackendType

SHOTS = 4000
NEAR = 0.1  # more than six standard deviations of a mean of 4000 signs

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(params=["embedded", "daemon"])
def backend(request: pytest.FixtureRequest) -> Iterator[QFWBackend]:
    kinds = {"betype": QFWBackendType.QFW_TYPE_NWQSIM, "capability": QFWBackendCapability.QFW_CAP_STATEVECTOR}
    if request.param == "embedded":
        made = QFWBackend(**kinds, endpoint="embedded")
        yield made
        made.shutdown()
        return
    run = runs.run_of("seta")
    run_cli.start(run)
    made = QFwBackend(**kinds, endpoint=str(run.endpoint_file))
    yield made
    made.shutdown()
    run_cli.clean(run, grace=10.0)


def test_the_listing(backend: QFWBackend) -> None:
    device = qml.device("qiskit.remote", wires=3, backend=backend, shots=SHOTS)

    @qml.qnode(device)
    def value(x: float) -> object:
        qml.RY(x, 0)
        qml.CNOT([0, 1])
        qml.IsingZZ(-0.3, [1, 2])
        return qml.expval(qml.PauliZ(0))

    @qml.qnode(device)
    def distribution(x: float) -> object:
        qml.RY(x, 0)
        qml.CNOT([0, 1])
        return qml.probs([0, 1])

    assert abs(value(0.4) - np.cos(0.4)) < NEAR
    assert np.abs(distribution(0.4) - [np.cos(0.2) ** 2, 0, 0, np.sin(0.2) ** 2]).max() < NEAR


def test_counts_name_wires_from_the_left(backend: QFWBackend) -> None:
    device = qml.device("qiskit.remote", wires=2, backend=backend, shots=SHOTS)

    @qml.qnode(device)
    def counts() -> object:
        qml.PauliX(1)
        return qml.counts()

    assert counts() == {"01": SHOTS}


def test_a_gradient_by_parameter_shift(backend: QFWBackend) -> None:
    device = qml.device("qiskit.remote", wires=2, backend=backend, shots=SHOTS)

    @qml.qnode(device, diff_method="parameter-shift")
    def value(x: object) -> object:
        qml.RY(x[0], 0)
        qml.CNOT([0, 1])
        qml.RX(x[1], 1)
        return qml.expval(qml.PauliZ(1))

    at = pnp.array([0.7, -0.4], requires_grad=True)
    wanted = [-np.sin(0.7) * np.cos(0.4), np.cos(0.7) * np.sin(0.4)]
    assert np.abs(qml.grad(value)(at) - wanted).max() < NEAR


def test_a_small_descent(backend: QFWBackend) -> None:
    device = qml.device("qiskit.remote", wires=1, backend=backend, shots=SHOTS)

    @qml.qnode(device)
    def cost(x: object) -> object:
        qml.RY(x, 0)
        return qml.expval(qml.PauliZ(0))

    x = pnp.array(1.0, requires_grad=True)
    for _ in range(4):
        x = x - 1.0 * qml.grad(cost)(x)
    assert cost(x) < -0.8
