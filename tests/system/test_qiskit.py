"""Qiskit's front door on a real daemon: found by itself, shared, ended by nobody's shutdown, gone in the middle."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("qiskit", reason="qiskit is not installed")
from qiskit import QuantumCircuit
from qiskit.providers import JobStatus

from qfw.program import errors
from qfw.qpm import run as runs
from qfw.qpm import run_cli
from qfw_qiskit import QFWBackend, QFWEstimatorV2, QFWSamplerV2


@pytest.fixture
def run(directories: Path) -> runs.Run:
    """A live run of this test's own."""
    made = runs.run_of("qiskit")
    run_cli.start(made)
    return made


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


SUBMIT = """
import json, sys
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qfw_qiskit import QFWBackend

circuit = QuantumCircuit(QuantumRegister(3), ClassicalRegister(2, "low"), ClassicalRegister(1, "high"), name="ghz",
                         metadata={"layer": 3})
circuit.h(0); circuit.cx(0, 1); circuit.cx(1, 2); circuit.measure(range(3), range(3))
other = circuit.copy(name="other")
backend = QFWBackend()
job = backend.run([circuit, other], shots=200, memory=True, seed_simulator=9, job_tags=["night", "3"])
if sys.argv[1] == "wait":
    print(json.dumps(job.result(timeout=60).to_dict(), default=str))
print(job.job_id(), flush=True)
import os
os._exit(0)
"""


def submitted(*argv: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", SUBMIT, *argv], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def bare(text: str) -> dict[str, Any]:
    """A Result without the times of its way, which differ."""
    result: dict[str, Any] = json.loads(text)
    for one in result["results"]:
        del one["time_taken"], one["metadata"]["timing"]
    return result


def test_a_job_is_retrieved_after_its_process_has_died(run: runs.Run) -> None:
    text, job_id = submitted("wait")
    with QFWBackend() as backend:
        job = backend.retrieve_job(job_id)
        assert job.status() is JobStatus.DONE
        assert (job.tags(), job.metadata["tags"], job.queue_position()) == (["night", "3"], ["night", "3"], None)
        found = job.result(timeout=60)
        assert bare(json.dumps(found.to_dict(), default=str)) == bare(text)
        assert found.get_counts("other").keys() <= {"0 00", "1 11"} and len(found.get_memory(0)) == 200
        assert found.results[1].header["metadata"] == {"layer": 3}
        assert [j.job_id() for j in backend.jobs(status="DONE", tags=["night"])] == [job_id]
        assert backend.jobs(status=JobStatus.ERROR) == backend.jobs(tags=["day"]) == []
        (gone,) = submitted("leave")  # before any result was there for it
        assert backend.retrieve_job(gone).result(timeout=60).get_counts(0) == found.get_counts(0)
        assert [j.job_id() for j in backend.jobs(limit=1)] == [gone]
        assert [j.job_id() for j in backend.jobs(skip=1)] == [job_id]
        with pytest.raises(errors.NotFound, match="remembers no job 'nothing'"):
            backend.retrieve_job("nothing")


def test_a_job_goes_on_when_its_session_ends_and_is_cancelled_from_another(run: runs.Run) -> None:
    with QFWBackend() as first:
        running = first.run([endless()] * 20, shots=10)
        waiting = first.run([bell()] * 3, shots=10)
        assert waiting.status() is JobStatus.QUEUED
    with QFWBackend() as second, QFWBackend() as third:
        jobs = [b.retrieve_job(running.job_id()) for b in (second, third)]
        assert all(job.status() in (JobStatus.QUEUED, JobStatus.RUNNING) for job in jobs)
        assert jobs[0].cancel()
        for job in jobs:
            with pytest.raises(errors.Cancelled):
                job.result(timeout=60)
            assert job.status() is JobStatus.CANCELLED and not job.cancel()
        assert len(second.retrieve_job(waiting.job_id()).result(timeout=60).results) == 3
        assert [j.job_id() for j in second.jobs(status="CANCELLED")] == [running.job_id()]


def qfw(*args: str) -> Any:
    done = subprocess.run([Path(sys.executable).parent / "qfw", *args], capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if done.stdout.startswith("{") else done.stdout


def test_jobs_on_the_command_line(run: runs.Run) -> None:
    with QFWBackend() as backend:
        done = backend.run([bell(), bell(200)], shots=10, seed_simulator=1)
        done.wait_for_final_state(timeout=60)
        running = backend.run([endless()] * 5, shots=10)
    listed = {job["id"]: job for job in qfw("jobs", "--json")["jobs"]}
    assert set(listed) == {done.job_id(), running.job_id()}
    assert listed[done.job_id()]["state"] == "done" and listed[done.job_id()]["failed"] == 1
    assert done.job_id() in qfw("jobs")
    shown = qfw("job", "show", done.job_id())
    assert shown["tasks"] == 2 and shown["metadata"]["device"] == "statevec"
    first, second = qfw("job", "result", done.job_id())["tasks"]
    assert sum(first["rows"][0]["counts"].values()) == 10 and first["seed"] == 1
    assert "message" in second
    assert "5 of 5 tasks cancelled" in qfw("job", "cancel", running.job_id())
    assert {task["error"] for task in qfw("job", "result", running.job_id())["tasks"]} == {"Cancelled"}
    assert "results dropped" in qfw("job", "cancel", "--forget", running.job_id())
    assert [job["id"] for job in qfw("jobs", "--json")["jobs"]] == [done.job_id()]


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
