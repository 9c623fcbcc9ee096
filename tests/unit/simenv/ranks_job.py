"""Run by every rank of a job of test_distributed.py: the cases, each compared on rank 0 with one process.

Rank 0 prints one JSON line: per case, the largest difference found, or what was asked for.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

import circuits
import dynamic_programs
from mpi4py import MPI

from qfw import simenv
from qfw.program import Affine, Builder, PauliSum, Program
from qfw.program.errors import QfwError
from qfw.qpm.plugin import Task
from qfw.qpm.plugins.statevec.ranks import RanksExecutor
from qfw.simenv import distributed
from qfw.simenv.distributed import Leader, Request, follow
from qfw.simenv.ranks import CANCELLED, GO_ON, Voice

Result = dict[str, Any]


def difference(leader: Leader, program: Program, request: Request) -> float:
    """The largest difference to one process; infinite where shots or names differ."""
    ours = leader.run(program, request).arrays
    theirs = simenv.simulate(program, row=request.row, **request.arguments())
    assert sorted(ours) == sorted(theirs), (sorted(ours), sorted(theirs))
    worst = 0.0
    for name, expected in theirs.items():
        found = ours[name]
        assert found.shape == expected.shape, (name, found.shape, expected.shape)
        if name in ("counts", "count_keys", "memory"):
            worst = max(worst, 0.0 if np.array_equal(found, expected) else float("inf"))
        elif found.size:
            worst = max(worst, float(np.abs(found - expected).max()))
    return worst


def random_sum(rng: np.random.Generator, qubits: int, terms: int) -> PauliSum:
    """Terms of all weights; some share what they flip, and one flips every qubit."""
    made: list[tuple[float, str, list[int]]] = [(0.3, "", []), (0.7, "X" * qubits, list(range(qubits)))]
    for _ in range(terms):
        width = int(rng.integers(1, qubits + 1))
        where = [int(q) for q in rng.permutation(qubits)[:width]]
        made.append((float(rng.normal()), "".join(rng.choice(list("XYZ"), width)), where))
    flips = [int(q) for q in rng.permutation(qubits)[:2]]
    for q in range(qubits):
        made.append((float(rng.normal()), "".join("Y" if p == q else "X" for p in flips), flips))
        if q not in flips:
            made.append((float(rng.normal()), "XXZ", [*flips, q]))
    return PauliSum(made)


def unitary_circuits(leader: Leader) -> Iterator[float]:
    for seed, qubits in enumerate((5, 6, 7, 8, 9, 10, 11, 12, 13)):
        program, row = circuits.random_circuit(seed, qubits, 60).build(parametric=seed % 2 == 1)
        yield difference(leader, program, Request(row=row, statevector=True))


def expectation_values(leader: Leader) -> Iterator[float]:
    for seed, qubits in enumerate((5, 7, 10, 12)):
        rng = np.random.default_rng(seed)
        program, row = circuits.random_circuit(seed + 20, qubits, 50).build()
        sums = [random_sum(rng, qubits, 12), random_sum(rng, qubits, 3), PauliSum([(1.0, "Z", [qubits - 1])])]
        yield difference(leader, program, Request(row=row, observables=sums))


def gradients(leader: Leader) -> Iterator[float]:
    for seed, qubits in enumerate((5, 6, 9, 12)):
        rng = np.random.default_rng(seed)
        program, row = circuits.random_circuit(seed + 40, qubits, 50).build(parametric=True)
        sums = [random_sum(rng, qubits, 5) for _ in range(4)]
        yield difference(leader, program, Request(row=row, observables=sums, gradients=True, statevector=seed == 1))
        some = tuple(range(0, len(row), 3))
        yield difference(
            leader, program, Request(row=row, observables=sums[:1], gradients=True, gradient_parameters=some)
        )


def shots(leader: Leader) -> Iterator[float]:
    for seed, (qubits, number) in enumerate(((5, 5000), (6, 20), (9, 3000), (12, 1), (13, 4096))):
        program, row = circuits.random_circuit(seed + 60, qubits, 40).build(measure=True)
        yield difference(leader, program, Request(row=row, shots=number, seed=seed, counts=True, memory=True))


def probabilities(leader: Leader) -> Iterator[float]:
    for seed, qubits in enumerate((5, 8, 11)):
        program, row = circuits.random_circuit(seed + 80, qubits, 40).build()
        yield difference(leader, program, Request(row=row, probabilities=True))
        yield difference(
            leader, program, Request(row=row, probabilities=True, probability_qubits=(qubits - 1, 0, qubits - 2))
        )


def measured_in_the_middle(qubits: int, seed: int) -> tuple[Program, list[float]]:
    rng = np.random.default_rng(seed)
    builder = Builder(qubits, qubits)
    for q in range(qubits):
        builder.gate("h", [q])
    for at in range(40):
        step = circuits.random_step(rng, qubits, ["cx", "ry", "cz", "rzz", "swap", "u3", "ccx", "x"])
        builder.gate(step.name, step.qubits, list(step.params), controls=step.controls)
        if at % 8 == 5:
            q = int(rng.integers(qubits - 3, qubits))
            if at % 16 == 5:
                builder.measure(q, int(rng.integers(qubits)))
            else:
                builder.reset(q)
    builder.measure(qubits - 1, 0)
    return builder.finish(), []


def branches(leader: Leader) -> Iterator[float]:
    for seed, qubits in enumerate((5, 7, 9, 12)):
        program, row = measured_in_the_middle(qubits, seed)
        yield difference(leader, program, Request(row=row, shots=500, seed=seed, counts=True, memory=True))
        yield difference(
            leader,
            program,
            Request(row=row, probabilities=True, observables=[random_sum(np.random.default_rng(seed), qubits, 5)]),
        )


def dynamic(leader: Leader) -> Iterator[float]:
    dynamic_programs.QUBITS = 7
    for seed in range(8):
        program = dynamic_programs.random_program(seed)
        yield difference(leader, program, Request(row=[0.7], shots=300, seed=seed, counts=True, memory=True))


def single_precision(leader: Leader) -> Iterator[float]:
    for seed, qubits in enumerate((6, 11)):
        program, row = circuits.random_circuit(seed + 90, qubits, 40).build()
        yield difference(leader, program, Request(row=row, statevector=True, precision="single"))


def windows(leader: Leader) -> Iterator[float]:
    """Slices of several windows, and of several blocks."""
    program, row = circuits.random_circuit(7, 18, 120).build(parametric=True, measure=True)
    sums = [random_sum(np.random.default_rng(1), 18, 6)]
    yield difference(leader, program, Request(row=row, shots=2000, seed=3, counts=True, observables=sums))
    yield difference(leader, program, Request(row=row, statevector=True, probabilities=True))
    yield difference(leader, program, Request(row=row, observables=sums, gradients=True))


def ladder(qubits: int) -> Program:
    builder = Builder(qubits, qubits)
    for q in range(qubits):
        builder.gate("ry", [q], [0.1 + q])
    for q in range(qubits - 1):
        builder.gate("cp", [q, q + 1], [0.3])
    for q in range(qubits):
        builder.gate("rx", [q], [0.2 + q])
    return builder.finish()


def few_exchanges(leader: Leader) -> Result:
    """Two layers on every qubit: the first needs one exchange or none, the second one more."""
    t = leader.run(ladder(12), Request(observables=[PauliSum([(1.0, "Z", [0])])])).traffic
    return {**vars(t), "share": t.local_share}


def few_qubits(leader: Leader) -> Result:
    builder = Builder(2, 2)
    builder.gate("h", [0])
    builder.gate("cx", [0, 1])
    program = builder.finish()
    out = leader.run(program, Request(statevector=True))
    return {"ranks": out.traffic.ranks, "state": [float(v) for v in np.abs(out.arrays["statevector"])]}


def errors(leader: Leader) -> Result:
    """Each is raised, and the job goes on."""
    builder = Builder(6)
    parameter = builder.parameter()
    for q in range(6):
        builder.gate("rx", [q], [Affine(parameter)])
        builder.gate("cx", [q, (q + 1) % 6])
    program = builder.finish()
    asked = iter([GO_ON])
    attempts: dict[str, Callable[[], object]] = {
        "row": lambda: leader.run(program, Request(statevector=True)),
        "memory": lambda: leader.run(Builder(39).finish(), Request(observables=[PauliSum([(1.0, "Z", [0])])])),
        "cancelled": lambda: leader.run(program, Request(row=[0.1], statevector=True), lambda: next(asked, CANCELLED)),
    }
    said = {}
    for name, attempt in attempts.items():
        try:
            attempt()
        except QfwError as error:
            said[name] = f"{type(error).__name__}: {error}"
    return {"said": said, "after": difference(leader, program, Request(row=[0.4], statevector=True))}


def served(leader: Leader) -> Iterator[float]:
    """By the executor that serves tasks, on a thread of its own."""
    executor = RanksExecutor(leader)
    for seed, outputs in enumerate(({"counts", "memory"}, {"expectations", "gradients"}, {"probabilities"})):
        program, row = circuits.random_circuit(seed + 70, 8, 40).build(parametric=True, measure=True)
        bindings = np.array([row, [0.5 * v for v in row]])
        sums = (random_sum(np.random.default_rng(seed), 8, 4),)
        task = Task(
            program=program,
            bindings=bindings,
            shots=200,
            outputs=frozenset(outputs),
            qubits=(),
            observables=sums,
            gradient_parameters=(),
            seed=9,
            first_row=5,
            options={"precision": "double", "max_steps": 1000},
        )
        with ThreadPoolExecutor(1) as thread:
            (rows,) = thread.submit(executor.run, [task]).result()
        assert not isinstance(rows, QfwError), rows
        for index, found in enumerate(rows):
            request = Request(
                row=bindings[index],
                shots=200,
                seed=simenv.derive_seed(9, 5 + index),
                observables=sums if "gradients" in outputs else (),
                **dict.fromkeys(outputs - {"expectations"}, True),
            )
            expected = simenv.simulate(program, row=request.row, **request.arguments())
            assert outputs <= expected.keys()
            yield max(float(np.abs(getattr(found, name) - value).max()) for name, value in expected.items())


NUMBERS = (
    unitary_circuits,
    expectation_values,
    gradients,
    shots,
    probabilities,
    branches,
    dynamic,
    single_precision,
    windows,
    served,
)
RESULTS = (few_exchanges, few_qubits, errors)


def ill_in_the_middle(leader: Leader) -> Result:
    for number in range(1000):
        leader.run(ladder(10), Request(statevector=True))
        if number == 3:
            print("running", flush=True)
    return {}


def all_cases(leader: Leader) -> Result:
    found: Result = {}
    for case in NUMBERS:
        found[case.__name__] = max(case(leader))
    for other in RESULTS:
        found[other.__name__] = other(leader)
    return found


class Ill(Voice):
    """Says something for the last time, somewhere in the middle of a run."""

    calls = 0

    def all_gather(self, values: Any) -> Any:
        Ill.calls += 1
        if Ill.calls == 100 and sys.argv[1] == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if Ill.calls == 100:
            raise MemoryError("of this rank alone")
        return super().all_gather(values)


def main() -> None:
    """Arguments: "cases"; or "die" or "fail" and the rank that does."""
    comm, what = MPI.COMM_WORLD, sys.argv[1]
    if what != "cases" and comm.rank == int(sys.argv[2]):
        distributed.Voice = Ill  # type: ignore[misc]
    threads = 4 // comm.size
    if comm.rank != 0:
        return follow(comm, threads)
    with Leader(comm, threads) as leader:
        print(json.dumps(all_cases(leader) if what == "cases" else ill_in_the_middle(leader)), flush=True)


if __name__ == "__main__":
    main()
