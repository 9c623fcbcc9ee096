"""Many small circuits at once: one stream, and the completions as they come."""

from __future__ import annotations

import argparse
import math
import time

from qfw import qpi

QUBITS = 6


def layers(angle: float) -> qpi.Program:
    """A circuit of its own for each angle: rotations, and a ring of cz."""
    builder = qpi.Builder(QUBITS, QUBITS)
    for layer in range(3):
        for q in range(QUBITS):
            builder.gate("ry", [q], [angle * (q + layer + 1)])
        for q in range(QUBITS):
            builder.gate("cz", [q, (q + 1) % QUBITS])
    for q in range(QUBITS):
        builder.measure(q, q)
    return builder.finish()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--circuits", type=int, default=500)
    count = parser.parse_args().circuits
    shots = 0
    with qpi.connect() as context:
        done = context.completion_queue()
        started = time.perf_counter()
        with context.mesh("statevec").stream(completions=done) as stream:
            for i in range(count):
                angle = math.pi * i / count
                stream.submit(qpi.Task(layers(angle), shots=100, seed=i, context=i))
            for completion in done.read(count, timeout=300):
                shots += sum(completion.result.counts.values())
        seconds = time.perf_counter() - started
        print(f"{count} circuits, {shots} shots, by {context.endpoint}: {count / seconds:.0f} circuits/s")


if __name__ == "__main__":
    main()
