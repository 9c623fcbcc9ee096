"""Runs batches of tasks on Aer: all rows that share a configuration go to Aer in one call."""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qiskit_aer.backends.backend_utils import LIBRARY_DIR
from qiskit_aer.backends.controller_wrappers import AerCircuit, AerConfig, aer_controller_execute

from qfw.program import Program
from qfw.program.errors import DeviceError, QfwError, ResourceExhausted, Unsupported
from qfw.qpm.plugin import OptionValue, Row, Task
from qfw.qpm.plugins.aer import convert
from qfw.qpm.plugins.aer.noise import Models

SMALL_QUBITS = 15  # below, one thread: OpenMP's overhead is larger than the work
PLANS = 256
SEED_STEP = 2113  # Aer adds this times its place in the batch to the seed of a circuit
_OWN = ("max_parallel_threads", "method", "noise_model")  # options that a Config holds by themselves
AMPLITUDES = {"statevector": 1, "density_matrix": 2}  # of dense methods: 2^(factor * qubits)


@dataclass(frozen=True)
class Config:
    """What all circuits of one call to Aer share."""

    shots: int
    memory: bool
    threads: int
    method: str
    noise: str  # the option's text
    options: tuple[tuple[str, OptionValue], ...]


@dataclass
class Unit:
    """One row on its way through Aer."""

    place: int  # of its task in the batch
    row: int
    task: Task
    plan: convert.Plan
    wanted: convert.Wanted
    seed: int


class AerExecutor:
    """An Executor (qfw.qpm.plugin) over Aer's controller."""

    def __init__(self) -> None:
        self._controller = aer_controller_execute()
        self._plans: OrderedDict[tuple[str, str], convert.Plan] = OrderedDict()
        self._noise = Models()

    def close(self) -> None:
        self._plans.clear()

    def run(self, tasks: Sequence[Task]) -> Sequence[list[Row] | QfwError]:
        errors: dict[int, QfwError] = {}
        groups: dict[Config, list[Unit]] = defaultdict(list)
        for place, task in enumerate(tasks):
            try:
                units = self._units(place, task)
                groups[_config(task)] += units
            except QfwError as error:
                errors[place] = error
        rows = [[Row() for _ in task.bindings] for task in tasks]
        for config, units in groups.items():
            for unit, row in zip(units, self._group(config, units), strict=True):
                rows[unit.place][unit.row] = row
        return [errors.get(place, rows[place]) for place in range(len(tasks))]

    def _units(self, place: int, task: Task) -> list[Unit]:
        method = method_of(task)
        self._noise.find(str(task.options["noise_model"]))
        plan = self._plan(task.program, method)
        if not plan.terminal and task.outputs - {"counts", "memory"}:
            raise Unsupported("only counts and memory exist for a program with measurement or reset in its middle")
        check_memory(task.program.num_qubits, method, str(task.options["precision"]))
        wanted = _wanted(task)
        seeds = [row_seed(task.seed, task.first_row + row) for row in range(len(task.bindings))]
        return [Unit(place, row, task, plan, wanted, seed) for row, seed in enumerate(seeds)]

    def _plan(self, program: Program, method: str) -> convert.Plan:
        key = (program.hash, method)
        plan = self._plans.pop(key, None) or convert.plan(program, method)
        self._plans[key] = plan  # the youngest stands last
        if len(self._plans) > PLANS:
            self._plans.popitem(last=False)
        return plan

    def _group(self, config: Config, units: list[Unit]) -> list[Row]:
        """As `_execute`; where Aer refuses the whole call, each row alone, so that only the culprits fail."""
        try:
            return self._execute(config, units)
        except (QfwError, RuntimeError, ValueError, TypeError) as error:
            if len(units) == 1:
                return [Row(error=error if isinstance(error, QfwError) else aer_error(str(error)))]
            return [row for unit in units for row in self._group(config, [unit])]

    def _execute(self, config: Config, units: list[Unit]) -> list[Row]:
        circuits = [_circuit(i, unit) for i, unit in enumerate(units)]
        output = self._controller.execute(circuits, self._noise.find(config.noise), _aer_config(config, units))
        results = output.get("results", ()) if isinstance(output, dict) else ()
        if len(results) != len(units):
            raise DeviceError(f"Aer: {output.get('status') if isinstance(output, dict) else output!r}")
        return [self._row(config, u, r, len(units) == 1) for u, r in zip(units, results, strict=True)]

    def _row(self, config: Config, unit: Unit, result: Mapping[str, Any], alone: bool) -> Row:
        if not result.get("success", False):
            return Row(error=aer_error(str(result.get("status", "no status"))))
        used = int(result["seed_simulator"])
        if unit.wanted.samples and used != unit.seed:
            if alone:
                return Row(error=DeviceError(f"Aer used seed {used} where {unit.seed} was asked for"))
            return self._execute(config, [unit])[0]  # a release that counts differently: alone nothing is added
        return read_row(unit.task, unit.plan, result["data"])


def row_seed(seed: int, row: int) -> int:
    """The seed of one row: hashed, since Aer itself adds 1 per shot and neighbouring seeds would share shots."""
    digest = hashlib.blake2b(seed.to_bytes(8, "little") + row.to_bytes(8, "little"), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def _wanted(task: Task) -> convert.Wanted:
    return convert.Wanted(
        statevector="statevector" in task.outputs,
        probabilities=task.qubits if "probabilities" in task.outputs else None,
        observables=task.observables if "expectations" in task.outputs else (),
        samples=bool(task.outputs & {"counts", "memory"}),
    )


def method_of(task: Task) -> str:
    """Aer's method for a task: the one asked for, but exact values of a noisy program need the density matrix (Aer
    itself would give those of a single random trajectory). Raises Unsupported for another method there."""
    method = str(task.options["method"])
    exact = sorted(task.outputs - {"counts", "memory"})
    if not task.options["noise_model"] or not exact:
        return method
    if "statevector" in exact:
        raise Unsupported("a program under a noise model has no state vector")
    if method not in ("automatic", "density_matrix"):
        raise Unsupported(f"{exact[0]} under a noise model need method density_matrix, not {method}")
    return "density_matrix"


def _config(task: Task) -> Config:
    threads = int(task.options["max_parallel_threads"])
    if threads == 0:
        threads = 1 if task.program.num_qubits < SMALL_QUBITS else len(os.sched_getaffinity(0))
    options = tuple((n, v) for n, v in sorted(task.options.items()) if n not in _OWN)
    shots = task.shots if task.outputs & {"counts", "memory"} else 1
    return Config(shots, "memory" in task.outputs, threads, method_of(task), str(task.options["noise_model"]), options)


def _circuit(index: int, unit: Unit) -> AerCircuit:
    circuit = convert.circuit(unit.plan, unit.task.bindings[unit.row], unit.wanted)
    circuit.circ_id = index
    circuit.seed = (unit.seed - SEED_STEP * index) % (1 << 64)
    return circuit


def _aer_config(config: Config, units: Sequence[Unit]) -> AerConfig:
    aer = AerConfig()
    aer.library_dir = LIBRARY_DIR
    aer.n_qubits = max(u.plan.num_qubits for u in units)
    aer.memory_slots = max(u.plan.memory for u in units)
    aer.shots = config.shots
    aer.memory = config.memory
    aer.max_parallel_threads = config.threads
    aer.max_parallel_experiments = 1
    aer.method = config.method
    for name, value in config.options:
        if name != "matrix_product_state_max_bond_dimension" or value != 0:
            setattr(aer, name, value)
    return aer


def check_memory(num_qubits: int, method: str, precision: str) -> None:
    """Raises ResourceExhausted when a dense method cannot fit; Aer itself would try."""
    factor = AMPLITUDES.get(method, 0)
    needed = (8 if precision == "single" else 16) << (factor * num_qubits) if factor else 0
    available = _available_bytes()
    if needed > available:
        raise ResourceExhausted(
            f"{num_qubits} qubits with Aer's method {method} need {needed} bytes, {available} are available"
        )


def _available_bytes() -> int:
    with open("/proc/meminfo") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")) * 1024


def aer_error(status: str) -> QfwError:
    """Aer's status line as a typed error, its words kept."""
    words = status.removeprefix("ERROR:").strip()
    return (ResourceExhausted if "nsufficient memory" in words else DeviceError)(f"Aer: {words}")


def read_row(task: Task, plan: convert.Plan, data: Mapping[str, Any]) -> Row:
    """Aer's data of one circuit as packed arrays."""
    row = Row()
    size = 1 << task.program.num_qubits
    if "statevector" in task.outputs:
        row.statevector = np.asarray(data["statevector"], dtype=np.complex128)[:size]
    if "probabilities" in task.outputs:
        width = 1 << len(task.qubits) if task.qubits else size
        row.probabilities = np.asarray(data["probabilities"], dtype=np.float64)[:width]
    if "expectations" in task.outputs:
        row.expectations = np.array([data[f"expectation{i}"] for i in range(len(task.observables))], dtype=np.float64)
    if task.outputs & {"counts", "memory"}:
        _read_samples(row, task, plan, data)
    return row


def _read_samples(row: Row, task: Task, plan: convert.Plan, data: Mapping[str, Any]) -> None:
    counts: Mapping[str, int] = data.get("counts") or {"0x0": task.shots}  # nothing measured: every bit stays 0
    own = {text: int(text, 16) & ((1 << plan.num_bits) - 1) for text in counts}  # without variables
    values = sorted(set(own.values()))
    place = {value: i for i, value in enumerate(values)}
    keys = pack(values, (plan.num_bits + 7) // 8)
    if "counts" in task.outputs:
        row.count_keys = keys
        row.counts = np.zeros(len(values), dtype=np.uint64)
        for text, count in counts.items():
            row.counts[place[own[text]]] += np.uint64(count)
    if "memory" in task.outputs:
        texts = data.get("memory") or ["0x0"] * task.shots
        row.memory = keys[np.fromiter((place[own[t]] for t in texts), dtype=np.int64, count=len(texts))]


def pack(values: Sequence[int], width: int) -> NDArray[np.uint8]:
    """Integers as little-endian rows of `width` bytes."""
    raw = b"".join(value.to_bytes(width, "little") for value in values)
    return np.frombuffer(raw, dtype=np.uint8).reshape(len(values), width)
