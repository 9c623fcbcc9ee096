"""Simulators as instances: their start, a circuit on a warm one beside one `prterun` per circuit, many circuits over 1,
2 and 4 of them, and their end."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from common import ROOT, Figure, Target, interleave, local_run, parser, report, timed

from qfw import qpi
from qfw.program import Program
from qfw.program.errors import NotFound
from qfw.qpm.plugins.nwqsim.installed import find
from qfw.simenv.launch import choose, openmpi
from qfw.simenv.launch.launcher import Node

QUBITS, SHOTS = 3, 100
LAYERS = 4
CALLS = 72  # circuits of one cost evaluation of VQLS
LAUNCHES = 5  # of prterun in one repetition
MANY = 2_000
INSTANCES = (1, 2, 4)


def stand_in(folder: Path) -> Path:
    """What the tests have in place of NWQ-Sim."""
    sys.path.append(str(ROOT / "tests/support"))
    return Path(importlib.import_module("nwq_qasm").install(folder))


def small(seed: int) -> Program:
    """A 3-qubit circuit, another for each seed."""
    builder = qpi.Builder(QUBITS, QUBITS)
    for layer in range(LAYERS):
        for q in range(QUBITS):
            builder.gate("ry", [q], [0.1 * (seed + layer + q)])
        for q in range(QUBITS - 1):
            builder.gate("cx", [q, q + 1])
    for q in range(QUBITS):
        builder.measure(q, q)
    return builder.finish()


def as_text(seed: int) -> str:
    """The same circuit as OpenQASM 2."""
    lines = ["OPENQASM 2.0;", f"qreg q[{QUBITS}];", f"creg c[{QUBITS}];"]
    for layer in range(LAYERS):
        lines += [f"ry({0.1 * (seed + layer + q):.12f}) q[{q}];" for q in range(QUBITS)]
        lines += [f"cx q[{q}],q[{q + 1}];" for q in range(QUBITS - 1)]
    return "\n".join([*lines, *(f"measure q[{q}] -> c[{q}];" for q in range(QUBITS)), ""])


def tasks(count: int) -> list[qpi.Task]:
    return [qpi.Task(small(i % 50), shots=SHOTS, seed=i) for i in range(count)]


@contextmanager
def instances(launcher: str, count: int, times: dict[str, list[float]], nwqsim: Path) -> Iterator[qpi.Context]:
    """A run with slots for `count` instances; `times` gets those of its set-up, first result and teardown."""
    started = time.perf_counter()
    with local_run("--launcher", launcher, "--slots", str(count), QFW_NWQSIM=str(nwqsim)) as endpoint:
        times["set-up to ready"].append(time.perf_counter() - started)
        with qpi.connect(endpoint) as context:
            started = time.perf_counter()
            context.mesh("statevec").run(tasks(1)[0])
            times["instance start, with a first result"].append(time.perf_counter() - started)
            yield context
        started = time.perf_counter()
    times["teardown"].append(time.perf_counter() - started)


def dvm_start() -> float:
    """Until a DVM of our own can be used; its end is not counted."""
    started = time.perf_counter()
    launcher = choose.launcher_named("prte", [Node("localhost", 2)])
    ready = time.perf_counter() - started
    launcher.close()
    return ready


def one_by_one(context: qpi.Context, device: str, count: int) -> Callable[[], float]:
    """Seconds per circuit, each sent when the one before has come back, as a variational program does."""
    mesh, todo = context.mesh(device), tasks(count)

    def work() -> None:
        for task in todo:
            assert sum(mesh.run(task).counts.values()) == SHOTS

    return timed(work, count)


def launched(prterun: Path, command: Callable[[int], list[str]]) -> Callable[[], float]:
    """Seconds per circuit with one `prterun` for each."""
    env = {**openmpi.TUNED, **openmpi.environment(prterun)}
    root = ["--allow-run-as-root"] if os.geteuid() == 0 else []

    def work() -> None:
        for i in range(LAUNCHES):
            argv = [str(prterun), *root, "-n", "1", *command(i)]
            subprocess.run(argv, env=env, check=True, stdout=subprocess.DEVNULL)

    return timed(work, LAUNCHES)


def per_circuit(context: qpi.Context, nwqsim: Path, folder: Path, repetitions: int) -> dict[str, Figure]:
    """Warm instances beside one launch per circuit, in turns."""
    for i in range(LAUNCHES):
        (folder / f"{i}.qasm").write_text(as_text(i))
    cases: dict[str, Callable[[], float]] = {
        "circuit: statevec, warm instance": one_by_one(context, "statevec", CALLS),
        "circuit: nwqsim, warm instance that launches it": one_by_one(context, "nwqsim", LAUNCHES),
    }
    arguments = ["--backend", "CPU", "--shots", str(SHOTS), "--random_seed", "1", "--qasm_file"]
    try:
        prterun = openmpi.find_program("prterun", "")
    except NotFound as error:
        print(f"one prterun per circuit left out: {error}", file=sys.stderr)
    else:
        cases["circuit: prterun of NWQ-Sim"] = launched(
            prterun, lambda i: [str(nwqsim), *arguments, str(folder / f"{i}.qasm")]
        )
        cases["circuit: prterun of nothing"] = launched(prterun, lambda i: ["true"])
    return interleave(cases, repetitions)


def scaling(launcher: str, times: dict[str, list[float]], nwqsim: Path, repetitions: int) -> dict[str, Figure]:
    """Seconds per circuit for many at once, over more and more instances: a run for each, in turns."""
    cases: dict[str, Callable[[], float]] = {}
    with ExitStack() as stack:
        for count in INSTANCES:
            mesh = stack.enter_context(instances(launcher, count, times, nwqsim)).mesh("statevec")
            cases[f"{MANY} circuits over {count} instances"] = timed(partial(mesh.run, tasks(MANY)), MANY)
        return interleave(cases, repetitions)


def targets(figures: Mapping[str, Figure]) -> list[Target]:
    warm = figures["circuit: statevec, warm instance"]
    many = [figures[f"{MANY} circuits over {count} instances"].best for count in INSTANCES]
    made = [
        Target("set-up to ready", figures["set-up to ready"].best, 2.0, "s"),
        Target("instance start, with a first result", figures["instance start, with a first result"].best, 0.3, "s"),
        Target("teardown", figures["teardown"].best, 1.0, "s"),
        Target("4 instances over 1, time", many[-1] / many[0], 1.1, "x"),
    ]
    if (case := "circuit: prterun of NWQ-Sim") in figures:
        made.append(Target("prterun of NWQ-Sim over a warm instance", figures[case].best / warm.best, 100, "x", False))
    return made


def main() -> None:
    chosen = parser(__doc__, 5).parse_args()
    named = os.environ.get("QFW_NWQSIM")
    launcher = choose.best([Node("localhost", 2)])
    times: dict[str, list[float]] = {"set-up to ready": [], "instance start, with a first result": [], "teardown": []}
    figures: dict[str, Figure] = {}
    if launcher == "prte":
        figures |= interleave({"DVM start": dvm_start}, chosen.repetitions)
    with tempfile.TemporaryDirectory(prefix="qfwb-") as folder:
        nwqsim = find().executable if named else stand_in(Path(folder))
        with instances(launcher, 2, times, nwqsim) as context:
            figures |= per_circuit(context, nwqsim, Path(folder), chosen.repetitions)
        figures |= scaling(launcher, times, nwqsim, chosen.repetitions)
    figures |= {name: Figure(tuple(seconds)) for name, seconds in times.items()}
    report(
        "cluster", figures, targets(figures), chosen.output, launcher=launcher,
        nwqsim=f"version {find().version}" if named else "a stand-in in Python",
    )  # fmt: skip


if __name__ == "__main__":
    main()
