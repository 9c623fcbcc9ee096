"""What has to happen to a tape before `QFWDevice.execute` takes it.

PennyLane runs a device's transforms at every call of a QNode, and each of them walks the tape. Most tapes need none
of it, so there is one transform here: a look at the tape that ends at once when it can run as it is, and the
sequence of PennyLane's own transforms otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import Any

import pennylane as qml
from pennylane.devices.preprocess import (
    decompose,
    device_resolve_dynamic_wires,
    null_postprocessing,
    validate_device_wires,
    validate_measurements,
)
from pennylane.measurements import (
    ClassicalShadowMP,
    ExpectationMP,
    ProbabilityMP,
    SampleMeasurement,
    ShadowExpvalMP,
    StateMeasurement,
    StateMP,
    VarianceMP,
)
from pennylane.operation import StatePrepBase
from pennylane.ops import Conditional

from qfw.qpi.adapters.pennylane.dynamic import resolve_measurements
from qfw.qpi.adapters.pennylane.gradients import keeps_parameters, pauli_observables
from qfw.qpi.adapters.pennylane.shadows import shadows_from_samples
from qfw.qpi.adapters.pennylane.split import (
    PAULIS,
    Batch,
    diagonalize,
    is_plain_sampled,
    split_sampled,
    stack,
)
from qfw.toolchain.formats.pennylane import accepts, broadcasts, tables


def is_plain(tape: Any, wires: frozenset[Any] | None, batches: bool = True) -> bool:
    """Whether a tape can run unchanged: known operations on known wires, easy measurements, no unwanted batch."""
    table = tables()
    operations = tape.operations
    batched = False
    for op in operations:
        cls = op.__class__
        if cls not in table.native and cls not in table.ignored:
            return False
        for number in op.data:
            if number.__class__ is not float and getattr(number, "ndim", None):
                batched = True
    if batched and (not batches or tape.batch_size is None):  # the property refuses batches of different sizes
        return False
    measured = tape.measurements
    if wires is not None:
        found = chain.from_iterable([op.wires.labels for op in chain(operations, measured)])
        if not wires.issuperset(found):
            return False
    if tape.shots:
        return is_plain_sampled(measured)
    return all(_is_plain_analytic(m) for m in measured)


def _is_plain_analytic(m: Any) -> bool:
    cls = m.__class__
    if cls is ExpectationMP or cls is VarianceMP:
        obs = m.obs
        return obs is not None and (obs.__class__ in PAULIS or _is_real_pauli_sum(obs))
    if cls is ProbabilityMP:
        return m.obs is None and m.mv is None and m._eigvals is None and bool(m.wires)
    return cls is StateMP and not m.wires


def _is_real_pauli_sum(obs: Any) -> bool:
    rep = obs.pauli_rep
    return rep is not None and all(getattr(c, "ndim", 0) == 0 for c in rep.values())


@qml.transform
def prepare(tape: Any, pipeline: Any, wires: frozenset[Any] | None, batches: bool = True) -> Batch:
    """The device's one transform: nothing for a plain tape, `pipeline` for the others."""
    if is_plain(tape, wires, batches):
        return (tape,), null_postprocessing
    tapes, post = pipeline((tape,))
    return tapes, lambda results: post(results)[0]


@qml.transform
def expand_broadcast(tape: Any, fits: Callable[[Any], bool]) -> Batch:
    """A tape for each element of the batch, where an operation with a batch does not fit."""
    if tape.batch_size is None or _stays_batched(tape, fits):
        return (tape,), null_postprocessing
    tapes, _ = qml.transforms.broadcast_expand(tape)
    return tapes, stack


def _stays_batched(tape: Any, fits: Callable[[Any], bool]) -> bool:
    if any(isinstance(m, ClassicalShadowMP | ShadowExpvalMP) for m in tape.measurements):
        return False
    return all(op.batch_size is None or fits(op) for op in tape.operations)


def decomposes_in_batches(op: Any) -> bool:
    """Whether an operation with a batch of numbers keeps its batch when it is decomposed. PennyLane's simulators apply
    every matrix as it is, so that the decompositions of gates, other than those of templates, are not made for it."""
    return broadcasts(op) or not (op.has_matrix or isinstance(op, StatePrepBase))


def _decomposer(op: Any) -> Sequence[Any]:
    if isinstance(op, Conditional):
        return [Conditional(op.meas_val, part) for part in _decomposer(op.base)]
    if not op.has_decomposition and op.has_matrix:
        return [qml.QubitUnitary(op.matrix(), wires=op.wires)]
    return op.decomposition()  # type: ignore[no-any-return]


def _target_gates() -> set[str]:
    """Names of what `accepts` takes, for PennyLane's graph-based decomposition."""
    names = {cls.__name__ for cls in tables().native}
    derived = {f"{form}({name})" for form in ("Adjoint", "C") for name in names}
    return names | derived | {"Identity", "QubitUnitary", "ControlledQubitUnitary", "MultiControlledX"}


def _nothing(op: Any) -> bool:
    return False


def pipeline(
    name: str, wires: Any, *, adjoint: bool = False, mcm_method: str | None = None, follows: bool = False
) -> Any:
    """PennyLane's transforms for tapes that are not plain.

    `adjoint`: for derivatives by the runtime; `follows`: the device runs branches.
    """
    fits = _nothing if adjoint else broadcasts
    steps = qml.CompilePipeline()
    steps.add_transform(
        validate_measurements,
        analytic_measurements=lambda m: isinstance(m, StateMeasurement),
        sample_measurements=lambda m: isinstance(m, SampleMeasurement | ClassicalShadowMP | ShadowExpvalMP),
        name=name,
    )
    steps.add_transform(device_resolve_dynamic_wires, wires=wires, allow_resets=True)
    steps.add_transform(validate_device_wires, wires, name=name)
    steps.add_transform(resolve_measurements, mcm_method, follows, wires, name)
    steps.add_transform(expand_broadcast, _nothing if adjoint else decomposes_in_batches)
    if adjoint:
        steps.add_transform(pauli_observables)
    steps.add_transform(shadows_from_samples)
    steps.add_transform(split_sampled)
    steps.add_transform(diagonalize)
    steps.add_transform(
        decompose,
        stopping_condition=keeps_parameters if adjoint else accepts,
        skip_initial_state_prep=False,
        decomposer=_decomposer,
        device_wires=wires,
        target_gates=_target_gates(),
        name=name,
    )
    steps.add_transform(expand_broadcast, fits)
    # Decompositions take wires too; by now measurements are deferred, so that none can be reset for another use.
    steps.add_transform(device_resolve_dynamic_wires, wires=wires, allow_resets=False)
    return steps


__all__ = ["is_plain", "pipeline", "prepare"]
