"""Sweeps: one task of 10,000 rows with expectation values, embedded and by the daemon, beside the batches of others."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import peers
from circuits import Circuit, ising_terms
from common import Target, interleave, local_run, parser, report, timed
from numpy.typing import NDArray

from qfw import qpi

PEER_ROWS = 100  # theirs take longer, in proportion


def ansatz(n: int) -> Circuit:
    circuit = Circuit(n)
    for _ in range(2):
        for q in range(n):
            circuit.add("ry", q, angle=0.0)
        for q in range(n - 1):
            circuit.add("cx", q, q + 1)
    return circuit


def ours(endpoint: str, n: int, bindings: NDArray[np.float64]) -> Callable[[], Any]:
    mesh = qpi.connect(endpoint).mesh("statevec")
    program = ansatz(n).program(parametric=True)
    cost = qpi.PauliSum(ising_terms(n))

    def run() -> NDArray[np.float64]:
        task = qpi.Task(program, bindings=bindings, outputs=["expectations"], observables=[cost])
        return mesh.run(task).expectations

    return run


def aer_estimator(n: int, bindings: NDArray[np.float64]) -> Callable[[], Any] | None:
    """One PUB with all rows."""
    try:
        from qiskit import QuantumCircuit
        from qiskit.circuit import ParameterVector
        from qiskit.quantum_info import SparsePauliOp
        from qiskit_aer.primitives import EstimatorV2
    except ImportError:
        print("no qiskit-aer: it is not installed", file=sys.stderr)
        return None
    made = QuantumCircuit(n)
    circuit = ansatz(n)
    theta = iter(ParameterVector("theta", len(circuit.angles())))
    for gate in circuit.gates:
        getattr(made, gate.name)(*([] if gate.angle is None else [next(theta)]), *gate.qubits)
    cost = SparsePauliOp.from_sparse_list([(p, q, c) for c, p, q in ising_terms(n)], num_qubits=n)
    estimator = EstimatorV2()
    return lambda: estimator.run([(made, cost, bindings)]).result()[0].data.evs


def repeated(run: Callable[[], Any]) -> Callable[[], None]:
    def many() -> None:
        for _ in range(PEER_ROWS):
            run()

    return many


def main() -> None:
    options = parser(__doc__, 3)
    options.add_argument("--qubits", type=int, nargs="+", default=[3, 5, 10])
    options.add_argument("--rows", type=int, default=10_000)
    chosen = options.parse_args()
    rng = np.random.default_rng(1)
    cases: dict[str, Callable[[], float]] = {}
    with local_run() as endpoint:
        for n in chosen.qubits:
            bindings = rng.uniform(-3, 3, (chosen.rows, 2 * n))
            few = bindings[:PEER_ROWS]
            cases[f"n={n} qfw, embedded"] = timed(ours("embedded", n, bindings), chosen.rows)
            cases[f"n={n} qfw, daemon"] = timed(ours(endpoint, n, bindings), chosen.rows)
            if (estimator := aer_estimator(n, few)) is not None:
                cases[f"n={n} Aer EstimatorV2"] = timed(estimator, len(few))
            if (one := peers.lightning(ansatz(n))) is not None:
                cases[f"n={n} lightning device.execute"] = timed(repeated(one), PEER_ROWS)
            if (single := peers.qulacs(ansatz(n))) is not None:
                cases[f"n={n} qulacs, state alone"] = timed(repeated(single), PEER_ROWS)
        figures = interleave(cases, chosen.repetitions)
    targets = [
        Target(f"{name}, per row", 1e6 * figure.best, 5.0, "us")
        for name, figure in figures.items()
        if name.startswith("n=3 qfw")
    ]
    report("sweep", figures, targets, chosen.output, rows=chosen.rows)


if __name__ == "__main__":
    main()
