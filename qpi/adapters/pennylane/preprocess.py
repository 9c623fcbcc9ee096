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
    CountsMP,
    ExpectationMP,
    ProbabilityMP,
    SampleMeasurement,
    SampleMP,
    StateMeasurement,
    StateMP,
    VarianceMP,
)
from pennylane.ops import PauliX, PauliY, PauliZ, Prod

from qfw.toolchain.formats.pennylane import accepts, tables

Batch = tuple[Sequence[Any], Callable[[Any], Any]]

_PAULIS = frozenset({PauliX, PauliY, PauliZ})


def is_plain(tape: Any, wires: frozenset[Any] | None) -> bool:
    """Whether a tape can run unchanged: known operations on known wires, no broadcast, easy measurements."""
    table = tables()
    operations = tape.operations
    for op in operations:
        cls = op.__class__
        if cls not in table.native and cls not in table.ignored:
            return False
        for number in op.data:
            if number.__class__ is not float and getattr(number, "ndim", None):
                return False
    measured = tape.measurements
    if wires is not None:
        found = chain.from_iterable([op.wires.labels for op in chain(operations, measured)])
        if not wires.issuperset(found):
            return False
    if tape.shots:
        return _is_plain_sampled(measured)
    return all(_is_plain_analytic(m) for m in measured)


def _is_plain_analytic(m: Any) -> bool:
    cls = m.__class__
    if cls is ExpectationMP or cls is VarianceMP:
        obs = m.obs
        return obs is not None and (obs.__class__ in _PAULIS or _is_real_pauli_sum(obs))
    if cls is ProbabilityMP:
        return m.obs is None and m.mv is None and m._eigvals is None and bool(m.wires)
    return cls is StateMP and not m.wires


def _is_real_pauli_sum(obs: Any) -> bool:
    rep = obs.pauli_rep
    return rep is not None and all(getattr(c, "ndim", 0) == 0 for c in rep.values())


def pauli_word(obs: Any) -> dict[Any, str] | None:
    """{wire: letter} of an observable that is one Pauli word with coefficient 1, else None."""
    cls = obs.__class__
    if cls in _PAULIS:
        return {obs.wires[0]: cls.__name__[-1]}
    if cls is Prod and (rep := obs.pauli_rep) is not None and len(rep) == 1:
        ((word, coefficient),) = rep.items()
        if coefficient == 1:
            return dict(word)
    return None


def _is_plain_sampled(measurements: Sequence[Any]) -> bool:
    """Measurements that one basis change per qubit serves."""
    basis: dict[Any, str] = {}
    for m in measurements:
        if m.__class__ not in (ExpectationMP, VarianceMP, ProbabilityMP, SampleMP, CountsMP):
            return False
        if m.obs is None:
            if m.mv is not None or not m.wires or (m._eigvals is None and m.__class__ in (ExpectationMP, VarianceMP)):
                return False
            word = dict.fromkeys(m.wires, "Z")
        else:
            found = pauli_word(m.obs)
            if not found:
                return False
            word = found
        for wire, letter in word.items():
            if basis.setdefault(wire, letter) != letter:
                return False
    return True


@qml.transform
def prepare(tape: Any, pipeline: Any, wires: frozenset[Any] | None) -> Batch:
    """The device's one transform: nothing for a plain tape, `pipeline` for the others."""
    if is_plain(tape, wires):
        return (tape,), null_postprocessing
    tapes, post = pipeline((tape,))
    return tapes, lambda results: post(results)[0]


@qml.transform
def split_sampled(tape: Any) -> Batch:
    """Splits what cannot be measured together, where there are shots."""
    if not tape.shots or _is_plain_sampled(tape.measurements):
        return (tape,), null_postprocessing
    return qml.transforms.split_non_commuting(tape)  # type: ignore[no-any-return]


@qml.transform
def diagonalize(tape: Any) -> Batch:
    """Turns observables of a sampled tape other than Pauli words into a basis change and measured eigenvalues."""
    if not tape.shots or _is_plain_sampled(tape.measurements):
        return (tape,), null_postprocessing
    rotations: list[Any] = []
    done: set[tuple[Any, ...]] = set()
    for m in tape.measurements:
        gates = m.diagonalizing_gates()
        basis = tuple((op.name, op.wires.labels, *(qml.math.asarray(d).tobytes() for d in op.data)) for op in gates)
        if basis not in done:  # measurements of one basis share its change
            done.add(basis)
            rotations += gates
    measurements = [_in_computational_basis(m) for m in tape.measurements]
    return (tape.copy(operations=[*tape.operations, *rotations], measurements=measurements),), null_postprocessing


def _in_computational_basis(m: Any) -> Any:
    if m.obs is None:
        return m
    if isinstance(m, ProbabilityMP):
        return type(m)(wires=m.wires)
    if isinstance(m, CountsMP):
        return CountsMP(wires=m.wires, eigvals=m.eigvals(), all_outcomes=m.all_outcomes)
    return type(m)(wires=m.wires, eigvals=m.eigvals())


def _decomposer(op: Any) -> Sequence[Any]:
    if not op.has_decomposition and op.has_matrix:
        return [qml.QubitUnitary(op.matrix(), wires=op.wires)]
    return op.decomposition()  # type: ignore[no-any-return]


def _target_gates() -> set[str]:
    """Names of what `accepts` takes, for PennyLane's graph-based decomposition."""
    names = {cls.__name__ for cls in tables().native}
    derived = {f"{form}({name})" for form in ("Adjoint", "C") for name in names}
    return names | derived | {"Identity", "QubitUnitary", "ControlledQubitUnitary", "MultiControlledX"}


def pipeline(name: str, wires: Any) -> Any:
    """PennyLane's transforms for tapes that are not plain."""
    steps = qml.CompilePipeline()
    steps.add_transform(
        validate_measurements,
        analytic_measurements=lambda m: isinstance(m, StateMeasurement),
        sample_measurements=lambda m: isinstance(m, SampleMeasurement),
        name=name,
    )
    steps.add_transform(qml.defer_measurements, allow_postselect=False)
    steps.add_transform(qml.transforms.broadcast_expand)
    steps.add_transform(validate_device_wires, wires, name=name)
    steps.add_transform(split_sampled)
    steps.add_transform(diagonalize)
    steps.add_transform(
        decompose,
        stopping_condition=accepts,
        skip_initial_state_prep=False,
        decomposer=_decomposer,
        device_wires=wires,
        target_gates=_target_gates(),
        name=name,
    )
    steps.add_transform(device_resolve_dynamic_wires, wires=wires, allow_resets=False)
    steps.add_transform(validate_device_wires, wires, name=name)
    return steps


__all__ = ["is_plain", "pauli_word", "pipeline", "prepare"]
