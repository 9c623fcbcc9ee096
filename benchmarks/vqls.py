"""VQLS: 72 QNode calls one after another, one evaluation of the cost. lightning.qubit, qfw embedded, qfw by its daemon.

The cost is taken at plain numbers (as COBYLA does) and at trainable ones (as gradient descent does), where PennyLane
prepares for gradients. qiskit.remote runs in its own environment, .venv-a, when that is there.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # more threads only cost lightning time on 4 qubits

from common import ROOT, Figure, Target, interleave, local_run, parser, report, timed

sys.path.insert(0, str(ROOT / "examples/vqls"))

import numpy as np
import pennylane as qml
from algorithm import Solver
from pennylane import numpy as pnp
from problems import ising

CIRCUITS = 72
WEIGHTS = {"plain": np.array([0.1, 0.2, 0.3]), "trainable": pnp.array([0.1, 0.2, 0.3], requires_grad=True)}


def cases(device: Any, name: str, shots: int | None = None) -> dict[str, Callable[[], float]]:
    """One case for each kind of number."""
    solver = Solver(ising(), device, shots)
    return {f"{name}, {kind}": timed(lambda w=w: solver.cost(w), CIRCUITS) for kind, w in WEIGHTS.items()}


def qiskit_remote(repetitions: int) -> dict[str, Figure]:
    """The same circuits by qiskit.remote, run by this file in .venv-a."""
    python = ROOT / ".venv-a/bin/python"
    if not python.exists():
        print(f"no qiskit.remote: {python} is not there (scripts/dev/setup-a makes it)", file=sys.stderr)
        return {}
    done = subprocess.run(
        [python, __file__, "--qiskit-remote", "--repetitions", str(min(repetitions, 3))],
        check=False,
        stdout=subprocess.PIPE,
        env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
    )
    if done.returncode != 0:
        print(
            f"no qiskit.remote: it ended with status {done.returncode}; after a change of C++: scripts/dev/setup-a",
            file=sys.stderr,
        )
        return {}
    return {name: Figure(tuple(values)) for name, values in json.loads(done.stdout).items()}


def run_qiskit_remote(repetitions: int) -> None:
    """In .venv-a: prints the repetitions."""
    from qfw_qiskit import QFWBackend, QFWBackendCapability, QFWBackendType

    backend = QFWBackend(
        betype=QFWBackendType.QFW_TYPE_NWQSIM,
        capability=QFWBackendCapability.QFW_CAP_STATEVECTOR,
        endpoint="embedded",
    )
    found = cases(qml.device("qiskit.remote", wires=4, backend=backend), "qiskit.remote, 1000 shots", 1000)
    figures = interleave({k: v for k, v in found.items() if "plain" in k}, repetitions, warm_up=0)
    print(json.dumps({name: figure.seconds for name, figure in figures.items()}))


def main() -> None:
    options = parser(__doc__, 15)
    options.add_argument("--qiskit-remote", action="store_true", help="only that, for the run in .venv-a")
    chosen = options.parse_args()
    if chosen.qiskit_remote:
        run_qiskit_remote(chosen.repetitions)
        return
    with local_run() as endpoint:
        embedded = qml.device("qfw.device", wires=4, endpoint="embedded")
        daemon = qml.device("qfw.device", wires=4, endpoint=endpoint)
        figures = interleave(
            {
                **cases(qml.device("lightning.qubit", wires=4), "lightning.qubit"),
                **cases(embedded, "qfw embedded"),
                **cases(daemon, "qfw daemon"),
            },
            chosen.repetitions,
        )
        split = {name: split_of(device) for name, device in (("embedded", embedded), ("daemon", daemon))}
        daemon.close()
    targets = [
        Target(f"{place}, {kind}, over lightning.qubit (medians)", ratio(figures, place, kind), goal, "x")
        for place, goal in (("qfw embedded", 1.0), ("qfw daemon", 1.25))
        for kind in WEIGHTS
    ]
    figures |= qiskit_remote(chosen.repetitions)
    report("vqls", figures, targets, chosen.output, split_us=split, circuits=CIRCUITS)


def ratio(figures: dict[str, Figure], place: str, kind: str) -> float:
    """Median over lightning's median."""
    return figures[f"{place}, {kind}"].median / figures[f"lightning.qubit, {kind}"].median


def split_of(device: Any) -> dict[str, float]:
    """Mean microseconds of a circuit, by part."""
    parts = ("convert", "tools", "transfer", "queue", "dispatch", "execute", "return")
    return {p: float(np.mean([getattr(e.timing, f"{p}_ns") / 1000 for e in device.timings])) for p in parts}


if __name__ == "__main__":
    main()
