"""Gradients of a variational ansatz with the Ising chain as its cost, by adjoint methods: ours beside others."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import peers
from circuits import hea, ising_terms
from common import Figure, Target, from_child, in_child, interleave, parser, report, timed

from qfw import simenv

GOALS = {16: 5.0, 20: 5.5}  # times faster than lightning.qubit


def cases_of(qubits: int, threads: int) -> dict[str, Callable[[], float]]:
    circuit, cost = hea(qubits), ising_terms(qubits)
    program, row = circuit.program(parametric=True), circuit.angles()

    def ours(precision: str) -> Callable[[], Any]:
        return lambda: simenv.simulate(
            program, row=row, observables=[cost], gradients=True, threads=threads, precision=precision
        )

    runs: dict[str, Callable[[], Any] | None] = {
        "qfw": ours("double"),
        "qfw single": ours("single"),
        "lightning": peers.lightning_adjoint(circuit, cost),
        "kokkos": peers.lightning_adjoint(circuit, cost, "lightning.kokkos"),
        "qulacs": peers.qulacs_backprop(circuit, cost),
    }
    return {f"n={qubits} {threads}T {who}": timed(run) for who, run in runs.items() if run is not None}


def child(options: argparse.Namespace) -> None:
    figures: dict[str, Figure] = {}
    for qubits in options.qubits:
        figures |= interleave(cases_of(qubits, options.child), options.repetitions)
    from_child(figures)


def main() -> None:
    options = parser(__doc__, 3)
    options.add_argument("--qubits", type=int, nargs="+", default=[10, 16, 20])
    options.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    options.add_argument("--child", type=int, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.child:
        return child(chosen)
    figures: dict[str, Figure] = {}
    arguments = ["--repetitions", chosen.repetitions, "--qubits", *chosen.qubits]
    for threads in chosen.threads:
        figures |= in_child(__file__, threads, arguments)
    ratios = {
        name.removesuffix(" lightning"): figure.best / figures[name.replace("lightning", "qfw")].best
        for name, figure in figures.items()
        if name.endswith("lightning")
    }
    targets = [
        Target(f"{n} qubits, 1 thread: times faster than lightning", ratios[key], goal, "x", lower=False)
        for n, goal in GOALS.items()
        if (key := f"n={n} 1T") in ratios
    ]
    report("gradient", figures, targets, chosen.output, times_faster_than_lightning=ratios)


if __name__ == "__main__":
    main()
