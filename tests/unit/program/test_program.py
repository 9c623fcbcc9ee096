"""Programs from Python: round trips, the builder's errors, and bytes that are not programs."""

from __future__ import annotations

import hashlib
import math
import pickle
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qfw.program import BARRIER, MEASURE, RESET, UNITARY, Affine, Builder, PauliSum, Program, errors, gate, gates

QUBITS, BITS, PARAMETERS = 6, 5, 3
angles = st.floats(allow_nan=False, allow_infinity=False)
params = st.one_of(angles, st.builds(Affine, st.integers(0, PARAMETERS - 1), angles, angles))


@st.composite
def operations(draw: st.DrawFn) -> tuple[Any, ...]:
    """One operation of Builder.extend."""
    order = draw(st.permutations(range(QUBITS)))
    code = draw(st.integers(-3, len(gates()) - 1))
    if code == MEASURE:
        return (MEASURE, (order[0],), (draw(st.integers(0, BITS - 1)),))
    if code == RESET:
        return (RESET, (order[0],), ())
    if code == BARRIER:
        return (BARRIER, tuple(order[: draw(st.integers(0, QUBITS))]), ())
    row = gate(code)
    controls = draw(st.integers(0, QUBITS - row.qubits))
    values = tuple(draw(params) for _ in range(row.params))
    return (code, tuple(order[: row.qubits + controls]), values, controls)


def build(ops: list[tuple[Any, ...]]) -> Program:
    builder = Builder(QUBITS, BITS)
    for index in range(PARAMETERS):
        assert builder.parameter(f"p{index}") == index
    builder.register("c", 1, 3)
    builder.extend(ops)
    return builder.finish()


def as_operation(instruction: Any) -> tuple[Any, ...]:
    if instruction.op == "gate":
        return (instruction.gate_id, instruction.qubits, instruction.params, instruction.controls)
    code = {"measure": MEASURE, "reset": RESET, "barrier": BARRIER}[instruction.op]
    return (code, instruction.qubits, instruction.bits)


@given(st.lists(operations(), max_size=30))
def test_random_programs_round_trip(ops: list[tuple[Any, ...]]) -> None:
    program = build(ops)
    again = Program.decode(program.bytes)
    assert [as_operation(i) for i in again.instructions] == [(*op[:2], tuple(op[2]), *op[3:]) for op in ops]
    assert again == program and hash(again) == hash(program) and again.bytes == program.bytes
    assert pickle.loads(pickle.dumps(program)) == program  # noqa: S301 our own bytes
    assert program.hash == hashlib.sha256(program.bytes).hexdigest()
    assert build([as_operation(i) for i in again.instructions]) == program
    assert len(program) == program.num_instructions == len(ops)


@given(st.lists(operations(), max_size=10))
def test_single_calls_give_the_same_bytes_as_extend(ops: list[tuple[Any, ...]]) -> None:
    builder = Builder(QUBITS, BITS)
    for index in range(PARAMETERS):
        builder.parameter(f"p{index}")
    builder.register("c", 1, 3)
    for op in ops:
        if op[0] == MEASURE:
            builder.measure(op[1][0], op[2][0])
        elif op[0] == RESET:
            builder.reset(op[1][0])
        elif op[0] == BARRIER:
            builder.barrier(op[1])
        else:
            builder.gate(op[0], op[1], op[2], op[3])
    assert builder.finish().bytes == build(ops).bytes


typed = (errors.InvalidProgram, errors.UnknownGate, errors.Unsupported, errors.LimitExceeded)


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_a_program_or_a_typed_error(data: bytes, signed: bool) -> None:
    try:
        Program.decode(b"QFWP\x01\x00\x00\x00" + data if signed else data)
    except typed as error:
        assert str(error)


SAMPLE = build([(5, (0,), ()), (13, (1,), (Affine(2, 0.5, 1.0),)), (MEASURE, (0, 1), (0, 1))]).bytes


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, len(SAMPLE) // 4 - 1), st.integers(0, 2**32 - 1)), min_size=1, max_size=4))
def test_mutated_words_are_a_program_or_a_typed_error(changes: list[tuple[int, int]]) -> None:
    data = bytearray(SAMPLE)
    for word, value in changes:
        struct.pack_into("<I", data, 4 * word, value)
    try:
        assert Program.decode(data).bytes == bytes(data)
    except typed as error:
        assert str(error)


def test_the_format_is_pinned() -> None:
    """The bytes of version 1, word by word; docs/program-format.md describes them."""
    builder = Builder(2, 1)
    builder.parameter("a")
    builder.register("c", 0, 1)
    builder.global_phase(0.5)
    builder.gate("h", [1])
    builder.gate("rx", [0], [Affine(0, 2.0, 1.0)])
    builder.gate("rz", [0], [0.25], controls=0)
    builder.measure(1, 0)
    expected = struct.pack("<4sHHQ10Id", b"QFWP", 1, 0, 216, 2, 1, 1, 1, 1, 0, 4, 5, 4, 2, 0.5)
    expected += struct.pack("<ddQd", 1.0, 2.0, 0, 0.25)
    expected += struct.pack("<BBHI", 0, 0, 5, 1) + struct.pack("<BBHI", 0, 1, 13, 1)
    expected += struct.pack("<BBHI", 0, 0, 15, 1) + struct.pack("<BBHI", 2, 0, 0, 2)
    expected += struct.pack("<8I", 4, 0, 0, 0, 0, 0, 0, 0)
    expected += struct.pack("<4I", 1, 0, 1, 0)
    expected += struct.pack("<5I4x", 1, 0, 0, 1, 0)
    expected += struct.pack("<I4x", 1) + b"ac" + bytes(6)
    assert builder.finish().bytes == expected


def test_properties() -> None:
    program = Program.decode(memoryview(SAMPLE))
    assert (program.num_qubits, program.num_bits, program.num_parameters) == (QUBITS, BITS, PARAMETERS)
    assert program.parameters == ("p0", "p1", "p2")
    assert program.registers == [("c", 1, 3)]
    assert program.global_phase == 0.0
    assert program.terminal_measurements
    assert "6 qubits" in repr(program) and program.hash[:12] in repr(program)
    h, rx, measure, _ = program.instructions
    assert (h.op, h.name, h.gate_id, h.controls, h.angles, h.matrix) == ("gate", "h", 5, 0, [], None)
    assert rx.angles == [(1.0, 0.5, 2)] and rx.params == (Affine(2, 0.5, 1.0),)
    assert (measure.op, measure.name, measure.gate_id, measure.bits) == ("measure", "measure", None, (0,))
    assert program != SAMPLE


def test_instructions_keep_their_program_alive() -> None:
    instruction = build([(13, (4,), (0.125,))]).instructions[0]
    assert instruction.qubits == (4,) and instruction.angles == [(0.125, 0.0, None)]


def test_unitaries_keep_their_entries() -> None:
    swap = np.eye(4)[[0, 2, 1, 3]]
    phase = np.diag([1, 1j])
    builder = Builder(3)
    builder.unitary(swap, [0, 2])
    builder.unitary(phase.T, (0, 1), controls=1)
    builder.extend([(UNITARY, (0, 1), (phase,), 1)])
    first, second, third = builder.finish().instructions
    np.testing.assert_array_equal(first.matrix, swap)
    np.testing.assert_array_equal(second.matrix, phase)
    np.testing.assert_array_equal(third.matrix, phase)
    assert (first.op, first.controls, second.controls) == ("unitary", 0, 1)
    fortran = np.asfortranarray(np.array([[0, 1], [1j, 0]]))
    builder.unitary(fortran, [0])
    np.testing.assert_array_equal(builder.finish().instructions[3].matrix, fortran)


def test_numpy_scalars_and_iterables_are_accepted() -> None:
    builder = Builder(np.int64(3), np.uint8(1))
    builder.gate("rx", np.array([1]), np.array([0.5]))
    builder.gate("cx", (q for q in (0, 1)))
    builder.gate("x", 2)
    builder.measure(np.int32(0), np.int64(0))
    builder.extend(op for op in [[gate("rz"), [1], [np.float32(0.25)]], ("h", (0,))])
    assert [i.name for i in builder.finish().instructions] == ["rx", "cx", "x", "measure", "rz", "h"]


BAD = [
    ("h", [3], [], 0, errors.InvalidArgument, "qubit 3 is outside 0..2"),
    ("h", [-1], [], 0, errors.InvalidArgument, "qubit -1 is outside"),
    ("h", [2**40], [], 0, errors.InvalidArgument, "qubit 1099511627776 is outside"),
    ("cx", [1, 1], [], 0, errors.InvalidArgument, "qubit 1 is named twice"),
    ("rx", [0], [math.nan], 0, errors.InvalidArgument, "angle nan is not finite"),
    ("rx", [0], [1.0, 2.0], 0, errors.InvalidArgument, "gate 'rx' takes 1 parameter, got 2"),
    ("rx", [0], [Affine(0)], 0, errors.InvalidArgument, "parameter 0 does not exist"),
    ("rx", [0], [(1, 2)], 0, TypeError, "parameter, scale, offset"),
    ("rx", [0], ["a"], 0, TypeError, "real number"),
    ("rx", [0.5], [1.0], 0, TypeError, "integer"),
    ("nope", [0], [], 0, errors.UnknownGate, "unknown gate 'nope'"),
    (999, [0], [], 0, errors.UnknownGate, "unknown gate number 999"),
    ("x", [0, 1], [], 70_000, errors.LimitExceeded, "70000 controls"),
]


@pytest.mark.parametrize(("name", "qubits", "values", "controls", "error", "says"), BAD)
def test_bad_gates(name: Any, qubits: Any, values: Any, controls: int, error: type, says: str) -> None:
    builder = Builder(3)
    with pytest.raises(error, match=says):
        builder.gate(name, qubits, values, controls)
    with pytest.raises(error, match=says):
        builder.extend([("h", (0,)), (name, qubits, values, controls)])
    assert len(builder.finish()) == 0


def test_extend_says_which_operation_and_adds_all_or_none() -> None:
    builder = Builder(2)
    builder.gate("x", [0])
    with pytest.raises(errors.InvalidArgument, match=r"operation 2: qubit 9 is outside 0\.\.1"):
        builder.extend([(5, (0,), ()), (5, (1,), ()), (5, (9,), ())])
    assert [i.name for i in builder.finish().instructions] == ["x"]
    for bad in (3, [3], [(5,)], [(5, (0,), (), 0, 0)], [(-9, (0,), ())], [(MEASURE, (0,), ())]):
        with pytest.raises((TypeError, ValueError, errors.UnknownGate)):
            builder.extend(bad)  # type: ignore[arg-type]
    assert len(builder.finish()) == 1


def test_bad_counts_and_bytes() -> None:
    for qubits, bits in ((0, 0), (65_537, 0), (1, 2**20 + 1), (-1, 0)):
        with pytest.raises(errors.InvalidArgument):
            Builder(qubits, bits)
    with pytest.raises(errors.InvalidProgram, match="shorter than its header"):
        Program.decode(b"")
    with pytest.raises(TypeError):
        Program.decode(memoryview(SAMPLE)[::2])
    with pytest.raises(TypeError):
        Program.decode("text")  # type: ignore[arg-type]
    with pytest.raises(errors.InvalidArgument, match="square"):
        Builder(1).unitary(np.zeros((2, 3)), [0])


def test_errors_are_typed() -> None:
    with pytest.raises(ValueError) as caught:
        Builder(1).gate("h", [1])
    assert type(caught.value) is errors.InvalidArgument
    assert (caught.value.code, caught.value.transient, caught.value.retry_after) == (1, False, 0.0)


def test_pauli_sums() -> None:
    terms = [(1.5, "XZ", [0, 3]), (-0.5, "", []), (2.0, "Y", [1])]
    observable = PauliSum(terms)
    assert observable.terms == terms and len(observable) == 3
    assert PauliSum([(1 + 0j, "IXI", [0, 1, 2])]).terms == [(1.0, "X", [1])]
    assert pickle.loads(pickle.dumps(observable)) == observable != PauliSum([])  # noqa: S301 our own bytes
    observable.validate(4)
    with pytest.raises(errors.InvalidArgument, match=r"qubit 3 is outside 0\.\.2"):
        observable.validate(3)
    bad = [
        (1.0, "A", [0]),
        (1.0, "XX", [0]),
        (1.0, "XX", [0, 0]),
        (math.inf, "X", [0]),
        (1j, "X", [0]),
        (1.0, "X", [-1]),
    ]
    for term in bad:
        with pytest.raises(errors.InvalidArgument):
            PauliSum([term])
