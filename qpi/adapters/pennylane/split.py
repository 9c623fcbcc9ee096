"""Measurements of tapes with shots: what one basis change per qubit serves stays together, the rest is split.

A split gives tapes with some of the measurements each; `merge` puts their results back into the order of the tape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pennylane as qml
from pennylane.devices.preprocess import null_postprocessing
from pennylane.measurements import CountsMP, ExpectationMP, ProbabilityMP, SampleMP, VarianceMP
from pennylane.ops import MidMeasure, PauliX, PauliY, PauliZ, Prod, Sum

Batch = tuple[Sequence[Any], Callable[[Any], Any]]

PAULIS = frozenset({PauliX, PauliY, PauliZ})


def pauli_word(obs: Any) -> dict[Any, str] | None:
    """{wire: letter} of an observable that is one Pauli word with coefficient 1, else None."""
    cls = obs.__class__
    if cls in PAULIS:
        return {obs.wires[0]: cls.__name__[-1]}
    if cls is Prod and (rep := obs.pauli_rep) is not None and len(rep) == 1:
        ((word, coefficient),) = rep.items()
        if coefficient == 1:
            return dict(word)
    return None


def is_plain_sampled(measurements: Sequence[Any], follows: bool = False) -> bool:
    """Whether one basis change per qubit serves all of these; `follows`: measured values come with every shot."""
    basis: dict[Any, str] = {}
    for m in measurements:
        if follows and m.mv is not None:
            continue
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


def measures_in_the_middle(tape: Any) -> bool:
    """Whether measurements of the tape were not deferred."""
    return any(isinstance(op, MidMeasure) for op in tape.operations)


def stack(results: Sequence[Any]) -> Any:
    """The results of a batch as one: arrays get a leading axis, dicts become a list, tuples are gone into."""
    first = results[0]
    if isinstance(first, tuple):
        return tuple(stack(parts) for parts in zip(*results, strict=True))
    return list(results) if isinstance(first, dict) else qml.math.stack(results)


def merge(shots: Any, groups: Iterable[tuple[Sequence[int], Any]]) -> Any:
    """The result of a tape from groups (which of its measurements, their result as PennyLane gives it)."""
    groups = list(groups)
    if shots.has_partitioned_shots:
        return tuple(_merged([(where, result[k]) for where, result in groups]) for k in range(shots.num_copies))
    return _merged(groups)


def _merged(groups: Sequence[tuple[Sequence[int], Any]]) -> Any:
    placed: dict[int, Any] = {}
    for where, result in groups:
        placed.update(zip(where, (result,) if len(where) == 1 else result, strict=True))
    out = tuple(placed[i] for i in sorted(placed))
    return out[0] if len(out) == 1 else out


@qml.transform
def split_sampled(tape: Any) -> Batch:
    """Splits what cannot be measured together, where there are shots.

    Multiples of the identity need no measurement. The eigenvalues of a sum (its variance, samples, counts,
    probabilities) are measured alone: PennyLane splits sums for expectation values only.
    """
    measurements = tape.measurements
    follows = measures_in_the_middle(tape)
    if not tape.shots or is_plain_sampled(measurements, follows):
        return (tape,), null_postprocessing
    known = {i: value for i, m in enumerate(measurements) if (value := _constant(m)) is not None}
    alone = [i for i, m in enumerate(measurements) if i not in known and _takes_a_sum_whole(m)]
    values = [i for i, m in enumerate(measurements) if follows and m.mv is not None]
    if not known and not alone and not values:
        return qml.transforms.split_non_commuting(tape)  # type: ignore[no-any-return]
    left = [i for i in range(len(measurements)) if i not in known and i not in alone and i not in values]
    own = [[i] for i in alone] + ([values] if values else [])
    tapes = [tape.copy(measurements=[measurements[i] for i in where]) for where in own]
    others, post = (), null_postprocessing
    if left:
        others, post = qml.transforms.split_non_commuting(tape.copy(measurements=[measurements[i] for i in left]))

    def merged(results: Sequence[Any]) -> Any:
        groups = [([i], _everywhere(tape, value)) for i, value in known.items()]
        groups += list(zip(own, results, strict=False))
        if left:
            groups.append((left, post(results[len(own) :])))
        return merge(tape.shots, groups)

    return (*tapes, *others), merged


def _constant(m: Any) -> float | None:
    """The moment of a multiple of the identity; None for everything else."""
    if m.obs is None or not isinstance(m, ExpectationMP | VarianceMP) or (rep := m.obs.pauli_rep) is None:
        return None
    if any(word for word in rep):
        return None
    return 0.0 if isinstance(m, VarianceMP) else float(sum(rep.values()).real)


def _everywhere(tape: Any, value: float) -> Any:
    """A constant as the result of one measurement of the tape: for each element of a batch, each set of shots."""
    one: Any = np.float64(value) if tape.batch_size is None else np.full(tape.batch_size, value)
    return (one,) * tape.shots.num_copies if tape.shots.has_partitioned_shots else one


def _takes_a_sum_whole(m: Any) -> bool:
    return m.obs is not None and not isinstance(m, ExpectationMP) and isinstance(m.obs.simplify(), Sum)


@qml.transform
def diagonalize(tape: Any) -> Batch:
    """Turns observables of a sampled tape other than Pauli words into a basis change and measured eigenvalues."""
    if not tape.shots or is_plain_sampled(tape.measurements, measures_in_the_middle(tape)):
        return (tape,), null_postprocessing
    rotations: list[Any] = []
    done: set[tuple[Any, ...]] = set()
    for m in tape.measurements:
        gates = m.diagonalizing_gates() if m.mv is None else ()
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


__all__ = [
    "PAULIS",
    "Batch",
    "diagonalize",
    "is_plain_sampled",
    "measures_in_the_middle",
    "merge",
    "pauli_word",
    "split_sampled",
    "stack",
]
