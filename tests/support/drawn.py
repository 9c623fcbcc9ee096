"""Random Qiskit circuits with control flow."""

from __future__ import annotations

from typing import Any

import numpy as np
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit.classical import expr, types


def dynamic_circuit(seed: int, *, arithmetic: bool) -> QuantumCircuit:
    """Three qubits and two registers of two bits; `arithmetic`: with a variable that is computed with."""
    made = _Drawn(seed, arithmetic=arithmetic)
    made.fill(6, 3)
    made.circuit.measure(range(3), range(3))
    return made.circuit


def uint(width: int, value: int) -> expr.Expr:
    """A constant."""
    return expr.lift(value, types.Uint(width))


class _Drawn:
    """A random circuit of control flow, ever smaller the deeper it is nested."""

    def __init__(self, seed: int, *, arithmetic: bool) -> None:
        self.rng = np.random.default_rng(seed)
        self.circuit = QuantumCircuit(QuantumRegister(3), ClassicalRegister(2, "c"), ClassicalRegister(2, "d"))
        self.arithmetic = arithmetic
        if arithmetic:
            self.number = self.circuit.add_var("number", uint(3, int(self.rng.integers(8))))
        self.measured = 0

    def fill(self, length: int, depth: int, loop: bool = False) -> None:
        for _ in range(length):
            kind = self.rng.integers(10)
            if kind < 3 or depth == 0:
                self.gate()
            elif kind < 5:
                self.measure()
            elif kind == 5 and self.arithmetic:
                self.circuit.store(self.number, self.integer())
            elif kind == 6 and loop:
                with self.circuit.if_test(self.condition()):
                    (self.circuit.break_loop if self.rng.integers(2) else self.circuit.continue_loop)()
            else:
                self.statement(depth, loop)

    def gate(self) -> None:
        a, b = (int(q) for q in self.rng.permutation(3)[:2])
        self.circuit.ry(float(self.rng.uniform(-3, 3)), a)
        self.circuit.cx(a, b)

    def measure(self) -> None:
        if self.measured < 7:
            self.measured += 1
            self.circuit.measure(int(self.rng.integers(3)), int(self.rng.integers(4)))

    def condition(self) -> Any:
        kind = self.rng.integers(4)
        bit = self.circuit.clbits[int(self.rng.integers(4))]
        if kind == 0:
            return (bit, int(self.rng.integers(2)))
        if kind == 1:
            return (self.circuit.cregs[int(self.rng.integers(2))], int(self.rng.integers(4)))
        if kind == 2 or not self.arithmetic:
            return expr.logic_not(expr.logic_and(bit, self.circuit.clbits[0]))
        return expr.less(self.integer(), self.number)

    def integer(self) -> expr.Expr:
        wide = expr.cast(expr.lift(self.circuit.cregs[0]), types.Uint(3))
        make = [expr.add, expr.sub, expr.mul, expr.bit_xor][int(self.rng.integers(4))]
        return make(make(self.number, wide), uint(3, int(self.rng.integers(8))))

    def statement(self, depth: int, loop: bool) -> None:
        kind, circuit = int(self.rng.integers(3)), self.circuit
        if kind == 0:
            with circuit.if_test(self.condition()) as otherwise:
                self.fill(2, depth - 1, loop)
            with otherwise:
                self.fill(2, depth - 1, loop)
        elif kind == 1:
            with circuit.for_loop(range(int(self.rng.integers(1, 4)))) as index:
                circuit.rx(0.3 * index + 0.1, 0)
                self.fill(2, depth - 1, True)
        else:
            with circuit.switch(circuit.cregs[int(self.rng.integers(2))]) as case:
                with case(0, 1):
                    self.fill(2, depth - 1)
                with case(case.DEFAULT):
                    self.fill(1, depth - 1)
