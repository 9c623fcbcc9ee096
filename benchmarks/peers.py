"""Other simulators, each behind one shape: None where it is not installed. Their threads are set by the environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from circuits import Circuit, Terms

Run = Callable[[], Any]


@cache
def _missing(name: str) -> None:  # said once
    print(f"no {name}: it is not installed", file=sys.stderr)


def threads() -> int:
    return int(os.environ.get("OMP_NUM_THREADS", len(os.sched_getaffinity(0))))


def aer(circuit: Circuit, precision: str = "double") -> Run | None:
    """Aer's state vector, the circuit assembled beforehand."""
    try:
        from qiskit import QuantumCircuit
        from qiskit_aer import AerSimulator
    except ImportError:
        return _missing("qiskit-aer")
    made = QuantumCircuit(circuit.qubits)
    for gate in circuit.gates:
        if gate.matrix is not None:
            made.unitary(gate.matrix, gate.qubits)
        else:
            getattr(made, gate.name)(*([] if gate.angle is None else [gate.angle]), *gate.qubits)
    made.save_statevector()
    backend = AerSimulator(method="statevector", precision=precision, max_parallel_threads=threads())
    return lambda: backend.run(made).result().data(0)


_PENNYLANE = {"h": "Hadamard", "cx": "CNOT", "swap": "SWAP", "ry": "RY", "rz": "RZ", "rx": "RX", "rzz": "IsingZZ",
              "cp": "ControlledPhaseShift"}  # fmt: skip


def _tape(circuit: Circuit, observable: Terms | None) -> Any:
    import pennylane as qml

    with qml.tape.QuantumTape() as tape:
        for gate in circuit.gates:
            wires = list(gate.qubits)
            if gate.matrix is not None:  # its matrices have the first wire most significant
                qml.QubitUnitary(gate.matrix, wires[::-1])
            else:
                getattr(qml, _PENNYLANE[gate.name])(*([] if gate.angle is None else [gate.angle]), wires)
        if observable is None:
            qml.state()
        else:
            letters = {"X": qml.PauliX, "Y": qml.PauliY, "Z": qml.PauliZ}
            words = [qml.prod(*(letters[p](q) for p, q in zip(t[1], t[2], strict=True))) for t in observable]
            qml.expval(qml.Hamiltonian([t[0] for t in observable], words))
    tape.trainable_params = list(range(len(circuit.angles()))) if observable is not None else []
    return tape


def lightning(circuit: Circuit, device: str = "lightning.qubit") -> Run | None:
    """State vector by PennyLane-Lightning's device.execute: no QNode."""
    try:
        import pennylane as qml

        made = qml.device(device, wires=circuit.qubits)
    except (ImportError, qml.exceptions.DeviceError):
        return _missing(device)
    tape = _tape(circuit, None)
    return lambda: made.execute(tape)


def lightning_adjoint(circuit: Circuit, observable: Terms, device: str = "lightning.qubit") -> Run | None:
    """Its adjoint Jacobian."""
    try:
        import pennylane as qml

        made = qml.device(device, wires=circuit.qubits)
    except (ImportError, qml.exceptions.DeviceError):
        return _missing(device)
    tape = _tape(circuit, observable)
    return lambda: made.compute_derivatives(tape)


def _qulacs_circuit(circuit: Circuit, kind: str) -> Any:
    """ "QuantumCircuit" or "ParametricQuantumCircuit"; rotations of qulacs turn the other way."""
    import qulacs
    from qulacs import gate as gates

    made = getattr(qulacs, kind)(circuit.qubits)
    rotations = {"rx": 1, "ry": 2, "rz": 3, "rzz": 3}
    for g in circuit.gates:
        if g.matrix is not None:
            made.add_gate(gates.DenseMatrix(list(g.qubits), g.matrix))
        elif g.name in rotations and kind == "ParametricQuantumCircuit":
            made.add_parametric_multi_Pauli_rotation_gate(list(g.qubits), [rotations[g.name]] * len(g.qubits), -g.angle)
        elif g.name == "rzz":
            made.add_gate(gates.PauliRotation(list(g.qubits), [3, 3], -g.angle))
        elif g.name == "cp":
            phase = gates.DenseMatrix(g.qubits[1], np.diag([1, np.exp(1j * g.angle)]))
            phase.add_control_qubit(g.qubits[0], 1)
            made.add_gate(phase)
        elif g.angle is not None:
            made.add_gate(getattr(gates, g.name.upper())(g.qubits[0], -g.angle))
        else:
            made.add_gate(getattr(gates, {"cx": "CNOT"}.get(g.name, g.name.upper()))(*g.qubits))
    return made


def qulacs(circuit: Circuit) -> Run | None:
    try:
        from qulacs import QuantumState
    except ImportError:
        return _missing("qulacs")
    made = _qulacs_circuit(circuit, "QuantumCircuit")

    def run() -> Any:
        state = QuantumState(circuit.qubits)
        made.update_quantum_state(state)
        return state

    return run


def qulacs_backprop(circuit: Circuit, observable: Terms) -> Run | None:
    try:
        from qulacs import Observable
    except ImportError:
        return _missing("qulacs")
    made = _qulacs_circuit(circuit, "ParametricQuantumCircuit")
    h = Observable(circuit.qubits)
    for coefficient, letters, qubits in observable:
        h.add_operator(coefficient, " ".join(f"{p} {q}" for p, q in zip(letters, qubits, strict=True)))
    return lambda: made.backprop(h)


def qsim(circuit: Circuit) -> Run | None:
    """Single precision; its qubit 0 is the most significant."""
    try:
        import cirq
        import qsimcirq
    except ImportError:
        return _missing("qsimcirq")
    q = cirq.LineQubit.range(circuit.qubits)
    names = {"h": cirq.H, "cx": cirq.CNOT, "swap": cirq.SWAP}

    def op(g: Any) -> Any:
        on = [q[circuit.qubits - 1 - i] for i in g.qubits]
        if g.matrix is not None:
            return cirq.MatrixGate(g.matrix)(*on[::-1])
        if g.name in ("rx", "ry", "rz"):
            return getattr(cirq, g.name)(g.angle)(*on)
        if g.name == "rzz":
            return cirq.ZZPowGate(exponent=g.angle / np.pi, global_shift=-0.5)(*on)
        return cirq.CZPowGate(exponent=g.angle / np.pi)(*on) if g.name == "cp" else names[g.name](*on)

    made = cirq.Circuit(op(g) for g in circuit.gates)
    simulator = qsimcirq.QSimSimulator({"t": threads(), "f": 2})
    return lambda: simulator.simulate(made)
