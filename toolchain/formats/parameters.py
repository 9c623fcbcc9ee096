"""Qiskit's parameters as a Program's: affine ones inside the Program, all others as extra binding columns."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from qiskit.circuit import Parameter, ParameterExpression

from qfw.program import Affine, Var
from qfw.program.errors import InvalidArgument, LimitExceeded, Unsupported
from qfw.toolchain.formats.converted import Matrix

_PROBES = (0.7312, -1.9173)  # a linear candidate is evaluated here as well: gradients of sign() and the like lie


class ParameterTable:
    """Slots of a Program for the parameters of one circuit: the user's own first, then a column per expression."""

    def __init__(self, parameters: Sequence[Parameter]) -> None:
        self.names = tuple(p.name for p in parameters)
        self._parameters = tuple(parameters)
        self._slot = {p: i for i, p in enumerate(parameters)}
        self._column: dict[ParameterExpression, int] = {}
        self._known: dict[ParameterExpression, float | Affine] = {}
        self._bound: dict[Parameter, int | Var] = {}

    @contextlib.contextmanager
    def bound(self, parameter: Any, value: int | Var) -> Iterator[None]:
        """Within it, a loop's parameter is a number, or a float variable; anything but a Parameter is left alone."""
        if not isinstance(parameter, Parameter):
            yield
            return
        before = dict(self._bound)
        self._bound[parameter] = value
        try:
            yield
        finally:
            self._bound = before

    def angle(self, value: object) -> float | Affine:
        """The Program's form of one gate parameter.

        Raises:
            InvalidArgument: not a real number.
        """
        if not isinstance(value, ParameterExpression):
            return real(value)
        if self._bound:
            known = {p: v for p in value.parameters if (v := self._bound.get(p)) is not None}
            numbers = {p: v for p, v in known.items() if not isinstance(v, Var)}
            value = value.bind(numbers) if numbers else value
            if len(numbers) < len(known):
                return self._of_variable(value, {p: v for p, v in known.items() if isinstance(v, Var)})
        slot = self._slot.get(value) if isinstance(value, Parameter) else None
        if slot is not None:
            return Affine(slot)
        found = self._known.get(value)
        if found is None:
            found = self._known[value] = self._expression(value)
        return found

    def _expression(self, value: ParameterExpression) -> float | Affine:
        free = list(value.parameters)
        if not free:
            return real(value)
        for parameter in free:
            if parameter not in self._slot:
                raise InvalidArgument(
                    f"parameter {parameter.name!r} is used inside a definition but is none of the circuit's"
                )
        if len(free) == 1:
            line = _linear(value, free)
            if line is not None:
                offset, weights = line
                return Affine(self._slot[free[0]], weights[0], offset) if weights[0] else offset
        column = self._column.setdefault(value, len(self.names) + len(self._column))
        return Affine(column)

    def _of_variable(self, value: ParameterExpression, variables: dict[Parameter, Var]) -> Affine:
        """An angle that depends on the counter of a loop, which is not written out."""
        free = list(value.parameters)
        line = _linear(value, free) if len(free) == 1 else None
        if line is None:
            raise LimitExceeded(
                f"angle {value} in a loop that is too long to be written out; there, an angle that is affine in the "
                "loop's parameter alone is allowed"
            )
        return Affine(variable=variables[free[0]].index, scale=line[1][0], offset=line[0])

    @property
    def extra_count(self) -> int:
        """Columns beyond the user's own."""
        return len(self._column)

    def extra(self, values: Matrix) -> Matrix:
        """The columns beyond the user's own, rows x E, of the user's values, rows x P."""
        columns = [self._evaluate(e, values) for e in self._column]
        return np.stack(columns, axis=1) if columns else np.empty((len(values), 0))

    def _evaluate(self, expression: ParameterExpression, values: Matrix) -> Matrix:
        free = list(expression.parameters)
        own = values[:, [self._slot[p] for p in free]]
        line = _linear(expression, free)
        if line is not None:
            return np.asarray(own @ np.array(line[1]) + line[0])
        return np.array([real(expression.bind_all(dict(zip(free, row, strict=True)))) for row in own.tolist()])


def real(value: object) -> float:
    """A gate parameter without free symbols as a float.

    Raises:
        InvalidArgument: complex, or no number at all.
    """
    try:
        if isinstance(value, ParameterExpression):
            value = value.numeric()
        if isinstance(value, complex | np.complexfloating):
            if value.imag != 0.0:
                raise InvalidArgument(f"gate parameter {value!r} is complex; a real number expected")
            return float(value.real)
        return float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError) as e:
        if isinstance(e, InvalidArgument):
            raise
        if type(value).__module__.startswith("qiskit.circuit.classical"):
            raise Unsupported(f"gate parameter {value!r} is a classical expression; angles are numbers") from e
        raise InvalidArgument(f"gate parameter {value!r} of type {type(value).__name__}; a real number expected") from e


def _linear(expression: ParameterExpression, free: Sequence[Parameter]) -> tuple[float, list[float]] | None:
    """(offset, weights) when the expression is linear in all of `free`, else None."""
    try:
        weights = [expression.gradient(p) for p in free]
    except RuntimeError:  # Qiskit: "Derivative not supported on expression"
        return None
    if not all(isinstance(w, int | float) for w in weights):
        return None
    try:
        offset = real(expression.bind_all(dict.fromkeys(free, 0.0)))
        for probe in _PROBES:
            at = {p: probe * (i + 1) for i, p in enumerate(free)}
            line = offset + sum(w * v for w, v in zip(weights, at.values(), strict=True))
            if abs(real(expression.bind_all(at)) - line) > 1e-12 * max(1.0, abs(line)):
                return None
    except (InvalidArgument, ArithmeticError):
        return None
    return offset, [float(w) for w in weights]
