"""qiskit-addon-cutting: a circuit cut in two, its experiments on our sampler, put together again."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("qiskit_addon_cutting", reason="qiskit-addon-cutting is not installed")
from qiskit import QuantumCircuit
from qiskit.circuit.library import efficient_su2
from qiskit.quantum_info import PauliList, SparsePauliOp, Statevector
from qiskit_addon_cutting import generate_cutting_experiments, partition_problem, reconstruct_expectation_values

from qfw_qiskit import QFWBackend, QFWSamplerV2

SHOTS = 4096
OBSERVABLES = PauliList(["ZZII", "IIZZ", "XIIX", "IZZI", "ZIIZ"])
WORST = 0.1  # a value is a sum of up to 36 means of 4096 shots with weights of 1/4: its standard deviation is 0.023


def prepared(cuts: int) -> QuantumCircuit:
    """Four qubits in two halves, joined by a gate per layer."""
    circuit = efficient_su2(4, entanglement="linear", reps=cuts)
    return circuit.assign_parameters(np.random.default_rng(7).uniform(-1.5, 1.5, circuit.num_parameters))


@pytest.mark.parametrize("cuts", [1, 2])
def test_what_was_cut_is_what_it_was(cuts: int, endpoint: str) -> None:
    circuit = prepared(cuts)
    problem = partition_problem(circuit=circuit, partition_labels="AABB", observables=OBSERVABLES)
    assert set(problem.subcircuits) == {"A", "B"}
    experiments, coefficients = generate_cutting_experiments(
        circuits=problem.subcircuits, observables=problem.subobservables, num_samples=np.inf
    )
    backend = QFWBackend(endpoint=endpoint)
    sampler = QFWSamplerV2(backend, seed=11)
    jobs = {label: sampler.run(parts, shots=SHOTS) for label, parts in experiments.items()}
    results = {label: job.result(timeout=100) for label, job in jobs.items()}
    for label, parts in experiments.items():
        assert len(results[label]) == len(parts)
        names = [[register.name for register in part.cregs] for part in parts]
        assert names == [list(pub.data.keys()) for pub in results[label]]
    terms = reconstruct_expectation_values(results, coefficients, problem.subobservables)
    state = Statevector(circuit)
    wanted = [state.expectation_value(SparsePauliOp(o)).real for o in OBSERVABLES]
    assert np.abs(np.array(terms) - wanted).max() < WORST
    assert np.abs(wanted).max() > 0.2  # not a comparison of zeros
    backend.shutdown()
