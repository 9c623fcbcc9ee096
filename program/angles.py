"""Angles that depend on a parameter or a variable."""

from __future__ import annotations

from typing import NamedTuple

from qfw._core.program import Var


class _Slot(NamedTuple):
    parameter: int | Var
    scale: float
    offset: float


class Affine(_Slot):
    """The angle ``offset + scale * value`` of a parameter slot, or of a float variable, in radians.

    `Affine(parameter, scale, offset)` or `Affine(variable=index, ...)`, the same as `Affine(Var(index), ...)`.
    """

    __slots__ = ()

    def __new__(
        cls, parameter: int | Var | None = None, scale: float = 1.0, offset: float = 0.0, *, variable: int | None = None
    ) -> Affine:
        """Raises TypeError unless exactly one of `parameter` and `variable` is given."""
        if (parameter is None) == (variable is None):
            raise TypeError("an Affine angle has either a parameter or a variable")
        slot = Var(variable) if variable is not None else parameter
        return super().__new__(cls, slot, scale, offset)  # type: ignore[arg-type]  # one of them is given
