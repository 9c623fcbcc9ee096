"""Dynamic programs from Python: the builder's calls, views, and round trips."""

from __future__ import annotations

import pickle

import pytest

from qfw.program import Affine, Bit, Builder, Program, Var, errors


def loop() -> Program:
    """Counts up to 3, turning a qubit by a variable each time."""
    builder = Builder(2, 2)
    count, more, angle = builder.variable("int"), builder.variable("bool", True), builder.variable("float", 0.5)
    body, done = builder.block(), builder.block()
    builder.jump(body)
    builder.enter(body)
    builder.gate("rx", 0, [Affine(variable=angle, scale=2.0)])
    builder.compute("add", count, Var(count), 1)
    builder.compute("mul", angle, Var(angle), 2)
    builder.compute("lt", more, Var(count), 3)
    builder.branch(more, body, done)
    builder.enter(done)
    builder.measure(0, 0)
    builder.read_bits(count, 0, 2)
    builder.compute("copy", more, Bit(0))
    builder.write_bit(1, Var(more))
    builder.end()
    return builder.finish()


def test_views_say_what_was_built() -> None:
    program = loop()
    assert program.dynamic and not program.terminal_measurements
    assert program.variables == [("int", 0), ("bool", True), ("float", 0.5)]
    assert [b.terminator for b in program.blocks] == [("jump", 1), ("branch", 1, 1, 2), ("end",)]
    assert [len(b) for b in program.blocks] == [0, 4, 4]
    turn, add, double, compare = program.blocks[1].instructions
    assert turn.params == ((Var(2), 2.0, 0.0),) and turn.angles == [(0.0, 2.0, Var(2))]
    assert (add.op, add.name, add.variable, add.operands) == ("compute", "add", 0, (Var(0), 1))
    assert double.operands == (Var(2), 2.0) and isinstance(double.operands[1], float)
    assert compare.name == "lt"
    _, read, copy, write = program.blocks[2].instructions
    assert (read.op, read.bits, read.variable, read.operands) == ("read_bits", (0, 1), 0, ())
    assert (copy.operands, copy.bits) == ((Bit(0),), ())
    assert (write.op, write.bits, write.variable, write.operands) == ("write_bit", (1,), None, (Var(1),))
    assert len(program.instructions) == program.num_instructions == 8


def test_round_trip_and_rebuilding_give_the_same_bytes() -> None:
    program = loop()
    assert Program.decode(program.bytes) == program == loop()
    assert pickle.loads(pickle.dumps(program)) == program  # noqa: S301 our own bytes
    again = Builder(2, 2)
    for kind, initial in program.variables:
        again.variable(kind, initial)
    for _ in program.blocks[1:]:
        again.block()
    for index, block in enumerate(program.blocks):
        again.enter(index)
        for item in block.instructions:
            if item.op == "compute":
                assert item.variable is not None
                again.compute(item.name, item.variable, *item.operands)
            elif item.op == "read_bits":
                assert item.variable is not None
                again.read_bits(item.variable, item.bits[0], len(item.bits))
            elif item.op == "write_bit":
                again.write_bit(item.bits[0], item.operands[0])
            elif item.op == "measure":
                again.measure(item.qubits[0], item.bits[0])
            else:
                again.gate(item.name, item.qubits, item.params)
        {"jump": again.jump, "branch": again.branch, "end": again.end}[block.terminator[0]](*block.terminator[1:])
    assert again.finish() == program


def test_a_plain_program_is_one_block() -> None:
    builder = Builder(1, 1)
    builder.measure(0, 0)
    program = builder.finish()
    assert not program.dynamic and program.variables == []
    assert [b.terminator for b in program.blocks] == [("end",)]
    assert [i.op for i in program.blocks[0].instructions] == ["measure"]


def test_an_affine_angle_has_a_parameter_or_a_variable() -> None:
    assert Affine(variable=3, scale=2.0) == Affine(Var(3), 2.0) == (Var(3), 2.0, 0.0)
    assert Affine(3).parameter == 3 and Affine(3) != Affine(variable=3)
    assert pickle.loads(pickle.dumps(Affine(variable=3))) == Affine(variable=3)  # noqa: S301 our own bytes
    for arguments in ({}, {"parameter": 1, "variable": 1}):
        with pytest.raises(TypeError, match="either a parameter or a variable"):
            Affine(**arguments)


def test_references_are_values() -> None:
    assert Var(1) == Var(1) != Var(2) and Var(1) != Bit(1) and len({Var(1), Var(1), Bit(1)}) == 2
    assert repr(Var(7)) == "Var(7)" and Bit(4).index == 4
    assert pickle.loads(pickle.dumps([Var(1), Bit(2)])) == [Var(1), Bit(2)]  # noqa: S301 our own bytes


@pytest.mark.parametrize(
    ("act", "says"),
    [
        (lambda b: b.variable("complex"), "unknown type of variable 'complex'; known: int, float, bool"),
        (lambda b: b.variable("int", 1 << 63), "does not fit into 64 signed bits"),
        (lambda b: b.compute("plus", 0, 1, 2), "unknown computation 'plus'; known: copy, not"),
        (lambda b: b.compute("add", 0, 1), "'add' takes 2 operands, got 1"),
        (lambda b: b.compute("add", 0, 1.5, 2), "takes integers only or floats only"),
        (lambda b: b.compute("copy", 5, 1), "variable 5 does not exist"),
        (lambda b: b.branch(0, 0, 0), "a branch needs a boolean variable, variable 0 is of type int"),
        (lambda b: b.jump(2), "block 2 does not exist"),
        (lambda b: b.write_bit(1, True), "bit 1 does not exist"),
        (lambda b: (b.end(), b.measure(0, 0)), "block 0 has ended"),
        (lambda b: (b.block(), b.finish()), "block 0 has no end"),
    ],
)
def test_the_builder_says_what_is_wrong(act: object, says: str) -> None:
    builder = Builder(1, 1)
    builder.variable("int")
    with pytest.raises(errors.InvalidArgument, match=says):
        act(builder)  # type: ignore[operator]


def test_operands_of_another_kind_are_type_errors() -> None:
    builder = Builder(1, 1)
    builder.variable("int")
    with pytest.raises(TypeError, match="an operand is Var"):
        builder.compute("copy", 0, "1")  # type: ignore[arg-type]
