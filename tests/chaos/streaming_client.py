"""A client that streams tasks with one right answer each, and notes whether each completes once, right, in order."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field
from pathlib import Path

PATIENCE = 120.0  # seconds without any progress: a hang
FULL = 48  # tasks outstanding in each stream
BITS = 8


@dataclass
class Tally:
    """What the client has seen."""

    submitted: int = 0
    completed: int = 0
    wrong: list[str] = field(default_factory=list)

    def check(self, good: bool, words: str) -> None:
        if not good and len(self.wrong) < 10:
            self.wrong.append(words)


class Client(threading.Thread):
    """Streams tasks until told to end, then takes what is outstanding."""

    def __init__(self, endpoint: Path, patience: float = PATIENCE) -> None:
        super().__init__(name="client")
        self.patience = patience  # seconds without any progress
        self.endpoint = endpoint
        self.tally = Tally()
        self.begun = threading.Event()
        self.ending = threading.Event()
        self.error: Exception | None = None
        self.finished = False

    def run(self) -> None:
        from qfw.program.errors import QfwError

        try:
            self._stream()
            self.finished = True
        except QfwError as error:
            self.error = error

    def verdict(self) -> list[str]:
        """What went wrong, once it was told to finish."""
        wrong = list(self.tally.wrong)
        if self.is_alive():
            wrong.append(f"no progress for {self.patience:g} s")
        if self.error is not None:
            wrong.append(f"{type(self.error).__name__}: {self.error}")
        elif not self.finished:
            wrong.append("the client did not finish")
        if self.tally.submitted != self.tally.completed:
            wrong.append(f"{self.tally.submitted - self.tally.completed} tasks never completed")
        return wrong

    def _stream(self) -> None:
        from qfw import qpi

        with qpi.connect(self.endpoint, reconnect=self.patience) as context:
            self.begun.set()
            mesh = context.mesh("statevec")
            done = context.completion_queue()
            streams = [mesh.stream(order=order, completions=done) for order in ("sequential", "parallel")]
            programs = [rotation(), *(flip(n) for n in range(1 << BITS))]
            expected = [0, 0]  # sequential: the next one; parallel: how many so far
            open_tasks: list[set[int]] = [set(), set()]
            while not self.ending.is_set() or any(open_tasks):
                for which, stream in enumerate(streams):
                    if not self.ending.is_set() and len(open_tasks[which]) <= FULL // 2:
                        self._submit(stream, which, programs, open_tasks[which])
                self._take(done, expected, open_tasks)

    def _submit(self, stream: object, which: int, programs: list[object], open_tasks: set[int]) -> None:
        from qfw import qpi

        tasks = []
        for _ in range(FULL - len(open_tasks)):
            number = self.tally.submitted
            self.tally.submitted += 1
            open_tasks.add(number)
            context = (which, number)
            if number % 5 == 0:
                wanted = {"outputs": ["expectations"], "observables": [observable()], "bindings": [[angle(number)]]}
                tasks.append(qpi.Task(programs[0], context=context, **wanted))
            else:
                tasks.append(qpi.Task(programs[1 + number % (1 << BITS)], shots=3, context=context))
        stream.submit_many(tasks)  # type: ignore[attr-defined]

    def _take(self, done: object, expected: list[int], open_tasks: list[set[int]]) -> None:
        from qfw.qpi.errors import ErrorAvailable

        try:
            completions = done.read(1, timeout=self.patience)  # type: ignore[attr-defined]
            completions += done.read(2 * FULL, timeout=0)  # type: ignore[attr-defined]
        except ErrorAvailable:
            failed = done.readerr()  # type: ignore[attr-defined]
            completions = [failed]
        for completion in completions:
            which, number = completion.context
            self.tally.completed += 1
            self.tally.check(number in open_tasks[which], f"task {number} completed twice")
            if which == 0:
                self.tally.check(number == min(open_tasks[0], default=-1), f"task {number} came out of order")
            open_tasks[which].discard(number)
            if completion.error is not None:
                self.tally.check(False, f"task {number} failed: {completion.error}")
            else:
                self.tally.check(right(number, completion.result), f"task {number} has a wrong result")


def angle(number: int) -> float:
    return 0.001 * (number % 3001)


def observable() -> object:
    from qfw.program import PauliSum

    return PauliSum([(1.0, "Z", [0])])


def right(number: int, result: object) -> bool:
    row = result.rows[0]  # type: ignore[attr-defined]
    if number % 5 == 0:
        return math.isclose(row.expectations[0], math.cos(angle(number)), abs_tol=1e-9)
    return result.counts == {format(number % (1 << BITS), f"0{BITS}b"): 3}  # type: ignore[attr-defined]


def flip(bits: int) -> object:
    """Prepares and measures a number."""
    from qfw.program import Builder

    builder = Builder(BITS, BITS)
    for qubit in range(BITS):
        if bits >> qubit & 1:
            builder.gate("x", [qubit])
        builder.measure(qubit, qubit)
    return builder.finish()


def rotation() -> object:
    from qfw.program import Affine, Builder

    builder = Builder(1, 0)
    theta = builder.parameter("theta")
    builder.gate("ry", [0], [Affine(theta)])
    return builder.finish()


def finish(client: Client) -> None:
    """Lets the client take the rest; a client that makes no progress is left behind."""
    client.ending.set()
    before = -1
    while client.is_alive() and client.tally.completed != before:
        before = client.tally.completed
        client.join(client.patience)
