"""Start-up: importing qfw.qpi, the first embedded result of a fresh process, a daemon that is ready, beside peers."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import time
from collections.abc import Callable

from common import Target, interleave, local_run, parser, report, timed

NOTHING = "pass"
IMPORT = "from qfw import qpi"
FIRST = """
from qfw import qpi
b = qpi.Builder(2, 2)
b.gate("h", [0])
b.gate("cx", [0, 1])
b.measure(0, 0)
b.measure(1, 1)
with qpi.connect("embedded") as context:
    assert sum(context.mesh("statevec").run(qpi.Task(b.finish(), shots=100)).counts.values()) == 100
"""
PENNYLANE = """
import pennylane as qml
device = qml.device("lightning.qubit", wires=2)
with qml.tape.QuantumTape() as tape:
    qml.Hadamard(0); qml.CNOT([0, 1]); qml.expval(qml.PauliZ(0))
device.execute(tape)
"""
AER = """
from qiskit import QuantumCircuit
from qiskit_aer import AerSimulator
c = QuantumCircuit(2, 2)
c.h(0); c.cx(0, 1); c.measure([0, 1], [0, 1])
AerSimulator().run(c, shots=100).result().get_counts()
"""


def process(code: str) -> Callable[[], None]:
    """A fresh interpreter that runs `code`, from its start to its end."""

    def run() -> None:
        subprocess.run([sys.executable, "-c", code], check=True)

    return run


def daemon_ready() -> float:
    """Until a client may connect (a daemon with all plugins that are installed); its end is not counted."""
    started = time.perf_counter()
    with local_run():
        return time.perf_counter() - started


def main() -> None:
    chosen = parser(__doc__, 5).parse_args()
    cases: dict[str, Callable[[], float]] = {
        "python alone": timed(process(NOTHING)),
        "import qfw.qpi": timed(process(IMPORT)),
        "first embedded result": timed(process(FIRST)),
        "daemon ready": daemon_ready,
    }
    for name, module, code in (("lightning", "pennylane_lightning", PENNYLANE), ("aer", "qiskit_aer", AER)):
        if importlib.util.find_spec(module) is None:
            print(f"no {module}: it is not installed", file=sys.stderr)
        else:
            cases[f"first result of {name}"] = timed(process(code))
    figures = interleave(cases, chosen.repetitions)
    targets = [Target("daemon ready", figures["daemon ready"].best, 2.0, "s")]
    report("startup", figures, targets, chosen.output)


if __name__ == "__main__":
    main()
