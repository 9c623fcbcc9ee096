"""PennyLane tapes to Programs.

A tape's numbers become parameters of the Program, in the order in which the operations carry them, so that tapes of
one structure share one Program (sent once, planned once) and differ only in their rows of bindings.
`TapeConverter.structure` reads a tape in one cheap pass and gives (key, values): equal keys mean equal Programs.
`TapeConverter.build` makes the Program of a key.

Wire i of the converter's wire order is qubit i. PennyLane writes matrices and states with the first wire as the most
significant bit, a Program has qubit 0 as the least significant: a matrix is applied to the reversed wires, and whoever
reads a state vector back reorders it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from functools import cache
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from qfw.program import MEASURE, UNITARY, Affine, Builder, Gate, Program, gate, gates
from qfw.program.errors import InvalidArgument, Unsupported
from qfw.toolchain.formats.converted import Converted
from qfw.toolchain.formats.pennylane_dynamic import Branches, Condition, condition_of, measurement_id

# One instruction of a lowered operation: (gate id, wires, scales of its parameters, controls), or for a matrix
# (UNITARY, wires, row-major bytes, controls). Wires are PennyLane's labels, controls first. In the middle of a circuit
# (MEASURE, wires, whether it resets, 0) and (_IF, (), (Condition, steps), 0).
Step = tuple[int, tuple[Hashable, ...], Any, int]
Key = tuple[Hashable, ...]

_IF = -1000  # no code of Builder.extend
_MATRIX_WIRES = 2  # widest matrix the Program holds


class Native(NamedTuple):
    """How a PennyLane class is written as one row of the gate table."""

    row: Gate
    gate: int
    scales: tuple[float, ...]  # one per parameter: angle = scale * PennyLane's number
    controlled: bool  # PennyLane puts `wires` together at each look, for half of the cost of converting a tape


class Tables(NamedTuple):
    """What the gate table says about PennyLane's classes."""

    native: dict[type, Native]
    ignored: frozenset[type]  # no effect on the state
    measurement: type  # in the middle of a circuit
    conditional: type


@cache
def tables() -> Tables:
    """The PennyLane classes of the gate table; imports pennylane."""
    import pennylane as qml

    native: dict[type, Native] = {}
    for row in gates():
        cls = getattr(qml, row.pennylane, None) if row.pennylane else None
        if cls is not None:  # names like Adjoint(S) are no classes: `lower` derives them from their base
            native[cls] = Native(row, row.id, (1.0,) * row.params, issubclass(cls, qml.ops.Controlled))
    phase = gate("gphase")
    native[qml.GlobalPhase] = Native(phase, phase.id, (-1.0,), False)  # exp(-i x)
    del native[qml.Identity]
    ignored = frozenset({qml.Identity, qml.Barrier, qml.Snapshot})
    return Tables(native, ignored, qml.ops.MidMeasure, qml.ops.Conditional)


def labels_of(op: Any, native: Native) -> tuple[Hashable, ...]:
    """The wire labels of an operation of the table, quickly."""
    if native.controlled:
        return op.control_wires.labels + op.base.wires.labels  # type: ignore[no-any-return]
    return op.wires.labels  # type: ignore[no-any-return]


def accepts(op: Any) -> bool:
    """Whether an operation can be written without decomposing it."""
    table = tables()
    cls = op.__class__
    if cls in table.native or cls in table.ignored or cls is table.measurement:
        return True
    if cls is table.conditional:
        return accepts(op.base)
    import pennylane as qml

    if isinstance(op, qml.ops.Controlled):
        return not isinstance(op.base, qml.BasisState) and accepts(op.base)
    if isinstance(op, qml.ops.Adjoint):
        return op.base.__class__ in table.native or _has_small_matrix(op)
    return isinstance(op, qml.BasisState) or _has_small_matrix(op)


def broadcasts(op: Any) -> bool:
    """Whether an operation becomes a row of the gate table, so that a batch of its numbers is rows of bindings."""
    if op.__class__ in tables().native:
        return True
    import pennylane as qml

    return isinstance(op, qml.ops.Controlled | qml.ops.Adjoint) and broadcasts(op.base)


def _has_small_matrix(op: Any) -> bool:
    """An operation on one or two wires that knows its matrix (a unitary one: no state preparation, no measurement)."""
    from pennylane.operation import Operation, StatePrepBase

    return (
        isinstance(op, Operation)
        and not isinstance(op, StatePrepBase)
        and 1 <= len(op.wires) <= _MATRIX_WIRES
        and bool(op.has_matrix)
    )


def lower(op: Any, values: list[Any]) -> tuple[Step, ...]:
    """The steps of an operation that is not itself a row of the table; appends its numbers to `values`.

    Raises Unsupported for an operation that has to be decomposed first.
    """
    import pennylane as qml

    table = tables()
    cls = op.__class__
    if cls in table.ignored:
        return ()
    if (native := table.native.get(cls)) is not None:
        values.extend(op.data)
        return ((native.gate, _wires(op, native), native.scales, 0),)
    if isinstance(op, qml.ops.Controlled):
        return _lower_controlled(op, values)
    if isinstance(op, qml.ops.Adjoint) and (native := table.native.get(op.base.__class__)) is not None:
        inverse, angles = _inverse(native)
        values.extend(op.data[parameter] for parameter, _, _ in angles)
        return ((inverse.id, _wires(op, native), tuple(scale for _, scale, _ in angles), 0),)
    if isinstance(op, qml.BasisState):
        bits = np.asarray(qml.math.unwrap(op.data[0])).reshape(-1)
        flip = table.native[qml.PauliX].gate
        return tuple((flip, (w,), (), 0) for w, bit in zip(op.wires.labels, bits, strict=True) if bit)
    if _has_small_matrix(op):
        matrix = np.ascontiguousarray(qml.math.unwrap(op.matrix()), dtype=np.complex128)
        if matrix.ndim != 2:
            raise Unsupported(f"{op.name} carries a batch of {matrix.shape[0]} matrices: expand the tape first")
        return ((UNITARY, op.wires.labels[::-1], matrix.tobytes(), 0),)
    raise Unsupported(f"operation {op.name} on {len(op.wires)} wires has no row in the gate table: decompose it")


def _inverse(native: Native) -> tuple[Gate, Any]:
    """The row of the inverse, and its angles in the parameters of the operation."""
    return native.row.inverse([Affine(i, scale) for i, scale in enumerate(native.scales)])


def sources(op: Any) -> tuple[int, ...]:
    """Which of an operation's numbers become parameters of the Program, in the order in which they do."""
    import pennylane as qml

    table = tables()
    if (native := table.native.get(op.__class__)) is not None:
        return tuple(range(len(native.scales)))
    if isinstance(op, qml.ops.Controlled | qml.ops.Conditional):
        return sources(op.base)
    if isinstance(op, qml.ops.Adjoint) and (native := table.native.get(op.base.__class__)) is not None:
        return tuple(parameter for parameter, _, _ in _inverse(native)[1])
    return ()


def _wires(op: Any, native: Native) -> tuple[Hashable, ...]:
    """The wires that the row acts on: the global phase has none of its own."""
    labels: tuple[Hashable, ...] = op.wires.labels
    return labels if native.row.qubits else ()


def _lower_controlled(op: Any, values: list[Any]) -> tuple[Step, ...]:
    """A controlled operation: its base's steps with more controls, X around the controls of value 0."""
    controls = op.control_wires.labels
    steps: list[Step] = []
    for code, wires, params, own in lower(op.base, values):
        if code != UNITARY:
            row = gate(code)
            # Controls of the row itself become controls of its base: cx with two more is x with three.
            code, own = row.base.id, own + row.controls
        steps.append((code, controls + wires, params, len(controls) + own))
    flip = tables().native[_x()].gate
    flips: list[Step] = [(flip, (w,), (), 0) for w, on in zip(controls, op.control_values, strict=True) if not on]
    return (*flips, *steps, *flips)


def _x() -> type:
    import pennylane as qml

    return qml.PauliX  # type: ignore[no-any-return]


class TapeConverter:
    """Converts tapes over one wire order. `wires` are the labels; None means that wires are 0, 1, 2, … already."""

    def __init__(self, wires: Sequence[Hashable] | None, num_qubits: int | None = None) -> None:
        self._index = {w: i for i, w in enumerate(wires)} if wires is not None else None
        self._num_qubits = num_qubits if wires is None else len(wires)
        table = tables()
        self._native, self._ignored = table.native, table.ignored
        self._measurement, self._conditional = table.measurement, table.conditional

    def structure(self, operations: Iterable[Any]) -> tuple[Key, list[Any]]:
        """(key, numbers) of some operations. The numbers are as PennyLane holds them: see `rows`."""
        key: list[Hashable] = []
        values: list[Any] = []
        native, ignored = self._native, self._ignored
        numbers: dict[Hashable, int] = {}  # of the measurements in the middle
        for op in operations:
            cls = op.__class__
            known = native.get(cls)
            if known is not None:
                key.append(cls)
                if known.controlled:
                    key.append(op.control_wires.labels + op.base.wires.labels)
                else:
                    key.append(op.wires.labels)
                if known.scales:
                    values += op.data
            elif cls is self._measurement:
                numbers[measurement_id(op)] = len(numbers)
                key.append(((MEASURE, op.wires.labels, op.reset, 0),))
            elif cls is self._conditional:
                key.append(((_IF, (), (condition_of(op.meas_val, numbers), lower(op.base, values)), 0),))
            elif cls not in ignored:
                key.append(lower(op, values))
        return tuple(key), values

    def qubits(self, labels: Iterable[Hashable]) -> tuple[int, ...]:
        """Qubit numbers of wire labels; InvalidArgument for a wire that is not there."""
        if self._index is None:
            return tuple(labels)  # type: ignore[arg-type]
        try:
            return tuple([self._index[w] for w in labels])
        except KeyError as error:
            raise InvalidArgument(f"wire {error.args[0]!r} is not one of {list(self._index)}") from None

    def build(
        self, key: Key, *, num_qubits: int | None = None, rotations: Key = (), measured: Sequence[Hashable] = ()
    ) -> Program:
        """The Program of a key, then the fixed gates of `rotations` (a key without parameters), then a measurement of
        the wires `measured` into bits 0, 1, 2, …, in that order. The bits of measurements in the middle follow."""
        count = num_qubits if num_qubits is not None else self._num_qubits
        if count is None:
            raise InvalidArgument("the number of wires is not known: pass num_qubits")
        steps = list(self._steps((*key, *rotations)))
        middle = sum(step[0] == MEASURE for step in steps)
        builder = Builder(count, len(measured) + middle)
        if measured:
            builder.register("c", 0, len(measured))
        if middle:
            builder.register("m", len(measured), middle)
        branches = self._instructions(builder, steps, len(measured))
        for bit, qubit in enumerate(self.qubits(measured)):
            builder.measure(qubit, bit)
        if branches.written:
            builder.end()
        return builder.finish()

    def _instructions(self, builder: Builder, steps: Sequence[Step], bit: int) -> Branches:
        """Writes the steps; measurements go to the bits from `bit` on."""
        branches = Branches(builder, bit)
        for (code, condition), group in groupby(steps, _kind):
            if condition is not None:
                lowered = [step for _, _, (_, inner), _ in group for step in inner]
                branches.run(condition, [self._operation(builder, step) for step in lowered])
            elif code == MEASURE:
                for _, labels, reset, _ in group:
                    (qubit,) = self.qubits(labels)
                    builder.measure(qubit, bit)
                    bit += 1
                    if reset:
                        builder.reset(qubit)
            else:
                builder.extend([self._operation(builder, step) for step in group])
        return branches

    def _steps(self, key: Key) -> Iterator[Step]:
        items: Iterator[Any] = iter(key)
        for item in items:
            if isinstance(item, tuple):
                yield from item
            else:
                native = self._native[item]
                labels = next(items)
                yield native.gate, labels if native.row.qubits else (), native.scales, 0

    def _operation(self, builder: Builder, step: Step) -> tuple[Any, ...]:
        """A step as Builder.extend takes it."""
        code, labels, params, controls = step
        qubits = self.qubits(labels)
        if code == UNITARY:
            side = 2 ** (len(qubits) - controls)
            return code, qubits, (np.frombuffer(params, dtype=np.complex128).reshape(side, side),), controls
        return code, qubits, tuple([Affine(builder.parameter(), scale) for scale in params]), controls


def _kind(step: Step) -> tuple[int, Condition | None]:
    """What steps in a row have in common that are written together."""
    code = step[0]
    return (code, step[2][0]) if code == _IF else (MEASURE if code == MEASURE else 0, None)


def rows(values: Sequence[Any]) -> NDArray[np.float64]:
    """The numbers of a tape as bindings: one dimension, a row; of a broadcasted tape two, rows x parameters.

    Raises InvalidArgument for what is neither numbers nor a batch of them.
    """
    try:
        out = np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        import pennylane as qml

        arrays = [np.asarray(qml.math.unwrap([v])[0], dtype=np.float64) for v in values]
        out = np.array(np.broadcast_arrays(*arrays), dtype=np.float64)
    if out.ndim > 2:
        raise InvalidArgument(f"a tape with parameters of shape {out.shape[1:]}: a number or a batch is expected")
    return out if out.ndim == 1 else np.ascontiguousarray(out.T)


def to_program(tape: Any, *, wires: Sequence[Hashable] | None = None) -> Converted:
    """A whole tape: its Program and one row of bindings.

    `wires` is the wire order, by default the tape's own (sorted when the labels are integers). The wires of
    measurements in the computational basis (samples, counts, probabilities) are measured, in the order of the wires.
    Raises PennyLane's DeviceError for an operation that it cannot decompose into rows of the gate table,
    InvalidArgument for one whose parameters make no sense.
    """
    from pennylane.devices.preprocess import decompose

    order: tuple[Any, ...] = tuple(wires) if wires is not None else tuple(tape.wires)
    if wires is None and all(isinstance(w, int) for w in order):
        order = tuple(sorted(order))
    converter = TapeConverter(order)
    try:
        [decomposed], _ = decompose(tape, stopping_condition=accepts, skip_initial_state_prep=False)
        key, values = converter.structure(decomposed.operations)
        bindings = np.atleast_2d(rows(values))
    except (TypeError, ValueError) as error:  # a parameter that is no number
        raise InvalidArgument(f"an operation of the tape cannot be worked out: {error}") from error
    sampled = {w for m in tape.measurements if _is_sampled(m) for w in (m.wires or order)}
    program = converter.build(key, measured=[w for w in order if w in sampled])
    return Converted(program, bindings=bindings)


def _is_sampled(measurement: Any) -> bool:
    from pennylane.measurements import CountsMP, ProbabilityMP, SampleMP

    return isinstance(measurement, CountsMP | ProbabilityMP | SampleMP) and measurement.obs is None
