"""Throughput: 100,000 small tasks in one parallel stream through the daemon, in Python and in C, beside Ray tasks."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from common import Figure, Target, interleave, local_run, native, parser, report

from qfw import qpi
from qfw.program import Affine, Builder, Program

BATCH = 256  # tasks of one message


def small_program() -> Program:
    """Three qubits, one parameter, three measured bits."""
    builder = Builder(3, 3)
    x = builder.parameter("x")
    builder.gate("h", (0,))
    builder.gate("cx", (0, 1))
    builder.gate("ry", (2,), (Affine(x),))
    builder.gate("cx", (1, 2))
    for i in range(3):
        builder.measure(i, i)
    return builder.finish()


def python_stream(endpoint: str, tasks: int) -> Callable[[], float]:
    """Submits in messages of BATCH tasks, reads completions as they come."""
    context = qpi.connect(endpoint)
    mesh = context.mesh("statevec")
    program = small_program()

    def case() -> float:
        done = context.completion_queue()
        started = time.perf_counter()
        with mesh.stream(order="parallel", completions=done) as stream:
            read = 0
            for first in range(0, tasks, BATCH):
                count = min(BATCH, tasks - first)
                stream.submit_many(
                    [qpi.Task(program, bindings=np.array([[0.001 * i]]), shots=1, seed=i) for i in range(count)]
                )
                while len(done) > 0:
                    read += len(done.read(len(done)))
            while read < tasks:
                read += len(done.read(max(min(BATCH, tasks - read), 1), timeout=60))
        return (time.perf_counter() - started) / tasks

    return case


def c_stream(endpoint: str, tasks: int) -> Callable[[], float] | None:
    """The same from C."""
    program = native("throughput")
    if program is None:
        print("no C submitter: build with -DQFW_BENCHMARKS=ON", file=sys.stderr)
        return None

    def case() -> float:
        done = subprocess.run([program, endpoint, str(tasks), str(BATCH)], check=True, stdout=subprocess.PIPE)
        return float(json.loads(done.stdout)["seconds"]) / tasks

    return case


def ray_tasks(tasks: int) -> Callable[[], float] | None:
    """Ray tasks that do nothing, where Ray is installed."""
    try:
        import ray
        from ray import init  # a folder of that name can be imported as well
    except ImportError:
        print("no Ray: it is not installed", file=sys.stderr)
        return None
    init(logging_level="ERROR", include_dashboard=False)

    @ray.remote  # type: ignore[misc]
    def nothing() -> int:
        return 0

    def case() -> float:
        started = time.perf_counter()
        ray.get([nothing.remote() for _ in range(tasks)])
        return (time.perf_counter() - started) / tasks

    return case


def main() -> None:
    options = parser(__doc__, 3)
    options.add_argument("--tasks", type=int, default=100_000)
    chosen = options.parse_args()
    with local_run() as endpoint:
        cases: dict[str, Any] = {
            "python, daemon": python_stream(endpoint, chosen.tasks),
            "C, daemon": c_stream(endpoint, chosen.tasks),
            "ray tasks": ray_tasks(4096),
        }
        figures = interleave({k: v for k, v in cases.items() if v is not None}, chosen.repetitions, warm_up=0)
    rates = {name: 1 / figure.median for name, figure in figures.items()}
    targets = [
        Target(f"{name}, tasks per second", rate(figure), 50_000, "1/s", lower=False)
        for name, figure in figures.items()
        if name != "ray tasks"
    ]
    report("throughput", figures, targets, chosen.output, tasks_per_second=rates, tasks=chosen.tasks)


def rate(figure: Figure) -> float:
    return 1 / figure.median


if __name__ == "__main__":
    main()
