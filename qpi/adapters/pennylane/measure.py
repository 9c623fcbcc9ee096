"""Measurements of a tape: what to ask the runtime for, and how PennyLane's results are read off the answer.

A `Plan` is made once per structure of a tape (operations, measurements, with or without shots) and then serves every
tape of that structure. Readers take one row of a result.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pennylane as qml
from numpy.typing import NDArray
from pennylane.devices.qubit.measure import measure as measure_state
from pennylane.measurements import CountsMP, ExpectationMP, ProbabilityMP, SampleMP, StateMP, VarianceMP
from pennylane.ops import LinearCombination, Prod, SProd, Sum

from qfw.program import PauliSum
from qfw.qpi.adapters.pennylane.dynamic import value_key
from qfw.qpi.adapters.pennylane.plan import Plan, Reader
from qfw.qpi.adapters.pennylane.sampled import SampledPlan
from qfw.toolchain.formats.pennylane import Key, TapeConverter

_MAX_SQUARE_TERMS = 64  # variance of a Pauli sum: beyond so many terms by the state


def measurement_key(tape: Any) -> Key | None:
    """A key that is equal only for measurements that read alike; None when one has no such key (do not cache)."""
    key: list[Hashable] = []
    for m in tape.measurements:
        if m._eigvals is not None:
            return None
        key.append(m.__class__)
        if m.mv is not None:
            values = value_key(m.mv, tape.operations)
            if values is None:
                return None
            key.append(values)
            if m.__class__ is CountsMP:
                key.append(m.all_outcomes)
        elif m.obs is None:
            key.append(m.wires.labels)
            if m.__class__ is CountsMP:
                key.append(m.all_outcomes)
            elif m.__class__ not in (ProbabilityMP, SampleMP, StateMP):
                return None
        else:
            token = _observable_key(m.obs)
            if token is None or m.__class__ not in (ExpectationMP, VarianceMP, ProbabilityMP, SampleMP, CountsMP):
                return None
            key.append(token)
            if m.__class__ is CountsMP:
                key.append(m.all_outcomes)
        if m.__class__ is SampleMP:
            key.append(str(getattr(m, "_dtype", None)))
    return tuple(key)


def _observable_key(obs: Any) -> Hashable | None:
    cls = obs.__class__
    if not obs.data and cls not in (Prod, Sum):
        return (cls, obs.wires.labels) if not obs.hyperparameters else None
    if cls is SProd:
        return (cls, float(obs.scalar), _observable_key(obs.base)) if np.ndim(obs.scalar) == 0 else None
    if cls in (Prod, Sum, LinearCombination):
        parts = tuple([_observable_key(o) for o in obs.operands])
        return None if None in parts else (cls, parts)
    return None


class Planner:
    """Makes plans over one wire order (the labels, in qubit order)."""

    def __init__(self, converter: TapeConverter, wires: Sequence[Hashable]) -> None:
        self.converter = converter
        self.wires = qml.wires.Wires(wires)
        self._positions = {w: i for i, w in enumerate(wires)}

    def plan(self, operations: Key, tape: Any, postselect_mode: str | None = None) -> Plan:
        """The plan of a tape whose operations have the given key."""
        if tape.shots:
            return SampledPlan(self, tape, postselect_mode).make(operations)
        return _AnalyticPlan(self, tape).make(operations)

    def observable(self, sentence: Any) -> PauliSum | None:
        """A PauliSum of PennyLane's PauliSentence; None when a coefficient is not real."""
        terms = []
        for word, coefficient in sentence.items():
            value = complex(coefficient)
            if abs(value.imag) > 1e-12 * max(1.0, abs(value.real)):
                return None
            terms.append((value.real, "".join(word.values()), list(self.converter.qubits(word))))
        return PauliSum(terms or [(0.0, "", [])])


class _AnalyticPlan:
    """Gathers what the measurements of a tape without shots need."""

    def __init__(self, planner: Planner, tape: Any) -> None:
        self.planner = planner
        self.tape = tape
        self.observables: list[PauliSum] = []
        self.outputs: set[str] = set()
        asked = [m for m in tape.measurements if _is_marginal(m)]
        self.union = sorted({q for m in asked for q in planner.converter.qubits(m.wires or planner.wires)})

    def make(self, operations: Key) -> Plan:
        readers = tuple([self._reader(m) for m in self.tape.measurements])
        program = self.planner.converter.build(operations, num_qubits=len(self.planner.wires))
        qubits = tuple(self.union) if "probabilities" in self.outputs else ()
        return Plan(program, tuple(sorted(self.outputs)), tuple(self.observables), qubits, readers)

    def _reader(self, m: Any) -> Reader:
        if isinstance(m, ExpectationMP | VarianceMP) and m.obs is not None and (rep := m.obs.pauli_rep) is not None:
            reader = self._moment(rep, isinstance(m, VarianceMP))
            if reader is not None:
                return reader
        if _is_marginal(m):
            return self._marginal(m)
        self.outputs.add("statevector")
        if type(m) is StateMP and not m.wires:
            return lambda row: _big_endian(row.statevector).reshape(-1)
        mapped = m.map_wires(self.planner._positions)
        return lambda row: measure_state(mapped, _big_endian(row.statevector))

    def _moment(self, sentence: Any, variance: bool) -> Reader | None:
        if variance and len(sentence) > _MAX_SQUARE_TERMS:
            return None
        first = self.planner.observable(sentence)
        if first is None:
            return None
        second = None
        if variance:
            square = sentence @ sentence
            square.simplify()
            second = self.planner.observable(square)
            if second is None:
                return None
        self.outputs.add("expectations")
        i = len(self.observables)
        self.observables.append(first)
        if second is None:
            return lambda row: row.expectations[i]
        self.observables.append(second)
        return lambda row: row.expectations[i + 1] - row.expectations[i] ** 2

    def _marginal(self, m: Any) -> Reader:
        self.outputs.add("probabilities")
        qubits = self.planner.converter.qubits(m.wires or self.planner.wires)
        count = len(self.union)
        # Axis k of the reshaped array is the qubit union[count - 1 - k].
        axis = {q: count - 1 - i for i, q in enumerate(self.union)}
        wanted = [axis[q] for q in qubits]
        others = tuple(sorted(set(range(count)) - set(wanted)))
        order = np.argsort(np.argsort(wanted)).tolist()
        if not others and wanted == list(range(count)):
            return lambda row: np.array(row.probabilities)

        def read(row: Any) -> NDArray[np.float64]:
            cube = row.probabilities.reshape((2,) * count)
            if others:
                cube = cube.sum(axis=others)
            return np.ascontiguousarray(cube.transpose(order)).reshape(-1)

        return read


def _is_marginal(m: Any) -> bool:
    return type(m) is ProbabilityMP and m.obs is None and m.mv is None and m._eigvals is None


def _big_endian(state: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """The state as PennyLane holds it: one axis per wire, in wire order."""
    count = max(state.size.bit_length() - 1, 0)
    return np.ascontiguousarray(state.reshape((2,) * count).transpose(range(count - 1, -1, -1)))
