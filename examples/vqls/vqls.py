"""VQLS on PennyLane's lightning.qubit, on qfw, or on qfw through Qiskit: one program, the device is an option.

python vqls.py --device qfw.device --problem poisson --optimizer cobyla --output results
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import pennylane as qml
from algorithm import History, Solver
from problems import PROBLEMS
from report import DeviceLog, Report

DEVICES = ("lightning.qubit", "qfw.device", "qiskit.remote")
NO_PENNYLANE_QISKIT = """\
--device qiskit.remote needs the package pennylane-qiskit==0.45.0, whose pins do not go with the newest Qiskit.
scripts/dev/setup-a makes an environment of its own for it:
    scripts/dev/setup-a
    .venv-a/bin/python examples/vqls/vqls.py --device qiskit.remote"""


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Variational quantum linear solver.")
    parser.add_argument("--device", choices=DEVICES, default="qfw.device")
    parser.add_argument("--qfw-device", default="statevec", help="qfw's device under qfw.device (default: statevec)")
    parser.add_argument("--problem", choices=PROBLEMS, default="ising")
    parser.add_argument("--optimizer", choices=("cobyla", "gd"), default="cobyla")
    parser.add_argument("--iterations", type=int, help="evaluations (cobyla) or steps (gd); default: by problem")
    parser.add_argument("--shots", type=int, help="default: exact expectation values (qiskit.remote: 1024)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--endpoint", help="qfw endpoint; default: the current run, else embedded")
    parser.add_argument("--output", type=Path, help="directory for vqls.json and vqls.png")
    return parser.parse_args(arguments)


def make_device(options: argparse.Namespace, wires: int) -> Any:
    """The PennyLane device: the one line that differs."""
    if options.device == "lightning.qubit":
        return qml.device("lightning.qubit", wires=wires, seed=options.seed)
    if options.device == "qfw.device":
        return qml.device(
            "qfw.device", wires=wires, device=options.qfw_device, seed=options.seed, endpoint=options.endpoint
        )
    try:
        import pennylane_qiskit  # noqa: F401
    except ImportError:
        raise SystemExit(NO_PENNYLANE_QISKIT) from None
    from qfw_qiskit import QFWBackend, QFWBackendCapability, QFWBackendType

    backend = QFWBackend(
        betype=QFWBackendType.QFW_TYPE_NWQSIM,
        capability=QFWBackendCapability.QFW_CAP_STATEVECTOR,
        endpoint=options.endpoint,
    )
    options.shots = options.shots or 1024
    return qml.device("qiskit.remote", wires=wires, backend=backend)


def show_progress(log: DeviceLog) -> Any:
    """A line that is rewritten on a terminal, and a line now and then elsewhere."""
    shown = 0.0

    def show(history: History) -> None:
        nonlocal shown
        now = time.perf_counter()
        live = sys.stderr.isatty()
        if now - shown < (0.1 if live else 2.0) and len(history.cost) > 1:
            return
        shown = now
        line = (
            f"iteration {len(history.cost):4d}  cost {history.cost[-1]:.3e}  best {history.best:.3e}"
            f"  circuits {log.circuits:6d}  {history.seconds[-1]:7.2f} s"
        )
        print(f"\r{line}" if live else line, end="" if live else "\n", file=sys.stderr, flush=True)

    return show


def main(arguments: list[str] | None = None) -> int:
    """Runs the example; 130 when Ctrl-C ended the search early."""
    options = parse(arguments)
    problem = PROBLEMS[options.problem]()
    if options.iterations is None:
        options.iterations = problem.evaluations if options.optimizer == "cobyla" else problem.steps
    device = make_device(options, problem.wires + 1)
    log = DeviceLog(device)
    solver = Solver(problem, device, options.shots)
    history = solver.run(options.optimizer, options.iterations, options.seed, show_progress(log))
    if sys.stderr.isatty():
        print(file=sys.stderr)
    report = Report(options, problem, history, solver.solution(history.weights), log)
    print(report.text())
    if options.output:
        for path in report.save(options.output):
            print(f"wrote {path}")
    return 130 if history.interrupted else 0


if __name__ == "__main__":
    sys.exit(main())
