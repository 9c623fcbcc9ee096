"""Qiskit's control flow and classical expressions as blocks: every outcome as likely as in the circuit itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import branches
import drawn
import numpy as np
import pytest

pytest.importorskip("qiskit", reason="qiskit is not installed")
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import Clbit, IfElseOp, Instruction, Parameter, WhileLoopOp
from qiskit.circuit.classical import expr, types
from qiskit.circuit.exceptions import CircuitError

from qfw.program import Program, errors
from qfw.toolchain.formats import load


def check(circuit: QuantumCircuit) -> Program:
    """The circuit's Program, whose distribution is the circuit's."""
    program = load(circuit).program
    wanted, found = branches.of_circuit(circuit), branches.of_program(program)
    assert abs(sum(wanted.values()) - 1) < 1e-3
    for key in {*wanted, *found}:
        assert wanted.get(key, 0.0) == pytest.approx(found.get(key, 0.0), abs=1e-9), key
    return program


def certain(circuit: QuantumCircuit) -> str:
    """The only outcome of a circuit."""
    (key,) = branches.of_program(check(circuit))
    return key


def uint(width: int, value: int) -> expr.Expr:
    return expr.lift(value, types.Uint(width))


def test_teleportation() -> None:
    circuit = QuantumCircuit(QuantumRegister(3), ClassicalRegister(1, "a"), ClassicalRegister(1, "b"), [Clbit()])
    a, b = circuit.cregs
    circuit.u(0.7, 0.3, -0.2, 0)
    circuit.h(1)
    circuit.cx(1, 2)
    circuit.cx(0, 1)
    circuit.h(0)
    circuit.measure([0, 1], [a[0], b[0]])
    with circuit.if_test((b, 1)):
        circuit.x(2)
    with circuit.if_test((a[0], 1)):
        circuit.z(2)
    circuit.u(-0.7, 0.2, -0.3, 2)
    circuit.measure(2, 2)
    program = check(circuit)
    assert program.dynamic
    assert all(key[0] == "0" for key in branches.of_program(program))
    assert [tuple(r) for r in program.registers] == [("a", 0, 1), ("b", 1, 1)]


def test_repeat_until_success() -> None:
    circuit = QuantumCircuit(2, 2)
    circuit.x(1)
    circuit.measure(1, 0)  # the condition holds at first
    circuit.reset(1)
    with circuit.while_loop((circuit.clbits[0], 1)):
        circuit.reset(0)
        circuit.h(0)
        circuit.measure(0, 0)
    circuit.x(0)
    circuit.measure(0, 1)
    assert set(branches.of_program(check(circuit))) == {"10"}


@pytest.mark.parametrize("nested", [False, True])
def test_if_else_on_a_register(nested: bool) -> None:
    circuit = QuantumCircuit(QuantumRegister(3), ClassicalRegister(2, "c"), ClassicalRegister(2, "d"))
    c, d = circuit.cregs
    circuit.ry(0.8, 0)
    circuit.ry(1.9, 1)
    circuit.measure([0, 1], c)
    with circuit.if_test((c, 2)) as otherwise:
        circuit.x(2)
        if nested:
            with circuit.if_test((c[1], 0)) as inner:
                circuit.h(2)
            with inner:
                circuit.ry(0.3, 2)
    with otherwise:
        circuit.ry(0.5, 2)
    circuit.measure([2, 0], d)
    check(circuit)


def test_loops_with_counters() -> None:
    circuit = QuantumCircuit(1, 4)
    count = circuit.add_var("count", uint(8, 0))
    with circuit.while_loop(expr.less(count, 5)):
        circuit.x(0)
        circuit.store(count, expr.add(count, 1))
    circuit.measure(0, 3)
    for place in range(3):
        circuit.store(circuit.clbits[place], expr.index(count, place))
    assert certain(circuit) == "1101"


def test_break_and_continue_leave_the_inner_loop() -> None:
    circuit = QuantumCircuit(2, 5)
    total = circuit.add_var("total", uint(5, 0))
    stop = circuit.add_var("stop", expr.lift(False))
    with circuit.for_loop(range(10)):
        with circuit.for_loop(range(4)) as _, circuit.if_test(expr.greater(total, 6)):
            circuit.break_loop()
        with circuit.if_test(expr.equal(expr.bit_and(total, 1), 1)):
            circuit.store(total, expr.add(total, 3))
            circuit.continue_loop()
        circuit.store(total, expr.add(total, 1))
        with circuit.if_test(expr.greater(total, 20)):
            circuit.store(stop, True)
            circuit.x(0)
            circuit.break_loop()
    circuit.store(circuit.cregs[0], total)
    assert certain(circuit) == f"{int(branch_total()):05b}"


def branch_total() -> int:
    total = 0
    for _ in range(10):
        if total & 1:
            total += 3
            continue
        total += 1
        if total > 20:
            break
    return total


def test_a_switch_on_a_register_with_a_default() -> None:
    circuit = QuantumCircuit(3, 3)
    circuit.h([0, 1])
    circuit.measure([0, 1], [0, 1])
    target = ClassicalRegister(bits=circuit.clbits[:2], name="low")
    circuit.add_register(target)
    with circuit.switch(target) as case:
        with case(0, 3):
            circuit.x(2)
        with case(1):
            circuit.ry(0.4, 2)
        with case(case.DEFAULT):
            circuit.ry(1.1, 2)
    circuit.measure(2, 2)
    check(circuit)


@pytest.mark.parametrize("kind", ["bit", "variable", "bool"])
def test_a_switch_on_other_things(kind: str) -> None:
    circuit = QuantumCircuit(2, 3)
    circuit.ry(1.0, 0)
    circuit.measure(0, 0)
    if kind == "bit":
        target: Any = circuit.clbits[0]
    else:
        what = expr.lift(circuit.clbits[0])
        target = circuit.add_var("v", what if kind == "bool" else expr.cast(what, types.Uint(4)))
    with circuit.switch(target) as case:
        with case(False if kind == "bool" else 0):
            circuit.x(1)
        with case(True if kind == "bool" else 1):
            circuit.ry(0.3, 1)
    circuit.measure(1, 1)
    check(circuit)


def test_a_static_loop_leaves_no_blocks() -> None:
    theta = Parameter("theta")
    circuit = QuantumCircuit(2)
    with circuit.for_loop(range(3)) as i:
        circuit.rx(i * theta, 0)
        with circuit.for_loop((5, 7)) as j:
            circuit.rz(i * j + 1, 1)
    with circuit.box():
        circuit.x(1)
    converted = load(circuit)
    assert not converted.program.dynamic and converted.parameter_names == ("theta",)
    angles = [item.params[0] for item in converted.program.instructions if item.name == "rz"]
    assert angles == [1, 1, 6, 8, 11, 15]
    turns = [item.params[0] for item in converted.program.instructions if item.name == "rx"]
    assert turns == [0.0, (0, 1.0, 0.0), (0, 2.0, 0.0)]


def test_a_long_loop_counts_and_its_angle_follows() -> None:
    circuit = QuantumCircuit(1, 1)
    with circuit.for_loop(range(200_000, 0, -100)) as i:  # 2000 times 40 operations: too long to be written out
        for _ in range(40):
            circuit.rx(i * (np.pi / 200_000), 0)
        circuit.break_loop()
    circuit.measure(0, 0)
    program = load(circuit).program
    assert program.dynamic and len(program.instructions) < 60
    assert branches.of_program(program)["0"] == pytest.approx(1.0)
    circuit = QuantumCircuit(1, 1)
    with circuit.for_loop(range(200_000)) as i:
        circuit.rx(i * Parameter("theta"), 0)
    with pytest.raises(errors.LimitExceeded, match="too long to be written out"):
        load(circuit)
    with circuit.for_loop([1, 2] * 50_000):
        circuit.x(0)
    with pytest.raises(errors.LimitExceeded, match="too long|100000 listed values"):
        load(circuit)


def test_the_variable_of_a_loop() -> None:
    body = QuantumCircuit(1, 3)
    variable = body.add_input("i", types.Uint(3))
    body.store(body.clbits[0], expr.bit_xor(body.clbits[0], expr.index(variable, 1)))
    circuit = QuantumCircuit(1, 3)
    try:
        circuit.for_loop(range(1, 4), variable, body, [0], [0, 1, 2])
    except CircuitError as e:
        pytest.skip(f"the loops of this Qiskit take no variables: {e.message}")
    assert certain(circuit) == "000"
    circuit.for_loop([2, 1, 0], variable, body, [0], [0, 1, 2])
    assert certain(circuit) == "001"


EXPRESSIONS: dict[str, tuple[int, Callable[[Any, Any], expr.Expr]]] = {
    "wraps above": (8, lambda a, b: expr.add(expr.add(a, b), uint(8, 200))),
    "wraps below": (8, lambda a, b: expr.sub(a, b)),
    "products wrap": (8, lambda a, b: expr.mul(expr.mul(a, a), b)),
    "quotients": (8, lambda a, b: expr.div(a, expr.add(b, 1))),
    "bits": (8, lambda a, b: expr.bit_xor(expr.bit_or(a, uint(8, 129)), expr.bit_and(b, uint(8, 15)))),
    "complement": (8, lambda a, b: expr.bit_not(a)),
    "shifts": (8, lambda a, b: expr.bit_or(expr.shift_left(a, 5), expr.shift_right(b, 1))),
    "shifted out": (8, lambda a, b: expr.shift_left(a, expr.add(b, 240))),
    "shifted by more than 64": (8, lambda a, b: expr.shift_right(a, expr.shift_left(b, 4))),
    "narrower": (8, lambda a, b: expr.cast(expr.cast(expr.add(a, uint(8, 250)), types.Uint(3)), types.Uint(8))),
    "of a comparison": (8, lambda a, b: expr.cast(expr.less_equal(a, b), types.Uint(8))),
    "of a float": (8, lambda a, b: expr.cast(expr.mul(expr.cast(a, types.Float()), expr.lift(2.6)), types.Uint(8))),
}

if hasattr(expr, "negate"):  # not in every Qiskit
    EXPRESSIONS["negated"] = (
        8,
        lambda a, b: expr.cast(expr.negate(expr.negate(expr.cast(b, types.Float()))), types.Uint(8)),
    )


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_integers(name: str) -> None:
    width, make = EXPRESSIONS[name]
    circuit = QuantumCircuit(QuantumRegister(6), ClassicalRegister(3, "p"), ClassicalRegister(3, "q"))
    out = ClassicalRegister(width, "out")
    circuit.add_register(out)
    circuit.h(range(6))
    circuit.measure(range(6), range(6))
    a = circuit.add_var("a", expr.cast(expr.lift(circuit.cregs[0]), types.Uint(width)))
    b = circuit.add_var("b", expr.cast(expr.lift(circuit.cregs[1]), types.Uint(width)))
    circuit.store(out, make(a, b))
    assert len(branches.of_program(check(circuit))) == 64


CONDITIONS: dict[str, Callable[[Any, Any], expr.Expr]] = {
    "and": lambda a, b: expr.logic_and(expr.less(a, 2), expr.not_equal(b, 1)),
    "or not": lambda a, b: expr.logic_or(expr.greater_equal(a, b), expr.logic_not(expr.greater(b, 2))),
    "no division by zero": lambda a, b: expr.logic_and(expr.not_equal(b, 0), expr.equal(expr.div(a, b), 1)),
    "nor there": lambda a, b: expr.logic_or(expr.equal(b, 0), expr.greater(expr.div(a, b), 0)),
    "index": lambda a, b: expr.index(a, b),
    "bools": lambda a, b: expr.equal(expr.cast(a, types.Bool()), expr.less(b, 2)),
    "always": lambda a, b: expr.lift(True),
    "never": lambda a, b: expr.lift(False),
}


@pytest.mark.parametrize("name", CONDITIONS)
def test_conditions(name: str) -> None:
    circuit = QuantumCircuit(QuantumRegister(5), ClassicalRegister(2, "p"), ClassicalRegister(2, "q"), [Clbit()])
    circuit.h(range(4))
    circuit.measure(range(4), range(4))
    a, b = circuit.cregs[0], circuit.cregs[1]
    with circuit.if_test(CONDITIONS[name](expr.lift(a), expr.lift(b))) as otherwise:
        circuit.x(4)
    with otherwise:
        circuit.ry(0.5, 4)
    circuit.measure(4, 4)
    check(circuit)


def test_bits_and_registers_are_assigned_to() -> None:
    circuit = QuantumCircuit(1, 6)
    low, high = (ClassicalRegister(bits=circuit.clbits[i : i + 3], name=n) for i, n in ((0, "low"), (3, "high")))
    for register in (low, high):
        circuit.add_register(register)
    place = circuit.add_var("place", uint(3, 2))
    number = circuit.add_var("number", uint(3, 1))
    circuit.store(low, uint(3, 5))
    circuit.store(expr.index(low, 0), False)
    circuit.store(expr.index(low, expr.sub(place, 1)), True)
    circuit.store(expr.index(number, place), True)
    circuit.store(high, number)
    assert certain(circuit) == "101110"


def test_bits_that_do_not_lie_side_by_side() -> None:
    circuit = QuantumCircuit(3, 4)
    scattered = ClassicalRegister(bits=[circuit.clbits[2], circuit.clbits[0]], name="scattered")
    circuit.add_register(scattered)
    circuit.h([0, 1])
    circuit.measure([0, 1], [0, 2])
    with circuit.if_test((scattered, 2)):
        circuit.x(2)
    circuit.measure(2, 3)
    check(circuit)


def test_a_condition_on_more_bits_than_an_integer_has() -> None:
    circuit = QuantumCircuit(2, 71)
    circuit.x(0)
    circuit.measure([0, 0], [0, 69])
    with circuit.if_test((circuit.cregs[0], 1 << 69 | 1)):
        circuit.x(1)
    circuit.measure(1, 70)
    assert certain(circuit) == "11" + "0" * 68 + "1"


def test_bodies_with_bits_of_their_own() -> None:
    body = QuantumCircuit([*QuantumCircuit(1).qubits], [Clbit(), Clbit()], global_phase=0.3)
    body.h(0)
    body.measure(0, 1)
    inner = QuantumCircuit(1)
    inner.x(0)
    body.append(IfElseOp((body.clbits[1], 1), inner), [0], [])
    circuit = QuantumCircuit(2, 3)
    circuit.x(1)
    circuit.measure(1, 2)
    circuit.append(WhileLoopOp((circuit.clbits[2], 1), body), [1], [1, 2])
    check(circuit)


def test_a_variable_of_a_body_starts_anew() -> None:
    circuit = QuantumCircuit(1, 3)
    with circuit.for_loop(range(5)):
        inner = circuit.add_var("inner", uint(3, 3))
        circuit.store(inner, expr.add(inner, 1))
        circuit.store(circuit.cregs[0], inner)
    assert certain(circuit) == "100"


def test_a_register_of_no_bits() -> None:
    circuit = QuantumCircuit(1, 1)
    circuit.add_register(ClassicalRegister(0, "none"))
    with circuit.if_test((circuit.cregs[1], 0)):
        circuit.x(0)
    circuit.measure(0, 0)
    assert load(circuit).program.num_bits == 1


def input_variable() -> QuantumCircuit:
    circuit = QuantumCircuit(1, 1)
    circuit.add_input("given", types.Bool())
    return circuit


def wide_variable() -> QuantumCircuit:
    circuit = QuantumCircuit(1, 1)
    circuit.add_var("wide", uint(64, 1))
    return circuit


def stretch() -> QuantumCircuit:
    circuit = QuantumCircuit(1, 1)
    with circuit.if_test(expr.less(circuit.add_stretch("s"), circuit.add_stretch("t"))):
        circuit.x(0)
    return circuit


def within_an_instruction() -> QuantumCircuit:
    inner = QuantumCircuit(1, name="inner")
    with inner.for_loop(range(2)):
        inner.x(0)
    circuit = QuantumCircuit(2)
    made = Instruction("inner", 1, 0, [])
    made.definition = inner
    circuit.append(made, [0])
    return circuit


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (input_variable, "no value for its input variable 'given'"),
        (wide_variable, "variable 'wide' of type Uint(64); at most 63 bits"),
        (stretch, "type Duration"),
    ],
)
def test_what_a_program_cannot_hold(make: Callable[[], QuantumCircuit], says: str) -> None:
    with pytest.raises(errors.Unsupported) as caught:
        load(make())
    assert says in str(caught.value)


def test_control_flow_within_an_instruction() -> None:
    assert [item.name for item in load(within_an_instruction()).program.instructions] == ["x", "x"]


def test_nested_too_deeply() -> None:
    inner = QuantumCircuit(1, 1)
    inner.x(0)
    for _ in range(400):
        outer = QuantumCircuit(1, 1)
        outer.append(IfElseOp((outer.clbits[0], 0), inner), [0], [0])
        inner = outer
    with pytest.raises((errors.LimitExceeded, errors.UnknownGate), match="nested"):
        load(inner)


@pytest.mark.parametrize("arithmetic", [False, True], ids=["bits", "numbers"])
@pytest.mark.parametrize("seed", range(20))
def test_random_circuits(seed: int, arithmetic: bool) -> None:
    check(drawn.dynamic_circuit(seed, arithmetic=arithmetic))
