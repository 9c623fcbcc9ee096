"""Mid-circuit measurements of PennyLane tapes: conditions on their outcomes, as branches of a Program.

A tape measures in the middle with `MidMeasure` and conditions operations with `Conditional` on a `MeasurementValue`, a
function of outcomes. Functions are known by their values for all outcomes, so that tapes of one structure stay equal.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

from qfw.program import Bit, Builder, Var
from qfw.program.errors import Unsupported

MAX_CONDITION = 16  # outcomes that one condition may depend on: its table has two to that power entries
_TABLE_BITS = 5  # of a table that an integer literal holds


class Condition(NamedTuple):
    """A truth table over outcomes of measurements."""

    measured: tuple[int, ...]  #: numbers of the measurements, in the order of the tape
    table: int  #: bit i: whether it holds where their outcomes, the first most significant, read as i

    def entries(self, start: int, bits: int) -> int:
        """`bits` entries from the given one on."""
        return (self.table >> start) & ((1 << bits) - 1)


def condition_of(value: Any, numbers: Mapping[Hashable, int]) -> Condition:
    """The truth table of a MeasurementValue; `numbers` are those of the measurements, by `measurement_id`.

    Raises Unsupported for more than 16 measurements.
    """
    count = len(value.measurements)
    if count > MAX_CONDITION:
        raise Unsupported(f"a condition on {count} mid-circuit measurements; at most {MAX_CONDITION} are supported")
    measured, values = values_of(value, numbers)
    return Condition(measured, sum(1 << i for i, holds in enumerate(values) if holds))


def values_of(value: Any, numbers: Mapping[Hashable, int]) -> tuple[tuple[int, ...], list[Any]]:
    """The measurements that a MeasurementValue depends on, in the order of the tape, and its values for all outcomes.

    PennyLane orders them by names drawn at random.
    """
    own = [numbers[measurement_id(m)] for m in value.measurements]
    if len(own) == 1:
        return (own[0],), [value.processing_fn(0), value.processing_fn(1)]
    measured = sorted(own)
    place = [measured.index(number) for number in own]
    return tuple(measured), [
        value.processing_fn(*[bits[i] for i in place]) for bits in product((0, 1), repeat=len(own))
    ]


def measurement_id(measurement: Any) -> Hashable:
    """What a measurement is known by: PennyLane copies the objects."""
    return measurement.meas_uid or id(measurement)


class Branches:
    """Writes conditional instructions into a Builder; `first_bit` is the bit of the first measurement."""

    def __init__(self, builder: Builder, first_bit: int) -> None:
        self._builder = builder
        self._first_bit = first_bit
        self._variables: dict[str, int] = {}
        self.written = False

    def run(self, condition: Condition, body: Sequence[tuple[Any, ...]]) -> None:
        """The operations, as `Builder.extend` takes them, where the condition holds."""
        builder = self._builder
        outcomes = 1 << len(condition.measured)
        if condition.entries(0, outcomes) == (1 << outcomes) - 1:
            builder.extend(body)
            return
        holds = self._evaluate(condition)
        then, after = builder.block(), builder.block()
        builder.branch(holds, then, after)
        builder.enter(then)
        builder.extend(body)  # also where it never holds: the parameters are those of all tapes of the structure
        builder.jump(after)
        builder.enter(after)
        self.written = True

    def _evaluate(self, condition: Condition) -> int:
        """The number of the variable that holds the condition's value."""
        builder, holds = self._builder, self._variable("holds", "bool")
        bits = [Bit(self._first_bit + m) for m in condition.measured]
        if len(bits) == 1 and condition.table in (0b10, 0b01):
            builder.compute("copy" if condition.table == 0b10 else "not", holds, bits[0])
            return holds
        index = self._number("index", bits[-_TABLE_BITS:])
        entries = 1 << min(_TABLE_BITS, len(bits))
        table = self._variable("table", "int")
        builder.compute("copy", table, condition.entries(0, entries))
        if len(bits) > _TABLE_BITS:
            page, here = self._number("page", bits[:-_TABLE_BITS]), self._variable("here", "bool")
            for i in range(1, 1 << (len(bits) - _TABLE_BITS)):
                builder.compute("eq", here, Var(page), i)
                builder.compute("select", table, Var(here), condition.entries(i * entries, entries), Var(table))
        builder.compute("shr", table, Var(table), Var(index))
        builder.compute("and", table, Var(table), 1)
        builder.compute("to_bool", holds, Var(table))
        return holds

    def _number(self, name: str, bits: list[Bit]) -> int:
        """An integer of the bits, the first most significant."""
        builder, number, one = self._builder, self._variable(name, "int"), self._variable("one", "int")
        builder.compute("to_int", number, bits[0])
        for bit in bits[1:]:
            builder.compute("shl", number, Var(number), 1)
            builder.compute("to_int", one, bit)
            builder.compute("or", number, Var(number), Var(one))
        return number

    def _variable(self, name: str, kind: str) -> int:
        if name not in self._variables:
            self._variables[name] = self._builder.variable(kind)
        return self._variables[name]


__all__ = ["MAX_CONDITION", "Branches", "Condition", "condition_of", "measurement_id", "values_of"]
