"""Runs tasks on NWQ-Sim: one launch per row, since its command line takes one circuit.

Counts are NWQ-Sim's own, drawn with a seed of the row; memory is those counts in an order drawn with that seed, which
for shots that are independent of one another is the same. Everything exact is computed from the state that it dumps.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from qfw.program import PauliSum
from qfw.program.errors import Cancelled, InvalidArgument, QfwError, ResourceExhausted, Unavailable, Unsupported
from qfw.qpm.plugin import Row, Task
from qfw.qpm.plugins.nwqsim import output
from qfw.qpm.plugins.nwqsim.installed import Installed
from qfw.qpm.plugins.nwqsim.launch import Launch, memory_file, run
from qfw.qpm.plugins.nwqsim.qasm import Writer

SAMPLES = frozenset(("counts", "memory"))
METHODS = {"statevector": "sv", "density_matrix": "dm"}
LOCAL_QUBITS = 2  # that NWQ-Sim wants of every rank

State = NDArray[np.complex128]


@dataclass(frozen=True)
class Plan:
    """A task's options, checked."""

    method: str
    backend: str
    ranks: int
    threads: int
    fusion: bool
    profile: str  # a device's noise
    qubits: int  # of NWQ-Sim's register, which has a least size


class NwqsimExecutor:
    """An Executor (qfw.qpm.plugin) over an installed NWQ-Sim."""

    def __init__(self, installed: Installed) -> None:
        self._installed = installed
        self._backends: frozenset[str] = frozenset()

    def close(self) -> None:
        """Nothing is held."""

    def run(self, tasks: Sequence[Task]) -> Sequence[list[Row] | QfwError]:
        return [self._task(task) for task in tasks]

    def _task(self, task: Task) -> list[Row] | QfwError:
        try:
            plan = self._plan(task)
            return [self._row(task, plan, number) for number in range(len(task.bindings))]
        except QfwError as error:
            return error

    def _plan(self, task: Task) -> Plan:
        if not self._backends:
            self._backends = probe(self._installed)
        plan = checked(task)
        if plan.backend not in self._backends:
            raise Unsupported(
                f"option backend={plan.backend!r}: this NWQ-Sim ({self._installed.executable}, version "
                f"{self._installed.version}) was built with {', '.join(sorted(self._backends))}"
            )
        return plan

    def _row(self, task: Task, plan: Plan, number: int) -> Row:
        """As `_launch`; what goes wrong is the error of this row alone."""
        if task.stopped():
            raise Cancelled("the task was cancelled")
        try:
            return self._launch(task, plan, number)
        except Cancelled:
            raise
        except QfwError as error:
            return Row(error=error)

    def _launch(self, task: Task, plan: Plan, number: int) -> Row:
        sampled = bool(task.outputs & SAMPLES)
        measured = any(i.op == "measure" for i in task.program.instructions)
        if task.outputs <= SAMPLES and not measured:  # every bit stays 0
            return samples(Row(), task, {"0" * task.program.num_bits: task.shots}, 0)
        seed = row_seed(task.seed, number)
        own = sampled and plan.threads > 1
        shots = task.shots if sampled and measured and not own else 1
        text, phase = Writer(task.bindings[number], basis=bool(plan.profile)).write(task.program, plan.qubits, measured)
        row = Row()
        with ExitStack() as stack:
            dump = -1 if task.outputs <= SAMPLES and not own else stack.enter_context(memory_file())
            said = run(self._installed, launch(plan, text, shots, seed >> 33, dump), task.stopped)
            bits = task.program.num_bits if measured else plan.qubits
            found = output.counts(said, output.Expected(shots, bits, plan.fusion, bool(plan.profile)))
            if dump >= 0:
                state = output.amplitudes(dump, 1 << plan.qubits)[: 1 << task.program.num_qubits]
                exact(row, task, state * np.exp(1j * phase))
        if sampled:
            if not measured:
                found = {"0" * task.program.num_bits: task.shots}
            samples(row, task, draw(task, state, seed) if own and measured else found, seed)
        return row


def probe(installed: Installed) -> frozenset[str]:
    """The back ends of an NWQ-Sim whose interface is known. Raises Unavailable for another program or version."""
    try:
        output.check_interface(run(installed, Launch(("--help",)), lambda: False))
        return output.backends(run(installed, Launch(("--backend_list",)), lambda: False))
    except Unavailable as error:
        raise Unavailable(f"{installed.executable}: {error}") from error


def checked(task: Task) -> Plan:
    """The options of a task. Raises Unsupported, InvalidArgument, ResourceExhausted with the value and the limit."""
    method, backend = str(task.options["method"]), str(task.options["backend"])
    ranks, threads = int(task.options["ranks"]), int(task.options["threads"])
    wanted = sorted(task.outputs - SAMPLES)
    if not task.program.terminal_measurements:
        raise Unsupported("device nwqsim runs no measurement in the middle: NWQ-Sim gives no bits of such a one")
    profile = str(task.options["device_profile"])
    if bool(profile) != (method == "density_matrix"):
        raise InvalidArgument(
            f"option method={method!r} {'with' if profile else 'without'} device_profile: NWQ-Sim has density "
            "matrices for the noise of a device, and noise for density matrices"
        )
    if profile and (wanted or backend != "CPU"):
        what = wanted[0] if wanted else f"backend={backend!r}"
        raise Unsupported(f"{what} with method='density_matrix': NWQ-Sim gives counts and memory, on CPU")
    if backend == "MPI" and wanted:
        raise Unsupported(
            f"{wanted[0]} with backend='MPI': NWQ-Sim's ranks overwrite each other's dumps of the state; the back ends "
            "CPU and OpenMP give them"
        )
    if ranks != 1 and backend != "MPI":
        raise InvalidArgument(f"option ranks={ranks} with backend={backend!r}: processes are for backend='MPI'")
    if ranks & (ranks - 1):
        raise InvalidArgument(f"option ranks={ranks}: NWQ-Sim takes a power of two")
    if threads != 1 and backend != "OpenMP":
        raise InvalidArgument(f"option threads={threads} with backend={backend!r}: threads are for backend='OpenMP'")
    least = LOCAL_QUBITS + ranks.bit_length() - 1 if backend == "MPI" else 1
    qubits = max(least, task.program.num_qubits)
    plan = Plan(method, backend, ranks, threads, bool(task.options["fusion"]), profile, qubits)
    check_memory(plan, task.shots, bool(wanted) or threads > 1)
    return plan


def check_memory(plan: Plan, shots: int, dumped: bool) -> None:
    """Raises ResourceExhausted when a state cannot fit; NWQ-Sim itself would die. Not for ranks, which may be on other
    nodes."""
    if plan.backend == "MPI":
        return
    needed = 8 * shots + ((24 + 48 * dumped) << plan.qubits)  # a dump, its numbers, and the state made of them
    if plan.profile:
        needed += 16 << (2 * plan.qubits)
    with open("/proc/meminfo") as lines:
        free = next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")) * 1024
    if needed > free:
        raise ResourceExhausted(
            f"{plan.qubits} qubits and {shots} shots need {needed} bytes with NWQ-Sim, {free} are available"
        )


def launch(plan: Plan, program: str, shots: int, seed: int, dump: int) -> Launch:
    """NWQ-Sim's arguments: its names of ours."""
    words = ["--backend", plan.backend, "--sim", METHODS[plan.method]]
    words += ["--shots", str(shots), "--random_seed", str(seed)]
    if plan.backend == "OpenMP":
        words += ["--hw_threads", str(plan.threads)]
    if not plan.fusion:
        words.append("--disable_fusion")
    return Launch(tuple(words), program, plan.profile, dump, plan.ranks if plan.backend == "MPI" else 0, plan.threads)


def row_seed(seed: int, row: int) -> int:
    """The seed of one row: parts get seeds by hashing. NWQ-Sim's takes its upper 31 bits."""
    digest = hashlib.blake2b(seed.to_bytes(8, "little") + row.to_bytes(8, "little"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def samples(row: Row, task: Task, found: dict[str, int], seed: int) -> Row:
    """Fills in counts, and memory: the shots of the counts in random order."""
    width = (task.program.num_bits + 7) // 8
    numbers = sorted((int(key or "0", 2), count) for key, count in found.items())
    raw = b"".join(number.to_bytes(width, "little") for number, _ in numbers)
    keys = np.frombuffer(raw, dtype=np.uint8).reshape(len(numbers), width)
    counts = np.array([count for _, count in numbers], dtype=np.uint64)
    if "counts" in task.outputs:
        row.count_keys, row.counts = keys, counts
    if "memory" in task.outputs:
        order = np.random.default_rng(seed).permutation(task.shots)
        row.memory = np.repeat(keys, counts.astype(np.int64), axis=0)[order]
    return row


def exact(row: Row, task: Task, state: State) -> None:
    """Fills in what the state gives."""
    weights = state.real**2 + state.imag**2
    if "statevector" in task.outputs:
        row.statevector = state
    if "probabilities" in task.outputs:
        row.probabilities = marginal(weights, task.qubits)
    if "expectations" in task.outputs:
        row.expectations = np.array([expectation(state, o) for o in task.observables], dtype=np.float64)


def draw(task: Task, state: State, seed: int) -> dict[str, int]:
    """Counts drawn from the state, as NWQ-Sim's keys: its threads share one generator without a lock, and give other
    shots for the same seed each time."""
    sums = np.cumsum(state.real**2 + state.imag**2)
    outcomes = np.searchsorted(sums[:-1], np.random.default_rng([seed, 1]).random(task.shots) * sums[-1], side="right")
    found: dict[str, int] = {}
    where = {i.bits[0]: i.qubits[0] for i in task.program.instructions if i.op == "measure"}
    for outcome, count in zip(*(a.tolist() for a in np.unique(outcomes, return_counts=True)), strict=True):
        bits = (str(outcome >> where[b] & 1) if b in where else "0" for b in reversed(range(task.program.num_bits)))
        key = "".join(bits)
        found[key] = found.get(key, 0) + count
    return found


def marginal(weights: NDArray[np.float64], qubits: Sequence[int]) -> NDArray[np.float64]:
    """Probabilities of the outcomes of `qubits`, the first least significant; all where none is named."""
    if not qubits:
        return weights
    index = np.arange(len(weights))
    key = np.zeros(len(weights), dtype=np.int64)
    for place, qubit in enumerate(qubits):
        key |= ((index >> qubit) & 1) << place
    return np.asarray(np.bincount(key, weights, 1 << len(qubits)), dtype=np.float64)


def expectation(state: State, observable: PauliSum) -> float:
    """Of a Pauli sum: P maps basis state i to i^(number of Y) (-1)^(ones under Y and Z) times basis state i ^ flip."""
    total = 0.0
    index = np.arange(len(state))
    for coefficient, letters, qubits in observable.terms:
        flip, sign, turns = 0, np.zeros(len(index), dtype=np.int64), 0
        for letter, qubit in zip(letters, qubits, strict=True):
            flip |= int(letter in "XY") << qubit
            turns += letter == "Y"
            if letter in "YZ":
                sign ^= (index >> qubit) & 1
        overlap = state * state[index ^ flip].conj()
        total += coefficient * float((1j**turns * (1 - 2 * sign) * overlap).sum().real)
    return total
