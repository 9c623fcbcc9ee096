"""The paper's listing: PennyLane's `qiskit.remote` over QFWBackend (where pennylane-qiskit is installed)."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("pennylane_qiskit", reason="pennylane-qiskit is not installed (it pins an older Qiskit)")
import pennylane as qml

from qfw_qiskit import QFWBackend, QFWBackendCapability, QFWBackendType


@pytest.mark.filterwarnings("ignore")
def test_the_paper_s_listing() -> None:
    backend = QFWBackend(
        betype=QFWBackendType.QFW_TYPE_NWQSIM, capability=QFWBackendCapability.QFW_CAP_STATEVECTOR, endpoint="embedded"
    )
    device = qml.device("qiskit.remote", wires=3, backend=backend, shots=1000)

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

    assert abs(value(0.4) - np.cos(0.4)) < 0.1
    assert np.abs(distribution(0.4) - [np.cos(0.2) ** 2, 0, 0, np.sin(0.2) ** 2]).max() < 0.1
    backend.shutdown()
