"""Random dynamic programs of structured control flow: conditionals, counted loops, and loops until a bit reads 0."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from qfw.program import Affine, Bit, Builder, Program, Var

QUBITS, BITS = 3, 4
_GATES = {"h": 1, "x": 1, "s": 1, "t": 1, "cx": 2, "cz": 2, "swap": 2, "ccx": 3}
_TURNS = ("rx", "ry", "rz", "p")
_INTEGERS = ("add", "sub", "mul", "and", "or", "xor", "div", "mod", "shr")
_FLOATS = ("add", "sub", "mul")
_COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")


class Maker:
    """Fills a builder; every random choice comes from one seed."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.builder = Builder(QUBITS, BITS)
        self.parameter = self.builder.parameter("a")
        self.integers = [self.builder.variable("int", v) for v in (3, -7)]
        self.floats = [self.builder.variable("float", v) for v in (0.4, -1.1)]
        self.flags = [self.builder.variable("bool", v) for v in (True, False)]
        self.measurements = 0

    def pick(self, items: Sequence[Any]) -> Any:
        return items[int(self.rng.integers(len(items)))]

    def qubits(self, count: int) -> list[int]:
        return [int(q) for q in self.rng.permutation(QUBITS)[:count]]

    def bit(self) -> int:
        return int(self.rng.integers(BITS))

    def gate(self) -> None:
        if self.rng.random() < 0.5:
            name = self.pick(tuple(_GATES))
            return self.builder.gate(name, self.qubits(_GATES[name]))
        angle = self.pick(
            [1.3, Affine(self.parameter, 0.7, 0.2), Affine(variable=self.pick(self.floats), scale=0.5, offset=0.1)]
        )
        return self.builder.gate(self.pick(_TURNS), self.qubits(2), [angle], 1)

    def compute(self) -> None:
        b, i, f, flag = self.builder, Var(self.pick(self.integers)), Var(self.pick(self.floats)), self.pick(self.flags)
        choice = self.rng.integers(9)
        if choice == 0:
            op = self.pick(_INTEGERS)
            b.compute(
                op, self.pick(self.integers), i, 3 if op in ("div", "mod", "shr") else Var(self.pick(self.integers))
            )
        elif choice == 1:
            b.compute(self.pick(_FLOATS), self.pick(self.floats), f, float(np.round(self.rng.normal(), 2)))
        elif choice == 2:
            b.compute(self.pick(_COMPARISONS), flag, i, Var(self.pick(self.integers)))
        elif choice == 3:
            b.compute(self.pick(_COMPARISONS), flag, f, 0)
        elif choice == 4:
            b.compute("select", self.pick(self.floats), Bit(self.bit()), f, 0.9)
        elif choice == 5:
            b.read_bits(self.pick(self.integers), 0, 3)
        elif choice == 6:
            b.write_bit(self.bit(), Var(flag))
        elif choice == 7:
            b.compute("xor", flag, Var(self.pick(self.flags)), Bit(self.bit()))
        else:
            b.compute("to_int", self.pick(self.integers), Var(flag))

    def straight(self) -> None:
        for _ in range(int(self.rng.integers(2, 6))):
            choice = self.rng.random()
            if choice < 0.5:
                self.gate()
            elif choice < 0.75:
                self.compute()
            elif self.measurements < 5:
                self.measurements += 1
                if self.rng.random() < 0.75:
                    self.builder.measure(self.qubits(1)[0], self.bit())
                else:
                    self.builder.reset(self.qubits(1)[0])

    def conditional(self, depth: int) -> None:
        b = self.builder
        flag = self.pick(self.flags)
        b.compute("copy", flag, Bit(self.bit()))
        then, otherwise, after = b.block(), b.block(), b.block()
        b.branch(flag, then, otherwise)
        for block in (then, otherwise):
            b.enter(block)
            self.body(depth - 1)
            b.jump(after)
        b.enter(after)

    def counted_loop(self) -> None:
        b = self.builder
        count, more = b.variable("int"), b.variable("bool")
        body, after = b.block(), b.block()
        b.jump(body)
        b.enter(body)
        self.gate()
        self.compute()
        b.compute("add", count, Var(count), 1)
        b.compute("lt", more, Var(count), 3)
        b.branch(more, body, after)
        b.enter(after)

    def loop_until_zero(self) -> None:
        b = self.builder
        bit, qubit, more = self.bit(), self.qubits(1)[0], b.variable("bool")
        body, after = b.block(), b.block()
        b.jump(body)
        b.enter(body)
        b.reset(qubit)
        b.gate("ry", qubit, [0.8])
        b.measure(qubit, bit)
        b.compute("copy", more, Bit(bit))
        b.branch(more, body, after)
        b.enter(after)

    def body(self, depth: int) -> None:
        self.straight()
        if depth == 0:
            return
        choice = self.rng.integers(4)
        if choice < 2:
            self.conditional(depth)
        elif choice == 2:
            self.counted_loop()
        elif self.measurements < 4:
            self.loop_until_zero()
        self.straight()


def random_program(seed: int) -> Program:
    maker = Maker(seed)
    for q in range(QUBITS):
        maker.builder.gate("h", q)
    maker.body(2)
    maker.builder.measure(0, 0)
    maker.builder.end()
    return maker.builder.finish()
