"""Exact distributions of dynamic programs, path by path: of Programs, and of Qiskit circuits on their own terms.

Both interpreters are slow, small, and share nothing with what they check but the gates' matrices.
"""

from __future__ import annotations

import contextlib
import math
import operator
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import dense
import numpy as np

from qfw.program import Bit, Program, Var

FLOOR = 1e-6  # a path less probable than this is not followed, if not said otherwise
_WRAP = 1 << 64


class Negligible(Exception):
    """The path has become too improbable to follow."""


class Path:
    """The outcomes of one run: those given first, then the first that can be; Negligible when less probable than
    `floor`."""

    def __init__(self, given: tuple[int, ...], floor: float) -> None:
        self._given = given
        self._floor = floor
        self.taken: tuple[int, ...] = ()
        self.others: list[tuple[int, ...]] = []
        self.weight = 1.0

    def choose(self, one: float) -> int:
        """An outcome whose probability to be 1 is given."""
        if len(self.taken) < len(self._given):
            outcome = self._given[len(self.taken)]
        else:
            outcome = int(self.weight * (1 - one) < self._floor)
            if not outcome and self.weight * one > self._floor:
                self.others.append((*self.taken, 1))
        self.taken += (outcome,)
        self.weight *= one if outcome else 1 - one
        if self.weight < self._floor:
            raise Negligible
        return outcome


def explore(run: Callable[[Path], State], floor: float) -> Iterator[tuple[float, State]]:
    """Weight and last state of every path of `run`."""
    todo: list[tuple[int, ...]] = [()]
    while todo:
        path = Path(todo.pop(), floor)
        with contextlib.suppress(Negligible):
            state = run(path)
            yield path.weight, state
        todo += path.others


def by_bits(ends: Iterable[tuple[float, State]]) -> dict[str, float]:
    """The probability of each bit string, highest bit left."""
    out: dict[str, float] = {}
    for weight, state in ends:
        out[state.key] = out.get(state.key, 0.0) + weight
    return out


class State:
    """Qubits and classical bits along one path."""

    def __init__(self, qubits: int, bits: int, path: Path) -> None:
        self.amplitudes = np.zeros(1 << qubits, dtype=complex)
        self.amplitudes[0] = 1.0
        self.bits = [False] * bits
        self._path = path

    def apply(self, matrix: Any, qubits: list[int], controls: int = 0) -> None:
        self.amplitudes = dense.apply(self.amplitudes, np.asarray(matrix), qubits, controls)

    def measure(self, qubit: int) -> int:
        on = (np.arange(len(self.amplitudes)) >> qubit & 1).astype(bool)
        one = float(np.clip(np.linalg.norm(self.amplitudes[on]) ** 2, 0.0, 1.0))
        outcome = self._path.choose(one)
        kept = np.where(on == bool(outcome), self.amplitudes, 0)
        self.amplitudes = kept / np.linalg.norm(kept)
        return outcome

    def reset(self, qubit: int) -> None:
        if self.measure(qubit):
            self.apply([[0, 1], [1, 0]], [qubit])

    @property
    def key(self) -> str:
        return "".join("01"[bit] for bit in reversed(self.bits))


def of_program(program: Program, row: Any = (), floor: float = FLOOR) -> dict[str, float]:
    """The probability of each bit string (highest bit left) that a Program ends with."""
    return by_bits(ends_of_program(program, row, floor))


def ends_of_program(program: Program, row: Any = (), floor: float = FLOOR) -> Iterator[tuple[float, State]]:
    """The states that a Program ends in, each with its weight; the same state may come more than once."""
    return explore(lambda path: _run_program(program, row, path), floor)


def _run_program(program: Program, row: Any, path: Path) -> State:
    state = State(program.num_qubits, program.num_bits, path)
    variables = [initial for _, initial in program.variables]
    at = 0
    while True:
        block = program.blocks[at]
        for item in block.instructions:
            _instruction(state, variables, item, row)
        match block.terminator:
            case ("jump", target):
                at = target
            case ("branch", variable, then, otherwise):
                at = then if variables[variable] else otherwise
            case _:
                return state


def _instruction(state: State, variables: list[Any], item: Any, row: Any) -> None:
    def value(operand: Any) -> Any:
        if isinstance(operand, Var):
            return variables[operand.index]
        return state.bits[operand.index] if isinstance(operand, Bit) else operand

    if item.op in ("gate", "unitary"):
        if item.op == "unitary":
            matrix = np.asarray(item.matrix)
        else:
            angles = [
                offset if p is None else offset + scale * (value(p) if isinstance(p, Var) else row[p])
                for offset, scale, p in item.angles
            ]
            matrix = np.asarray(dense.gate(item.name).matrix(angles))
        state.apply(matrix, list(item.qubits), item.controls)
    elif item.op == "measure":
        state.bits[item.bits[0]] = bool(state.measure(item.qubits[0]))
    elif item.op == "reset":
        state.reset(item.qubits[0])
    elif item.op == "compute":
        variables[item.variable] = _COMPUTE[item.name](*map(value, item.operands))
    elif item.op == "read_bits":
        variables[item.variable] = sum(state.bits[bit] << place for place, bit in enumerate(item.bits))
    elif item.op == "write_bit":
        state.bits[item.bits[0]] = value(item.operands[0])
    else:
        assert item.op == "barrier", item.op


def _wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapped(*operands: Any) -> Any:
        value = function(*operands)
        return (value + _WRAP // 2) % _WRAP - _WRAP // 2 if type(value) is int else value

    return wrapped


def _shift(function: Callable[[int, int], int]) -> Callable[[int, int], int]:
    def shift(value: int, by: int) -> int:
        assert 0 <= by <= 63, by
        return function(value, by)

    return _wrapped(shift)


@_wrapped
def _divide(a: Any, b: Any) -> Any:
    return a / b if isinstance(a, float) else abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def _remainder(a: Any, b: Any) -> Any:
    return math.fmod(a, b) if isinstance(a, float) else a - b * _divide(a, b)


_COMPUTE: dict[str, Callable[..., Any]] = {
    "copy": lambda a: a,
    "not": lambda a: not a if isinstance(a, bool) else ~a,
    "and": operator.and_, "or": operator.or_, "xor": operator.xor,
    "shl": _shift(operator.lshift), "shr": _shift(operator.rshift),
    "add": _wrapped(operator.add), "sub": _wrapped(operator.sub), "mul": _wrapped(operator.mul),
    "div": _divide, "mod": _remainder, "neg": _wrapped(operator.neg),
    "eq": operator.eq, "ne": operator.ne, "lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge,
    "select": lambda condition, a, b: a if condition else b,
    "to_int": int, "to_float": float, "to_bool": bool,
}  # fmt: skip


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


def of_circuit(circuit: Any, values: dict[Any, float] | None = None) -> dict[str, float]:
    """The probability of each bit string (highest bit left, no spaces) that a Qiskit circuit ends with."""

    def run(path: Path) -> State:
        walk = _Circuit(State(circuit.num_qubits, circuit.num_clbits, path), dict(values or {}))
        walk.walk(circuit, list(range(circuit.num_qubits)), list(range(circuit.num_clbits)))
        return walk.state

    return by_bits(explore(run, FLOOR))


class _Circuit:
    """One path through a Qiskit circuit: its variables, and the values of its parameters."""

    def __init__(self, state: State, parameters: dict[Any, float]) -> None:
        self.state = state
        self._parameters = parameters
        self._variables: dict[Any, Any] = {}

    def walk(self, circuit: Any, qubits: list[int], bits: list[int]) -> None:
        where = dict(zip(circuit.clbits, bits, strict=True))
        for item in circuit.data:
            own = [qubits[circuit.find_bit(q).index] for q in item.qubits]
            self._statement(item.operation, own, [where[c] for c in item.clbits], where)

    def _statement(self, op: Any, qubits: list[int], bits: list[int], where: dict[Any, int]) -> None:
        known = getattr(self, f"_{op.name}", None)
        if known is not None:
            known(op, qubits, bits, where)
        elif op.name != "barrier":
            free = [p for p in op.params if hasattr(p, "parameters")]
            if free:
                op = op.to_mutable()
                op.params = [float(p.bind({k: self._parameters[k] for k in p.parameters})) if hasattr(p, "parameters")
                             else p for p in op.params]  # fmt: skip
            self.state.apply(op.to_matrix(), qubits)

    def _measure(self, op: Any, qubits: list[int], bits: list[int], where: dict[Any, int]) -> None:
        self.state.bits[bits[0]] = bool(self.state.measure(qubits[0]))

    def _reset(self, op: Any, qubits: list[int], bits: list[int], where: dict[Any, int]) -> None:
        self.state.reset(qubits[0])

    def _if_else(self, op: Any, qubits: list[int], bits: list[int], where: dict[Any, int]) -> None:
        holds = self._condition(op.condition, where)
        if holds:
            self.walk(op.blocks[0], qubits, bits)
        elif len(op.blocks) > 1:
            self.walk(op.blocks[1], qubits, bits)

    def _box(self, op: Any, qubits: list[int], bits: list[int], where: dict[Any, int]) -> None:
        self.walk(op.blocks[0], qubits, bits)

    def _while_loop(self, op: Any, qubits: list[int], bits: list[int], where: dict[Any, int]) -> None:
        while self._condition(op.condition, where) and self._body(op.blocks[0], qubits, bits):
            pass

    def _for_loop(self, op: Any, qubits: list[int], bits: list[int], where: dict[Any, int]) -> None:
        values, parameter, body = op.params
        for value in values:
            if hasattr(parameter, "type"):
                self._variables[parameter] = value
            else:
                self._parameters[parameter] = value
            if not self._body(body, qubits, bits):
                return

    def _body(self, body: Any, qubits: list[int], bits: list[int]) -> bool:
        try:
            self.walk(body, qubits, bits)
        except _Continue:
            pass
        except _Break:
            return False
        return True

    def _break_loop(self, *where: Any) -> None:
        raise _Break

    def _continue_loop(self, *where: Any) -> None:
        raise _Continue

    def _switch_case(self, op: Any, qubits: list[int], bits: list[int], where: dict[Any, int]) -> None:
        cases, target = op.cases(), self._target(op.target, where)
        for label, body in cases.items():
            if label == target or not isinstance(label, int):  # the default is last
                return self.walk(body, qubits, bits)

    def _store(self, op: Any, qubits: list[int], bits: list[int], where: dict[Any, int]) -> None:
        value, target = self._value(op.rvalue, where), op.lvalue
        if hasattr(target, "index"):
            place, whole = self._value(target.index, where), self._value(target.target, where)
            if place < target.target.type.width:
                self._set(target.target, whole & ~(1 << place) | int(value) << place, where)
        else:
            self._set(target, value, where)

    def _set(self, target: Any, value: Any, where: dict[Any, int]) -> None:
        if target.var in where:
            self.state.bits[where[target.var]] = bool(value)
        elif hasattr(target.var, "size"):
            for place, bit in enumerate(target.var):
                self.state.bits[where[bit]] = bool(value >> place & 1)
        else:
            self._variables[target] = value

    def _target(self, target: Any, where: dict[Any, int]) -> Any:
        if hasattr(target, "type"):
            return self._value(target, where)
        if target in where:
            return int(self.state.bits[where[target]])
        return sum(self.state.bits[where[bit]] << place for place, bit in enumerate(target))

    def _condition(self, condition: Any, where: dict[Any, int]) -> bool:
        if isinstance(condition, tuple):
            return bool(self._target(condition[0], where) == condition[1])
        return bool(self._value(condition, where))

    def _value(self, node: Any, where: dict[Any, int]) -> Any:
        kind = type(node).__name__
        if kind == "Value":
            return node.value
        if kind == "Var":
            if node.var in where or hasattr(node.var, "size"):
                found = self._target(node.var, where)
                return bool(found) if node.var in where else found
            return self._variables[node]
        if kind == "Index":
            return bool(self._value(node.target, where) >> self._value(node.index, where) & 1)
        if kind == "Binary":
            made = _QISKIT[node.op.name](*(lambda n=n: self._value(n, where) for n in (node.left, node.right)))
        else:
            inner = self._value(node.operand, where)
            made = inner if kind == "Cast" else _QISKIT[node.op.name](lambda: inner)
        name = type(node.type).__name__
        return int(made) % (1 << node.type.width) if name == "Uint" else {"Bool": bool, "Float": float}[name](made)


def _both(function: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    return lambda a, b: function(a(), b())


_QISKIT: dict[str, Callable[..., Any]] = {
    "BIT_NOT": lambda a: not a() if isinstance(a(), bool) else ~a(),
    "LOGIC_NOT": lambda a: not a(),
    "NEGATE": lambda a: -a(),
    "LOGIC_AND": lambda a, b: a() and b(),
    "LOGIC_OR": lambda a, b: a() or b(),
    "DIV": _both(lambda a, b: a / b if isinstance(a, float) else a // b),
} | {
    name: _both(function)
    for name, function in {
        "BIT_AND": operator.and_, "BIT_OR": operator.or_, "BIT_XOR": operator.xor, "EQUAL": operator.eq,
        "NOT_EQUAL": operator.ne, "LESS": operator.lt, "LESS_EQUAL": operator.le, "GREATER": operator.gt,
        "GREATER_EQUAL": operator.ge, "ADD": operator.add, "SUB": operator.sub, "MUL": operator.mul,
        "SHIFT_LEFT": operator.lshift, "SHIFT_RIGHT": operator.rshift,
    }.items()
}  # fmt: skip
