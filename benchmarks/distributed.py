"""One state vector on several MPI ranks, beside one process with as many threads: time, bytes, operations kept local.
Needs mpi4py and Open MPI's wheel (extra `cluster`)."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from circuits import Circuit, hea, pairs, qft, qv
from common import Figure, Target, from_child, interleave, parser, report, timed

from qfw import simenv
from qfw.program import PauliSum
from qfw.simenv.launch import mpiexec
from qfw.simenv.launch.mpiexec import Mpiexec

CIRCUITS = {"qv": qv, "hea": hea, "qft": qft, "pairs": pairs}
GOAL = 1.2  # times one process with as many threads


def observable(circuit: Circuit) -> PauliSum:
    """Small, so that evolving the state is what takes the time."""
    return PauliSum([(1.0, "Z", [0]), (1.0, "Z", [circuit.qubits - 1])])


def one_process(options: argparse.Namespace, threads: int) -> dict[str, Figure]:
    cases = {}
    for qubits in options.qubits:
        for name in options.circuits:
            circuit = CIRCUITS[name](qubits)
            program, sums = circuit.program(), [observable(circuit)]
            cases[f"{name} n={qubits} {threads}T"] = timed(
                lambda program=program, sums=sums: simenv.simulate(program, observables=sums, threads=threads)
            )
    return interleave(cases, options.repetitions)


def on_ranks(options: argparse.Namespace) -> None:
    """What every rank of a job does; rank 0 prints figures and what was exchanged."""
    from mpi4py import MPI

    from qfw.simenv.distributed import Leader, Request, follow

    comm = MPI.COMM_WORLD
    if comm.rank != 0:
        return follow(comm, threads=1)
    cases, traffic = {}, {}
    with Leader(comm, threads=1) as leader:
        for qubits in options.qubits:
            for name in options.circuits:
                circuit = CIRCUITS[name](qubits)
                program, request = circuit.program(), Request(observables=[observable(circuit)])
                key = f"{name} n={qubits} {comm.size} ranks"
                cases[key] = timed(lambda program=program, request=request: leader.run(program, request))
                said = leader.run(program, request).traffic
                # The bound: the whole state each time that a window needs a qubit from another rank.
                bound = said.exchanges * 16 * 2**qubits
                traffic[key] = {**vars(said), "local_share": said.local_share, "bytes_bound": bound}
        figures = interleave(cases, options.repetitions)
    print(json.dumps(traffic))
    from_child(figures)


def job(mpi: Mpiexec, ranks: int, arguments: list[str]) -> tuple[dict[str, Figure], dict[str, Any]]:
    done = subprocess.run(
        mpi.command(ranks, [sys.executable, str(Path(__file__).resolve()), "--child", *arguments]),
        env=os.environ | mpi.env(),
        check=True,
        stdout=subprocess.PIPE,
    )
    traffic, seconds = (json.loads(line) for line in done.stdout.splitlines()[-2:])
    return {name: Figure(tuple(values)) for name, values in seconds.items()}, traffic


def main() -> None:
    options = parser(__doc__, 3)
    options.add_argument("--qubits", type=int, nargs="+", default=[20, 22, 24])
    options.add_argument("--ranks", type=int, nargs="+", default=[1, 2, 4])
    options.add_argument("--circuits", nargs="+", default=list(CIRCUITS), choices=list(CIRCUITS))
    options.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.child:
        return on_ranks(chosen)
    mpi = mpiexec.find()
    if mpi is None:
        raise SystemExit(f"needs mpi4py and an mpiexec: {mpiexec.HOW}")
    figures: dict[str, Figure] = {}
    traffic: dict[str, Any] = {}
    arguments = ["--repetitions", str(chosen.repetitions), "--qubits", *map(str, chosen.qubits)]
    for ranks in chosen.ranks:
        figures |= one_process(chosen, ranks)
        found, said = job(mpi, ranks, [*arguments, "--circuits", *chosen.circuits])
        figures |= found
        traffic |= said
    mpi.close()
    ratios = {
        name: figure.best / figures[name.replace(" ranks", "T")].best
        for name, figure in figures.items()
        if name.endswith("ranks")
    }
    largest = max(chosen.qubits)  # small states are not for ranks
    targets = [
        Target(f"{name}: times one process with as many threads", ratio, GOAL, "x")
        for name, ratio in ratios.items()
        if largest >= 24 and f"n={largest} 2 ranks" in name
    ]
    report("distributed", figures, targets, chosen.output, times_one_process=ratios, traffic=traffic)


if __name__ == "__main__":
    main()
