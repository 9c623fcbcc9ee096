"""Any text gives a Program or a typed error."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("qiskit", reason="qiskit is not installed")
from qfw.program.errors import QfwError
from qfw.toolchain.formats import load

WORDS = [
    *("OPENQASM 2.0;", "OPENQASM 3.0;", 'include "qelib1.inc";', 'include "stdgates.inc";', 'include "nothing";'),
    *(
        "qreg q[2];",
        "creg c[2];",
        "qubit[2] q;",
        "bit[2] c;",
        "h q[0];",
        "cx q[0],q[1];",
        "rx(pi/2) q[1];",
        "rx(1/0) q;",
    ),
    *("measure q -> c;", "c = measure q;", "reset q[0];", "barrier q;", "gate g(a) x { rx(a) x; }", "g(0.5) q[0];"),
    *("gate f x { f x; }", "f q[0];", "if (c == 1) x q[0];", "if (c[0]) { x q[0]; }", "opaque o a;", "o q[0];"),
    *("ctrl @ x q[0], q[1];", "inv @ s q;", "pow(0.3) @ x q[0];", "input angle t;", "rz(t) q[0];", "U(1,2,3) q[0];"),
    *(
        "for int i in [0:1] { h q[i]; }",
        "let a = q[0:1];",
        "h a[0];",
        "def f() {}",
        "const int n = 2;",
        "box { x q[0]; }",
    ),
    *(
        "gphase(0.2);",
        "h $0;",
        "delay[1ns] q[0];",
        "q[",
        "]",
        "{",
        "}",
        ";",
        "(",
        ")",
        '"',
        "//",
        "/*",
        "\x00",
        "é",
        "$",
        "-",
    ),
    *("1e400", "9" * 400, "sin(", "q[-1]", "q[1e9]"),
]


def read(text: str) -> None:
    try:
        program = load(text, name="any").program
    except QfwError as e:
        assert str(e)
    else:
        assert program.num_qubits >= 1


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(WORDS), max_size=12))
def test_statements_in_any_order(words: list[str]) -> None:
    read("\n".join(words))


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=10))
def test_openqasm_2_statements(words: list[str]) -> None:
    read("\n".join(['OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[2];\ncreg c[2];', *words]))


@settings(max_examples=80, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=6))
def test_openqasm_3_statements(words: list[str]) -> None:
    read("\n".join(['OPENQASM 3.0;\ninclude "stdgates.inc";\nqubit[2] q;\nbit[2] c;', *words]))


@settings(max_examples=100, deadline=None)
@given(st.one_of(st.text(max_size=60), st.binary(max_size=60)))
def test_anything(source: str | bytes) -> None:
    try:
        load(source)  # type: ignore[arg-type]
    except QfwError as e:
        assert str(e)
