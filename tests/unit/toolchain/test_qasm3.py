"""OpenQASM 3 beyond Qiskit's importer: variables, assignments, switch, conditions, loops over indices."""

from __future__ import annotations

import re

import branches
import drawn
import pytest

pytest.importorskip("qiskit_qasm3_import", reason="qiskit-qasm3-import is not installed")
from qiskit import qasm3

from qfw.program import errors
from qfw.toolchain.formats import load

HEAD = 'OPENQASM 3.0;\ninclude "stdgates.inc";\n'


def outcomes(text: str) -> dict[str, float]:
    return branches.of_program(load(HEAD + text).program)


def certain(text: str) -> str:
    (key,) = outcomes(text)
    return key


@pytest.mark.parametrize("arithmetic", [False, True], ids=["bits", "numbers"])
@pytest.mark.parametrize("seed", range(12))
def test_what_qiskit_writes_is_read_back(seed: int, arithmetic: bool) -> None:
    circuit = drawn.dynamic_circuit(seed, arithmetic=arithmetic)
    text = qasm3.dumps(circuit)
    if re.search(r"\bfor \w+ in", text):
        pytest.skip("this Qiskit writes loops without the type of their variable, which is not OpenQASM 3")
    wanted, found = branches.of_circuit(circuit), branches.of_program(load(text).program)
    for key in {*wanted, *found}:
        assert wanted.get(key, 0.0) == pytest.approx(found.get(key, 0.0), abs=1e-9), key


# Each ends with a value in the four bits of c.
VALUES = {
    "uint[4] i = 3; i = i + 14; c = i;": 1,
    "uint[4] i = 3; i -= 4; c = i;": 15,
    "uint[4] i = 13; i = i / 4; i *= 3; c = i % 4;": 1,
    "uint[8] i = 200; c = uint[4](i >> 4);": 12,
    "uint[4] i = 5; c = (i << 1) ^ (i & 4) | 1;": 15,
    "uint[4] i = 5; c = ~i;": 10,
    "int[4] i = -3; if (i < 2) { c = 7; }": 7,
    "int[4] i = -3; int[8] j = i; if (j == -3 && j * j == 9) { c = 9; }": 9,
    "int[4] i = -3; float f = i; if (f < -2.5 && f > -3.5) { c = 3; }": 3,
    "int i = 2; i = -i; while (i <= 4) { i += 3; } c = uint[4](i);": 7,
    "const int n = 2; const uint[8] m = n * 3 + 1; c = m;": 7,
    "const float half = 0.5; float f = 3; f = f * half; c = uint[4](f * 6.0);": 9,
    "bool b = true; b = !b || false; if (!b) { c = 2; } else { c = 4; }": 2,
    "uint[2] i; i[1] = true; c[2] = i[1]; c[0] = !c[2] || c[2];": 5,
    "uint[4] i = 6; switch (i) { case 1, 6 { c = 4; } default { c = 8; } }": 4,
    "int[4] i = -2; switch (i) { case -2 { c = 11; } case 3 { c = 1; } }": 11,
    "uint[4] i = 9; switch (i) { case 1 { c = 4; } default { c = 8; } }": 8,
    "c[1] = true; switch (c[1]) { case 1 { c = 6; } }": 6,
    "uint[4] n = 0; for uint k in [1:4] { n += k; } c = n;": 10,
    "uint[4] n = 0; for int k in {2, 5} { if (k > 3) { n = n + 2 * k; } } c = n;": 10,
    "uint[4] n = 0; for int k in [4:-1:1] { n += 1; if (n == 3) { break; } } c = n;": 3,
    "uint[2] k = 2; c[k] = true;": 4,
    "c = 6; if (c[1:2] == 3) { c = 1; }": 1,
    "c = 5; if (c != 5 || c >= 6) { c = 0; }": 5,
    "{ uint[4] i = 3; c = i; }": 3,
}


@pytest.mark.parametrize("text", VALUES)
def test_values(text: str) -> None:
    assert int(certain("qubit q; bit[4] c; " + text), 2) == VALUES[text]


def test_a_loop_variable_indexes_qubits_and_turns_them() -> None:
    text = "const int n = 3; qubit[n] q; bit[n] c; for int i in [0:n - 1] { rx(pi * (i % 2)) q[i]; } c = measure q;"
    program = load(HEAD + text).program
    assert not program.dynamic
    assert branches.of_program(program) == pytest.approx({"010": 1.0})


def test_a_loop_whose_variable_is_not_used_may_be_long() -> None:
    program = load(HEAD + "qubit q; bit[1] c; for int i in [1:1000001] { x q; } c[0] = measure q;").program
    assert program.dynamic and len(program.instructions) < 10


def test_a_bit_that_starts_with_a_value() -> None:
    assert certain('qubit q; bit a = 1; bit[2] b = "10"; bit c = a;') == "1101"


def test_counting_until_success() -> None:
    text = """
    qubit q; bit[1] c; bit[1] late; uint[8] tries = 0;
    do_not: do_not;
    """
    with pytest.raises(errors.ParseError):
        load(HEAD + text)
    text = """
    qubit q; bit[1] c; bit[1] late; uint[8] tries = 0;
    while (c == 0 && tries < 3) { reset q; h q; c[0] = measure q; tries += 1; }
    if (tries > 1) { late = 1; }
    """
    assert outcomes(text) == pytest.approx({"01": 0.5, "11": 0.375, "10": 0.125})


@pytest.mark.parametrize(
    ("text", "line", "column", "says"),
    [
        ("bit c;\nangle[4] a = pi;", 4, 1, "declarations of type 'angle'"),
        ("uint[80] a;", 3, 1, "80 bits; 1 to 64"),
        ("def f(qubit q) { x q; }", 3, 1, "SubroutineDefinition"),
        ("qubit[2] q;\nuint[4] i;\nrx(i) q[0];", 5, None, "i"),
        ("uint[4] i = 1;\ni = 3 / 0;", 4, None, "'/' of 3 and 0"),
        ("int[4] i = 1; i = i / 2;", 3, None, "'/' of values of type int"),
        ("const int n = 3;\nn = 4;", 4, None, "no variable"),
        ("bit[2] c;\nc[2] = true;", 4, None, "bit 2 of 2"),
        ("uint[2] i = 1;\nswitch (i) { case 9 { } }", 4, None, "a case of a switch over 2 bits"),
        ("bool b = nowhere;", 3, None, "nowhere"),
        ("const int n = 2 ** 1000000000;", 3, None, "0 to 64 allowed"),
        ("const int n = 1 << 60 << 60 << 60;", 3, None, "at most 128 allowed"),
        ("const int n = 2 ** 40; bit[n] c;", 3, None, "a size or index of 1099511627776"),
        ("qubit[2] q; for int i in [0:999] { for int j in [0:999] { x q[(i + j) % 2]; } }", 3, None, "written out"),
        ("qubit q; uint[4] u = measure q;", 3, None, "only bits are measured into"),
    ],
)
def test_what_is_not_read_says_where(text: str, line: int, column: int | None, says: str) -> None:
    with pytest.raises(errors.ParseError) as caught:
        load(HEAD + text, name="mine.qasm")
    assert says in str(caught.value) and str(caught.value).startswith("mine.qasm:")
    assert caught.value.line == line and caught.value.column is not None
    assert column is None or caught.value.column == column
