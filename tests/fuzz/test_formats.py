"""Any text, near OpenQASM or far from it, becomes a Program or a typed error; any circuit or tape as well.

$QFW_FUZZ_EXAMPLES sets how many are tried (scripts/dev/fuzz tries for a time).
"""

import os
import re

import pennylane as qml
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pennylane.exceptions import DeviceError
from qiskit.circuit.random import random_circuit

from qfw.program import Program
from qfw.program.errors import QfwError
from qfw.toolchain.formats import load

settings.register_profile(
    "fuzz",
    derandomize="QFW_FUZZ_EXAMPLES" not in os.environ,  # as a test: the same each time
    max_examples=int(os.environ.get("QFW_FUZZ_EXAMPLES", "150")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
fuzz = settings.get_profile("fuzz")

QASM2 = """OPENQASM 2.0;
include "qelib1.inc";
gate mine(a, b) p, q { rx(a/2) p; cx p, q; u3(b, -pi, sin(a)) q; }
qreg q[3]; qreg r[1];
creg c[3]; creg d[1];
h q[0]; mine(0.5, 1e-3) q[0], r[0];
cu1(pi/4) q[0], q[2]; barrier q;
reset q[2];
measure q -> c; measure r[0] -> d[0];
"""
QASM3 = """OPENQASM 3.0;
include "stdgates.inc";
gate mine(a) p { ctrl @ gphase(a) p; }
qubit[3] q; bit[3] c; bit d;
input float theta;
h q[0]; rz(theta * 2) q[1]; ctrl(2) @ x q[0], q[1], q[2]; inv @ s q[0]; pow(2) @ t q[1];
c[0] = measure q[0];
reset q[2];
c = measure q;
"""
DYNAMIC = """OPENQASM 3.0;
include "stdgates.inc";
const int n = 3; qubit[n] q; bit[n] c; bit done; uint[8] i = 0; int[4] k = -2; float f = 1.5; bool b = true;
for uint j in [0:n - 1] { rx(pi * (j % 2)) q[j]; }
while (!done && i < 9) { reset q[0]; h q[0]; done = measure q[0]; i += 1; if (i > 7) { break; } else { continue; } }
switch (i) { case 1, 2 { x q[1]; } default { k = k * 3 - int[4](i); c[i] = k < 2 || b; } }
f = f * 2.0 + float(i >> 1); if (f >= 4.0 && c[0:1] == 2) { z q[2]; }
c = measure q;
"""
TOKEN = re.compile(r"\s+|\w+|.", re.DOTALL)
HOSTILE = ("4294967296", "-1", "1e999", "99999999999999999999", "nan", "pi/0", "q[", "}", '"', "include", "\0", "0x")


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """A good text with a few tokens dropped, doubled, exchanged or replaced."""
    tokens = TOKEN.findall(draw(st.sampled_from((QASM2, QASM3, DYNAMIC))))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(tokens) - 1))
        match draw(st.integers(0, 4)):
            case 0:
                del tokens[at : at + draw(st.integers(1, 8))]
            case 1:
                tokens.insert(at, tokens[at])
            case 2:
                other = draw(st.integers(0, len(tokens) - 1))
                tokens[at], tokens[other] = tokens[other], tokens[at]
            case 3:
                tokens[at] = draw(st.sampled_from(HOSTILE))
            case _:
                tokens.insert(at, draw(st.text(max_size=4)))
        if not tokens:
            break
    return "".join(tokens)


def becomes_a_program_or_a_typed_error(source: object) -> None:
    try:
        program = load(source).program
    except (QfwError, DeviceError) as error:
        assert str(error)
        return
    assert Program.decode(program.bytes).hash == program.hash


@given(damaged())
@fuzz
def test_damaged_text(text: str) -> None:
    becomes_a_program_or_a_typed_error(text)


@given(st.one_of(st.text(max_size=200), st.text(max_size=80).map("OPENQASM 3;".__add__)))
@fuzz
def test_any_text(text: str) -> None:
    becomes_a_program_or_a_typed_error(text)


@given(st.integers(1, 5), st.integers(0, 12), st.booleans(), st.booleans(), st.booleans(), st.integers(0, 2**32 - 1))
@fuzz
def test_qiskit_circuits(qubits: int, depth: int, measure: bool, dynamic: bool, reset: bool, seed: int) -> None:
    becomes_a_program_or_a_typed_error(
        random_circuit(qubits, depth, measure=measure, conditional=dynamic, reset=reset, seed=seed)
    )


GATES = (qml.RX, qml.PhaseShift, qml.CRZ, qml.MultiRZ, qml.QubitUnitary, qml.Toffoli, qml.BasisState, qml.X)
ODD = st.one_of(st.floats(), st.integers(-(2**70), 2**70), st.just([]), st.just([[1, 0], [0, 2]]), st.none())


@given(st.lists(st.tuples(st.sampled_from(GATES), ODD, st.lists(st.integers(-1, 4), max_size=3)), max_size=5))
@fuzz
def test_pennylane_tapes(described: list[tuple[type, object, list[int]]]) -> None:
    operations = []
    for gate, value, wires in described:
        try:
            operations.append(gate(value, wires=wires) if gate.num_params else gate(wires=wires))
        except Exception:  # noqa: BLE001 - PennyLane's own refusal, of any type: there is nothing to load
            continue
    becomes_a_program_or_a_typed_error(qml.tape.QuantumScript(operations))


@pytest.mark.parametrize("text", [QASM2, QASM3], ids=["qasm2", "qasm3"])
def test_what_is_damaged_is_good(text: str) -> None:
    assert load(text).program.num_qubits > 2
