"""Blocks, variables and classical instructions in Aer's terms: marks, jumps, and expressions over its classical memory.

Variables are memory bits behind the program's own: one for a bool, 64 for an int. Aer compares and combines bits, but
it does not count: programs that add, multiply, shift or hold floats are refused.

Aer finds a mark when it has passed it, or further on. A first pass therefore goes over the marks of all blocks without
doing anything else, and then to the first block.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qiskit_aer.backends.controller_wrappers import (
    AerBinaryExpr,
    AerBinaryOp,
    AerBool,
    AerBoolValue,
    AerCast,
    AerUint,
    AerUintValue,
    AerUnaryExpr,
    AerUnaryOp,
    AerVar,
)

from qfw.program import Bit, Block, Instruction, Program, Var
from qfw.program.errors import Unsupported

Step = Callable[[str, str, list[int], Any], None]  # appends an instruction of Aer: name, label, bits, expression
WIDTH = 64
END = "end"
_SIGN = 1 << (WIDTH - 1)
_LOGIC = {
    ("and", "bool"): AerBinaryOp.LogicAnd, ("or", "bool"): AerBinaryOp.LogicOr, ("xor", "bool"): AerBinaryOp.NotEqual,
    ("and", "int"): AerBinaryOp.BitAnd, ("or", "int"): AerBinaryOp.BitOr, ("xor", "int"): AerBinaryOp.BitXor,
}  # fmt: skip
_EQUAL = {"eq": AerBinaryOp.Equal, "ne": AerBinaryOp.NotEqual}
_ORDER = {
    "lt": AerBinaryOp.Less, "le": AerBinaryOp.LessEqual, "gt": AerBinaryOp.Greater, "ge": AerBinaryOp.GreaterEqual,
}  # fmt: skip


class Memory:
    """Where the variables of a program lie in Aer's memory.

    Raises:
        Unsupported: one of them is a float.
    """

    def __init__(self, program: Program) -> None:
        self.kinds = [kind for kind, _ in program.variables]
        self.places: list[range] = []
        self.first_pass, self.size = program.num_bits, program.num_bits + 1
        for number, kind in enumerate(self.kinds):
            if kind == "float":
                raise Unsupported(
                    f"variable {number} is a float, which Aer does not compute with; device statevec does"
                )
            self.places.append(range(self.size, self.size + (1 if kind == "bool" else WIDTH)))
            self.size = self.places[-1].stop

    def variable(self, index: int) -> AerVar:
        """A variable as an expression."""
        kind = AerBool() if self.kinds[index] == "bool" else AerUint(WIDTH)
        return AerVar(kind, list(self.places[index]))

    def kind(self, operand: Any) -> str:
        """bool or int."""
        if isinstance(operand, Var):
            return self.kinds[operand.index]
        return "bool" if isinstance(operand, Bit | bool) else "int"

    def operand(self, operand: Any) -> Any:
        """An operand as an expression."""
        if isinstance(operand, Var):
            return self.variable(operand.index)
        if isinstance(operand, Bit):
            return AerVar(AerBool(), [operand.index])
        return AerBoolValue(operand) if isinstance(operand, bool) else AerUintValue(WIDTH, operand % (1 << WIDTH))

    def computed(self, item: Instruction) -> Any:
        """The value of a computation.

        Raises:
            Unsupported: Aer has no such operation.
        """
        name, operands = item.name, item.operands
        kind, values = self.kind(operands[0]), [self.operand(o) for o in operands]
        if name == "copy" or (name == f"to_{kind}"):
            return values[0]
        if name == "not":
            return AerUnaryExpr(AerUnaryOp.LogicNot if kind == "bool" else AerUnaryOp.BitNot, values[0])
        if name == "to_bool":
            return AerBinaryExpr(AerBinaryOp.NotEqual, values[0], AerUintValue(WIDTH, 0))
        if name == "to_int":
            return AerCast(AerUint(WIDTH), values[0])
        if (name, kind) in _LOGIC:
            return AerBinaryExpr(_LOGIC[name, kind], *values)
        if name in _EQUAL:
            return AerBinaryExpr(_EQUAL[name], *values)
        if name in _ORDER:
            sign = AerUintValue(WIDTH, _SIGN)
            return AerBinaryExpr(_ORDER[name], *(AerBinaryExpr(AerBinaryOp.BitXor, value, sign) for value in values))
        raise Unsupported(f"the computation {name!r}, which Aer has not; device statevec runs it")


def label(block: int) -> str:
    """The mark at the start of a block."""
    return f"block{block}"


def _after(block: int) -> str:
    return f"pass{block}"


def prologue(program: Program, memory: Memory, step: Step) -> None:
    """The first pass begins, and variables that do not start as zero get their values."""
    step("store", "", [memory.first_pass], AerBoolValue(True))
    for place, (_, initial) in zip(memory.places, program.variables, strict=True):
        if initial:
            step("store", "", list(place), memory.operand(initial))


def opening(number: int, memory: Memory, step: Step) -> None:
    """The start of a block."""
    step("mark", _after(number), [], None)
    step("mark", label(number), [], None)
    step("jump", _after(number + 1), [], AerVar(AerBool(), [memory.first_pass]))


def epilogue(blocks: int, memory: Memory, step: Step) -> None:
    """The end of the first pass, and behind it the end of the program."""
    step("mark", _after(blocks), [], None)
    step("store", "", [memory.first_pass], AerBoolValue(False))
    step("jump", label(0), [], None)
    step("mark", END, [], None)


def classical(item: Instruction, memory: Memory, step: Step) -> None:
    """A classical instruction; raises Unsupported."""
    if item.op == "compute" and item.variable is not None:
        step("store", "", list(memory.places[item.variable]), memory.computed(item))
    elif item.op == "read_bits" and item.variable is not None:
        bits = AerVar(AerUint(len(item.bits)), list(item.bits))
        step("store", "", list(memory.places[item.variable]), AerCast(AerUint(WIDTH), bits))
    else:
        step("store", "", list(item.bits), memory.operand(item.operands[0]))


def terminator(block: Block, memory: Memory, step: Step) -> None:
    """Where the program goes on after a block."""
    where = block.terminator
    if where[0] == "end":
        step("jump", END, [], None)
    elif where[0] == "jump":
        step("jump", label(where[1]), [], None)
    else:
        step("jump", label(where[2]), [], memory.variable(where[1]))
        step("jump", label(where[3]), [], None)
