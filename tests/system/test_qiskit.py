"""Qiskit's front door on a real daemon: found by itself, shared, ended by nobody's shutdown, gone in the middle."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip("qiskit", reason="qiskit is not installed")
from qiskit import QuantumCircuit
from qiskit.providers import JobStatus

from qfw.program import errors
from qfw.qpm import run as runs
from qfw.qpm import run_cli
from qfw_qiskit import QFWBackend, QFWEstimatorV2, QFWSamplerV2


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Iterator[runs.Run]:
    """A live run of this test's own."""
    base = Path(os.environ["XDG_RUNTIME_DIR"]) / f"q{os.urandom(3).hex()}"
    for name in ("r", "s"):
        (base / name).mkdir(mode=0o700, parents=True)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(base / "r"))
    monkeypatch.setenv("XDG_STATE_HOME", str(base / "s"))
    made = runs.run_of("qiskit")
    run_cli.start(made)
    yield made
    run_cli.clean(made, grace=5.0)


def bell(bits: int = 2) -> QuantumCircuit:
    circuit = QuantumCircuit(bits)
    circuit.h(0)
    for q in range(bits - 1):
        circuit.cx(q, q + 1)
    circuit.measure_all()
    return circuit


def endless(qubits: int = 24) -> QuantumCircuit:
    circuit = QuantumCircuit(qubits, name="endless")
    for layer in range(200):
        for q in range(qubits):
            circuit.u(0.1 * q, 0.2 * layer, 0.3, q)
        for q in range(qubits - 1):
            circuit.cx(q, q + 1)
    circuit.measure_all()
    return circuit


def test_backends_of_one_run_are_found_and_are_apart(run: runs.Run) -> None:
    first, second = QFWBackend(), QFWBackend()
    assert first.context.endpoint.startswith("unix:")
    seeds = [b.run([bell(3)] * 3, shots=50, memory=True, seed_simulator=4).result(timeout=60) for b in (first, second)]
    assert seeds[0].get_memory(2) == seeds[1].get_memory(2)
    first.shutdown()
    assert run.live()
    assert set(second.run(bell()).result(timeout=60).get_counts()) == {"00", "11"}
    assert abs(QFWEstimatorV2(second).run([(bell(), "XX")]).result(timeout=60)[0].data.evs - 1) < 1e-12
    assert set(QFWSamplerV2(second).run([bell()]).result(timeout=60)[0].data.meas.get_counts()) == {"00", "11"}
    second.shutdown()


def test_eight_clients(run: runs.Run) -> None:
    def client(number: int) -> None:
        backend = QFWBackend()
        for _ in range(20):
            circuits = [bell(2 + (number + i) % 5) for i in range(10)]
            result = backend.run(circuits, shots=20).result(timeout=60)
            assert [len(next(iter(c))) for c in result.get_counts()] == [2 + (number + i) % 5 for i in range(10)]
        backend.shutdown()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(client, range(8)))


def test_a_daemon_that_dies_in_the_middle(run: runs.Run) -> None:
    backend = QFWBackend()
    job = backend.run([endless()] * 3, shots=10)
    assert job.status() is JobStatus.QUEUED
    process = run.process()
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(errors.ConnectionLost, match=r"circuit 0 \('endless'\) of 3"):
        job.result(timeout=60)
    assert job.status() is JobStatus.ERROR
    with pytest.raises(errors.ConnectionLost):
        backend.run(bell()).result(timeout=60)
    backend.shutdown()
