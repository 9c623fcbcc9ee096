"""What a reader gives back: a Program, and how a user's parameters become its binding columns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from qfw.program import Program
from qfw.program.errors import InvalidArgument

Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Converted:
    """A Program made from something else.

    Attributes:
        program: the Program.
        bindings: rows x columns in the Program's order, where the source carried values (a tape); else None.
        parameter_names: the user's parameters, in the order in which they give values.
        extra: computes the columns beyond the user's own, rows x P -> rows x E; None where there are none. A column
            stands for an expression that is not affine in one parameter.
    """

    program: Program
    bindings: Matrix | None = None
    parameter_names: tuple[str, ...] = ()
    extra: Callable[[Matrix], Matrix] | None = None

    def columns(self, values: ArrayLike) -> Matrix:
        """The Program's bindings for the user's values, rows x P (one row may come without its outer brackets).

        Raises:
            InvalidArgument: the number of values is not the number of parameters.
        """
        rows = np.ascontiguousarray(values, dtype=np.float64)
        if rows.ndim < 2:
            rows = rows.reshape(1, -1)
        if rows.ndim != 2 or rows.shape[1] != len(self.parameter_names):
            names = ", ".join(self.parameter_names[:8]) or "none"
            count = len(self.parameter_names)
            raise InvalidArgument(f"values of shape {rows.shape}; {count} columns expected, one each of ({names})")
        return rows if self.extra is None else np.hstack([rows, self.extra(rows)])
