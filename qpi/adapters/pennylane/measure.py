"""Measurements of a tape: what to ask the runtime for, and how PennyLane's results are read off the answer.

A `Plan` is made once per structure of a tape (operations, measurements, with or without shots) and then serves every
tape of that structure. Readers take one row of a result.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pennylane as qml
from numpy.typing import NDArray
from pennylane.devices.qubit.measure import measure as measure_state
from pennylane.measurements import CountsMP, ExpectationMP, ProbabilityMP, SampleMP, StateMP, VarianceMP
from pennylane.ops import LinearCombination, MidMeasure, Prod, SProd, Sum

from qfw.program import PauliSum, Program
from qfw.qpi.adapters.pennylane.dynamic import Counts, Outcomes, value_key
from qfw.qpi.adapters.pennylane.split import pauli_word
from qfw.toolchain.formats.pennylane import Key, TapeConverter

Reader = Callable[[Any], Any]  # a row of a result -> what PennyLane expects

_MAX_SQUARE_TERMS = 64  # variance of a Pauli sum: beyond so many terms by the state


@dataclass(frozen=True, eq=False)
class Plan:
    """What one structure of tape asks for. `read` gives the result of a tape from a row."""

    program: Program
    outputs: tuple[str, ...]
    observables: tuple[PauliSum, ...]
    qubits: tuple[int, ...]  # of the probabilities, least significant first
    readers: tuple[Reader, ...]
    fill: Counts | None = None  # which shots count: more are run for the others

    def read(self, row: Any) -> Any:
        """The result of one tape: bare for one measurement, else a tuple."""
        if len(self.readers) == 1:
            return self.readers[0](row)
        return tuple([reader(row) for reader in self.readers])


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
            return _SampledPlan(self, tape, postselect_mode).make(operations)
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


class _SampledPlan:
    """Gathers the basis changes and the measured wires of a tape with shots."""

    def __init__(self, planner: Planner, tape: Any, postselect_mode: str | None) -> None:
        self.planner = planner
        self.tape = tape
        self.shots = tape.shots.total_shots
        self.middle = [op for op in tape.operations if isinstance(op, MidMeasure)]
        self.mode = postselect_mode
        self.bins = [slice(lo, hi) for lo, hi in tape.shots.bins()] if tape.shots.has_partitioned_shots else None
        basis: dict[Any, str] = {}
        for m in tape.measurements:
            if self.middle and m.mv is not None:
                continue
            word = pauli_word(m.obs) if m.obs is not None else None
            basis.update(word if word is not None else dict.fromkeys(m.wires or planner.wires, "Z"))
        self.basis = basis
        self.measured = sorted(basis, key=lambda w: planner.converter.qubits((w,))) or [planner.wires[0]]
        self.bits = {w: i for i, w in enumerate(self.measured)}

    def make(self, operations: Key) -> Plan:
        converter = self.planner.converter
        rotations, _ = converter.structure(chain_rotations(self.basis))
        program = converter.build(
            operations, num_qubits=len(self.planner.wires), rotations=rotations, measured=self.measured
        )
        if self.middle:
            return self._of_outcomes(program)
        fast = [self._from_counts(m) for m in self.tape.measurements]
        if self.bins is None and all(reader is not None for reader in fast):
            return Plan(program, ("counts",), (), (), tuple([self._counted(r) for r in fast if r is not None]))
        order = qml.wires.Wires(self.measured)
        readers = self._sample_readers(len(self.measured), lambda m, bits: m.process_samples(bits, wire_order=order))
        return Plan(program, ("memory",), (), (), readers)

    def _of_outcomes(self, program: Program) -> Plan:
        """Measurements in the middle: their bits follow those of the wires."""
        outcomes = Outcomes(self.middle, len(self.measured), self.mode)
        order = qml.wires.Wires(self.measured)
        count = len(self.measured) + len(self.middle)
        readers = self._sample_readers(count, lambda m, bits: outcomes.read(m, bits, order))
        fill = None
        if outcomes.postselected and self.mode == "fill-shots":
            fill = lambda memory: outcomes.valid(unpack(memory, count))  # noqa: E731
        return Plan(program, ("memory",), (), (), readers, fill)

    def _sample_readers(self, count: int, read: Callable[[Any, NDArray[Any]], Any]) -> tuple[Reader, ...]:
        """Readers of shots of `count` bits."""
        measurements = self.tape.measurements
        if self.bins is None:
            return tuple([lambda row, m=m: read(m, unpack(row.memory, count)) for m in measurements])
        bins = self.bins

        def per_bin(row: Any, part: slice) -> Any:
            samples = unpack(row.memory[part], count)
            out = tuple([read(m, samples) for m in measurements])
            return out[0] if len(out) == 1 else out

        return (lambda row: tuple([per_bin(row, part) for part in bins]),)

    def _counted(self, reader: Callable[[NDArray[Any], NDArray[Any]], Any]) -> Reader:
        count = len(self.measured)

        def read(row: Any) -> Any:
            keys, values = row.count_arrays
            return reader(unpack(keys, count), values)

        return read

    def _from_counts(self, m: Any) -> Callable[[NDArray[Any], NDArray[Any]], Any] | None:
        """A reader of (bits of the outcomes, how often), for the measurements that need no single shots."""
        shots = self.shots
        if isinstance(m, ExpectationMP | VarianceMP) and m.obs is not None:
            columns = [self.bits[w] for w in m.obs.wires if w in self.bits]
            variance = isinstance(m, VarianceMP)

            def moment(bits: NDArray[Any], values: NDArray[Any]) -> Any:
                odd = values[(bits[:, columns].sum(axis=1) & 1).astype(bool)].sum()
                mean = np.float64(1.0 - 2.0 * float(odd) / shots)
                return np.float64(1.0 - mean * mean) if variance else mean

            return moment
        if m.obs is not None or m.mv is not None or m._eigvals is not None:
            return None
        columns = [self.bits[w] for w in (m.wires or self.planner.wires)]
        if isinstance(m, ProbabilityMP):
            weights = 1 << np.arange(len(columns) - 1, -1, -1)

            def probabilities(bits: NDArray[Any], values: NDArray[Any]) -> Any:
                index = bits[:, columns] @ weights
                return np.bincount(index, weights=values, minlength=1 << len(columns)) / shots

            return probabilities
        if isinstance(m, CountsMP) and not m.all_outcomes:
            return lambda bits, values: _count_dict(bits[:, columns], values)
        return None


def chain_rotations(basis: dict[Any, str]) -> list[Any]:
    """The gates after which each wire's Pauli letter is measured as Z."""
    out: list[Any] = []
    for wire, letter in basis.items():
        if letter == "X":
            out.append(qml.Hadamard(wire))
        elif letter == "Y":
            out += [qml.adjoint(qml.S(wire)), qml.Hadamard(wire)]
    return out


def unpack(packed: NDArray[np.uint8], count: int) -> NDArray[np.int64]:
    """Packed bits (rows x bytes, little-endian bits) to a matrix rows x count of 0 and 1."""
    return np.unpackbits(packed, axis=1, count=count, bitorder="little").astype(np.int64)


def _count_dict(bits: NDArray[Any], values: NDArray[Any]) -> dict[str, Any]:
    """Counts by text, first wire left, sorted: outcomes that differ only in other wires are added."""
    out: dict[str, Any] = {}
    for outcome, times in zip(bits.astype(np.uint8) + 48, values, strict=True):
        text = outcome.tobytes().decode("ascii")
        out[text] = out.get(text, 0) + int(times)
    return dict(sorted(out.items()))
