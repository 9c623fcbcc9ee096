"""Qiskit's control flow as basic blocks.

A `for` over known values is unrolled, each value in place of the loop's parameter or variable, so that around nothing
dynamic no blocks remain and angles stay as they are; a long one becomes a loop that counts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from qiskit import QuantumCircuit
from qiskit.circuit import (
    CASE_DEFAULT,
    BoxOp,
    BreakLoopOp,
    ContinueLoopOp,
    ControlFlowOp,
    ForLoopOp,
    IfElseOp,
    Parameter,
    Store,
    SwitchCaseOp,
    WhileLoopOp,
)

from qfw.program import Var
from qfw.program.errors import LimitExceeded, Unsupported
from qfw.toolchain.formats.classical import Expressions, Scope
from qfw.toolchain.formats.flow import Block, Flow, Operand
from qfw.toolchain.formats.parameters import ParameterTable

MAX_UNROLLED = 1 << 16  # operations of a loop written out

Body = Callable[[QuantumCircuit], None]  # writes a block of a statement into the open block


class _Loop(NamedTuple):
    again: Block  # where `continue` goes
    after: Block  # where `break` goes


class Statements:
    """Writes control flow into a flow.

    Args:
        flow: what is written.
        table: the circuit's parameters, where loops put the values of theirs.
    """

    def __init__(self, flow: Flow, table: ParameterTable) -> None:
        self._flow = flow
        self._table = table
        self._expressions = Expressions(flow)
        self._loops: list[_Loop] = []

    def declare(self, circuit: QuantumCircuit) -> None:
        """Takes in the variables of the outermost circuit.

        Raises:
            Unsupported: one of them is an input, or of a type that a Program has not.
        """
        for variable in (*circuit.iter_input_vars(), *circuit.iter_captured_vars()):
            raise Unsupported(f"circuit {circuit.name!r} has no value for its input variable {variable.name!r}")
        for variable in circuit.iter_declared_vars():
            self._expressions.variable(variable)

    def write(self, op: Any, scope: Scope, body: Body) -> None:
        """One statement: `scope` is where its conditions' bits are, `body` writes one of its blocks.

        Raises:
            Unsupported, LimitExceeded
        """
        mark = self._expressions.mark()
        if isinstance(op, Store):
            self._expressions.store(op.lvalue, op.rvalue, scope)
        elif isinstance(op, IfElseOp):
            self._if(op, scope, body)
        elif isinstance(op, WhileLoopOp):
            self._while(op, scope, body)
        elif isinstance(op, ForLoopOp):
            self._for(op, body)
        elif isinstance(op, SwitchCaseOp):
            self._switch(op, scope, body)
        elif isinstance(op, BoxOp):
            body(op.blocks[0])
        elif isinstance(op, BreakLoopOp | ContinueLoopOp):
            self._leave(op)
        else:
            raise Unsupported(f"control flow {op.name!r} of type {type(op).__name__}")
        self._expressions.release(mark)

    def _branch(self, condition: Operand, then: Block, otherwise: Block) -> None:
        self._flow.branch(condition, then, otherwise, self._expressions.temporary("bool"))

    def _when(self, condition: Any, scope: Scope, then: Block, otherwise: Block) -> None:
        mark = self._expressions.mark()
        self._branch(self._expressions.condition(condition, scope), then, otherwise)
        self._expressions.release(mark)

    def _bodies(self, parts: Sequence[tuple[Block, QuantumCircuit]], after: Block, body: Body) -> None:
        for block, circuit in parts:
            self._flow.enter(block)
            body(circuit)
            self._flow.jump(after)
        self._flow.enter(after)

    def _if(self, op: IfElseOp, scope: Scope, body: Body) -> None:
        blocks, after = op.blocks, Block()
        parts = [(Block(), circuit) for circuit in blocks]
        self._when(op.condition, scope, parts[0][0], parts[1][0] if len(parts) > 1 else after)
        self._bodies(parts, after, body)

    def _while(self, op: WhileLoopOp, scope: Scope, body: Body) -> None:
        loop, inside = _Loop(Block(), Block()), Block()
        self._flow.jump(loop.again)
        self._flow.enter(loop.again)
        self._when(op.condition, scope, inside, loop.after)
        self._flow.enter(inside)
        self._inside(loop, op.blocks[0], body)
        self._flow.jump(loop.again)
        self._flow.enter(loop.after)

    def _inside(self, loop: _Loop, circuit: QuantumCircuit, body: Body) -> None:
        self._loops.append(loop)
        body(circuit)
        self._loops.pop()

    def _leave(self, op: BreakLoopOp | ContinueLoopOp) -> None:
        if not self._loops:
            raise Unsupported(f"{op.name!r} outside a loop")
        loop = self._loops[-1]
        self._flow.jump(loop.after if isinstance(op, BreakLoopOp) else loop.again)

    def _for(self, op: ForLoopOp, body: Body) -> None:
        values, parameter, circuit = op.params
        if len(values) * (1 + size(circuit, MAX_UNROLLED)) <= MAX_UNROLLED:
            self._unrolled(values, parameter, circuit, body)
        elif isinstance(values, range):
            self._counted(values, parameter, circuit, body)
        else:
            raise LimitExceeded(
                f"a for loop over {len(values)} listed values; written out, at most {MAX_UNROLLED} operations allowed"
            )

    def _unrolled(self, values: Sequence[int], parameter: Any, circuit: QuantumCircuit, body: Body) -> None:
        after = Block()
        for value in values:
            again = Block()
            with self._table.bound(parameter, int(value)):
                self._assign(parameter, int(value))
                self._inside(_Loop(again, after), circuit, body)
            self._flow.jump(again)
            self._flow.enter(again)
        self._flow.jump(after)
        self._flow.enter(after)

    def _counted(self, values: range, parameter: Any, circuit: QuantumCircuit, body: Body) -> None:
        flow, test, inside, loop = self._flow, Block(), Block(), _Loop(Block(), Block())
        counter, more, real = flow.variable("int"), flow.variable("bool"), flow.variable("float")
        flow.compute("copy", counter, values.start)
        flow.jump(test)
        flow.enter(test)
        flow.compute("lt" if values.step > 0 else "gt", more, Var(counter), values.stop)
        flow.branch(Var(more), inside, loop.after, more)
        flow.enter(inside)
        flow.compute("to_float", real, Var(counter))
        with self._table.bound(parameter, Var(real)):
            self._assign(parameter, Var(counter))
            self._inside(loop, circuit, body)
        flow.jump(loop.again)
        flow.enter(loop.again)
        flow.compute("add", counter, Var(counter), values.step)
        flow.jump(test)
        flow.enter(loop.after)

    def _assign(self, parameter: Any, value: Operand) -> None:
        """Gives a loop's variable its value; a parameter is bound by the table instead."""
        if parameter is None or isinstance(parameter, Parameter):
            return
        mark = self._expressions.mark()
        self._expressions.assign(parameter, value)
        self._expressions.release(mark)

    def _switch(self, op: SwitchCaseOp, scope: Scope, body: Body) -> None:
        expressions, after = self._expressions, Block()
        target = expressions.target(op.target, scope)
        parts, otherwise = [], after
        for labels, circuit in op.cases_specifier():
            block = Block()
            parts.append((block, circuit))
            for label in labels:
                if label is CASE_DEFAULT:
                    otherwise = block
                    continue
                more, mark = Block(), expressions.mark()
                self._branch(expressions.equal(target, label), block, more)
                expressions.release(mark)
                self._flow.enter(more)
        self._flow.jump(otherwise)
        self._bodies(parts, after, body)


def loop_parameters(circuit: QuantumCircuit) -> set[Parameter]:
    """The parameters that loops give their values; older releases of Qiskit list them among the circuit's own."""
    found: set[Parameter] = set()
    for item in circuit.data:
        op = item.operation
        if isinstance(op, ControlFlowOp):
            if isinstance(op, ForLoopOp) and isinstance(op.params[1], Parameter):
                found.add(op.params[1])
            for block in op.blocks:
                found |= loop_parameters(block)
    return found


def size(circuit: QuantumCircuit, limit: int) -> int:
    """The operations of a circuit with its loops written out, counted up to about `limit`."""
    total = 0
    for item in circuit.data:
        total += 1
        if isinstance(item.operation, ControlFlowOp):
            op = item.operation
            times = len(op.params[0]) if isinstance(op, ForLoopOp) else 1
            total += times * sum(size(block, limit) for block in op.blocks)
        if total > limit:
            break
    return total
