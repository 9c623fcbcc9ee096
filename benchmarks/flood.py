"""A flood of tasks by many sessions: how much the daemon grows by it, and what a second client feels of it.

Each flooding session keeps as many tasks queued in the daemon as its window allows; every task takes the device some
milliseconds, so that they stay queued while a client of its own makes small calls, one after another.
"""

from __future__ import annotations

import json
import os
import re
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from common import Figure, Target, local_run, parser, report

from qfw import qpi
from qfw.program import Builder, PauliSum, Program

MIB = 2**20
SHARE = 0.98  # of a session's window that it fills


def rss(pid: int, what: str = "VmRSS") -> int:
    """Bytes of a process that are in memory; `VmHWM`: at most so far."""
    found = re.search(rf"^{what}:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    if found is None:
        raise SystemExit(f"/proc/{pid}/status has no {what}")
    return int(found[1]) * 1024


def layered(qubits: int, layers: int) -> Program:
    builder = Builder(qubits)
    for _ in range(layers):
        for qubit in range(qubits):
            builder.gate("ry", [qubit], [0.3 + qubit])
        for qubit in range(qubits - 1):
            builder.gate("cx", [qubit, qubit + 1])
    return builder.finish()


def flood(stack: ExitStack, endpoint: str, tasks: int, program: Program) -> int:
    """Sessions that fill their windows until so many tasks are queued; returns how many sessions it took."""
    observables = [PauliSum([(1.0, "Z", [0])])]
    sessions = 0
    while tasks > 0:
        context = stack.enter_context(qpi.connect(endpoint, timeout=60.0))
        count = min(tasks, int(SHARE * context.window))
        stream = context.mesh("statevec").stream(completions=context.completion_queue())
        stack.callback(stream.close)
        one = qpi.Task(program, shots=0, outputs=("expectations",), observables=observables)
        stream.submit_many([one] * count)
        tasks -= count
        sessions += 1
    return sessions


def calls(endpoint: str, count: int) -> list[float]:
    """Seconds of small calls of another client."""
    program = layered(3, 1)
    task = qpi.Task(program, shots=0, outputs=("expectations",), observables=[PauliSum([(1.0, "Z", [0])])])
    seconds = []
    with qpi.connect(endpoint, timeout=60.0) as context:
        mesh = context.mesh("statevec")
        for _ in range(count):
            started = time.perf_counter()
            mesh.run(task)
            seconds.append(time.perf_counter() - started)
    return seconds


def measure(tasks: int, count: int) -> dict[str, Any]:
    with local_run() as endpoint, ExitStack() as stack:
        pid = int(json.loads(Path(endpoint).read_text())["pid"])
        quiet = calls(endpoint, count)
        before = rss(pid)
        sessions = flood(stack, endpoint, tasks, layered(18, 4))
        with qpi.connect(endpoint, timeout=60.0) as context:
            queued = context.device("statevec").queued
        grown = rss(pid) - before
        flooded = calls(endpoint, count)
        peak = rss(pid, "VmHWM") - before
        return {
            "quiet": quiet,
            "flooded": flooded,
            "sessions": sessions,
            "queued": queued,
            "grown_bytes": grown,
            "peak_bytes": peak,
            "bytes_per_queued_task": round(grown / max(queued, 1)),
        }


def main() -> None:
    options = parser(__doc__, repetitions=200)
    options.add_argument("--tasks", type=int, default=100_000)
    args = options.parse_args()
    found = measure(args.tasks, args.repetitions)
    quiet, flooded = sorted(found.pop("quiet")), sorted(found.pop("flooded"))
    p99 = flooded[int(0.99 * len(flooded))]
    targets = [
        Target("growth of the daemon by the flood", found["peak_bytes"] / MIB, 200, "MiB"),
        Target("p99 of a second client", 1e3 * p99, 250, "ms"),
    ]
    figures = {"alone": Figure(tuple(quiet)), "under the flood": Figure(tuple(flooded))}
    report("flood", figures, targets, args.output, load=os.getloadavg(), p99_ms=1e3 * p99, **found)


if __name__ == "__main__":
    main()
