"""Random circuits over the whole gate table agree with a dense reference, at every SIMD level."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qfw import program, simenv

_spec = importlib.util.spec_from_file_location("simenv_circuits", Path(__file__).with_name("circuits.py"))
assert _spec is not None and _spec.loader is not None
circuits = importlib.util.module_from_spec(_spec)
sys.modules["simenv_circuits"] = circuits
_spec.loader.exec_module(circuits)

LEVELS = simenv.simd_levels()


def test_every_gate_alone_at_every_level() -> None:
    rng = np.random.default_rng(3)
    before = circuits.random_circuit(1, 6, 30, ["unitary"], 0).steps
    for gate in program.gates():
        for controls in (0, 1, 2):
            for _ in range(4):
                qubits = tuple(int(q) for q in rng.permutation(6)[: gate.qubits + controls])
                params = tuple(float(v) for v in rng.uniform(-4, 4, gate.params))
                circuit = circuits.Circuit(6, [*before, circuits.Step(gate.name, qubits, params, controls)], 0.3)
                expected = circuit.reference()
                for level in LEVELS:
                    for parametric in (False, True):
                        built, row = circuit.build(parametric=parametric)
                        found = simenv.simulate(built, row=row, statevector=True, simd=level)["statevector"]
                        assert np.abs(found - expected).max() < 1e-12, (gate.name, qubits, level, parametric)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    qubits=st.integers(1, 9),
    length=st.integers(0, 60),
    parametric=st.booleans(),
    level=st.sampled_from(LEVELS),
)
def test_random_circuits(seed: int, qubits: int, length: int, parametric: bool, level: str) -> None:
    circuit = circuits.random_circuit(seed, qubits, length)
    built, row = circuit.build(parametric=parametric)
    found = simenv.simulate(built, row=row, statevector=True, simd=level)["statevector"]
    assert np.abs(found - circuit.reference()).max() < 1e-10


@pytest.mark.parametrize("qubits", [16, 17])
def test_states_of_several_blocks(qubits: int) -> None:
    for seed, names in enumerate([None, ["ry", "rz", "cx"], ["h", "cp", "swap"], ["rzz", "rx", "cz", "p"]]):
        circuit = circuits.random_circuit(seed, qubits, 60, names, max_controls=1)
        expected = circuit.reference()
        for parametric in (False, True):
            built, row = circuit.build(parametric=parametric)
            found = simenv.simulate(built, row=row, statevector=True)["statevector"]
            again = simenv.simulate(built, row=row, statevector=True, threads=3)["statevector"]
            assert np.abs(found - expected).max() < 1e-10
            assert np.array_equal(found, again)  # the same bits


@pytest.mark.parametrize("level", LEVELS)
def test_expectations_and_probabilities(level: str) -> None:
    rng = np.random.default_rng(8)
    for n in (1, 2, 3, 5, 11):
        circuit = circuits.random_circuit(n, n, 40)
        built, _ = circuit.build(measure=True)
        state = circuit.reference()
        observables, expected = [], []
        for terms in (1, 3, 40):
            pauli = []
            value = 0.0
            for _ in range(terms):
                k = int(rng.integers(0, n + 1))
                qubits = [int(q) for q in rng.permutation(n)[:k]]
                letters = "".join(rng.choice(list("XYZ"), k))
                coefficient = float(rng.normal())
                pauli.append((coefficient, letters, qubits))
                moved = state
                for letter, qubit in zip(letters, qubits, strict=True):
                    moved = circuits.apply(moved, program.gate(letter.lower()).matrix(()), (qubit,), n)
                value += coefficient * float(np.vdot(state, moved).real)
            observables.append(pauli)
            expected.append(value)
        subset = [int(q) for q in rng.permutation(n)[: (n + 1) // 2]]
        out = simenv.simulate(built, observables=observables, probabilities=True, simd=level)
        assert np.allclose(out["expectations"], expected, atol=1e-11)
        assert np.allclose(out["probabilities"], np.abs(state) ** 2, atol=1e-13)
        marginal = simenv.simulate(built, probabilities=True, probability_qubits=subset, simd=level)["probabilities"]
        axes = (np.abs(state) ** 2).reshape([2] * n)
        keep = [n - 1 - q for q in reversed(subset)]
        summed = (
            np.transpose(axes, keep + [a for a in range(n) if a not in keep]).reshape(2 ** len(subset), -1).sum(axis=1)
        )
        assert np.allclose(marginal, summed, atol=1e-13)
