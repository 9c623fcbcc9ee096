"""Qiskit's front door over the embedded runtime: everything real."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

pytest.importorskip("qiskit", reason="qiskit is not installed")
from qiskit import ClassicalRegister, QuantumCircuit, transpile
from qiskit.circuit.library import real_amplitudes
from qiskit.circuit.random import random_circuit
from qiskit.primitives import (
    BackendEstimatorV2,
    BackendSamplerV2,
    StatevectorEstimator,
    StatevectorSampler,
)
from qiskit.providers import JobStatus
from qiskit.quantum_info import SparsePauliOp, Statevector

from qfw.program import errors
from qfw_qiskit import QFWBackend, QFWEstimatorV2, QFWSamplerV2


@pytest.fixture
def backend() -> Iterator[QFWBackend]:
    made = QFWBackend(endpoint="embedded")
    yield made
    made.shutdown()


def constant(value: int, bits: int) -> QuantumCircuit:
    circuit = QuantumCircuit(bits, bits, name=f"c{value}")
    for q in range(bits):
        if value >> q & 1:
            circuit.x(q)
    circuit.measure(range(bits), range(bits))
    return circuit


def deep(qubits: int = 20, layers: int = 40) -> QuantumCircuit:
    circuit = QuantumCircuit(qubits, name="deep")
    for layer in range(layers):
        for q in range(qubits):
            circuit.u(0.1 * q, 0.2 * layer, 0.3, q)
        for q in range(qubits - 1):
            circuit.cx(q, q + 1)
    circuit.measure_all()
    return circuit


def test_results_are_in_submission_order_whatever_ends_first(backend: QFWBackend) -> None:
    circuits = [deep(16, 5)] + [constant(i, 5) for i in range(30)]
    result = backend.run(circuits, shots=10, seed_simulator=1).result(timeout=60)
    assert [result.get_counts(i + 1) for i in range(30)] == [{format(i, "05b"): 10} for i in range(30)]
    assert all(r.shots == 10 for r in result.results)


def test_distributions_of_random_circuits(backend: QFWBackend) -> None:
    circuits = [random_circuit(4, 5, max_operands=3, seed=s) for s in range(5)]
    measured = [c.measure_all(inplace=False) for c in circuits]
    for made in (measured, transpile(measured, backend, optimization_level=1)):
        result = backend.run(made, shots=20_000, seed_simulator=3).result(timeout=60)
        for i, circuit in enumerate(circuits):
            wanted = Statevector(circuit).probabilities_dict()
            found = result.get_counts(i)
            for key in wanted | found:
                assert abs(found.get(key, 0) / 20_000 - wanted.get(key, 0.0)) < 0.03


def test_same_seed_same_bits(backend: QFWBackend) -> None:
    circuit = QuantumCircuit(5)
    circuit.h(range(5))
    circuit.measure_all()
    memories = [
        backend.run([circuit, circuit], shots=50, memory=True, seed_simulator=s).result(timeout=60) for s in (1, 1, 2)
    ]
    assert memories[0].get_memory(0) == memories[1].get_memory(0)
    assert memories[0].get_memory(1) == memories[1].get_memory(1)
    assert memories[0].get_memory(0) != memories[0].get_memory(1)
    assert memories[0].get_memory(0) != memories[2].get_memory(0)


def test_state_vectors(backend: QFWBackend) -> None:
    circuit = random_circuit(5, 6, max_operands=3, seed=4)
    state = backend.run(circuit, return_statevector=True).result(timeout=60).get_statevector()
    assert np.abs(np.asarray(state) - Statevector(circuit).data).max() < 1e-10


def test_limits_are_typed_and_say_what_is_allowed(backend: QFWBackend) -> None:
    wide = QuantumCircuit(200, name="wide")
    wide.measure_all()
    with pytest.raises(errors.QfwError, match="200"):
        backend.run([constant(1, 2), wide]).result(timeout=60)
    with pytest.raises(errors.LimitExceeded, match="1000000000"):
        backend.run(constant(1, 2), shots=1_000_000_000).result(timeout=60)
    assert backend.run(constant(1, 2), shots=3).result(timeout=60).get_counts() == {"01": 3}


def test_failures_leave_the_others_alone(backend: QFWBackend) -> None:
    wide = QuantumCircuit(200, name="wide")
    wide.measure_all()
    job = backend.run([constant(1, 2), wide, constant(2, 2)], shots=3)
    part = job.result(timeout=60, partial=True)
    assert [e.success for e in part.results] == [True, False, True]
    assert part.get_counts(2) == {"10": 3}
    assert job.status() is JobStatus.ERROR


def test_cancel_reaches_what_runs(backend: QFWBackend) -> None:
    job = backend.run([deep() for _ in range(50)], shots=10)
    assert job.cancel()
    with pytest.raises(errors.Cancelled):
        job.result(timeout=60)
    assert job.status() is JobStatus.CANCELLED


def test_one_thread_waits_while_others_ask(backend: QFWBackend) -> None:
    wide = QuantumCircuit(200)
    wide.measure_all()
    for _ in range(10):
        job = backend.run([constant(i % 8, 3) for i in range(200)] + [wide] * 5, shots=5)
        with ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(job.wait_for_final_state, wait=0) for _ in range(3)]
            part = pool.submit(job.result, timeout=60, partial=True).result()
            for one in asked:
                one.result()
        assert sum(e.success for e in part.results) == 200
        assert job.status() is JobStatus.ERROR


def test_a_timeout_leaves_the_work_going(backend: QFWBackend) -> None:
    job = backend.run([deep(layers=100) for _ in range(20)], shots=10, timeout=0.001)
    with pytest.raises(errors.WaitTimeout, match="of 20 not done"):
        job.result()
    job.cancel()


def test_eight_clients_on_one_backend_and_eight_on_their_own(backend: QFWBackend) -> None:
    def client(number: int) -> None:
        own = backend if number % 2 else QFWBackend(endpoint="embedded")
        for i in range(20):
            value = (number * 20 + i) % 32
            assert (
                own.run([constant(value, 5)] * 3, shots=5).result(timeout=60).get_counts()
                == [{format(value, "05b"): 5}] * 3
            )
        if own is not backend:
            own.shutdown()

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(client, range(16)))


def test_shutdown_of_one_leaves_the_others(backend: QFWBackend) -> None:
    other = QFWBackend(endpoint="embedded")
    other.shutdown()
    with pytest.raises(errors.Closed):
        other.run(constant(1, 2))
    assert backend.run(constant(1, 2), shots=2).result(timeout=60).get_counts() == {"01": 2}


def test_sampler_sweeps(backend: QFWBackend) -> None:
    circuit = real_amplitudes(3, reps=1)
    circuit.measure_all()
    values = np.random.default_rng(1).uniform(-2, 2, (6, circuit.num_parameters))
    result = QFWSamplerV2(backend, seed=5).run([(circuit, values)], shots=20_000).result(timeout=60)[0]
    bare = circuit.remove_final_measurements(inplace=False)
    for i, row in enumerate(values):
        wanted = Statevector(bare.assign_parameters(row)).probabilities()
        found = np.bincount(result.data.meas[i].array[:, 0], minlength=8) / 20_000
        assert np.abs(found - wanted).max() < 0.03


def test_estimator_agrees_with_qiskit(backend: QFWBackend) -> None:
    circuit = real_amplitudes(4, reps=2)
    values = np.random.default_rng(1).uniform(-2, 2, (7, circuit.num_parameters))
    observables = [[SparsePauliOp(["XXII", "IYZI"], [0.5, 2])], [SparsePauliOp("ZZZZ")], [SparsePauliOp("IIII")]]
    pub = (circuit, observables, values)
    wanted = StatevectorEstimator().run([pub]).result()[0].data.evs
    exact = QFWEstimatorV2(backend).run([pub]).result(timeout=60)[0].data
    assert np.abs(exact.evs - wanted).max() < 1e-10
    sampled = QFWEstimatorV2(backend, seed=3).run([pub], precision=0.02).result(timeout=60)[0].data
    assert (np.abs(sampled.evs - wanted) < 6 * sampled.stds + 1e-9).all()


def circuit_and_values() -> tuple[QuantumCircuit, np.ndarray]:
    circuit = real_amplitudes(3, reps=1)
    return circuit, np.random.default_rng(2).uniform(-2, 2, (4, circuit.num_parameters))


def test_every_estimator_agrees_with_qiskit_s(backend: QFWBackend) -> None:
    circuit, values = circuit_and_values()
    observables = [[SparsePauliOp(["ZZI", "XIX", "IYI"], [1, 0.5, -0.3])], [SparsePauliOp("ZZZ")]]
    pubs = [(circuit, observables, values), (circuit, "IIZ", values[0])]
    wanted = [r.data.evs for r in StatevectorEstimator().run(pubs).result()]
    sampled = [
        BackendEstimatorV2(backend=backend, options={"seed_simulator": 4}).run(pubs, precision=0.01).result(),
        QFWEstimatorV2(backend, seed=4).run(pubs, precision=0.01).result(timeout=60),
    ]
    for result in sampled:
        for pub, evs in zip(result, wanted, strict=True):
            assert pub.data.evs.shape == evs.shape
            assert np.abs(pub.data.evs - evs).max() < 0.08
    exact = QFWEstimatorV2(backend).run(pubs).result(timeout=60)
    assert all(np.abs(pub.data.evs - evs).max() < 1e-12 for pub, evs in zip(exact, wanted, strict=True))


def test_every_sampler_agrees_with_qiskit_s(backend: QFWBackend) -> None:
    shots = 20_000
    bare, values = circuit_and_values()
    circuit = QuantumCircuit(*bare.qregs, ClassicalRegister(2, "low"), ClassicalRegister(1, "high"))
    circuit.compose(bare, inplace=True)
    circuit.measure([0, 1, 2], [0, 1, 2])
    pubs = [(circuit, values), (circuit, values[1], shots // 2)]
    wanted = StatevectorSampler(seed=1).run(pubs, shots=shots).result()
    found = [
        BackendSamplerV2(backend=backend, options={"seed_simulator": 4}).run(pubs, shots=shots).result(),
        QFWSamplerV2(backend, seed=4).run(pubs, shots=shots).result(timeout=60),
    ]
    for result in found:
        for pub, reference in zip(result, wanted, strict=True):
            assert set(pub.data) == {"low", "high"}
            assert pub.data.low.shape == reference.data.low.shape
            for place in np.ndindex(pub.data.low.shape):
                sizes = [d.num_shots for d in (pub.data.low, reference.data.low)]
                assert sizes[0] == sizes[1]
                joint = [
                    np.bincount(d.low[place].array[:, 0] + 4 * d.high[place].array[:, 0], minlength=8) / sizes[0]
                    for d in (pub.data, reference.data)
                ]
                assert np.abs(joint[0] - joint[1]).max() < 0.025


def test_modes_of_the_runtime_s_primitives(backend: QFWBackend) -> None:
    runtime = pytest.importorskip("qiskit_ibm_runtime", reason="qiskit-ibm-runtime is not installed")
    circuit = constant(2, 2)
    assert QFWSamplerV2(mode=backend).backend is backend
    with runtime.Session(backend=backend) as session, runtime.Batch(backend=backend) as batch:
        for mode in (session, batch):
            data = QFWSamplerV2(mode=mode).run([circuit], shots=5).result(timeout=60)[0].data
            assert data.c.get_counts() == {"10": 5}
            assert QFWEstimatorV2(mode=mode).run([(circuit, "ZI")]).result(timeout=60)[0].data.evs == -1
    with pytest.raises(errors.InvalidArgument, match="both given"):
        QFWSamplerV2(backend, mode=backend)
    with pytest.raises(errors.InvalidArgument, match="a QFWBackend expected"):
        QFWEstimatorV2(mode="session")


def test_timing_parts_add_up(backend: QFWBackend) -> None:
    job = backend.run([constant(1, 3)] * 4, shots=10)
    job.result(timeout=60)
    for metric in job.metrics():
        parts = [v for k, v in metric.items() if k.endswith("_ns") and k != "total_ns"]
        assert sum(parts) == metric["total_ns"]
        assert metric["convert_ns"] > 0
        assert metric["execute_ns"] > 0
