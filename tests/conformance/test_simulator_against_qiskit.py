"""Random Qiskit circuits over its whole gate set: the built-in simulator gives Qiskit's own states."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("qiskit", reason="qiskit is not installed")
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit import QuantumCircuit
from qiskit.circuit.library.standard_gates import get_standard_gate_name_mapping
from qiskit.circuit.random import random_circuit
from qiskit.quantum_info import SparsePauliOp, Statevector, random_pauli_list

from qfw.program import PauliSum
from qfw.simenv import simulate
from qfw.toolchain.formats import load

GATES = [g for name, g in get_standard_gate_name_mapping().items() if name not in ("measure", "reset", "delay")]


def whole_set(seed: int, qubits: int) -> QuantumCircuit:
    """Every standard gate once, on random qubits with random angles, some under a further control."""
    rng = np.random.default_rng(seed)
    circuit = QuantumCircuit(qubits, global_phase=rng.uniform(-3, 3))
    for q in range(qubits):
        circuit.u(*rng.uniform(-3, 3, 3), q)
    for i in rng.permutation(len(GATES)):
        gate = GATES[i]
        gate = gate.base_class(*rng.uniform(-3, 3, len(gate.params))) if gate.params else gate
        if 0 < gate.num_qubits < 4 and rng.integers(5) == 0:
            gate = gate.control(1, ctrl_state=int(rng.integers(2)), annotated=False)
        circuit.append(gate, [int(q) for q in rng.permutation(qubits)[: gate.num_qubits]])
    return circuit


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.integers(4, 9))
def test_states_over_the_whole_gate_set(seed: int, qubits: int) -> None:
    circuit = whole_set(seed, qubits)
    state = simulate(load(circuit).program, statevector=True)["statevector"]
    assert np.abs(np.ravel(state) - Statevector(circuit).data).max() < 1e-10


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.integers(1, 10))
def test_expectation_values_of_random_circuits(seed: int, qubits: int) -> None:
    circuit = random_circuit(qubits, 8, max_operands=min(4, qubits), seed=seed % 1000)
    rng = np.random.default_rng(seed)
    observable = SparsePauliOp(random_pauli_list(qubits, 6, seed=rng, phase=False), rng.uniform(-1, 1, 6))
    terms = [(c.real, letters, qs) for letters, qs, c in observable.to_sparse_list()]
    values = simulate(load(circuit).program, observables=[PauliSum(terms)])["expectations"]
    assert abs(np.ravel(values)[0] - Statevector(circuit).expectation_value(observable).real) < 1e-10


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**31))
def test_distributions(seed: int) -> None:
    circuit = random_circuit(4, 5, max_operands=3, seed=seed % 1000)
    wanted = Statevector(circuit).probabilities()
    found = simulate(load(circuit).program, probabilities=True)["probabilities"]
    assert np.abs(np.ravel(found) - wanted).max() < 1e-10
