"""One simulation that is too big for one process: the state vector is shared out to MPI ranks on the quantum nodes."""

from __future__ import annotations

import argparse
import math
import time

from qfw import qpi


def fourier(qubits: int) -> qpi.Program:
    """The quantum Fourier transform of the all-ones state, in which the X of qubit q is cos(pi / 2^q)."""
    builder = qpi.Builder(qubits)
    for q in range(qubits):
        builder.gate("x", [q])
    for q in reversed(range(qubits)):
        builder.gate("h", [q])
        for other in range(q):
            builder.gate("cp", [other, q], [math.pi / 2 ** (q - other)])
    return builder.finish()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--qubits", type=int, default=20)
    parser.add_argument("--ranks", type=int, default=0, help="default: as many as the device can use")
    options = parser.parse_args()
    observables = [qpi.PauliSum([(1.0, "X", [q])]) for q in range(options.qubits)]
    with qpi.connect() as context:
        device = context.device("statevec")
        ranks = options.ranks or device.max_ranks
        task = qpi.Task(fourier(options.qubits), outputs=["expectations"], observables=observables, ranks=ranks)
        started = time.perf_counter()
        result = device.run(task, timeout=300)
        seconds = time.perf_counter() - started
        print(f"{options.qubits} qubits on {ranks} of up to {device.max_ranks} ranks, by {context.endpoint}")
        found = result.rows[0].expectations
        wrong = max(abs(x - math.cos(math.pi / 2**q)) for q, x in enumerate(found))
        print(f"{len(found)} expectation values, none off by more than {wrong:.0e}, in {seconds:.2f} s")


if __name__ == "__main__":
    main()
