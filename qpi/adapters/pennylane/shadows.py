"""Classical shadows: every shot in a random Pauli basis, as PennyLane's simulators draw them.

Shots of one basis are one circuit. The change of basis is a gate with parameters, so that all circuits of a shadow
have one structure: they go as rows of a task for each number of shots.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import pi
from typing import Any

import numpy as np
import pennylane as qml
from numpy.typing import NDArray
from pennylane.devices.preprocess import null_postprocessing
from pennylane.measurements import ClassicalShadowMP, ShadowExpvalMP

from qfw.qpi.adapters.pennylane.split import Batch, merge

_BASIS = ((pi / 2, 0.0, pi), (pi / 2, 0.0, pi / 2), (0.0, 0.0, 0.0))  # angles of U3 after which X, Y, Z is read as Z


@qml.transform
def shadows_from_samples(tape: Any) -> Batch:
    """Measures shadows by samples of circuits in random bases."""
    shadows = [i for i, m in enumerate(tape.measurements) if isinstance(m, ClassicalShadowMP | ShadowExpvalMP)]
    if not shadows or not tape.shots:
        return (tape,), null_postprocessing
    others = [i for i in range(len(tape.measurements)) if i not in shadows]
    tapes = [tape.copy(measurements=[tape.measurements[i] for i in others])] if others else []
    parts: list[tuple[int, list[_Snapshots]]] = []
    for i in shadows:
        taken = []
        for shots in tape.shots:
            taken.append(_Snapshots(tape, tape.measurements[i], shots, len(tapes)))
            tapes += taken[-1].tapes
        parts.append((i, taken))

    def read(results: Sequence[Any]) -> Any:
        groups: list[tuple[Sequence[int], Any]] = [(others, results[0])] if others else []
        for i, taken in parts:
            found = [one.read(results) for one in taken]
            groups.append(([i], tuple(found) if tape.shots.has_partitioned_shots else found[0]))
        return merge(tape.shots, groups)

    return tapes, read


class _Snapshots:
    """The circuits of one measurement for one number of shots."""

    def __init__(self, tape: Any, m: Any, shots: int, start: int) -> None:
        self.m = m
        self.recipes = np.random.RandomState(m.seed).randint(0, 3, size=(shots, len(m.wires)))
        bases, self.which, counts = np.unique(self.recipes, axis=0, return_inverse=True, return_counts=True)
        self.tapes = [self._tape(tape, basis, int(count)) for basis, count in zip(bases, counts, strict=True)]
        self.start = start  # of its circuits among all

    def _tape(self, tape: Any, basis: NDArray[Any], shots: int) -> Any:
        change = [qml.U3(*_BASIS[letter], wires=w) for letter, w in zip(basis, self.m.wires, strict=True)]
        samples = qml.sample(wires=self.m.wires)
        return tape.copy(operations=[*tape.operations, *change], measurements=[samples], shots=shots)

    def read(self, results: Sequence[Any]) -> Any:
        bits = np.empty_like(self.recipes)
        for i, samples in enumerate(results[self.start : self.start + len(self.tapes)]):
            bits[self.which == i] = np.reshape(samples, (-1, len(self.m.wires)))
        if isinstance(self.m, ClassicalShadowMP):
            return np.stack([bits, self.recipes]).astype(np.int8)
        shadow = qml.ClassicalShadow(bits, self.recipes, wire_map=self.m.wires.tolist())
        return shadow.expval(self.m.H, self.m.k)


__all__ = ["shadows_from_samples"]
