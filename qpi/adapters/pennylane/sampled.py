"""Tapes with shots: which wires are measured in which basis, and how results are read off counts or single shots."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import pennylane as qml
from numpy.typing import NDArray
from pennylane.measurements import CountsMP, ExpectationMP, ProbabilityMP, VarianceMP
from pennylane.ops import MidMeasure

from qfw.qpi.adapters.pennylane.dynamic import Outcomes, Weighted, outcome_counts
from qfw.qpi.adapters.pennylane.plan import Plan, Reader
from qfw.qpi.adapters.pennylane.split import pauli_word
from qfw.toolchain.formats.pennylane import Key, TapeConverter


class Wired(Protocol):
    """The part of a planner that is needed here."""

    converter: TapeConverter
    wires: Any


class SampledPlan:
    """Gathers the basis changes and the measured wires of a tape with shots."""

    def __init__(self, planner: Wired, tape: Any, postselect_mode: str | None) -> None:
        self.planner = planner
        self.measurements = tape.measurements
        self.bins = [slice(lo, hi) for lo, hi in tape.shots.bins()] if tape.shots.has_partitioned_shots else None
        middle = [op for op in tape.operations if isinstance(op, MidMeasure)]
        basis: dict[Any, str] = {}
        for m in tape.measurements:
            if middle and m.mv is not None:
                continue
            word = pauli_word(m.obs) if m.obs is not None else None
            basis.update(word if word is not None else dict.fromkeys(m.wires or planner.wires, "Z"))
        self.basis = basis
        self.measured = sorted(basis, key=lambda w: planner.converter.qubits((w,))) or [planner.wires[0]]
        self.bits = {w: i for i, w in enumerate(self.measured)}
        self.count = len(self.measured) + len(middle)  # bits of a shot: those of the wires first
        self.outcomes = Outcomes(middle, len(self.measured), postselect_mode)
        self.fills = bool(self.outcomes.postselected) and postselect_mode == "fill-shots"

    def make(self, operations: Key) -> Plan:
        """The plan, for the structure of the tape's operations."""
        converter = self.planner.converter
        rotations, _ = converter.structure(chain_rotations(self.basis))
        program = converter.build(
            operations, num_qubits=len(self.planner.wires), rotations=rotations, measured=self.measured
        )
        weighted = [self._weighted(m) for m in self.measurements]
        if self.bins is None and not self.fills and None not in weighted:
            readers = tuple([self._of_counts(m, r) for m, r in zip(self.measurements, weighted, strict=True) if r])
            return Plan(program, ("counts",), (), (), readers)
        fill = (lambda memory: self.outcomes.valid(unpack(memory, self.count))) if self.fills else None
        return Plan(program, ("memory",), (), (), self._of_shots(weighted), fill)

    def _of_counts(self, m: Any, reader: Weighted) -> Reader:
        def read(row: Any) -> Any:
            keys, times = row.count_arrays
            return self.outcomes.weigh(m, reader, unpack(keys, self.count), times)

        return read

    def _of_shots(self, weighted: Sequence[Weighted | None]) -> tuple[Reader, ...]:
        order = qml.wires.Wires(self.measured)

        def one(m: Any, reader: Weighted | None, shots: NDArray[np.uint8]) -> Any:
            if reader is None:
                return self.outcomes.read(m, unpack(shots, self.count), order)
            lines = np.ascontiguousarray(shots).view(f"V{shots.shape[1]}").reshape(-1)
            keys, times = np.unique(lines, return_counts=True)
            keys = keys.view(np.uint8).reshape(len(keys), -1)
            return self.outcomes.weigh(m, reader, unpack(keys, self.count), times)

        pairs = list(zip(self.measurements, weighted, strict=True))
        if self.bins is None:
            return tuple([lambda row, m=m, r=r: one(m, r, row.memory) for m, r in pairs])
        bins = self.bins

        def per_bin(shots: NDArray[np.uint8]) -> Any:
            out = tuple([one(m, r, shots) for m, r in pairs])
            return out[0] if len(out) == 1 else out

        return (lambda row: tuple([per_bin(row.memory[part]) for part in bins]),)

    def _weighted(self, m: Any) -> Weighted | None:
        """A reader of (bits of the outcomes, how often), for the measurements that need no single shots."""
        if m.mv is not None:
            return self.outcomes.weighted(m)
        if isinstance(m, ExpectationMP | VarianceMP) and m.obs is not None:
            return _moment([self.bits[w] for w in m.obs.wires if w in self.bits], isinstance(m, VarianceMP))
        if m.obs is not None or m._eigvals is not None:
            return None
        columns = [self.bits[w] for w in (m.wires or self.planner.wires)]
        if isinstance(m, ProbabilityMP):
            return lambda bits, times: outcome_counts(bits[:, columns], times) / times.sum()
        if isinstance(m, CountsMP) and not m.all_outcomes:
            return lambda bits, times: _count_dict(bits[:, columns], times)
        return None


def _moment(columns: list[int], variance: bool) -> Weighted:
    def moment(bits: NDArray[Any], times: NDArray[Any]) -> Any:
        odd = times[(bits[:, columns].sum(axis=1) & 1).astype(bool)].sum()
        mean = np.float64(1.0 - 2.0 * float(odd) / float(times.sum()))
        return np.float64(1.0 - mean * mean) if variance else mean

    return moment


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


__all__ = ["SampledPlan", "chain_rotations", "unpack"]
