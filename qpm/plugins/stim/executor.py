"""Runs tasks on Stim: samples of whole programs, and exact expectation values of Pauli sums."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import stim
from numpy.typing import NDArray

from qfw.program import Instruction, PauliSum
from qfw.program.errors import Cancelled, QfwError, Unsupported
from qfw.qpm.plugin import Row, Task
from qfw.qpm.plugins.stim import clifford

SHOTS_AT_ONCE = 1 << 16

Bits = NDArray[np.uint8]


class StimExecutor:
    """An Executor (qfw.qpm.plugin) over Stim."""

    def close(self) -> None:
        """Nothing is held."""

    def run(self, tasks: Sequence[Task]) -> Sequence[list[Row] | QfwError]:
        return [_task(task) for task in tasks]


def _task(task: Task) -> list[Row] | QfwError:
    try:
        if "expectations" in task.outputs and not task.program.terminal_measurements:
            raise Unsupported("a program with measurements or resets in the middle gives counts and memory alone")
        return [_row(task, number, values) for number, values in enumerate(task.bindings)]
    except QfwError as error:
        return error


def _row(task: Task, number: int, values: Sequence[float]) -> Row:
    if task.stopped():
        raise Cancelled("the task was cancelled")
    circuit = clifford.circuit(task.program.instructions, values)
    row = Row()
    if "expectations" in task.outputs:
        row.expectations = expectations(circuit, task.program.num_qubits, task.observables)
    if task.outputs & {"counts", "memory"}:
        sample(row, task, circuit, number)
    return row


def expectations(circuit: stim.Circuit, qubits: int, observables: Sequence[PauliSum]) -> NDArray[np.float64]:
    """Of the state before the measurements, which are the last on their qubits. Each Pauli product gives -1, 0 or 1."""
    simulator = stim.TableauSimulator()
    simulator.set_num_qubits(qubits)
    for part in circuit:
        if part.name != "M":
            simulator.do(part)
    values = []
    for observable in observables:
        total = 0.0
        for coefficient, letters, on in observable.terms:
            product = stim.PauliString(qubits)
            for letter, qubit in zip(letters, on, strict=True):
                product[qubit] = letter
            total += coefficient * simulator.peek_observable_expectation(product)
        values.append(total)
    return np.array(values, dtype=np.float64)


def sample(row: Row, task: Task, circuit: stim.Circuit, number: int) -> None:
    """Fills in counts and memory. A bit that is written twice has its last value."""
    width = (task.program.num_bits + 7) // 8
    last = {i.bits[0]: place for place, i in enumerate(_measurements(task))}
    bits = np.array(sorted(last), dtype=np.intp)
    places = np.array([last[b] for b in sorted(last)], dtype=np.intp)
    sampler = circuit.compile_sampler(seed=row_seed(task.seed, task.first_row + number))
    kept: list[Bits] = []
    counts: dict[bytes, int] = {}
    for at in range(0, task.shots, SHOTS_AT_ONCE):
        if task.stopped():
            raise Cancelled("the task was cancelled")
        outcomes = sampler.sample(min(SHOTS_AT_ONCE, task.shots - at))
        plain = np.zeros((len(outcomes), task.program.num_bits), dtype=np.bool_)
        plain[:, bits] = outcomes[:, places]
        packed = np.packbits(plain, axis=1, bitorder="little").reshape(len(outcomes), width)
        if "memory" in task.outputs:
            kept.append(packed)
        if "counts" in task.outputs:
            _tally(counts, packed)
    if "memory" in task.outputs:
        row.memory = np.concatenate(kept)
    if "counts" in task.outputs:
        keys = sorted(counts, key=lambda key: int.from_bytes(key, "little"))
        row.count_keys = np.frombuffer(b"".join(keys), dtype=np.uint8).reshape(len(keys), width)
        row.counts = np.array([counts[key] for key in keys], dtype=np.uint64)


def _measurements(task: Task) -> list[Instruction]:
    return [i for i in task.program.instructions if i.op == "measure"]


def _tally(counts: dict[bytes, int], packed: Bits) -> None:
    whole = np.ascontiguousarray(packed).view(np.dtype((np.void, packed.shape[1])))[:, 0]
    keys, numbers = np.unique(whole, return_counts=True)
    for key, n in zip(keys, numbers, strict=True):
        counts[key.tobytes()] = counts.get(key.tobytes(), 0) + int(n)


def row_seed(seed: int, row: int) -> int:
    """The seed of one row: parts get seeds by hashing."""
    digest = hashlib.blake2b(seed.to_bytes(8, "little") + row.to_bytes(8, "little"), digest_size=8).digest()
    return int.from_bytes(digest, "little")
