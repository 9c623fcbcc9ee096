"""The paper's application: VQLS on every rank, each from a start of its own; rank 0 prints the best solution.

Each rank has its own context. Without MPI, or outside of Slurm, it is one rank.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pennylane as qml

from qfw import qpi

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples" / "vqls"))
from algorithm import Solver
from problems import ising

EVALUATIONS = 12  # of the cost, 72 circuits each


def main() -> None:
    if "SLURM_PROCID" in os.environ:
        from mpi4py import MPI

        rank, gather = MPI.COMM_WORLD.rank, MPI.COMM_WORLD.gather
    else:
        rank, gather = 0, lambda one: [one]
    problem = ising()
    device = qml.device("qfw.device", wires=problem.wires + 1, seed=rank)
    solver = Solver(problem, device)
    history = solver.run("cobyla", EVALUATIONS, seed=rank)
    with qpi.connect() as context:
        where = context.endpoint
    found = gather((history.best, solver.solution(history.weights), solver.circuits, where))
    if found is None:  # another rank prints
        return
    best, solution, _, _ = min(found, key=lambda f: f[0])
    residual = np.linalg.norm(problem.matrix() @ solution - problem.b)
    print(f"{len(found)} ranks, {sum(f[2] for f in found)} circuits, run by {', '.join(sorted({f[3] for f in found}))}")
    print(f"VQLS solution, cost {best:.1e}, residual {residual:.1e}:")
    print("  i      VQLS     exact")
    for i, (x, y) in enumerate(zip(solution, problem.exact(), strict=True)):
        print(f"{i:3d}  {x:8.4f}  {y:8.4f}")


if __name__ == "__main__":
    main()
