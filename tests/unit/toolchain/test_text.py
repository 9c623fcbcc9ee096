"""OpenQASM text: what is read, and that what is not says where."""

from __future__ import annotations

import branches
import pytest

pytest.importorskip("qiskit", reason="qiskit is not installed")
from qiskit import QuantumCircuit, qasm2, qasm3
from qiskit.circuit.random import random_circuit

from qfw.program import Program, errors
from qfw.toolchain.formats import load, text_kind

TWO = 'OPENQASM 2.0;\ninclude "qelib1.inc";\n'
THREE = 'OPENQASM 3.0;\ninclude "stdgates.inc";\n'


@pytest.mark.parametrize("dump", [qasm2.dumps, qasm3.dumps])
def test_text_gives_the_program_of_the_circuit(dump: object) -> None:
    circuit = QuantumCircuit(3, 3)
    circuit.h(0)
    circuit.cx(0, 1)
    circuit.rz(0.25, 2)
    circuit.barrier()
    circuit.measure([0, 1, 2], [0, 1, 2])
    assert load(dump(circuit)).program == load(circuit).program  # type: ignore[operator]


def test_legacy_gates_of_openqasm_2() -> None:
    program = load(TWO + "qreg q[2]; swap q[0],q[1]; rzz(0.2) q[0],q[1]; u3(1,2,3) q[0];").program
    assert [i.name for i in program.instructions] == ["swap", "rzz", "U"]


def test_random_circuits_through_openqasm_2() -> None:
    for seed in range(5):
        circuit = random_circuit(3, 4, seed=seed)
        assert load(qasm2.dumps(circuit)).program.num_qubits == 3


@pytest.mark.parametrize(
    ("text", "line", "column", "says"),
    [
        (TWO + "qreg q[2];\nfoo q[0];", 4, 1, "foo"),
        (TWO + "qreg q[2];\nh q[5];", 4, 5, "out-of-range"),
        (TWO + "qreg q[2];\nrx(1/0) q[0];", 4, None, "zero"),
        ('OPENQASM 2.0;\ninclude "/etc/passwd";', 2, 9, "/etc/passwd"),
        (THREE + "qubit[2] q;\nfoo q[0];", 4, 1, "foo"),
        (THREE + "qubit[2] q;\nh q[7];", 4, 3, "range"),
        (THREE + "qubit[2] q;\nh q[0] q;", 4, 8, "'q'"),
        (THREE + "qubit q;\nx q\ny q;", 5, 1, "'y'"),
        (THREE + "qubit q;\nrx(1/0) q;", 4, None, "zero"),
        (THREE + "qubit q;\nrx(" + "(" * 3000 + "1" + ")" * 3000 + ") q;", None, None, "deeply"),
        (THREE + "angle v = 3;", 3, 1, "angle"),
        ('OPENQASM 3.0;\ninclude "/etc/passwd";', 2, None, "imports"),
        ("OPENQASM 3", None, None, "not OpenQASM 3|unexpected"),
        ("OPENQASM 4.0;", 1, 1, "version 4"),
        ("// nothing here\n  hello", 2, 3, "OPENQASM 2.0"),
        ("", 1, 1, "OPENQASM"),
    ],
)
def test_errors_say_where(text: str, line: int | None, column: int | None, says: str) -> None:
    with pytest.raises(errors.ParseError, match=says) as caught:
        load(text, name="my.qasm")
    assert caught.value.file == "my.qasm"
    assert str(caught.value).startswith("my.qasm:")
    if line is not None:
        assert caught.value.line == line
    if column is not None:
        assert caught.value.column == column


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("OPENQASM 2.0; qreg q[99999999];", "99999999"),
        ("OPENQASM 2.0; qreg q[999999999999999999999999];", "99999"),
        (THREE + "qubit[65537] q;", "65537"),
        ("OPENQASM 2.0;" + " " * (16 << 20), str((16 << 20) + 13)),
    ],
)
def test_sizes_are_checked_before_parsing(text: str, says: str) -> None:
    with pytest.raises(errors.LimitExceeded, match=says):
        load(text)


DYNAMIC = {
    "if": ("bit[2] c; h q; c[0] = measure q; if (c[0]) { x q; } c[1] = measure q;", {"00": 0.5, "01": 0.5}),
    "register": ("bit[2] c; h q; c[0] = measure q; if (c == 1) { x q; } c[1] = measure q;", {"00": 0.5, "01": 0.5}),
    "while": ("bit[1] c; x q; c[0] = measure q; while (c == 1) { h q; c[0] = measure q; }", {"0": 1.0}),
    "for": ("bit[1] c; for int i in [0:2] { rx(pi * i / 3) q; } c[0] = measure q;", {"1": 1.0}),
    "break": ("bit[1] c; for int i in [0:1] { h q; c[0] = measure q; if (c[0]) { break; } }", {"0": 0.25, "1": 0.75}),
    "continue": ("bit[1] c; x q; c[0] = measure q; for int i in [0:1] { if (c[0]) { continue; } x q; } "
                 "c[0] = measure q;", {"1": 1.0}),
}  # fmt: skip


@pytest.mark.parametrize("name", DYNAMIC)
def test_control_flow(name: str) -> None:
    text, wanted = DYNAMIC[name]
    found = branches.of_program(load(THREE + "qubit q; " + text).program)
    assert found == pytest.approx(wanted, abs=1e-4)


def test_conditions_of_openqasm_2() -> None:
    program = load(
        TWO + "qreg q[2]; creg c[2]; h q[0]; measure q[0] -> c[0]; if (c == 1) x q[1]; measure q[1] -> c[1];"
    )
    assert branches.of_program(program.program) == pytest.approx({"00": 0.5, "11": 0.5})


def test_boxes_are_inlined() -> None:
    assert [i.name for i in load(THREE + "qubit q; box { x q; } z q;").program.instructions] == ["x", "z"]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("OPENQASM 2.0;", "qasm2"),
        ("/* a\n b */ // c\n OPENQASM 3;", "qasm3"),
        ("qreg q[2];", "qasm2"),
        ("qubit q; x q;", "qasm3"),
        ("; ModuleID = 'x'", "qir"),
        ('source_filename = "x"', "qir"),
    ],
)
def test_kinds(text: str, kind: str) -> None:
    assert text_kind(text) == kind


def test_bytes_and_programs_and_others() -> None:
    program = load("OPENQASM 3.0; qubit q;").program
    assert load(program).program is program
    assert load(bytes(program.bytes)).program == program
    assert load(b"OPENQASM 3.0; qubit q;").program == program
    assert isinstance(load(load(program)).program, Program)
    with pytest.raises(errors.ParseError, match="0xff"):
        load(b"\xff\xfe")
    with pytest.raises(errors.Unsupported, match="QIR"):
        load(b"BC\xc0\xde1234")
    with pytest.raises(errors.InvalidArgument, match="int"):
        load(3)
    with pytest.raises(errors.InvalidProgram):
        load(b"QFWP garbage")
