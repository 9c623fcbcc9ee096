"""A provider as a third party would write it: a small state-vector simulator in numpy, which misbehaves on request."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np

from qfw.program import Program, gate, gates
from qfw.program.errors import QfwError, Unsupported
from qfw.qpm.plugin import DeviceEvent, DeviceSpec, Executor, Option, Plugin, Row, Task

_BEHAVIOURS = ("work", "raise", "die", "hang", "stuck", "short", "calibrate")


class SampleExecutor:
    def __init__(self, emit: Callable[[DeviceEvent], None] = lambda event: None) -> None:
        self._emit = emit

    def run(self, tasks: Sequence[Task]) -> Sequence[list[Row] | QfwError]:
        return [self._one(task) for task in tasks]

    def close(self) -> None:
        pass

    def _one(self, task: Task) -> list[Row] | QfwError:
        behaviour = task.options["behaviour"]
        if behaviour == "raise":
            raise RuntimeError("the vendor's library says no")
        if behaviour == "die":
            os._exit(7)
        if behaviour == "hang":
            while not task.stopped():
                time.sleep(0.01)
        if behaviour == "stuck":
            re.match("(a+)+$", "a" * 60 + "b")  # for years, and with Python's global lock in its hand
        if behaviour == "calibrate":
            self._emit(DeviceEvent("sample", "calibration", calibration_set="set-1", values={"t1": 2e-4}))
        if behaviour == "short":
            return []
        if not task.program.terminal_measurements:
            return Unsupported("sample runs no measurement in the middle")
        return [_row(task, i) for i in range(len(task.bindings))]


def _row(task: Task, index: int) -> Row:
    state = _state(task.program, task.bindings[index])
    row = Row()
    if "statevector" in task.outputs:
        row.statevector = state
    if "probabilities" in task.outputs:
        row.probabilities = _marginal(np.abs(state) ** 2, task.qubits)
    if "expectations" in task.outputs:
        row.expectations = np.array([_expectation(state, o.terms) for o in task.observables])
    if task.outputs & {"counts", "memory"}:
        _sample(row, task, index, np.abs(state) ** 2)
    return row


def _state(program: Program, values: np.ndarray) -> np.ndarray:
    n = program.num_qubits
    state = np.zeros(1 << n, complex)
    state[0] = np.exp(1j * program.global_phase)
    for item in program.instructions:
        if item.op == "gate":
            angles = [a if p is None else a + s * values[p] for a, s, p in item.angles]
            matrix = gate(item.name).matrix(angles, item.controls)
        elif item.op == "unitary" and not item.controls:
            matrix = item.matrix
        else:
            continue
        k = len(item.qubits)
        axes = [n - 1 - q for q in reversed(item.qubits)]
        moved = np.tensordot(matrix.reshape((2,) * (2 * k)), state.reshape((2,) * n), axes=(range(k, 2 * k), axes))
        state = np.moveaxis(moved, range(k), axes).reshape(-1)
    return state


def _marginal(probabilities: np.ndarray, qubits: tuple[int, ...]) -> np.ndarray:
    if not qubits:
        return probabilities
    index = np.arange(len(probabilities))
    key = sum(((index >> q) & 1) << i for i, q in enumerate(qubits))
    return np.bincount(key, probabilities, 1 << len(qubits))


def _expectation(state: np.ndarray, terms: list[tuple[float, str, list[int]]]) -> float:
    total = 0.0
    index = np.arange(len(state))
    for coefficient, letters, qubits in terms:
        flip, sign, ys = 0, np.zeros(len(state), int), 0
        for letter, q in zip(letters, qubits, strict=True):
            flip |= (letter in "XY") << q
            ys += letter == "Y"
            if letter in "YZ":
                sign ^= (index >> q) & 1
        total += coefficient * float(((1j**ys) * (-1.0) ** sign * state * state[index ^ flip].conj()).sum().real)
    return total


def _sample(row: Row, task: Task, index: int, probabilities: np.ndarray) -> None:
    rng = np.random.default_rng([task.seed, task.first_row + index])
    outcomes = rng.choice(len(probabilities), size=task.shots, p=probabilities / probabilities.sum())
    width = (task.program.num_bits + 7) // 8
    bits = np.zeros((task.shots, width), np.uint8)
    for item in task.program.instructions:
        if item.op == "measure":
            bit = item.bits[0]
            bits[:, bit // 8] |= (((outcomes >> item.qubits[0]) & 1) << (bit % 8)).astype(np.uint8)
    if "memory" in task.outputs:
        row.memory = bits
    if "counts" in task.outputs:
        numbers = [int.from_bytes(shot.tobytes(), "little") for shot in bits]
        values, counts = np.unique(np.array(numbers, dtype=object), return_counts=True)
        raw = b"".join(int(v).to_bytes(width, "little") for v in values)
        row.count_keys = np.frombuffer(raw, np.uint8).reshape(len(values), width)
        row.counts = counts.astype(np.uint64)


class SamplePlugin(Plugin):
    name: ClassVar[str] = "sample"

    def devices(self) -> Sequence[DeviceSpec]:
        return [
            DeviceSpec(
                name="sample",
                version="0.1",
                max_qubits=12,
                max_shots=100_000,
                capacity=8,
                gates=(*(g.name for g in gates()), "controlled", "unitary", "measure"),
                options=(Option("behaviour", "work", "What it does.", _BEHAVIOURS),),
            )
        ]

    def executor(self, device: str) -> Executor:
        return SampleExecutor(self.emit)


plugin = SamplePlugin()
