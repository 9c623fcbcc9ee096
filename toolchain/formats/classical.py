"""Qiskit's classical expressions as computations of a Program.

Bool, Uint(n) up to 63 bits (an int that is wrapped at n bits after each step that can leave them) and Float are held;
durations and stretches are times of a schedule, which a Program has not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from qiskit.circuit import ClassicalRegister, Clbit
from qiskit.circuit.classical import expr, types

from qfw.program import Bit, Var
from qfw.program.errors import Unsupported
from qfw.toolchain.formats.flow import Block, Flow, Operand

Scope = Mapping[Clbit, int]  # Program bits of a circuit's own
MAX_WIDTH = 63  # of an unsigned integer: a Program's are signed, of 64 bits

_KINDS: dict[type, str] = {types.Bool: "bool", types.Uint: "int", types.Float: "float"}
_PYTHON: dict[str, Callable[[Any], bool | int | float]] = {"bool": bool, "int": int, "float": float}
_COMPARE = {"EQUAL": "eq", "NOT_EQUAL": "ne", "LESS": "lt", "LESS_EQUAL": "le", "GREATER": "gt", "GREATER_EQUAL": "ge"}
_BINARY = _COMPARE | {
    "BIT_AND": "and", "BIT_OR": "or", "BIT_XOR": "xor", "LOGIC_AND": "and", "LOGIC_OR": "or", "ADD": "add",
    "SUB": "sub", "MUL": "mul", "DIV": "div", "SHIFT_LEFT": "shl", "SHIFT_RIGHT": "shr",
}  # fmt: skip
_MAY_LEAVE = ("ADD", "SUB", "MUL", "SHIFT_LEFT")  # an unsigned integer's range


class Expressions:
    """Evaluates expressions in the open block of a flow; results that are not variables of the circuit are in
    temporaries, free again after `release`."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow
        self._variables: dict[Any, int] = {}
        self._pool: dict[str, list[int]] = {"bool": [], "int": [], "float": []}
        self._used = {"bool": 0, "int": 0, "float": 0}

    def mark(self) -> dict[str, int]:
        """What `release` goes back to."""
        return dict(self._used)

    def release(self, mark: dict[str, int]) -> None:
        """Frees the temporaries taken since."""
        self._used = mark

    def temporary(self, kind: str) -> int:
        """A variable until the next release."""
        pool, at = self._pool[kind], self._used[kind]
        if at == len(pool):
            pool.append(self._flow.variable(kind))
        self._used[kind] = at + 1
        return pool[at]

    def variable(self, node: expr.Var) -> int:
        """The variable of a circuit's own."""
        if node not in self._variables:
            self._variables[node] = self._flow.variable(kind_of(node.type, f"variable {node.name!r}"))
        return self._variables[node]

    def emit(self, op: str, kind: str, *operands: Operand) -> Var:
        """A computation into a temporary."""
        made = self.temporary(kind)
        self._flow.compute(op, made, *operands)
        return Var(made)

    def condition(self, condition: Any, scope: Scope) -> Operand:
        """The value of a condition: an expression, or the older pair of a bit or register and what it equals."""
        if isinstance(condition, expr.Expr):
            return self.value(condition, scope)
        what, wanted = condition
        if isinstance(what, Clbit):
            bit = Bit(scope[what])
            return bit if wanted else self.emit("not", "bool", bit)
        bits, found = [scope[bit] for bit in what], list[Operand]()
        for at in range(0, len(bits), MAX_WIDTH):
            chunk = bits[at : at + MAX_WIDTH]
            found.append(self.emit("eq", "bool", self.bits(chunk), int(wanted) >> at & ((1 << len(chunk)) - 1)))
        if int(wanted) >> len(bits) or not found:
            return not bits and not wanted
        total = found[0]
        for more in found[1:]:
            total = self.emit("and", "bool", total, more)
        return total

    def target(self, target: Any, scope: Scope) -> Operand:
        """What a switch looks at: an expression, a bit or a register."""
        if isinstance(target, expr.Expr):
            return self.value(target, scope)
        return Bit(scope[target]) if isinstance(target, Clbit) else self.bits([scope[bit] for bit in target])

    def equal(self, value: Operand, label: bool | int) -> Operand:
        """Whether a value is that of a case."""
        if isinstance(value, Bit) or isinstance(label, bool):
            return self.emit("eq", "bool", value, bool(label)) if label in (0, 1) else False
        if isinstance(value, int):
            return value == label
        return self.emit("eq", "bool", value, label) if 0 <= label >> MAX_WIDTH < 1 else False

    def assign(self, node: expr.Var, value: Operand) -> None:
        """An unsigned variable gets a value that may lie outside its range."""
        if isinstance(value, int):
            self._flow.compute("copy", self.variable(node), value & _mask(node.type))
        else:
            self._flow.compute("and", self.variable(node), value, _mask(node.type))

    def bits(self, bits: Sequence[int]) -> Operand:
        """Bits as an unsigned integer, the first the least significant."""
        if len(bits) > MAX_WIDTH:
            raise Unsupported(f"a register of {len(bits)} bits as one integer; at most {MAX_WIDTH} bits are")
        if list(bits) == list(range(bits[0], bits[0] + len(bits))):
            made = self.temporary("int")
            self._flow.operations.append(("read_bits", made, bits[0], len(bits)))
            return Var(made)
        total = self.emit("to_int", "int", Bit(bits[0]))
        for place, bit in enumerate(bits[1:], 1):
            one = self.emit("shl", "int", self.emit("to_int", "int", Bit(bit)), place)
            self._flow.compute("or", total.index, total, one)
        return total

    def value(self, node: expr.Expr, scope: Scope) -> Operand:
        """The value of an expression.

        Raises:
            Unsupported: a duration, or an integer of more than 63 bits.
        """
        kind = _kind(node.type)
        if isinstance(node, expr.Value):
            return _PYTHON[kind](node.value)
        if isinstance(node, expr.Var):
            return self._variable(node, scope)
        if isinstance(node, expr.Cast):
            return self._cast(node, scope)
        if isinstance(node, expr.Unary):
            return self._unary(node, scope)
        if isinstance(node, expr.Binary):
            return self._binary(node, scope)
        if isinstance(node, expr.Index):
            return self._index(node, scope)
        raise Unsupported(f"a classical expression of type {type(node).__name__}")

    def _variable(self, node: expr.Var, scope: Scope) -> Operand:
        if isinstance(node.var, Clbit):
            return Bit(scope[node.var])
        if isinstance(node.var, ClassicalRegister):
            return self.bits([scope[bit] for bit in node.var]) if len(node.var) else 0
        return Var(self.variable(node))

    def _cast(self, node: expr.Cast, scope: Scope) -> Operand:
        value, source, kind = self.value(node.operand, scope), _kind(node.operand.type), _kind(node.type)
        if source != kind:
            return self._wrap(self.emit(f"to_{kind}", kind, value), node.type if source == "float" else None)
        narrower = kind == "int" and node.type.width < node.operand.type.width
        return self._wrap(value, node.type if narrower else None)

    def _wrap(self, value: Operand, to: types.Type | None) -> Operand:
        """An unsigned integer reduced to its width; anything else, and what is to stay, unchanged."""
        if not isinstance(to, types.Uint):
            return value
        return self.emit("and", "int", value, _mask(to))

    def _unary(self, node: expr.Unary, scope: Scope) -> Operand:
        value, kind = self.value(node.operand, scope), _kind(node.type)
        if node.op.name == "NEGATE":  # not in every Qiskit
            return self._wrap(self.emit("neg", kind, value), node.type)
        if kind == "int":
            return self.emit("xor", kind, value, _mask(node.type))
        return self.emit("not", "bool", value)

    def _binary(self, node: expr.Binary, scope: Scope) -> Operand:
        name = node.op.name
        if name not in _BINARY:
            raise Unsupported(f"the classical operation {name}")
        if name.startswith("LOGIC") and _divides(node.right):
            return self._short_circuit(node, scope)
        left, right = self.value(node.left, scope), self.value(node.right, scope)
        if name.startswith("SHIFT"):
            right = self._shift(right, node.right.type, node.type.width)
        made = self.emit(_BINARY[name], _kind(node.type), left, right)
        return self._wrap(made, node.type) if name in _MAY_LEAVE else made

    def _shift(self, amount: Operand, kind: types.Type, width: int) -> Operand:
        """The amount of a shift, at most the width: there all bits have gone, and more is an error of the device."""
        if isinstance(amount, int):
            return min(amount, width)
        if _mask(kind) <= width:
            return amount
        return self.emit("select", "int", self.emit("lt", "bool", amount, width), amount, width)

    def _short_circuit(self, node: expr.Binary, scope: Scope) -> Operand:
        """`and` and `or` whose right side must not be computed where the left one decides: it may divide by zero."""
        flow, made = self._flow, self.emit("copy", "bool", self.value(node.left, scope))
        right, after = Block(), Block()
        wanted = (right, after) if node.op is expr.Binary.Op.LOGIC_AND else (after, right)
        flow.branch(made, *wanted, made.index)
        flow.enter(right)
        flow.compute("copy", made.index, self.value(node.right, scope))
        flow.jump(after)
        flow.enter(after)
        return made

    def _index(self, node: expr.Index, scope: Scope) -> Operand:
        known = _register_bit(node, scope)
        if known is not None:
            return Bit(known)
        value = self.value(node.target, scope)
        at = self._shift(self.value(node.index, scope), node.index.type, node.target.type.width)
        return self.emit("to_bool", "bool", self.emit("and", "int", self.emit("shr", "int", value, at), 1))

    def store(self, target: expr.Expr, value: expr.Expr, scope: Scope) -> None:
        """An assignment to a bit, a register, a variable, or one bit of these."""
        made = self.value(value, scope)
        if isinstance(target, expr.Index):
            self._store_index(target, made, scope)
        elif not isinstance(target, expr.Var):
            raise Unsupported(f"an assignment to an expression of type {type(target).__name__}")
        elif isinstance(target.var, Clbit):
            self._flow.operations.append(("write_bit", scope[target.var], made))
        elif isinstance(target.var, ClassicalRegister):
            for place, bit in enumerate(target.var):
                one = self.emit("and", "int", self.emit("shr", "int", made, place), 1)
                self._flow.operations.append(("write_bit", scope[bit], self.emit("to_bool", "bool", one)))
        else:
            self._flow.compute("copy", self.variable(target), made)

    def _store_index(self, node: expr.Index, value: Operand, scope: Scope) -> None:
        known, target = _register_bit(node, scope), node.target
        if known is not None:
            self._flow.operations.append(("write_bit", known, value))
            return
        at = self.value(node.index, scope)
        if isinstance(target, expr.Var) and isinstance(target.var, ClassicalRegister):
            for place, bit in enumerate(target.var):
                here = self.emit("eq", "bool", at, place)
                chosen = self.emit("select", "bool", here, value, Bit(scope[bit]))
                self._flow.operations.append(("write_bit", scope[bit], chosen))
        elif isinstance(target, expr.Var) and not isinstance(target.var, Clbit):
            at = self._shift(at, node.index.type, target.type.width)
            variable, one = self.variable(target), self.emit("shl", "int", 1, at)
            kept = self.emit("and", "int", Var(variable), self.emit("xor", "int", one, -1))
            bit = self.emit("shl", "int", self.emit("to_int", "int", value), at)
            self._flow.compute("or", variable, kept, bit)
            self._flow.compute("and", variable, Var(variable), _mask(target.type))
        else:
            raise Unsupported("an assignment to one bit of an expression that is no variable")


def kind_of(of: types.Type, what: str) -> str:
    """The kind of variable that holds a type.

    Raises:
        Unsupported: none does; `what` says whose type it is.
    """
    kind = _KINDS.get(type(of))
    if kind is None:
        raise Unsupported(f"{what} of type {of}; Bool, Uint and Float are computed with")
    if kind == "int" and of.width > MAX_WIDTH:
        raise Unsupported(f"{what} of type {of}; at most {MAX_WIDTH} bits are computed with")
    return kind


def _kind(of: types.Type) -> str:
    return kind_of(of, "an expression")


def _mask(of: types.Type) -> int:
    return int((1 << of.width) - 1)


def _register_bit(node: expr.Index, scope: Scope) -> int | None:
    """The Program's bit of `register[constant]`; None for any other index."""
    register = node.target.var if isinstance(node.target, expr.Var) else None
    if not isinstance(register, ClassicalRegister) or not isinstance(node.index, expr.Value):
        return None
    if not 0 <= node.index.value < len(register):
        raise Unsupported(f"bit {node.index.value} of register {register.name!r}, which has {len(register)}")
    return scope[register[node.index.value]]


def _divides(node: expr.Expr) -> bool:
    if isinstance(node, expr.Binary):
        return node.op is expr.Binary.Op.DIV or _divides(node.left) or _divides(node.right)
    if isinstance(node, expr.Unary | expr.Cast):
        return _divides(node.operand)
    return isinstance(node, expr.Index) and (_divides(node.target) or _divides(node.index))
