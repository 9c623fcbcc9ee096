"""Round trip of one 3-qubit task: Python and C, embedded and by the daemon, beside bare gRPC echoes in C++ and Python.

The task prepares a state with one parameter and asks for one expectation value. Each case makes a number of calls in
every repetition, and all calls count.
"""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import grpc
import numpy as np
from common import Figure, Target, local_run, native, parser, report

from qfw import qpi
from qfw.program import Affine, Builder, PauliSum, Program

ECHO = "/qfw.benchmarks.Echo/Echo"
Calls = Callable[[int], list[float]]  # how many calls -> seconds of each


def three_qubits() -> Program:
    """A GHZ-like circuit with one parameter."""
    builder = Builder(3)
    x = builder.parameter("x")
    builder.extend([(gate, qubits, ()) for gate, qubits in (("h", (0,)), ("cx", (0, 1)), ("cx", (1, 2)))])
    builder.gate("ry", (2,), (Affine(x),))
    return builder.finish()


def python_calls(endpoint: str) -> Calls:
    """`mesh.run` of one task."""
    context = qpi.connect(endpoint)
    mesh = context.mesh("statevec")
    program, observables = three_qubits(), [PauliSum([(1.0, "ZZ", [0, 2])])]
    row = np.array([[0.3]])

    def calls(count: int) -> list[float]:
        seconds = []
        for _ in range(count):
            started = time.perf_counter()
            task = qpi.Task(program, bindings=row, shots=0, outputs=("expectations",), observables=observables)
            value = mesh.run(task).rows[0].expectations[0]
            seconds.append(time.perf_counter() - started)
            if not np.isfinite(value):
                raise SystemExit(f"wrong result: {value}")
        return seconds

    calls.context = context  # type: ignore[attr-defined]  # lives as long as the case
    return calls


def native_calls(name: str, *arguments: str) -> Calls | None:
    """A program of this folder that prints {"microseconds": [...]} for a number of calls."""
    program = native(name)
    if program is None:
        print(f"no {name}: build with -DQFW_BENCHMARKS=ON (scripts/dev/bench does)", file=sys.stderr)
        return None

    def calls(count: int) -> list[float]:
        done = subprocess.run([program, *arguments, str(count)], check=True, stdout=subprocess.PIPE)
        return [us / 1e6 for us in json.loads(done.stdout)["microseconds"]]

    return calls


def _echo_handler() -> grpc.GenericRpcHandler:
    def echo(requests: Iterator[bytes], _: Any) -> Iterator[bytes]:
        yield from requests

    method = grpc.stream_stream_rpc_method_handler(echo)
    return grpc.method_handlers_generic_handler("qfw.benchmarks.Echo", {"Echo": method})


def serve_python_echo(address: str) -> None:
    """The server of the Python echo: until its standard input ends."""
    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((_echo_handler(),))
    server.add_insecure_port(address)
    server.start()
    print("ready", flush=True)
    sys.stdin.read()
    server.stop(0)


@contextmanager
def python_echo() -> Iterator[Calls]:
    """A bidirectional stream between two Python processes."""
    with ExitStack() as stack:
        base = stack.enter_context(tempfile.TemporaryDirectory(prefix="qfwb-", dir="/tmp"))
        address = f"unix:{base}/echo"
        command = [sys.executable, __file__, "--serve", address]
        server = stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        assert server.stdout is not None
        server.stdout.readline()
        channel = stack.enter_context(grpc.insecure_channel(address))
        requests: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        answers = channel.stream_stream(ECHO)(iter(requests.get, None))
        payload = b"x" * 1024

        def calls(count: int) -> list[float]:
            seconds = []
            for _ in range(count):
                started = time.perf_counter()
                requests.put(payload)
                next(answers)
                seconds.append(time.perf_counter() - started)
            return seconds

        yield calls
        requests.put(None)
        for _ in answers:
            pass
        channel.close()


def main() -> None:
    options = parser(__doc__, 10)
    options.add_argument("--calls", type=int, default=300, help="calls of a case in each repetition")
    options.add_argument("--serve", help="internal: the address of the Python echo's server")
    chosen = options.parse_args()
    if chosen.serve:
        serve_python_echo(chosen.serve)
        return
    with local_run() as endpoint, python_echo() as echo:
        cases: dict[str, Calls | None] = {
            "C, embedded": native_calls("roundtrip", "embedded"),
            "Python, embedded": python_calls("embedded"),
            "C, daemon": native_calls("roundtrip", endpoint),
            "Python, daemon": python_calls(endpoint),
            "C++ gRPC echo": native_calls("grpc_echo"),
            "Python gRPC echo": echo,
        }
        present = {name: case for name, case in cases.items() if case is not None}
        seconds: dict[str, list[float]] = {name: [] for name in present}
        for repetition in range(chosen.repetitions + 1):
            for name, case in present.items():
                found = case(chosen.calls)
                if repetition:  # the first is to warm up
                    seconds[name] += found
    figures = {name: Figure(tuple(values)) for name, values in seconds.items()}
    goals = {"C, embedded": 10, "Python, embedded": 25, "C, daemon": 70, "Python, daemon": 150}
    targets = [Target(f"{n} (median)", 1e6 * figures[n].median, g, "us") for n, g in goals.items() if n in figures]
    report("roundtrip", figures, targets, chosen.output, calls=chosen.calls)


if __name__ == "__main__":
    main()
