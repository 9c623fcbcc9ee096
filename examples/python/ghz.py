"""A GHZ state three ways: one task run in place, a batch through a completion queue, and a task that is wrong.

examples/c/ghz.c does the same and prints the same.
"""

from __future__ import annotations

from qfw import qpi
from qfw.program import Affine

QUBITS = 3
NAMES = {"InvalidArgument": "invalid_argument"}


def ghz() -> qpi.Program:
    """h on qubit 0, then a chain of cx; rx(theta) on qubit 0 makes a batch worth having."""
    builder = qpi.Builder(QUBITS, QUBITS)
    theta = builder.parameter("theta")
    builder.gate("rx", [0], [Affine(theta)])
    builder.gate("h", [0])
    for q in range(QUBITS - 1):
        builder.gate("cx", [q, q + 1])
    for q in range(QUBITS):
        builder.measure(q, q)
    return builder.finish()


def text(counts: dict[str, int]) -> str:
    return " ".join(f"{bits}:{count}" for bits, count in counts.items())


def run_one(mesh: qpi.Mesh, program: qpi.Program) -> None:
    """One task, run in place."""
    result = mesh.run(qpi.Task(program, bindings=[0.0], shots=1000, seed=7), timeout=10)
    print(f"one on {result.device}: {text(result.counts)}")


def run_batch(ctx: qpi.Context, mesh: qpi.Mesh, program: qpi.Program) -> None:
    """A batch through a stream, in order."""
    done = ctx.completion_queue()
    with mesh.stream(order="sequential", completions=done) as stream:
        for i, angle in enumerate([0.0, 0.5, 1.0, 1.5]):
            stream.submit(qpi.Task(program, bindings=[angle], shots=100, seed=10 + i, context="abcd"[i]))
        for completion in done.read(4, timeout=10):
            print(f"batch {completion.context}: {text(completion.result.counts)}")


def run_wrong(ctx: qpi.Context, mesh: qpi.Mesh, program: qpi.Program) -> None:
    """A task that no device takes completes as an error: the queue keeps it apart."""
    done = ctx.completion_queue()
    with mesh.stream(completions=done) as stream:
        stream.submit(qpi.Task(program, bindings=[0.0], options={"no_such_option": 1}))
        try:
            done.read(1, timeout=10)
        except qpi.errors.ErrorAvailable:
            error = done.readerr().error
            print(f"wrong: {NAMES[type(error).__name__]}: {error}")


def main() -> None:
    with qpi.connect() as ctx:
        mesh = ctx.mesh("statevec")
        program = ghz()
        run_one(mesh, program)
        run_batch(ctx, mesh, program)
        run_wrong(ctx, mesh, program)


if __name__ == "__main__":
    main()
