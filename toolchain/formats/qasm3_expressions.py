"""OpenQASM 3's classical expressions as Qiskit's.

bool, uint[n], int[n] and float are computed with, 32 bits where no width is given. Qiskit has no signed integers: an
int[n] is held as the Uint(n) of its two's complement, and compared with its sign bit flipped.
"""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from openqasm3 import ast
from qiskit.circuit import ClassicalRegister, Clbit
from qiskit.circuit.classical import expr
from qiskit.circuit.classical import types as qiskit_types
from qiskit_qasm3_import import types
from qiskit_qasm3_import.data import Scope, Symbol
from qiskit_qasm3_import.exceptions import ConversionError, raise_from_node
from qiskit_qasm3_import.expression import ValueResolver

TYPES = {"bool": types.Bool, "float": types.Float, "int": types.Int, "uint": types.Uint}
WIDTH = 32  # of an integer declared without one
MAX_POWER = 64  # of constants; a larger one is out of every integer's range, and may take all memory

_COMPARE: dict[str, Callable[..., Any]] = {
    "<": expr.less, "<=": expr.less_equal, ">": expr.greater, ">=": expr.greater_equal,
}  # fmt: skip
_EQUAL: dict[str, Callable[..., Any]] = {"==": expr.equal, "!=": expr.not_equal}
_ARITHMETIC: dict[str, Callable[..., Any]] = {"+": expr.add, "-": expr.sub, "*": expr.mul, "/": expr.div}
_BITWISE: dict[str, Callable[..., Any]] = {"&": expr.bit_and, "|": expr.bit_or, "^": expr.bit_xor}
_LOGIC: dict[str, Callable[..., Any]] = {"&&": expr.logic_and, "||": expr.logic_or}
_SHIFT: dict[str, Callable[..., Any]] = {"<<": expr.shift_left, ">>": expr.shift_right}
_CONSTANT: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
    "+": operator.add, "-": operator.sub, "*": operator.mul, "&": operator.and_, "|": operator.or_, "^": operator.xor,
    "<<": operator.lshift, ">>": operator.rshift, "**": operator.pow,
    "&&": lambda a, b: bool(a) and bool(b), "||": lambda a, b: bool(a) or bool(b),
    "/": lambda a, b: _quotient(a, b), "%": lambda a, b: a - b * _quotient(a, b),
}  # fmt: skip


def _quotient(a: Any, b: Any) -> Any:
    if isinstance(a, float) or isinstance(b, float):
        return a / b
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


@dataclass(frozen=True)
class Typed:
    """A value: a Python constant or an expression, with its kind (bool, uint, int, float), and bits if an integer.

    The width of an integer constant without a type is 0: it takes that of what it meets.
    """

    value: Any
    kind: str
    width: int = 0

    @property
    def constant(self) -> bool:
        """Whether it is a Python value."""
        return not isinstance(self.value, expr.Expr)


class Expressions:
    """Resolves expressions of one scope (`context` is the importer's State)."""

    def __init__(self, context: Any) -> None:
        self._context = context

    def typed(self, node: Any) -> Typed:
        """The value of an expression; raises the importer's ConversionError with the node's place."""
        if isinstance(node, ast.UnaryExpression):
            return self._unary(node)
        if isinstance(node, ast.BinaryExpression):
            return self._binary(node)
        if isinstance(node, ast.Cast):
            return self._cast(node)
        if isinstance(node, ast.IndexExpression):
            found = self._dynamic_index(node.collection, node.index)
            if found is not None:
                return found
        value, kind = Resolver(self._context, True).resolve(node)
        return self._of(value, kind, node)

    def _of(self, value: Any, kind: Any, node: Any) -> Typed:
        """A resolved symbol or literal."""
        if isinstance(value, Clbit):
            return Typed(expr.lift(value), "bool")
        if isinstance(kind, types.BitArray):
            return self._register(value)
        if isinstance(kind, types.Bool):
            return Typed(value, "bool")
        if isinstance(kind, types.Float):
            return Typed(value, "float")
        if isinstance(kind, types.Int | types.Uint) and isinstance(value, int | expr.Expr):
            name = "int" if isinstance(kind, types.Int) else "uint"
            return Typed(value, name, (kind.size or 0) if isinstance(value, int) else value.type.width)
        raise_from_node(node, f"a value of type '{kind.pretty()}' in a classical expression")

    def _register(self, value: Any) -> Typed:
        register = value
        if not isinstance(register, ClassicalRegister):
            name = self._context.unique_name()
            register = ClassicalRegister(name=f"slice{name}", bits=list(value))
            self._context.circuit.add_register(register)
            self._context.symbol_table.insert(Symbol(name, register, types.BitArray(len(register)), Scope.NONE))
        return Typed(expr.lift(register), "uint", len(register))

    def _dynamic_index(self, collection: Any, index: Any) -> Typed | None:
        """One bit of an integer, or of a register at a place that is computed; None for what the importer resolves."""
        if not isinstance(index, list) or len(index) != 1 or isinstance(index[0], ast.RangeDefinition):
            return None
        whole, at = self.typed(collection), self.typed(index[0])
        if at.constant and isinstance(whole.value, expr.Var) and isinstance(whole.value.var, ClassicalRegister):
            return None
        if whole.constant or whole.kind not in ("uint", "int"):
            raise_from_node(collection, f"an index of a value of type {whole.kind}")
        return Typed(expr.index(whole.value, as_uint(at, at.width or at.value.bit_length() or 1)), "bool")

    def _unary(self, node: Any) -> Typed:
        operand, op = self.typed(node.expression), node.op.name
        if op == "!":
            value = as_bool(operand)
            return Typed(not value if operand.constant else expr.logic_not(value), "bool")
        if op == "-" and operand.kind != "bool":
            if operand.constant:
                return Typed(-operand.value, operand.kind, operand.width)
            zero = expr.lift(0.0 if operand.kind == "float" else 0, operand.value.type)
            return Typed(expr.sub(zero, operand.value), operand.kind, operand.width)
        if op == "~" and not operand.constant and operand.kind != "float":
            return Typed(expr.bit_not(operand.value), operand.kind, operand.width)
        raise_from_node(node, f"unary '{op}' of a value of type {operand.kind}")

    def _binary(self, node: Any) -> Typed:
        op, left, right = node.op.name, self.typed(node.lhs), self.typed(node.rhs)
        if left.constant and right.constant:
            return self._folded(node, op, left, right)
        if op in _LOGIC:
            return Typed(_LOGIC[op](as_expr(left, "bool"), as_expr(right, "bool")), "bool")
        if op in _SHIFT and left.kind in ("uint", "int"):
            return self._shift(node, op, left, right)
        kind, width = _joined(left, right, op)
        both = [as_expr(side, kind, width) for side in (left, right)]
        if op in _EQUAL:
            return Typed(_EQUAL[op](*both), "bool")
        if op in _COMPARE:
            return Typed(_COMPARE[op](*(flipped(b, width) if kind == "int" else b for b in both)), "bool")
        if op in _BITWISE and kind != "float":
            return Typed(_BITWISE[op](*both), kind, width)
        if op == "%" and kind == "uint":
            return Typed(expr.sub(both[0], expr.mul(expr.div(*both), both[1])), kind, width)
        if op not in _ARITHMETIC or kind == "bool" or (op == "/" and kind == "int"):
            raise_from_node(node, f"'{op}' of values of type {left.kind} and {right.kind}")
        return Typed(_ARITHMETIC[op](*both), kind, width)

    def _folded(self, node: Any, op: str, left: Typed, right: Typed) -> Typed:
        if op in ("**", "<<") and not 0 <= right.value <= MAX_POWER and right.kind != "float":
            raise_from_node(node, f"'{op}' by {right.value}; 0 to {MAX_POWER} allowed")
        try:
            value = _CONSTANT[op](left.value, right.value)
        except (KeyError, TypeError, ArithmeticError, ValueError) as e:
            raise_from_node(node, f"'{op}' of {left.value!r} and {right.value!r}: {e}")
        if isinstance(value, int) and abs(value) >> (2 * MAX_POWER):
            raise_from_node(node, f"'{op}': an integer of {value.bit_length()} bits; at most {2 * MAX_POWER} allowed")
        if isinstance(value, bool | float):
            return Typed(value, "bool" if isinstance(value, bool) else "float")
        return Typed(value, "uint" if "uint" in (left.kind, right.kind) else "int", max(left.width, right.width))

    def _shift(self, node: Any, op: str, left: Typed, right: Typed) -> Typed:
        if right.kind == "float" or (op == ">>" and left.kind == "int"):
            raise_from_node(node, f"'{op}' of values of type {left.kind} and {right.kind}")
        width = left.width or WIDTH
        by = as_uint(right, right.width or max(1, right.value.bit_length()))
        return Typed(_SHIFT[op](as_expr(left, left.kind, width), by), left.kind, width)

    def _cast(self, node: Any) -> Typed:
        kind, width = self.declared(node.type, node)
        value = self.typed(node.argument)
        if value.constant and kind != "bool":
            return Typed({"float": float}.get(kind, int)(value.value), kind, width)
        return Typed(as_expr(value, kind, width), kind, width)

    def declared(self, kind: Any, node: Any) -> tuple[str, int]:
        """Kind and width of a declared type."""
        if isinstance(kind, ast.BoolType):
            return "bool", 0
        if isinstance(kind, ast.FloatType):
            return "float", 0
        if isinstance(kind, ast.UintType | ast.IntType | ast.BitType):
            width = WIDTH if kind.size is None else self.typed(kind.size).value
            if not isinstance(width, int) or not 1 <= width <= 64:
                raise_from_node(node, f"an integer of {width} bits; 1 to 64 expected")
            return "int" if isinstance(kind, ast.IntType) else "uint", width
        raise_from_node(node, f"declarations of type '{type(kind).__name__.removesuffix('Type').lower()}' are not read")


class Resolver(ValueResolver):
    """The importer's resolver of sizes, indices and angles, where constants are computed by whatever operation."""

    def visit_BinaryExpression(self, node: Any) -> tuple[Any, Any]:
        return self._constant(node) or super().visit_BinaryExpression(node)

    def visit_UnaryExpression(self, node: Any) -> tuple[Any, Any]:
        return self._constant(node) or super().visit_UnaryExpression(node)

    def visit_Cast(self, node: Any) -> tuple[Any, Any]:
        return self._constant(node) or super().generic_visit(node)

    def _constant(self, node: Any) -> tuple[Any, Any] | None:
        with contextlib.suppress(ConversionError):
            found = Expressions(self._context).typed(node)
            if found.constant:
                return found.value, TYPES[found.kind](True)
        return None


def as_bool(value: Typed) -> Any:
    """As a Python bool or a Bool expression."""
    return bool(value.value) if value.constant else as_expr(value, "bool")


def as_uint(value: Typed, width: int) -> expr.Expr:
    """As an expression of an unsigned integer."""
    return as_expr(value, "uint", width)


def as_expr(value: Typed, kind: str, width: int = 0) -> expr.Expr:
    """As an expression of a kind; integers wrap at the width, signed ones keep their value where they widen."""
    to = qiskit_type(kind, width)
    if value.constant:
        made = {"bool": bool, "float": float}.get(kind, int)(value.value)
        return expr.lift(made % (1 << width) if kind in ("uint", "int") else made, to)
    if value.value.type == to:
        return value.value
    if value.kind == "int" and (kind == "float" or width > value.width):
        shifted = expr.cast(flipped(value.value, value.width), to)
        return expr.sub(
            shifted, expr.lift(float(1 << value.width - 1) if kind == "float" else 1 << value.width - 1, to)
        )
    return expr.cast(value.value, to)


def qiskit_type(kind: str, width: int) -> Any:
    """Qiskit's type of a kind."""
    if kind in ("uint", "int"):
        return qiskit_types.Uint(width)
    return qiskit_types.Bool() if kind == "bool" else qiskit_types.Float()


def flipped(value: expr.Expr, width: int) -> expr.Expr:
    """A two's complement with its sign bit flipped: unsigned, in the order of the signed values."""
    return expr.bit_xor(value, expr.lift(1 << (width - 1), value.type))


def _joined(left: Typed, right: Typed, op: str) -> tuple[str, int]:
    """The kind and width in which two values meet."""
    kinds = {left.kind, right.kind}
    if "float" in kinds:
        return "float", 0
    if kinds == {"bool"}:
        return "bool", 0
    declared = [side for side in (left, right) if not (side.constant and not side.width)]
    width = max([side.width or 1 for side in declared], default=WIDTH)
    names = {side.kind for side in declared if side.kind != "bool"}
    kind = "int" if names == {"int"} else "uint"
    for side in (left, right):  # a constant that does not fit is compared as it is
        if side.constant and not side.width and op in (_COMPARE | _EQUAL) and kind == "uint":
            width = max(width, int(side.value).bit_length())
    return kind, width
