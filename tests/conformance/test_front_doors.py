"""Every front door gives what the others give: the same programs through Qiskit, PennyLane, QPI and OpenQASM text.

A door turns a list of gates into its own kind of program and asks the runtime for exact and sampled values. What all
agree on is compared with a dense product of the gate table's matrices.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import dense
import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("qiskit", reason="qiskit is not installed")
pytest.importorskip("pennylane", reason="pennylane is not installed")
import pennylane as qml
from qiskit import QuantumCircuit
from qiskit.circuit import Parameter
from qiskit.quantum_info import SparsePauliOp

from qfw import qpi
from qfw.program import Affine, Bit, Builder, PauliSum
from qfw.qpm import run as runs
from qfw_qiskit import QFWBackend, QFWEstimatorV2, QFWSamplerV2

Gate = tuple[str, tuple[int, ...], tuple[float, ...]]
Gates = Sequence[Gate]
Pauli = tuple[float, str]  # coefficient, letters with qubit 0 rightmost
SHOTS = 20_000

_PENNYLANE = {
    "h": qml.Hadamard, "x": qml.PauliX, "y": qml.PauliY, "z": qml.PauliZ, "s": qml.S, "t": qml.T, "sx": qml.SX,
    "rx": qml.RX, "ry": qml.RY, "rz": qml.RZ, "p": qml.PhaseShift, "cx": qml.CNOT, "cz": qml.CZ, "cy": qml.CY,
    "swap": qml.SWAP, "ccx": qml.Toffoli, "cswap": qml.CSWAP, "crz": qml.CRZ, "rzz": qml.IsingZZ, "rxx": qml.IsingXX,
}  # fmt: skip
_IN_TEXT = frozenset(_PENNYLANE) - {"rzz", "rxx"}  # of stdgates.inc

PROGRAMS: dict[str, tuple[int, Gates]] = {
    "ghz": (4, [("h", (0,), ()), *(("cx", (q, q + 1), ()) for q in range(3))]),
    "order": (3, [("x", (0,), ()), ("ry", (2,), (0.7,)), ("crz", (2, 0), (1.1,)), ("h", (1,), ())]),
    "phases": (3, [*(("h", (q,), ()) for q in range(3)), ("t", (0,), ()), ("s", (1,), ()), ("p", (2,), (0.3,)),
                   ("cz", (0, 2), ()), *(("h", (q,), ()) for q in range(3))]),
    "wide": (4, [("sx", (0,), ()), ("rx", (1,), (0.4,)), ("ccx", (0, 1, 2), ()), ("y", (3,), ()), ("cy", (3, 0), ()),
                 ("swap", (1, 3), ()), ("cswap", (0, 2, 3), ()), ("rz", (2,), (-0.9,)), ("h", (2,), ())]),
    "ising": (4, [*(("h", (q,), ()) for q in range(4)), *(("rzz", (q, (q + 1) % 4), (0.5 + q,)) for q in range(4)),
                  ("rxx", (0, 3), (0.8,)), *(("rx", (q,), (0.6,)) for q in range(4))]),
    "random": (5, [(str(np.random.default_rng(s).choice(["rx", "ry", "rz"])), (s % 5,), (0.1 * s,)) if s % 3 else
                   ("cx", (s % 5, (s + 2) % 5), ()) for s in range(40)]),
}  # fmt: skip


def paulis(qubits: int) -> list[Pauli]:
    one, two = "I" * (qubits - 1), "I" * (qubits - 2)
    return [(1.0, "Z" * qubits), (0.5, one + "X"), (-0.3, "Y" + two + "Z"), (0.2, "I" * qubits)]


def builder(qubits: int, gates: Gates, bits: int) -> Builder:
    made = Builder(qubits, bits)
    for name, where, angles in gates:
        made.gate(name, list(where), list(angles))
    return made


class Door(ABC):
    """One way in. States and probabilities are indexed with qubit 0 least significant."""

    knows: frozenset[str] = frozenset(_PENNYLANE)

    @abstractmethod
    def state(self, qubits: int, gates: Gates) -> NDArray[np.complex128]: ...

    @abstractmethod
    def expectation(self, qubits: int, gates: Gates, terms: Sequence[Pauli]) -> float: ...

    @abstractmethod
    def counts(self, qubits: int, gates: Gates) -> dict[int, int]: ...

    @abstractmethod
    def sweep(self, angles: NDArray[np.float64]) -> NDArray[np.float64]:
        """<ZZ> after ry(angle) on qubit 0, rx(angle / 2) on qubit 1 and a cx, per angle."""

    @abstractmethod
    def feed_forward(self) -> dict[int, int]:
        """ry(1.0) and measure qubit 0; if 1, flip qubit 1; then ry(0.5) on qubit 0, and measure both."""

    def close(self) -> None:  # noqa: B027 - a door may have nothing to close
        """Ends its sessions."""


class Qiskit(Door):
    def __init__(self, endpoint: str) -> None:
        self.backend = QFWBackend(endpoint=endpoint)

    def circuit(self, qubits: int, gates: Gates) -> QuantumCircuit:
        circuit = QuantumCircuit(qubits)
        for name, where, angles in gates:
            getattr(circuit, name)(*angles, *where)
        return circuit

    def state(self, qubits: int, gates: Gates) -> NDArray[np.complex128]:
        job = self.backend.run(self.circuit(qubits, gates), return_statevector=True)
        return np.asarray(job.result(timeout=60).data(0)["statevector"])

    def expectation(self, qubits: int, gates: Gates, terms: Sequence[Pauli]) -> float:
        observable = SparsePauliOp([p for _, p in terms], [c for c, _ in terms])
        job = QFWEstimatorV2(self.backend).run([(self.circuit(qubits, gates), observable)])
        return float(job.result(60)[0].data.evs)

    def counts(self, qubits: int, gates: Gates) -> dict[int, int]:
        circuit = self.circuit(qubits, gates)
        circuit.measure_all()
        result = self.backend.run(circuit, shots=SHOTS, seed_simulator=1).result(timeout=60)
        return dict(result.get_counts().int_outcomes())

    def sweep(self, angles: NDArray[np.float64]) -> NDArray[np.float64]:
        p = Parameter("p")
        circuit = QuantumCircuit(2)
        circuit.ry(p, 0)
        circuit.rx(p / 2, 1)
        circuit.cx(0, 1)
        return np.asarray(QFWEstimatorV2(self.backend).run([(circuit, "ZZ", angles)]).result(60)[0].data.evs)

    def feed_forward(self) -> dict[int, int]:
        circuit = QuantumCircuit(2, 3)
        circuit.ry(1.0, 0)
        circuit.measure(0, 2)
        with circuit.if_test((circuit.clbits[2], 1)):
            circuit.x(1)
        circuit.ry(0.5, 0)
        circuit.measure([0, 1], [0, 1])
        found = self.backend.run(circuit, shots=SHOTS, seed_simulator=2).result(timeout=60).get_counts().int_outcomes()
        return merged((key & 3, value) for key, value in found.items())

    def close(self) -> None:
        self.backend.shutdown()


class QiskitSampler(Qiskit):
    """The native sampler, for counts."""

    def counts(self, qubits: int, gates: Gates) -> dict[int, int]:
        circuit = self.circuit(qubits, gates)
        circuit.measure_all()
        data = QFWSamplerV2(self.backend, seed=1).run([circuit], shots=SHOTS).result(60)[0].data
        return dict(data.meas.get_int_counts())


class PennyLane(Door):
    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.devices: list[Any] = []

    def run(self, qubits: int, body: Any, shots: int | None = None) -> Any:
        device = qml.device("qfw.device", wires=qubits, device="statevec", endpoint=self.endpoint, seed=3)
        self.devices.append(device)
        node = qml.QNode(body, device)
        return (node if shots is None else qml.set_shots(node, shots))()

    @staticmethod
    def apply(gates: Gates) -> None:
        for name, where, angles in gates:
            _PENNYLANE[name](*angles, wires=list(where))

    def state(self, qubits: int, gates: Gates) -> NDArray[np.complex128]:
        def body() -> Any:
            self.apply(gates)
            return qml.state()

        found = np.asarray(self.run(qubits, body))
        return found.reshape((2,) * qubits).transpose().reshape(-1)  # wire 0 is the most significant there

    def expectation(self, qubits: int, gates: Gates, terms: Sequence[Pauli]) -> float:
        def body() -> Any:
            self.apply(gates)
            words = [qml.pauli.PauliWord({q: x for q, x in enumerate(reversed(p)) if x != "I"}) for _, p in terms]
            return qml.expval(qml.pauli.PauliSentence(dict(zip(words, [c for c, _ in terms], strict=True))).operation())

        return float(self.run(qubits, body))

    def counts(self, qubits: int, gates: Gates) -> dict[int, int]:
        def body() -> Any:
            self.apply(gates)
            return qml.counts(wires=range(qubits))

        return {int(key[::-1], 2): int(value) for key, value in self.run(qubits, body, SHOTS).items()}

    def sweep(self, angles: NDArray[np.float64]) -> NDArray[np.float64]:
        def body() -> Any:
            qml.RY(angles, 0)
            qml.RX(angles / 2, 1)
            qml.CNOT([0, 1])
            return qml.expval(qml.PauliZ(0) @ qml.PauliZ(1))

        return np.asarray(self.run(2, body))

    def feed_forward(self) -> dict[int, int]:
        def body() -> Any:
            qml.RY(1.0, 0)
            qml.cond(qml.measure(0), qml.PauliX)(1)
            qml.RY(0.5, 0)
            return qml.counts(wires=[0, 1])

        return {int(key[::-1], 2): int(value) for key, value in self.run(2, body, SHOTS).items()}

    def close(self) -> None:
        for device in self.devices:
            device.close() if hasattr(device, "close") else None


class Qpi(Door):
    def __init__(self, endpoint: str) -> None:
        self.context = qpi.connect(endpoint)
        self.mesh = self.context.mesh("statevec")

    def program(self, qubits: int, gates: Gates, measured: bool = False) -> Any:
        made = builder(qubits, gates, qubits if measured else 0)
        for q in range(qubits if measured else 0):
            made.measure(q, q)
        return made.finish()

    def state(self, qubits: int, gates: Gates) -> NDArray[np.complex128]:
        task = qpi.Task(self.program(qubits, gates), outputs=("statevector",))
        return self.mesh.run(task, timeout=60).rows[0].statevector

    def expectation(self, qubits: int, gates: Gates, terms: Sequence[Pauli]) -> float:
        total = PauliSum(as_terms(terms))
        task = qpi.Task(self.program(qubits, gates), outputs=("expectations",), observables=[total])
        return float(self.mesh.run(task, timeout=60).rows[0].expectations[0])

    def counts(self, qubits: int, gates: Gates) -> dict[int, int]:
        task = qpi.Task(self.program(qubits, gates, measured=True), shots=SHOTS, seed=4)
        return {int(key, 2): value for key, value in self.mesh.run(task, timeout=60).counts.items()}

    def sweep(self, angles: NDArray[np.float64]) -> NDArray[np.float64]:
        made = Builder(2, 0)
        p = made.parameter("p")
        made.gate("ry", [0], [Affine(p)])
        made.gate("rx", [1], [Affine(p, 0.5)])
        made.gate("cx", [0, 1], [])
        zz = PauliSum([(1.0, "ZZ", [0, 1])])
        task = qpi.Task(made.finish(), bindings=angles.reshape(-1, 1), outputs=("expectations",), observables=[zz])
        return np.array([row.expectations[0] for row in self.mesh.run(task, timeout=60)])

    def feed_forward(self) -> dict[int, int]:
        made = Builder(2, 3)
        made.gate("ry", [0], [1.0])
        made.measure(0, 2)
        flip, after = made.block(), made.block()
        condition = made.variable("bool")
        made.compute("copy", condition, Bit(2))
        made.branch(condition, flip, after)
        made.enter(flip)
        made.gate("x", [1], [])
        made.jump(after)
        made.enter(after)
        made.gate("ry", [0], [0.5])
        made.measure(0, 0)
        made.measure(1, 1)
        made.end()
        found = self.mesh.run(qpi.Task(made.finish(), shots=SHOTS, seed=5), timeout=60).counts
        return merged((int(key, 2) & 3, value) for key, value in found.items())

    def close(self) -> None:
        self.context.close()


class Text(Qpi):
    """OpenQASM 3 text through QPI."""

    knows = _IN_TEXT

    def program(self, qubits: int, gates: Gates, measured: bool = False) -> Any:
        lines = ['OPENQASM 3.0; include "stdgates.inc";', f"qubit[{qubits}] q;", *([f"bit[{qubits}] c;"] * measured)]
        for name, where, angles in gates:
            given = f"({', '.join(map(repr, angles))})" if angles else ""
            lines.append(f"{name}{given} {', '.join(f'q[{q}]' for q in where)};")
        return "\n".join([*lines, *(["c = measure q;"] * measured)])

    def feed_forward(self) -> dict[int, int]:
        text = """OPENQASM 3.0; include "stdgates.inc"; qubit[2] q; bit[2] c; bit[1] m;
        ry(1.0) q[0]; m[0] = measure q[0]; if (m[0] == 1) { x q[1]; } ry(0.5) q[0]; c = measure q;"""
        found = self.mesh.run(qpi.Task(text, shots=SHOTS, seed=6), timeout=60).counts
        return merged((int(key, 2) & 3, value) for key, value in found.items())


DOORS = {"qiskit": Qiskit, "sampler": QiskitSampler, "pennylane": PennyLane, "qpi": Qpi, "openqasm": Text}


def as_terms(terms: Sequence[Pauli]) -> list[tuple[float, str, list[int]]]:
    """As PauliSum takes them."""
    split = [(c, [(x, q) for q, x in enumerate(reversed(p)) if x != "I"]) for c, p in terms]
    return [(c, "".join(x for x, _ in places), [q for _, q in places]) for c, places in split]


def merged(pairs: Any) -> dict[int, int]:
    total: dict[int, int] = {}
    for key, value in pairs:
        total[key] = total.get(key, 0) + value
    return total


def apart(counts: dict[int, int], wanted: NDArray[np.float64]) -> float:
    """Total variation between samples and a distribution."""
    found = np.zeros(len(wanted))
    for key, value in counts.items():
        found[key] = value / SHOTS
    return float(np.abs(found - wanted).sum() / 2)


@pytest.fixture(scope="module", params=["embedded", "daemon"])
def endpoint(request: pytest.FixtureRequest, live_run: runs.Run) -> str:
    return "embedded" if request.param == "embedded" else str(live_run.endpoint_file)


@pytest.fixture(scope="module", params=DOORS)
def door(request: pytest.FixtureRequest, endpoint: str) -> Iterator[Door]:
    made = DOORS[request.param](endpoint)
    yield made
    made.close()


@pytest.fixture(params=PROGRAMS)
def program(request: pytest.FixtureRequest, door: Door) -> tuple[int, Gates]:
    qubits, gates = PROGRAMS[request.param]
    if not {name for name, _, _ in gates} <= door.knows:
        pytest.skip("gates that OpenQASM's standard library has not")
    return qubits, gates


def state_of(qubits: int, gates: Gates) -> NDArray[np.complex128]:
    return dense.statevector(builder(qubits, gates, 0).finish(), ())


def test_states(door: Door, program: tuple[int, Gates]) -> None:
    found, wanted = door.state(*program), state_of(*program)
    assert abs(abs(np.vdot(found, wanted)) - 1) < 1e-10  # PennyLane's gates have phases of their own
    assert np.abs(np.abs(found) - np.abs(wanted)).max() < 1e-10


def test_expectation_values(door: Door, program: tuple[int, Gates]) -> None:
    terms = paulis(program[0])
    wanted = dense.expectation(state_of(*program), as_terms(terms))
    assert abs(door.expectation(*program, terms) - wanted) < 1e-10


def test_counts(door: Door, program: tuple[int, Gates]) -> None:
    found = door.counts(*program)
    assert sum(found.values()) == SHOTS
    assert apart(found, np.abs(state_of(*program)) ** 2) < 0.03


def test_sweeps(door: Door) -> None:
    angles = np.linspace(-3, 3, 37)
    assert np.abs(door.sweep(angles) - np.cos(angles / 2)).max() < 1e-10  # <ZZ> after the cx is <Z> of qubit 1 before


def test_feed_forward(door: Door, endpoint: str) -> None:
    with qpi.connect(endpoint) as context:
        if not isinstance(door, PennyLane) and "dynamic" not in context.device("statevec").gates:
            pytest.skip("statevec runs no dynamic programs")
    found = door.feed_forward()
    assert sum(found.values()) == SHOTS
    one, flip = np.sin(0.5) ** 2, np.sin(0.25) ** 2
    wanted = np.array([(1 - one) * (1 - flip), (1 - one) * flip, one * flip, one * (1 - flip)])
    assert apart(found, wanted) < 0.02
