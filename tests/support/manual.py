"""A device whose tasks end when a test says so, in the order it says: what threads and clocks would make random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import dense
import numpy as np

from qfw.program import gates
from qfw.qpi.errors import Cancelled, ErrorAvailable, QfwError, WaitTimeout

PARTS = ("convert_ns", "tools_ns", "transfer_ns", "queue_ns", "dispatch_ns", "execute_ns", "return_ns")


@dataclass
class Device:
    name: str = "statevec"
    provider: str = "test"
    status: str = "online"
    simulator: bool = True
    max_qubits: int = 10
    max_shots: int = 1_000_000
    max_rows: int = 1_000_000
    gates: tuple[str, ...] = (*(g.name for g in gates()), "unitary", "measure", "reset")
    outputs: tuple[str, ...] = ("counts", "memory", "statevector", "expectations")
    coupling: tuple[tuple[int, int], ...] = ()
    options: dict[str, str] = field(default_factory=lambda: {"threads": "how many"})
    capacity: int = 1
    queued: int = 0
    status_reason: str = ""


class Queue:
    def __init__(self) -> None:
        self.ended: list[Any] = []

    def __len__(self) -> int:
        return len(self.ended)

    def read(self, n: int = 1, timeout: float | None = None) -> list[Any]:
        if self.ended and self.ended[0].error is not None:
            raise ErrorAvailable("the next completion is an error")
        if len(self.ended) < n and all(e.error is None for e in self.ended):
            assert timeout is not None, "a wait that would never end"
            raise WaitTimeout(f"{n} completions, {len(self.ended)} there")
        taken: list[Any] = []
        while self.ended and len(taken) < n and self.ended[0].error is None:
            taken.append(self.ended.pop(0))
        return taken

    def readerr(self) -> Any:
        return self.ended.pop(0)


class Context:
    """In place of `qfw.qpi.connect()`. `auto` runs tasks at once, the last first; else a test calls `end`."""

    endpoint = "manual"

    def __init__(self, devices: Sequence[Device] = (Device(),), *, auto: bool = True) -> None:
        self._devices = list(devices)
        self.auto = auto
        self.closed = False
        self.asked = False  # for its devices
        self.pending: list[tuple[Any, Queue]] = []
        self.messages: list[int] = []
        self.named: list[Any] = []  # jobs of the streams

    def devices(self) -> list[Device]:
        self.asked = True
        return self._devices

    def device(self, name: str) -> Device:
        return next(d for d in self._devices if d.name == name)

    def completion_queue(self) -> Queue:
        return Queue()

    def mesh(self, name: str) -> Any:
        return SimpleNamespace(stream=lambda *, order, completions, job=None: Stream(self, completions, job))

    def close(self) -> None:
        self.closed = True

    def end(self, index: int, error: QfwError | None = None) -> None:
        """Ends a pending task by its place."""
        task, queue = self.pending.pop(index)
        result = None if error else run(task, self._devices[0].name)
        queue.ended.append(SimpleNamespace(context=task.context, result=result, error=error))


class Stream:
    def __init__(self, context: Context, queue: Queue, job: Any) -> None:
        context.named.append(job)
        self.context = context
        self.queue = queue

    def submit_many(self, tasks: Sequence[Any]) -> list[int]:
        self.context.messages.append(len(tasks))
        self.context.pending += [(task, self.queue) for task in tasks]
        if self.context.auto:
            for _ in tasks:
                self.context.end(-1)
        return list(range(len(tasks)))

    def cancel(self, id: int | None = None) -> None:
        for place in reversed(range(len(self.context.pending))):
            if self.context.pending[place][1] is self.queue:
                self.context.end(place, Cancelled("cancelled by its owner"))

    def close(self) -> None:
        pass


def run(task: Any, device: str) -> Any:
    """Runs a task with the dense reference."""
    rng = np.random.default_rng(task.seed)
    program = task.program
    rows = []
    for values in np.atleast_2d(task.bindings) if task.bindings is not None else [()]:
        row = SimpleNamespace()
        if "counts" in task.outputs or "memory" in task.outputs:
            shots = rng.choice(1 << program.num_bits, size=task.shots, p=_normal(dense.distribution(program, values)))
            row.memory = _pack(shots, program.num_bits)
            keys, counts = np.unique(shots, return_counts=True)
            row.count_arrays = (_pack(keys, program.num_bits), counts.astype(np.uint64))
        if "expectations" in task.outputs:
            state = dense.statevector(program, values)
            row.expectations = np.array([dense.expectation(state, o.terms) for o in task.observables])
        if "statevector" in task.outputs:
            row.statevector = dense.statevector(program, values)
        rows.append(row)
    timing = SimpleNamespace(**dict.fromkeys(PARTS, 1), total_ns=len(PARTS))
    seed = 0 if task.seed is None else task.seed
    return SimpleNamespace(rows=rows, shots=task.shots, seed=seed, device=device, timing=timing)


def _normal(p: np.ndarray) -> np.ndarray:
    return p / p.sum()


def _pack(values: np.ndarray, bits: int) -> np.ndarray:
    width = (bits + 7) // 8
    return np.ascontiguousarray(values.astype("<u8").view(np.uint8).reshape(-1, 8)[:, :width])
