"""Mitiq's extrapolation and cancellation of noise, over a stream: its batches are batches of tasks.

The noise is local depolarising after each CNOT, written out with two more qubits per channel, so that expectation
values are exact. Mitiq reads an executor's return annotation: no postponed annotations in this file.
"""

import math

import pytest

pytest.importorskip("mitiq", reason="mitiq is not installed (it pins an older numpy; scripts/dev/test-a has it)")
import numpy as np
from mitiq import Executor, MeasurementResult, Observable, PauliString, pec, zne
from mitiq.pec.representations.depolarizing import represent_operation_with_local_depolarizing_noise
from qiskit import QuantumCircuit

from qfw import qpi
from qfw.program import PauliSum

NOISE = 0.1
ZZ = PauliSum([(1.0, "ZZ", [0, 1])])
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


def noisy(circuit: QuantumCircuit) -> QuantumCircuit:
    """The circuit with the noise after each CNOT; its own qubits stay the first."""
    channels = 2 * sum(item.operation.name == "cx" for item in circuit.data)
    made = QuantumCircuit(circuit.num_qubits + 2 * channels)
    fresh = circuit.num_qubits
    for item in circuit.data:
        qubits = [circuit.find_bit(q).index for q in item.qubits]
        if item.operation.name in ("measure", "barrier"):
            continue
        made.append(item.operation, qubits)
        for q in qubits if item.operation.name == "cx" else ():
            depolarise(made, q, fresh)
            fresh += 2
    return made


def depolarise(circuit: QuantumCircuit, qubit: int, fresh: int) -> None:
    """X, Z or both with probability NOISE / 3 each, chosen by two qubits that nothing touches afterwards."""
    none, each = math.sqrt(1 - NOISE), math.sqrt(NOISE / 3)
    circuit.prepare_state([none, each, each, each], [fresh, fresh + 1])
    circuit.cx(fresh, qubit)
    circuit.cz(fresh + 1, qubit)


def bell() -> QuantumCircuit:
    """<ZZ> is cos(0.4)."""
    circuit = QuantumCircuit(2)
    circuit.ry(0.4, 0)
    circuit.cx(0, 1)
    circuit.rx(0.4, 1)
    return circuit


class Streamed:
    """Executors over one stream, and the sizes of the batches that came."""

    def __init__(self, endpoint: str) -> None:
        self.context = qpi.connect(endpoint)
        self.mesh = self.context.mesh("statevec")
        self.batches: list[int] = []

    def run(self, circuits: list[QuantumCircuit], **what: object) -> list[qpi.Result]:
        self.batches.append(len(circuits))
        queue = self.context.completion_queue()
        with self.mesh.stream(order="sequential", completions=queue) as stream:
            stream.submit_many([qpi.Task(noisy(circuit), **what) for circuit in circuits])
            return [done.result for done in queue.read(len(circuits), timeout=60)]

    def values(self, circuits: list[QuantumCircuit]) -> list[float]:
        results = self.run(circuits, outputs=("expectations",), observables=(ZZ,), shots=0)
        return [float(result.rows[0].expectations[0]) for result in results]


@pytest.fixture
def streamed(endpoint: str) -> Streamed:
    made = Streamed(endpoint)
    yield made
    made.context.close()


IDEAL = math.cos(0.4)


def test_the_noise_is_what_it_says(streamed: Streamed) -> None:
    (value,) = streamed.values([bell()])
    assert value == pytest.approx(IDEAL * (1 - 4 * NOISE / 3) ** 2, abs=1e-12)


def test_extrapolation_to_no_noise_sends_one_batch(streamed: Streamed) -> None:
    def executor(circuits: list[QuantumCircuit]) -> list[float]:
        return streamed.values(circuits)

    factory = zne.inference.ExpFactory(scale_factors=[1.0, 3.0], asymptote=0.0)
    found = zne.execute_with_zne(bell(), executor, factory=factory, scale_noise=zne.scaling.fold_global)
    assert streamed.batches == [2]
    (noisy_value,) = streamed.values([bell()])
    assert abs(found - IDEAL) < abs(noisy_value - IDEAL) / 3


def test_cancellation_of_noise_sends_large_batches(streamed: Streamed) -> None:
    def executor(circuits: list[QuantumCircuit]) -> list[float]:
        return streamed.values(circuits)

    gate = QuantumCircuit(2)
    gate.cx(0, 1)
    how = represent_operation_with_local_depolarizing_noise(gate, NOISE)
    circuit = bell()
    found, data = pec.execute_with_pec(
        circuit, Executor(executor, max_batch_size=50), representations=[how], num_samples=400, random_state=3,
        full_output=True,
    )  # fmt: skip
    assert max(streamed.batches) == 50 and sum(streamed.batches) >= 50
    assert abs(found - IDEAL) < 6 * data["pec_error"] + 1e-9
    assert abs(found - IDEAL) < abs(streamed.values([circuit])[0] - IDEAL)


def test_measurement_results(streamed: Streamed) -> None:
    def executor(circuits: list[QuantumCircuit]) -> list[MeasurementResult]:
        for circuit in circuits:
            assert [item.operation.name for item in circuit.data].count("measure") == 2
        results = streamed.run(circuits, outputs=("probabilities",), shots=0, qubits=(0, 1))
        made = []
        for result in results:
            counts = np.round(result.rows[0].probabilities * 10_000).astype(int)
            bits = [[i & 1, i >> 1] for i, count in enumerate(counts) for _ in range(count)]
            made.append(MeasurementResult(bits, qubit_indices=(0, 1)))
        return made

    observable = Observable(PauliString("ZZ"))
    (found,) = Executor(executor).evaluate([bell()], observable)
    assert found.real == pytest.approx(IDEAL * (1 - 4 * NOISE / 3) ** 2, abs=1e-3)
