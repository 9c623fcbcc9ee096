"""Qiskit's importer of OpenQASM 3 with what it leaves out: classical variables, constants, assignments, switch, any
condition, and loop variables that index qubits or are computed with."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from openqasm3 import ast
from qiskit import QuantumCircuit
from qiskit.circuit import ClassicalRegister
from qiskit.circuit.classical import expr
from qiskit_qasm3_import import types
from qiskit_qasm3_import.converter import ConvertVisitor
from qiskit_qasm3_import.data import Scope, Symbol
from qiskit_qasm3_import.exceptions import raise_from_node
from qiskit_qasm3_import.state import LocalScope

from qfw.toolchain.formats.limits import MAX_BITS
from qfw.toolchain.formats.qasm3_expressions import TYPES, Expressions, Resolver, Typed, as_expr, as_uint, qiskit_type

MAX_STATEMENTS = 1 << 16  # that the loops of a program are written out to


def to_circuit(program: ast.Program, source: str) -> QuantumCircuit:
    """The circuit of a parsed program; raises what the importer raises."""
    return Importer().convert(program, source=source).circuit


class Importer(ConvertVisitor):
    """The visitor. Its methods are called by node type."""

    def __init__(self) -> None:
        super().__init__()
        self._written = 0

    def _resolve_constant_int(self, node: Any, context: Any) -> int:
        value = super()._resolve_constant_int(node, context)
        if abs(value) > MAX_BITS:
            raise_from_node(node, f"a size or index of {value}; at most {MAX_BITS} allowed")
        return int(value)

    def _resolve_generic(self, node: Any, context: Any, strict: bool) -> tuple[Any, Any]:
        found: tuple[Any, Any] = Resolver(context, strict).resolve(node)
        return found

    def visit_ClassicalDeclaration(self, node: Any, context: Any) -> Any:
        if isinstance(node.type, ast.BitType):
            value, first = node.init_expression, dataclasses.replace(node, init_expression=None)
            if value is None or isinstance(value, ast.QuantumMeasurement):
                return super().visit_ClassicalDeclaration(node, context)
            context = super().visit_ClassicalDeclaration(first, context)
            self._assign(node.identifier, value, context)
            return context
        kind, width = Expressions(context).declared(node.type, node)
        name = f"{node.identifier.name}{context.unique_name()}"
        variable = expr.Var.new(name, qiskit_type(kind, width))
        if isinstance(node.init_expression, ast.QuantumMeasurement):
            raise_from_node(node.init_expression, "only bits are measured into")
        initial = Typed(0, "int") if node.init_expression is None else Expressions(context).typed(node.init_expression)
        context.circuit.add_var(variable, as_expr(initial, kind, width))
        self._define(node, variable, kind, width, context)
        return context

    def visit_ConstantDeclaration(self, node: Any, context: Any) -> Any:
        kind, width = Expressions(context).declared(node.type, node)
        value = Expressions(context).typed(node.init_expression)
        if not value.constant:
            raise_from_node(node.init_expression, "a constant is of constants")
        made = {"bool": bool, "float": float}.get(kind, int)(value.value)
        self._define(node, made, kind, width, context, const=True)
        return context

    def _define(self, node: Any, data: Any, kind: str, width: int, context: Any, *, const: bool = False) -> None:
        name = node.identifier.name
        of = TYPES[kind](const) if kind == "bool" else TYPES[kind](const, width or None)
        context.symbol_table.insert(Symbol(name, data, of, context.scope, node))

    def visit_ClassicalAssignment(self, node: Any, context: Any) -> Any:
        value = node.rvalue
        if node.op.name != "=":
            read = node.lvalue
            if isinstance(read, ast.IndexedIdentifier):
                if len(read.indices) != 1:
                    raise_from_node(node, "an assignment to more than one index")
                read = ast.IndexExpression(read.name, read.indices[0])
            value = ast.BinaryExpression(ast.BinaryOperator[node.op.name[:-1]], read, value)
            value.span = node.span
        self._assign(node.lvalue, value, context)
        return context

    def _assign(self, target: Any, value: Any, context: Any) -> None:
        expressions = Expressions(context)
        where, kind, width = self._target(target, expressions)
        context.circuit.store(where, as_expr(expressions.typed(value), kind, width))

    def _target(self, node: Any, expressions: Expressions) -> tuple[Any, str, int]:
        """What is assigned to, and its kind and width."""
        name, index = (node.name, node.indices) if isinstance(node, ast.IndexedIdentifier) else (node, [])
        whole = expressions.typed(name)
        if whole.constant or not isinstance(whole.value, expr.Var):
            raise_from_node(node, "an assignment to what is no variable")
        if not index:
            return whole.value, whole.kind, whole.width
        if len(index) != 1 or not isinstance(index[0], list) or len(index[0]) != 1 or whole.width == 0:
            raise_from_node(node, "an assignment to more than one bit of a register or integer")
        at = expressions.typed(index[0][0])
        if at.constant and not 0 <= at.value < whole.width:
            raise_from_node(node, f"bit {at.value} of {whole.width}")
        register = whole.value.var
        if at.constant and isinstance(register, ClassicalRegister):
            return expr.lift(register[at.value]), "bool", 0
        return expr.index(whole.value, as_uint(at, at.width or max(1, at.value.bit_length()))), "bool", 0

    def _resolve_condition(self, node: Any, context: Any) -> Any:
        return as_expr(Expressions(context).typed(node), "bool")

    def visit_SwitchStatement(self, node: Any, context: Any) -> Any:
        expressions = Expressions(context)
        target = expressions.typed(node.target)
        width = target.width or 1
        if target.constant or target.kind not in ("uint", "int", "bool"):
            raise_from_node(node.target, "a switch on what is no integer")
        with context.circuit.switch(as_expr(target, "uint", width)) as case:
            for labels, body in node.cases:
                values = [self._label(label, width, expressions) for label in labels]
                with case(*(value for value in values if value is not None)):
                    self._block(body.statements, context)
            if node.default is not None:
                with case(case.DEFAULT):
                    self._block(node.default.statements, context)
        return context

    def _label(self, node: Any, width: int, expressions: Expressions) -> int:
        value = expressions.typed(node)
        if not value.constant or not -(1 << (width - 1)) <= value.value < 1 << width:
            raise_from_node(node, f"a case of a switch over {width} bits is a constant of as many")
        return int(value.value) % (1 << width)

    def _block(self, statements: Any, context: Any) -> None:
        with LocalScope(context) as inner:
            for statement in statements:
                self.visit(statement, inner)

    def visit_ForInLoop(self, node: Any, context: Any) -> Any:
        name = node.identifier.name
        if any(_leaves(s) for s in node.block) or not any(_names(s, name) for s in node.block):
            return super().visit_ForInLoop(node, context)
        values, kind = self._resolve_generic(node.set_declaration, context, strict=True)
        if isinstance(values, slice) and None not in (values.start, values.stop):
            values = range(values.start, values.stop, 1 if values.step is None else values.step)
        if isinstance(values, slice) or not isinstance(kind, types.Range | types.Sequence):
            raise_from_node(node.set_declaration, "for loops over constant ranges and sets of integers")
        if len(values) * len(node.block) > MAX_STATEMENTS:
            return super().visit_ForInLoop(node, context)
        signed = types.Int if isinstance(node.type, ast.IntType) else types.Uint
        for value in values:
            with LocalScope(context) as inner:
                inner.symbol_table.insert(Symbol(name, value, signed(True), Scope.LOCAL, node))
                for statement in node.block:
                    self._written += 1
                    if self._written > MAX_STATEMENTS:
                        raise_from_node(statement, f"loops written out to more than {MAX_STATEMENTS} statements")
                    self.visit(statement, inner)
        return context

    def visit_CompoundStatement(self, node: Any, context: Any) -> Any:
        self._block(node.statements, context)
        return context


def _leaves(node: Any) -> bool:
    """Whether a statement has a `break` or `continue` of the loop that it stands in."""
    if isinstance(node, ast.BreakStatement | ast.ContinueStatement):
        return True
    if isinstance(node, ast.ForInLoop | ast.WhileLoop):
        return False
    return any(_leaves(part) for part in _inside(node))


def _names(node: Any, name: str) -> bool:
    """Whether a name occurs anywhere in a part of the syntax tree."""
    if isinstance(node, ast.Identifier):
        return node.name == name
    if isinstance(node, list | tuple):
        return any(_names(part, name) for part in node)
    if not dataclasses.is_dataclass(node):
        return False
    return any(_names(getattr(node, field.name), name) for field in dataclasses.fields(node))


def _inside(node: Any) -> Iterator[Any]:
    if isinstance(node, ast.BranchingStatement):
        yield from (*node.if_block, *node.else_block)
    elif isinstance(node, ast.SwitchStatement):
        for _, body in node.cases:
            yield from body.statements
        yield from node.default.statements if node.default is not None else ()
    elif isinstance(node, ast.Box):
        yield from node.body
    elif isinstance(node, ast.CompoundStatement):
        yield from node.statements
