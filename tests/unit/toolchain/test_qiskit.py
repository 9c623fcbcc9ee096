"""Qiskit circuits to Programs and back: the same state as Qiskit's own, over its whole gate set."""

from __future__ import annotations

from typing import Any

import dense
import numpy as np
import pytest

pytest.importorskip("qiskit", reason="qiskit is not installed")
from qiskit import ClassicalRegister, QuantumCircuit, QuantumRegister
from qiskit.circuit import AnnotatedOperation, ControlModifier, Gate, InverseModifier, Parameter, PowerModifier
from qiskit.circuit import library as lib
from qiskit.circuit.library.standard_gates import get_standard_gate_name_mapping
from qiskit.circuit.random import random_circuit
from qiskit.quantum_info import Statevector, random_clifford, random_statevector, random_unitary

from qfw.program import errors
from qfw.toolchain.formats import load
from qfw.toolchain.formats import qiskit as circuits
from qfw.toolchain.formats.qiskit_export import unique_names

STANDARD = [name for name in get_standard_gate_name_mapping() if name not in ("measure", "reset", "delay")]


def prepared(qubits: int, seed: int = 7) -> QuantumCircuit:
    rng = np.random.default_rng(seed)
    circuit = QuantumCircuit(qubits, global_phase=0.3)
    for q in range(qubits):
        circuit.u(*rng.uniform(-3, 3, 3), q)
    return circuit


def check(circuit: QuantumCircuit) -> None:
    wanted = Statevector(circuit).data
    converted = load(circuit)
    assert np.abs(dense.statevector(converted.program) - wanted).max() < 1e-10
    back = circuits.from_program(converted.program)
    assert np.abs(Statevector(back).data - wanted).max() < 1e-10


def applied(gate: Any) -> QuantumCircuit:
    circuit = prepared(max(gate.num_qubits, 1))
    order = np.random.default_rng(gate.num_qubits).permutation(gate.num_qubits)
    circuit.append(gate, [int(q) for q in order])
    return circuit


@pytest.mark.parametrize("seed", range(25))
def test_random_circuits(seed: int) -> None:
    check(random_circuit(4, 6, max_operands=4, seed=seed))


@pytest.mark.filterwarnings("ignore:.*annotated:DeprecationWarning")
@pytest.mark.parametrize("form", ["plain", "open control", "two controls", "inverse", "annotated control"])
@pytest.mark.parametrize("name", STANDARD)
def test_every_standard_gate(name: str, form: str) -> None:
    gate = get_standard_gate_name_mapping()[name]
    gate = gate.base_class(*np.random.default_rng(len(name)).uniform(-3, 3, len(gate.params))) if gate.params else gate
    made = {
        "plain": lambda: gate,
        "open control": lambda: gate.control(1, ctrl_state=0),
        "two controls": lambda: gate.control(2, ctrl_state=2),
        "inverse": gate.inverse,
        "annotated control": lambda: gate.control(2, ctrl_state=1, annotated=True),
    }[form]()
    check(applied(made))


OTHERS = [
    lib.MCXGate(3),
    lib.MCXGate(4, ctrl_state=5),
    lib.MCPhaseGate(0.7, 3),
    lib.UnitaryGate(random_unitary(2, seed=1)),
    lib.UnitaryGate(random_unitary(4, seed=1)),
    lib.UnitaryGate(random_unitary(8, seed=1)),
    lib.UnitaryGate(random_unitary(4, seed=2)).control(2, ctrl_state=1),
    lib.PauliGate("XYZ"),
    lib.PermutationGate([2, 0, 1]),
    lib.QFTGate(3),
    lib.DiagonalGate([1, 1j, -1, -1j]),
    lib.StatePreparation(random_statevector(8, seed=3).data),
    lib.MCMTGate(lib.ZGate(), 2, 2),
    lib.RVGate(0.1, 0.2, 0.3),
    lib.UCRXGate([0.1, 0.2]),
    lib.LinearFunction([[1, 1], [0, 1]]),
    lib.GlobalPhaseGate(0.4).control(2, ctrl_state=1),
    random_clifford(3, seed=1),
    AnnotatedOperation(
        lib.CUGate(0.1, 0.2, 0.3, 0.4),
        [ControlModifier(2, 1), InverseModifier(), PowerModifier(0.5), ControlModifier(1, 0)],
    ),
]


@pytest.mark.parametrize("gate", OTHERS, ids=lambda gate: f"{gate.name}{gate.num_qubits}")
def test_library_gates(gate: Any) -> None:
    check(applied(gate))


def test_definitions_keep_their_global_phase_under_controls() -> None:
    inner = QuantumCircuit(2, global_phase=0.7, name="inner")
    inner.h(0)
    inner.cx(0, 1)
    inner.rz(0.2, 1)
    circuit = prepared(4)
    circuit.append(inner.to_gate().control(2, ctrl_state=1), [3, 1, 0, 2])
    circuit.append(inner.to_gate(), [0, 3])
    circuit.barrier()
    circuit.delay(10, 0)
    check(circuit)


def test_a_gate_of_the_users_own_named_like_a_standard_one() -> None:
    fake = Gate("h", 1, [])
    fake.definition = QuantumCircuit(1)
    fake.definition.x(0)
    circuit = QuantumCircuit(1)
    circuit.append(fake, [0])
    assert np.allclose(dense.statevector(load(circuit).program), [0, 1])


def test_affine_parameters_stay_in_the_program_and_others_become_columns() -> None:
    a, b, t = Parameter("a"), Parameter("b"), Parameter("t")
    circuit = QuantumCircuit(2, global_phase=t)
    circuit.rx(2 * a + 1, 0)
    circuit.ry(a * b, 1)
    circuit.rz(a + 2 * b - t, 0)
    circuit.rzz(t, 0, 1)
    circuit.p(t.sin(), 1)
    circuit.ry(a * b, 0)
    converted = load(circuit)
    assert converted.parameter_names == ("a", "b", "t")
    assert converted.program.num_parameters == 6
    values = np.random.default_rng(1).uniform(-2, 2, (5, 3))
    bindings = converted.columns(values)
    assert bindings.shape == (5, 6)
    for row, own in zip(bindings, values, strict=True):
        wanted = Statevector(circuit.assign_parameters(own)).data
        assert np.abs(dense.statevector(converted.program, row) - wanted).max() < 1e-10
        back = circuits.from_program(converted.program)
        names = unique_names(converted.program.parameters)
        at = [row[names.index(p.name)] for p in back.parameters]
        assert np.abs(Statevector(back.assign_parameters(at)).data - wanted).max() < 1e-10


@pytest.mark.parametrize("expression", [lambda p: p.abs(), lambda p: p.sign(), lambda p: p * p, lambda p: p.exp()])
def test_what_is_not_affine_is_not_taken_for_it(expression: Any) -> None:
    p = Parameter("p")
    circuit = QuantumCircuit(1)
    circuit.ry(expression(p), 0)
    converted = load(circuit)
    for value in (-1.3, 0.4, 2.0):
        wanted = Statevector(circuit.assign_parameters([value])).data
        assert np.abs(dense.statevector(converted.program, converted.columns([value])[0]) - wanted).max() < 1e-10


def test_long_expressions() -> None:
    p, q = Parameter("p"), Parameter("q")
    expression = p
    for i in range(300):
        expression = (expression * q + 0.1 * i).sin()
    circuit = QuantumCircuit(1)
    circuit.ry(expression, 0)
    assert load(circuit).columns([[0.1, 0.2]]).shape == (1, 3)


def test_wrong_number_of_values() -> None:
    circuit = QuantumCircuit(1)
    circuit.rx(Parameter("p"), 0)
    with pytest.raises(errors.InvalidArgument, match=r"\(1, 2\); 1 columns"):
        load(circuit).columns([0.1, 0.2])


def test_registers_and_bits() -> None:
    circuit = QuantumCircuit(QuantumRegister(3), ClassicalRegister(2, "a"), ClassicalRegister(1, "output"))
    circuit.measure([0, 1, 2], [2, 0, 1])
    program = load(circuit).program
    assert [tuple(r) for r in program.registers] == [("a", 0, 2), ("output", 2, 1)]
    assert [(i.qubits, i.bits) for i in program.instructions] == [((0,), (2,)), ((1,), (0,)), ((2,), (1,))]


def test_overlapping_registers_keep_their_bits() -> None:
    circuit = QuantumCircuit(QuantumRegister(2), ClassicalRegister(2, "a"))
    circuit.add_register(ClassicalRegister(bits=[circuit.clbits[1]], name="b"))
    circuit.measure([0, 1], [0, 1])
    program = load(circuit).program
    assert program.num_bits == 2
    assert [tuple(r) for r in program.registers] == [("a", 0, 2)]


def test_an_opaque_gate_is_named_with_its_qubits() -> None:
    circuit = QuantumCircuit(3)
    circuit.append(Gate("mystery", 3, []), [2, 0, 1])
    with pytest.raises(errors.UnknownGate, match=r"'mystery' on qubits \[2, 0, 1\]"):
        load(circuit)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_angles_that_are_not_finite(value: float) -> None:
    circuit = QuantumCircuit(1)
    circuit.rx(value, 0)
    with pytest.raises(errors.InvalidArgument):
        load(circuit)


def test_a_parameter_that_only_a_definition_knows() -> None:
    inner = QuantumCircuit(1, name="inner")
    inner.rx(Parameter("hidden"), 0)
    gate = Gate("inner", 1, [])
    gate.definition = inner
    circuit = QuantumCircuit(1)
    circuit.append(gate, [0])
    with pytest.raises(errors.InvalidArgument, match="'hidden'"):
        load(circuit)


def test_too_many_qubits() -> None:
    with pytest.raises(errors.LimitExceeded, match="65537"):
        load(QuantumCircuit(65537))
