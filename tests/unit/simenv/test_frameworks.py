"""Random circuits agree with Qiskit's Statevector and PennyLane's default.qubit, on every row that names a class there.

The circuits are put together here from the names in the gate table, so that this does not lean on our own converters.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qfw import program, simenv

_spec = importlib.util.spec_from_file_location("simenv_circuits", Path(__file__).with_name("circuits.py"))
assert _spec is not None and _spec.loader is not None
circuits = importlib.util.module_from_spec(_spec)
sys.modules["simenv_circuits"] = circuits
_spec.loader.exec_module(circuits)


def run(circuit: Any) -> Any:
    return simenv.simulate(circuit.build()[0], statevector=True)["statevector"]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), qubits=st.integers(1, 7), length=st.integers(1, 40))
def test_agrees_with_qiskit(seed: int, qubits: int, length: int) -> None:
    library = pytest.importorskip("qiskit.circuit.library")
    from qiskit import QuantumCircuit
    from qiskit.quantum_info import Statevector

    names = [gate.name for gate in program.gates() if gate.qiskit] + ["unitary"]
    circuit = circuits.random_circuit(seed, qubits, length, names)
    peer = QuantumCircuit(qubits, global_phase=circuit.global_phase)
    for step in circuit.steps:
        if step.matrix is not None:
            gate: Any = library.UnitaryGate(step.matrix)
        else:
            gate = getattr(library, program.gate(step.name).qiskit)(*step.params)
        if step.controls and not step.qubits[step.controls :]:  # a controlled global phase is a phase gate
            gate = library.PhaseGate(step.params[0])
            gate = gate.control(step.controls - 1) if step.controls > 1 else gate
        elif step.controls:
            gate = gate.control(step.controls, annotated=False)
        peer.append(gate, list(step.qubits))
    assert np.abs(run(circuit) - Statevector(peer).data).max() < 1e-10


def pennylane_operation(qml: Any, step: Any, num_qubits: int) -> Any:
    """The operation under its controls. PennyLane's first wire is the most significant: qubit q is wire n - 1 - q."""
    wires = [num_qubits - 1 - qubit for qubit in step.qubits]
    controls, targets = wires[: step.controls], wires[step.controls :]
    if step.matrix is not None:
        operation = qml.QubitUnitary(step.matrix, wires=list(reversed(targets)))
    else:
        name = program.gate(step.name).pennylane
        adjoint = name.startswith("Adjoint(")
        kind = getattr(qml, name.removeprefix("Adjoint(").removesuffix(")"))
        # qml.GlobalPhase(phi) is exp(-i phi); ours is exp(+i phi).
        operation = kind(-step.params[0]) if step.name == "gphase" else kind(*step.params, wires=targets)
        operation = qml.adjoint(operation) if adjoint else operation
    return qml.ctrl(operation, control=controls) if controls else operation


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), qubits=st.integers(1, 6), length=st.integers(1, 30))
def test_agrees_with_pennylane(seed: int, qubits: int, length: int) -> None:
    qml = pytest.importorskip("pennylane")
    names = [gate.name for gate in program.gates() if gate.pennylane] + ["unitary"]
    circuit = circuits.random_circuit(seed, qubits, length, names)
    operations = [qml.Identity(wire) for wire in range(qubits)]  # so that every wire is there, in order
    operations.append(qml.GlobalPhase(-circuit.global_phase))
    operations += [pennylane_operation(qml, step, qubits) for step in circuit.steps]
    tape = qml.tape.QuantumScript(operations, [qml.state()])
    found = qml.device("default.qubit", wires=qubits).execute(tape)
    assert np.abs(run(circuit) - np.asarray(found)).max() < 1e-10
