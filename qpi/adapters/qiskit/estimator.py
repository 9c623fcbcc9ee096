"""`QFWEstimatorV2`: expectation values, exact where the device gives them, sampled otherwise."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from qiskit import QuantumCircuit
from qiskit.circuit import ClassicalRegister
from qiskit.primitives import BaseEstimatorV2, DataBin, PrimitiveResult, PubResult
from qiskit.primitives.containers import EstimatorPubLike
from qiskit.primitives.containers.estimator_pub import EstimatorPub

from qfw import qpi
from qfw.program import PauliSum
from qfw.program.errors import InvalidArgument
from qfw.qpi.adapters.qiskit import observables as obs
from qfw.qpi.adapters.qiskit import results
from qfw.qpi.adapters.qiskit.backend import QFWBackend
from qfw.qpi.adapters.qiskit.batch import naming
from qfw.qpi.adapters.qiskit.options import frozen, part_seed, run_options
from qfw.qpi.adapters.qiskit.primitive_job import QFWPrimitiveJob
from qfw.qpi.adapters.qiskit.sampler import bindings_of, check_backend, check_options
from qfw.toolchain.formats.converted import Matrix
from qfw.toolchain.formats.qiskit import to_program

_OPTIONS = ("default_precision", "seed", "seed_simulator", "abelian_grouping", "run_options")
_SAMPLED_PRECISION = 0.015625  # 4096 shots
_WASTE = 4  # compute at most so many times the values asked for before splitting a PUB into tasks


class QFWEstimatorV2(BaseEstimatorV2):
    """An estimator on a `QFWBackend`.

    With precision 0 the device computes exact values, all rows and observables of a PUB in one task. With a precision
    above 0, or on a device without exact values, groups of observables that commute qubit by qubit are measured with
    ceil(1 / precision^2) shots each.

    Args:
        backend: the backend; None: one of its own on the default device.
        options: `default_precision` (0 where the device gives exact values, else 1/64), `seed_simulator` (or `seed`),
            `run_options` (of `QFWBackend.run`).
        mode: as the sampler's.
    """

    def __init__(
        self,
        backend: QFWBackend | None = None,
        *,
        options: Mapping[str, Any] | None = None,
        default_precision: float | None = None,
        seed: int | None = None,
        mode: Any = None,
    ) -> None:
        self._backend = check_backend(backend, mode)
        values = check_options(options, _OPTIONS, default_precision=default_precision, seed=seed)
        self._exact = "expectations" in self._backend.device.outputs
        self.default_precision = _precision(values.get("default_precision", 0.0 if self._exact else _SAMPLED_PRECISION))
        self._seed = values.get("seed", values.get("seed_simulator"))
        self._run_options = frozen(values.get("run_options") or {}, self._backend.device)
        run_options({}, self._run_options, self._backend.device)

    @property
    def backend(self) -> QFWBackend:
        """Where it runs."""
        return self._backend

    def run(self, pubs: Iterable[EstimatorPubLike], *, precision: float | None = None) -> QFWPrimitiveJob:
        """Submits all PUBs in one message.

        Raises:
            InvalidArgument: no PUB, an option or precision out of range. UnknownGate, Unsupported: as the backend's.
        """
        precision = self.default_precision if precision is None else _precision(precision)
        coerced = [EstimatorPub.coerce(pub, precision) for pub in pubs]
        if not coerced:
            raise InvalidArgument("run() of no PUB; at least one expected")
        want = run_options(self._backend.options, self._run_options, self._backend.device)
        seed = want.seed if self._seed is None else self._seed
        plans: list[_Exact | _Sampled] = []
        for i, pub in enumerate(coerced):
            with naming(f"PUB {i} ({pub.circuit.name!r})"):
                plans.append(self._plan(pub, part_seed(seed, i)))
        tasks = [task for plan in plans for task in plan.tasks]
        for task in tasks:
            task.priority, task.options = want.priority, want.device or None
        names = [plan.pub.circuit.name for plan in plans for _ in plan.tasks]
        batch = self._backend.submit(tasks, names)

        def finish(done: Sequence[Any]) -> PrimitiveResult:
            self._backend.account(done)
            left = iter(done)
            parts = [plan.result([next(left) for _ in plan.tasks]) for plan in plans]
            return PrimitiveResult(parts, metadata={"version": 2})

        return QFWPrimitiveJob(batch, finish, want.timeout)

    def _plan(self, pub: EstimatorPub, seed: int | None) -> _Exact | _Sampled:
        if pub.precision:
            return _Sampled(pub, seed)
        if not self._exact:
            name = self._backend.device.name
            raise InvalidArgument(f"precision 0: device {name!r} gives no exact values; a precision above 0 expected")
        return _Exact(pub, seed)


def _precision(value: float) -> float:
    if not 0 <= value < math.inf:
        raise InvalidArgument(f"precision {value!r}; a finite number of at least 0 expected")
    return float(value)


class _Plan:
    """The tasks of one PUB, and how their results become its values."""

    def __init__(self, pub: EstimatorPub) -> None:
        self.pub = pub
        self.tasks: list[Any] = []
        self.terms = [obs.terms_of(o) for o in np.asarray(pub.observables).ravel()]
        rows = np.arange(pub.parameter_values.size).reshape(pub.parameter_values.shape)
        which = np.arange(len(self.terms)).reshape(pub.observables.shape)
        self.rows, self.which = np.broadcast_arrays(rows, which)
        self.started = time.perf_counter_ns()

    def add(self, circuit: QuantumCircuit, rows: Any, **fields: Any) -> None:
        """Adds a task; `rows` picks rows of the PUB's parameter values (None: all)."""
        converted = to_program(circuit)
        bindings: Matrix | None = None
        if converted.parameter_names:
            bindings = bindings_of(self.pub, converted.columns)
            bindings = bindings if rows is None else bindings[rows]
        now = time.perf_counter_ns()
        spent, self.started = now - self.started, now
        self.tasks.append(qpi.Task(converted.program, bindings=bindings, convert_ns=spent, **fields))

    def pub_result(self, evs: Any, stds: Any, done: Sequence[Any], **more: Any) -> PubResult:
        metadata = {
            "target_precision": self.pub.precision,
            "circuit_metadata": self.pub.circuit.metadata,
            "timing": [results.timing(r) for r in done],
            "device": done[0].device if done else None,
            **(results.method(done[0]) if done else {}),
            **more,
        }
        return PubResult(DataBin(evs=evs, stds=stds, shape=evs.shape), metadata=metadata)


class _Exact(_Plan):
    def __init__(self, pub: EstimatorPub, seed: int | None) -> None:
        super().__init__(pub)
        circuit = pub.circuit.remove_final_measurements(inplace=False) if pub.circuit.num_clbits else pub.circuit
        sums = [PauliSum(obs.as_sum(t)) for t in self.terms]
        free = bool(circuit.num_parameters)
        self.parts: list[tuple[Any, list[int]]] = []  # per task: rows, observables
        if self.rows.size == 0:
            return
        if free and pub.parameter_values.size * len(sums) > _WASTE * max(self.rows.size, 16):
            flat_rows, flat_which = self.rows.ravel(), self.which.ravel()
            self.parts = [(np.unique(flat_rows[flat_which == o]), [o]) for o in range(len(sums))]
        else:
            self.parts = [(np.arange(pub.parameter_values.size), list(range(len(sums))))]
        for rows, which in self.parts:
            fields: dict[str, Any] = {"observables": [sums[o] for o in which], "outputs": ("expectations",), "shots": 0}
            self.add(circuit, rows if free else None, seed=seed, **fields)

    def result(self, done: Sequence[Any]) -> PubResult:
        table = np.zeros((self.pub.parameter_values.size, len(self.terms)))
        for (rows, which), result in zip(self.parts, done, strict=True):
            values = np.stack([row.expectations for row in result.rows])
            table[np.ix_(rows, which)] = values  # one row without parameters stands for all
        evs = table[self.rows, self.which]
        return self.pub_result(evs, np.zeros_like(evs), done, shots=0)


class _Sampled(_Plan):
    def __init__(self, pub: EstimatorPub, seed: int | None) -> None:
        super().__init__(pub)
        self.shots = math.ceil(1.0 / pub.precision**2)
        self.groups = obs.group(pauli for terms in self.terms for pauli in terms)
        circuit = pub.circuit.remove_final_measurements(inplace=False) if pub.circuit.num_clbits else pub.circuit
        self.first_bit = circuit.num_clbits
        if self.rows.size == 0:
            self.groups = []
        for i, (basis, _) in enumerate(self.groups):
            measured = _measured(circuit, basis)
            self.add(measured, None, shots=self.shots, outputs=("memory",), seed=part_seed(seed, i))

    def result(self, done: Sequence[Any]) -> PubResult:
        rows = self.pub.parameter_values.size
        means = np.zeros((rows, len(self.terms)))
        variances = np.zeros_like(means)
        for o, terms in enumerate(self.terms):
            means[:, o] = terms.get((), 0.0)
        for (basis, members), result in zip(self.groups, done, strict=True):
            memory = np.stack([row.memory for row in result.rows])
            signs = _signs(memory, self.first_bit, sorted(basis), members)
            for o, terms in enumerate(self.terms):
                own = [(terms[pauli], signs[pauli]) for pauli in members if pauli in terms]
                if own:
                    values = sum(c * s for c, s in own)
                    means[:, o] += values.mean(axis=1)
                    variances[:, o] += values.var(axis=1)
        evs = means[self.rows, self.which]
        stds = np.sqrt(variances[self.rows, self.which] / self.shots)
        return self.pub_result(evs, stds, done, shots=self.shots)


def _measured(circuit: QuantumCircuit, basis: Mapping[int, str]) -> QuantumCircuit:
    """The circuit with the qubits of `basis` measured in it, by rising qubit, into new bits."""
    made = circuit.copy()
    register = ClassicalRegister(len(basis), "qfw_observables")
    made.add_register(register)
    for bit, (qubit, letter) in zip(register, sorted(basis.items()), strict=True):
        if letter == "Y":
            made.sdg(qubit)
        if letter in "XY":
            made.h(qubit)
        made.measure(qubit, bit)
    return made


def _signs(
    memory: results.Bytes, first: int, qubits: Sequence[int], members: Sequence[obs.Pauli]
) -> dict[obs.Pauli, Any]:
    """Per product the eigenvalue found, +1 or -1, rows x shots."""
    bits = np.unpackbits(memory, axis=-1, bitorder="little")
    place = {q: first + i for i, q in enumerate(qubits)}
    signs = {}
    for pauli in members:
        parity = np.bitwise_xor.reduce(bits[..., [place[q] for q, _ in pauli]], axis=-1)
        signs[pauli] = 1.0 - 2.0 * parity
    return signs
