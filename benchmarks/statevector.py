"""State vectors: circuits x sizes x threads, in double and single precision, beside the peers that are installed."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import peers
from circuits import CIRCUITS
from common import Figure, Target, from_child, in_child, interleave, parser, report, timed

from qfw import simenv

# Ratio to the best peer of the same precision, one thread and n = 20 (qsim for single precision).
GOALS = {"qv": 3.6, "hea": 2.1, "qft": 4.7, "qaoa": 1.7, "tfim": 1.8}


def cases_of(name: str, qubits: int, threads: int) -> dict[str, Callable[[], float]]:
    circuit = CIRCUITS[name](qubits)
    program = circuit.program()
    runs: dict[str, Callable[[], Any] | None] = {
        "qfw": lambda: simenv.simulate(program, statevector=True, threads=threads),
        "qfw single": lambda: simenv.simulate(program, statevector=True, threads=threads, precision="single"),
        "aer": peers.aer(circuit),
        "aer single": peers.aer(circuit, "single"),
        "lightning": peers.lightning(circuit),
        "kokkos": peers.lightning(circuit, "lightning.kokkos"),
        "qulacs": peers.qulacs(circuit),
        "qsim single": peers.qsim(circuit),
    }
    return {f"{name} n={qubits} {threads}T {who}": timed(run) for who, run in runs.items() if run is not None}


def child(options: argparse.Namespace) -> None:
    figures: dict[str, Figure] = {}
    for qubits in options.qubits:
        for name in options.circuits:
            figures |= interleave(cases_of(name, qubits, options.child), options.repetitions)
    from_child(figures)


def ratios(figures: dict[str, Figure]) -> dict[str, float]:
    """How many times faster than the best peer of the same precision."""
    best: dict[str, float] = {}
    for name, figure in figures.items():
        case, _, who = name.rpartition("T ")
        if not who.startswith("qfw"):
            key = f"{case}T" + (" single" if who.endswith("single") else "")
            best[key] = min(best.get(key, float("inf")), figure.best)
    return {key: value / figures[ours(key)].best for key, value in best.items()}


def ours(key: str) -> str:
    case = key.removesuffix(" single")
    return f"{case} qfw" + key[len(case) :]


def main() -> None:
    options = parser(__doc__, 2)
    options.add_argument("--qubits", type=int, nargs="+", default=[16, 20])
    options.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    options.add_argument("--circuits", nargs="+", default=list(CIRCUITS), choices=list(CIRCUITS))
    options.add_argument("--child", type=int, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.child:
        return child(chosen)
    figures: dict[str, Figure] = {}
    arguments = ["--repetitions", chosen.repetitions, "--qubits", *chosen.qubits, "--circuits", *chosen.circuits]
    for threads in chosen.threads:
        figures |= in_child(__file__, threads, arguments)
    found = ratios(figures)
    targets = [
        Target(f"{name}, 20 qubits, 1 thread: times faster than the best peer", found[key], goal, "x", lower=False)
        for name, goal in GOALS.items()
        if (key := f"{name} n=20 1T") in found
    ]
    report("statevector", figures, targets, chosen.output, times_faster_than_best_peer=found)


if __name__ == "__main__":
    main()
