"""Measurements in the middle of a circuit.

With shots the runtime follows each outcome (PennyLane's methods "one-shot" and "tree-traversal" name one way and the
other; here both are the runtime's one, and so is the default). "deferred", and everything without shots, is put off to
further wires, which need not be wires of the device. Postselection keeps the shots with the wanted outcomes, without
shots the projected state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import pennylane as qml
from numpy.typing import NDArray
from pennylane.devices.preprocess import null_postprocessing
from pennylane.devices.qubit.measure import measure as measure_state
from pennylane.measurements import CountsMP, ExpectationMP, ProbabilityMP, SampleMP, StateMP, VarianceMP
from pennylane.ops import Conditional, MeasurementValue, MidMeasure
from pennylane.transforms.dynamic_one_shot import fill_in_value

from qfw.qpi.adapters.pennylane.split import Batch, stack
from qfw.qpi.errors import LimitExceeded
from qfw.toolchain.formats.pennylane_dynamic import measurement_id, values_of

Counts = Callable[[NDArray[np.uint8]], NDArray[np.bool_]]  # packed shots -> which of them count

Weighted = Callable[[NDArray[Any], NDArray[Any]], Any]  # bits of outcomes, how often each was seen -> a result

METHODS = (None, "deferred", "device", "one-shot", "tree-traversal")

_MAX_FILL = 10_000_000  # shots run for one row to fill up what postselection leaves
_MAX_KEY = 8  # outcomes of a measured value up to which its values are part of a key


@qml.transform
def resolve_measurements(tape: Any, method: str | None, follows: bool, wires: Any, name: str) -> Batch:
    """Defers measurements in the middle, or leaves them for the runtime to follow.

    `follows`: whether the device runs branches; one that does not still measures in the middle.
    """
    measured = [op for op in tape.operations if isinstance(op, MidMeasure)]
    if not measured:
        return (tape,), null_postprocessing
    postselects = any(op.postselect is not None for op in measured)
    if tape.batch_size is not None:
        tapes, _ = qml.transforms.broadcast_expand(tape)
        each = [_resolved(part, measured, postselects, method, follows, wires, name) for part in tapes]
        return [part for (part,), _ in each], lambda results: stack(
            [post((result,)) for (_, post), result in zip(each, results, strict=True)]
        )
    return _resolved(tape, measured, postselects, method, follows, wires, name)


def _resolved(
    tape: Any, measured: Sequence[Any], postselects: bool, method: str | None, follows: bool, wires: Any, name: str
) -> Batch:
    if not tape.shots and postselects:
        return _projected(tape, measured, wires)
    if tape.shots and (method != "deferred" or postselects):
        if follows or not any(isinstance(op, Conditional) for op in tape.operations):
            return (tape,), null_postprocessing
        if method is not None or postselects:
            why = "postselection" if postselects else f"mcm_method {method}"
            raise qml.exceptions.DeviceError(
                f"{why} with conditional operations is not supported on {name}: its qfw device runs no branches"
            )
    return qml.defer_measurements(tape, allow_postselect=False)  # type: ignore[no-any-return]


def _projected(tape: Any, measured: Sequence[Any], wires: Any) -> Batch:
    """Postselection without shots: the state of the deferred circuit, projected on the wanted outcomes."""
    wanted = [op for op in measured if op.postselect is not None]
    with qml.queuing.QueuingManager.stop_recording():
        free = {measurement_id(op): MidMeasure(op.wires, reset=op.reset, meas_uid=op.meas_uid) for op in measured}
        operations = [_freed(op, free) for op in tape.operations]
        measurements = [m if m.mv is None else _of_value(m, _freed_value(m.mv, free)) for m in tape.measurements]
        probe = qml.probs(op=[MeasurementValue([free[measurement_id(op)]]) for op in wanted])
        [deferred], _ = qml.defer_measurements(tape.copy(operations=operations, measurements=[*measurements, probe]))
    *measurements, probe = deferred.measurements
    order = qml.wires.Wires.all_wires([wires or [], deferred.wires])
    outcomes = {order.index(w): op.postselect for w, op in zip(probe.wires, wanted, strict=True)}
    state = deferred.copy(measurements=[StateMP(wires=order)])
    return (state,), lambda results: _of_projected(results[0], order, outcomes, measurements)


def _freed(op: Any, free: dict[Any, Any]) -> Any:
    """An operation without postselection."""
    if isinstance(op, MidMeasure):
        return free[measurement_id(op)]
    return Conditional(_freed_value(op.meas_val, free), op.base) if isinstance(op, Conditional) else op


def _freed_value(value: Any, free: dict[Any, Any]) -> Any:
    if isinstance(value, list):
        return [_freed_value(one, free) for one in value]
    return MeasurementValue([free[measurement_id(m)] for m in value.measurements], value._processing_fn)


def _of_value(m: Any, value: Any) -> Any:
    """The same measurement of another measured value."""
    return CountsMP(obs=value, all_outcomes=m.all_outcomes) if isinstance(m, CountsMP) else type(m)(obs=value)


def _of_projected(amplitudes: Any, order: Any, outcomes: dict[int, int], measurements: Sequence[Any]) -> Any:
    """The measurements of the state whose axes have the given outcomes; NaN where these never happen."""
    state = np.array(amplitudes).reshape((2,) * len(order))
    for axis, outcome in outcomes.items():
        state[(slice(None),) * axis + (1 - outcome,)] = 0
    norm = np.linalg.norm(state)
    state = state / norm if norm > 1e-12 else np.full_like(state, np.nan)
    positions = {w: i for i, w in enumerate(order)}
    out = tuple(measure_state(m.map_wires(positions), state) for m in measurements)
    return out[0] if len(out) == 1 else out


def value_key(value: Any, operations: Sequence[Any]) -> tuple[Any, ...] | None:
    """A key that is equal only for measured values that read alike; None for one of too many outcomes."""
    middle = [measurement_id(op) for op in operations if isinstance(op, MidMeasure)]
    numbers = {m: i for i, m in enumerate(middle)}
    if not numbers:
        return None  # deferred
    if isinstance(value, list):
        keys = [_key(one, numbers) for one in value]
        return None if None in keys else ("list", *keys)
    return _key(value, numbers)


def _key(value: Any, numbers: dict[Any, int]) -> tuple[Any, ...] | None:
    if len(value.measurements) > _MAX_KEY:
        return None
    measured, values = values_of(value, numbers)
    return measured, tuple([(type(v).__name__, v) for v in values]) if value.has_processing else ()


class Outcomes:
    """How the statistics of measured values are taken of shots: rows of bits, measurement i in column first + i."""

    def __init__(self, measured: Sequence[Any], first: int, mode: str | None) -> None:
        self._columns = {measurement_id(m): first + i for i, m in enumerate(measured)}
        self.postselected = [(first + i, m.postselect) for i, m in enumerate(measured) if m.postselect is not None]
        self._pads = mode == "pad-invalid-samples"

    def valid(self, bits: NDArray[Any]) -> NDArray[np.bool_]:
        """Which shots have the wanted outcomes."""
        keep = np.ones(len(bits), dtype=bool)
        for column, outcome in self.postselected:
            keep &= bits[:, column] == outcome
        return keep

    def weigh(self, m: Any, reader: Weighted, bits: NDArray[Any], times: NDArray[Any]) -> Any:
        """The result of a measurement from outcomes and how often each was seen."""
        if self.postselected:
            keep = self.valid(bits)
            bits, times = bits[keep], times[keep]
            if not len(bits):
                return _of_no_shots(m)
        return reader(bits, times)

    def weighted(self, m: Any) -> Weighted | None:
        """A reader of outcomes and how often each was seen; None for a measurement of single shots."""
        if isinstance(m, SampleMP) or not self._columns:
            return None
        if isinstance(m.mv, list):
            return lambda bits, times: _of_list(m, self._values(m, bits), times)
        return lambda bits, times: _of_one(m, self._value(m.mv, bits), times)

    def read(self, m: Any, bits: NDArray[Any], order: Any) -> Any:
        """The result of a measurement from single shots; `order` are the wires of the first columns."""
        if not self.postselected:
            return self._of_shots(m, bits, order)
        keep = self.valid(bits)
        if self._pads and isinstance(m, SampleMP):
            out = np.asarray(self._of_shots(m, bits, order))
            return np.where(keep.reshape((-1,) + (1,) * (out.ndim - 1)), out, fill_in_value)
        return self._of_shots(m, bits[keep], order) if keep.any() else _of_no_shots(m)

    def _of_shots(self, m: Any, bits: NDArray[Any], order: Any) -> Any:
        if m.mv is None or not self._columns:  # deferred values are read off wires
            return m.process_samples(bits[:, : len(order)], order)
        return self._values(m, bits) if isinstance(m.mv, list) else np.array(self._value(m.mv, bits))

    def _values(self, m: Any, bits: NDArray[Any]) -> NDArray[np.int64]:
        return np.stack([self._value(one, bits) for one in m.mv], axis=1).astype(np.int64)

    def _value(self, value: Any, bits: NDArray[Any]) -> NDArray[Any]:
        found = value.processing_fn(*[bits[:, self._columns[measurement_id(k)]] for k in value.measurements])
        return np.broadcast_to(np.asarray(found), (len(bits),))


def _of_one(m: Any, values: NDArray[Any], times: NDArray[Any]) -> Any:
    if isinstance(m, ExpectationMP | VarianceMP):
        mean = np.average(values, weights=times)
        return np.average((values - mean) ** 2, weights=times) if isinstance(m, VarianceMP) else mean
    outcomes = list(m.mv.branches.values())
    if isinstance(m, ProbabilityMP):
        return np.array([times[values == outcome].sum() for outcome in outcomes]) / times.sum()
    counts = {float(v): 0 for v in sorted(outcomes)} if m.all_outcomes else {}
    for v in np.unique(values):
        counts[float(v)] = int(times[values == v].sum())
    return counts


def outcome_counts(bits: NDArray[Any], times: NDArray[Any]) -> NDArray[Any]:
    """How often each number was seen that the columns make, the first most significant."""
    width = bits.shape[1]
    return np.bincount(bits @ (1 << np.arange(width - 1, -1, -1)), weights=times, minlength=1 << width)


def _of_list(m: Any, values: NDArray[np.int64], times: NDArray[Any]) -> Any:
    """Of several outcomes, a column each."""
    seen = outcome_counts(values, times)
    if isinstance(m, ProbabilityMP):
        return seen / times.sum()
    texts = ("".join(bits) for bits in product("01", repeat=values.shape[1]))
    return {text: int(n) for text, n in zip(texts, seen, strict=True) if n or m.all_outcomes}


def _of_no_shots(m: Any) -> Any:
    """When postselection leaves none."""
    if isinstance(m, SampleMP):
        several = m.mv if isinstance(m.mv, list) else m.wires if m.mv is None and m._eigvals is None else None
        return np.empty((0,) if several is None else (0, len(several)), dtype=np.int64)
    if isinstance(m, CountsMP):
        return {}
    return np.full(2 ** len(m.wires), np.nan) if isinstance(m, ProbabilityMP) else np.float64(np.nan)


class Filled(NamedTuple):
    """Stands for a row of a result."""

    memory: NDArray[np.uint8]


def fill(
    memory: NDArray[np.uint8],
    counts: Counts,
    shots: int,
    more: Callable[[int], NDArray[np.uint8]],
) -> Filled:
    """The first `shots` shots that count; `more` runs some number of shots again.

    Raises LimitExceeded when 10 million shots have not given enough.
    """
    kept = [memory[counts(memory)]]
    run, found = len(memory), len(kept[0])
    while found < shots:
        if run >= _MAX_FILL:
            raise LimitExceeded(f"postselection kept {found} of {run} shots; {shots} are wanted, {_MAX_FILL} are run")
        missing = shots - found
        # As many as the rate so far makes likely to be enough, doubled while there is none.
        wanted = 2 * run if not found else int(1.1 * missing * run / found) + 16
        new = more(min(wanted, _MAX_FILL - run))
        run += len(new)
        kept.append(new[counts(new)])
        found += len(kept[-1])
    return Filled(np.concatenate(kept)[:shots])


__all__ = ["METHODS", "Counts", "Outcomes", "Weighted", "fill", "outcome_counts", "resolve_measurements", "value_key"]
