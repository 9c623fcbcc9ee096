"""Observables of estimator PUBs: as Pauli terms, and in groups that one measurement serves."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

from qfw.program.errors import InvalidArgument, LimitExceeded

# A product of Paulis: ((qubit, letter), ...) by rising qubit; () is the identity.
Pauli = tuple[tuple[int, str], ...]
Terms = dict[Pauli, float]

_MAX_TERMS = 1 << 16
# Projectors onto eigenstates are (1 +- P) / 2.
_PROJECTORS = {"0": ("Z", 0.5), "1": ("Z", -0.5), "+": ("X", 0.5), "-": ("X", -0.5), "r": ("Y", 0.5), "l": ("Y", -0.5)}


def terms_of(observable: Mapping[str, Any]) -> Terms:
    """Qiskit's {"XZI": coefficient}, the rightmost letter qubit 0, projectors among the letters, as Pauli terms.

    Raises:
        InvalidArgument: a letter or coefficient that is none. LimitExceeded: projectors that make too many terms.
    """
    made: Terms = {}
    for text, coefficient in observable.items():
        if getattr(coefficient, "imag", 0.0):
            raise InvalidArgument(f"coefficient {coefficient!r} of {text!r}; a real number expected")
        if 1 << sum(letter in _PROJECTORS for letter in text) > _MAX_TERMS:
            raise LimitExceeded(f"observable {text!r}: projectors on more than 16 qubits")
        for pauli, factor in _expand(text):
            made[pauli] = made.get(pauli, 0.0) + factor * float(getattr(coefficient, "real", coefficient))
    return made


def _expand(text: str) -> Iterable[tuple[Pauli, float]]:
    choices: list[list[tuple[tuple[int, str] | None, float]]] = []
    for qubit, letter in enumerate(reversed(text)):
        if letter in "XYZ":
            choices.append([((qubit, letter), 1.0)])
        elif letter in _PROJECTORS:
            basis, sign = _PROJECTORS[letter]
            choices.append([(None, 0.5), ((qubit, basis), sign)])
        elif letter != "I":
            raise InvalidArgument(f"observable {text!r}: letter {letter!r}; one of I X Y Z 0 1 + - r l expected")
    for picked in itertools.product(*choices):
        factor = 1.0
        for _, weight in picked:
            factor *= weight
        yield tuple(place for place, _ in picked if place is not None), factor


def as_sum(terms: Terms) -> list[tuple[float, str, list[int]]]:
    """As `PauliSum` takes them."""
    return [(c, "".join(letter for _, letter in pauli), [q for q, _ in pauli]) for pauli, c in terms.items()]


def group(paulis: Iterable[Pauli]) -> list[tuple[dict[int, str], list[Pauli]]]:
    """Splits products (the identity left out) into groups that agree on every qubit.

    Greedy, longest products first.

    Returns:
        per group the letter measured on each qubit, and its products.
    """
    groups: list[tuple[dict[int, str], list[Pauli]]] = []
    for pauli in sorted({p for p in paulis if p}, key=lambda p: (-len(p), p)):
        for basis, members in groups:
            if all(basis.get(q, letter) == letter for q, letter in pauli):
                basis.update(pauli)
                members.append(pauli)
                break
        else:
            groups.append((dict(pauli), [pauli]))
    return groups
