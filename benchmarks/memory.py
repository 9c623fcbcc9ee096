"""Memory: bytes per queued task, per session of the daemon, and the peak of a run over its state's own size."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from circuits import hea
from common import Target, local_run, parser, report

from qfw import qpi, simenv
from qfw.program import Affine

WINDOW = 4000  # tasks of one session that the daemon takes at once, a little less
BUSY_QUBITS = 18  # the sweep that keeps the device busy meanwhile


def resident(pid: int | str = "self", which: str = "VmRSS") -> int:
    """Bytes of a process that lie in memory; "VmHWM": at most so far (getrusage would count the parent's in)."""
    return int(re.findall(rf"{which}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())[0]) * 1024


def settled(pid: int) -> None:
    """Until the daemon has taken in what was sent: its size stays the same."""
    last = -1
    while last != (last := resident(pid)):
        time.sleep(0.5)


def small_task() -> qpi.Task:
    builder = qpi.Builder(3, 3)
    theta = builder.parameter("theta")
    builder.gate("ry", [0], [Affine(theta)])
    builder.gate("cx", [0, 1])
    for q in range(3):
        builder.measure(q, q)
    return qpi.Task(builder.finish(), bindings=[[0.5]], shots=100)


def long_sweep() -> qpi.Task:
    """Takes the device for half a minute, unless it is cancelled."""
    busy = hea(BUSY_QUBITS)
    sums = [qpi.PauliSum([(1.0, "Z", [0])])]
    rows = [busy.angles()] * 10_000
    return qpi.Task(busy.program(parametric=True), bindings=rows, outputs=["expectations"], observables=sums)


def daemon_pid(endpoint: str) -> int:
    return int(json.loads(Path(endpoint).read_text())["pid"])


def of_daemon(tasks: int, sessions: int) -> dict[str, float]:
    """Bytes of the daemon per session, and per task that waits in it while a sweep keeps the device busy."""
    with local_run() as endpoint, ExitStack() as stack:
        pid = daemon_pid(endpoint)

        def streams(count: int) -> list[qpi.Stream]:
            contexts = [stack.enter_context(qpi.connect(endpoint)) for _ in range(count)]
            return [c.mesh("statevec").stream(completions=c.completion_queue()) for c in contexts]

        first = streams(5)
        before = resident(pid)
        more = streams(sessions)
        per_session = (resident(pid) - before) / sessions
        first[0].submit(long_sweep())
        each = min(tasks // sessions, WINDOW)
        batch = [small_task()] * each
        first[1].submit_many(batch)  # what is made once
        before = resident(pid)
        for stream in more:
            stream.submit_many(batch)
        settled(pid)
        per_task = (resident(pid) - before) / (each * sessions)
        for stream in first + more:
            stream.cancel()
    return {"bytes of the daemon per session": per_session, "bytes of the daemon per queued task": per_task}


def peak(qubits: int, precision: str) -> float:
    """Of a run in a fresh process, beyond what the process had before, over the bytes of the state."""
    command = [sys.executable, __file__, "--peak", str(qubits), precision]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def peak_child(qubits: int, precision: str) -> None:
    cost = [(1.0, "ZZ", [0, 1])]
    simenv.simulate(hea(2).program(), observables=[cost])
    before = resident()
    simenv.simulate(hea(qubits).program(), observables=[cost], precision=precision)
    print((resident(which="VmHWM") - before) / ((16 if precision == "double" else 8) << qubits))


def main() -> None:
    if sys.argv[1:2] == ["--peak"]:
        return peak_child(int(sys.argv[2]), sys.argv[3])
    options = parser(__doc__, 1)
    options.add_argument("--tasks", type=int, default=100_000)
    options.add_argument("--sessions", type=int, default=50)
    options.add_argument("--qubits", type=int, default=22)
    chosen = options.parse_args()
    found = {
        **of_daemon(chosen.tasks, chosen.sessions),
        "peak over the state's size, double": peak(chosen.qubits, "double"),
        "peak over the state's size, single": peak(chosen.qubits, "single"),
    }
    for name, value in found.items():
        print(f"{name}: {value:.3f}", file=sys.stderr)
    targets = [
        # A flood of 100,000 tasks may take 200 MiB.
        Target("bytes per queued task", found["bytes of the daemon per queued task"], 2000, "B"),
        Target("peak of a run over the state's size", found["peak over the state's size, double"], 1.1, "x"),
    ]
    report("memory", {}, targets, chosen.output, found=found)


if __name__ == "__main__":
    main()
