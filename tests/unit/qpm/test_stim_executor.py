"""The stabilizer plugin: what it takes for Clifford, and what it gives, without a runtime."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from qfw.program import Builder, PauliSum, Program, gate, gates
from qfw.program.errors import Cancelled, QfwError, Unsupported
from qfw.qpm.plugin import Row, Task
from qfw.qpm.plugins.stim import NOT_CLIFFORD, plugin

stim = pytest.importorskip("stim", reason="stim is not installed (pip install 'qfw[stim]')")


def run(program: Program, **given: Any) -> Row:
    from qfw.qpm.plugins.stim.executor import StimExecutor

    fields: dict[str, Any] = {
        "bindings": np.zeros((1, program.num_parameters)),
        "shots": 100,
        "outputs": frozenset(("counts", "memory")),
        "qubits": (),
        "observables": (),
        "gradient_parameters": (),
        "seed": 1,
        "options": {},
        **given,
    }
    (result,) = StimExecutor().run([Task(program=program, **fields)])
    if isinstance(result, QfwError):
        raise result
    return result[0]


def counts(row: Row) -> dict[int, int]:
    assert row.count_keys is not None and row.counts is not None
    keys = [int.from_bytes(key.tobytes(), "little") for key in row.count_keys]
    return dict(zip(keys, map(int, row.counts), strict=True))


def test_the_list_of_gates_that_are_not_clifford_is_right() -> None:
    from qfw.qpm.plugins.stim.clifford import decompose

    plain = [g for g in gates() if g.params == 0 and g.qubits > 0]
    found = {g.name for g in plain if g.qubits > 3 or decompose(g.matrix([], 0)) is None}
    assert found == NOT_CLIFFORD


@pytest.mark.parametrize("name", sorted(g.name for g in gates() if 0 < g.qubits <= 3))
def test_a_gate_becomes_what_it_is(name: str) -> None:
    from qfw.qpm.plugins.stim.clifford import decompose

    row = gate(name)
    rng = np.random.default_rng(5)
    clifford = 0
    for _ in range(20 if row.params else 1):
        matrix = row.matrix([float(a) for a in rng.integers(-4, 5, row.params) * math.pi / 2], 0)
        parts = decompose(matrix)
        if parts is None:
            continue
        clifford += 1
        circuit = stim.Circuit()
        circuit.append("I", [row.qubits - 1])
        for part in parts:
            circuit.append(part)
        found = circuit.to_tableau().to_unitary_matrix(endian="little")
        overlap = np.trace(found.conj().T @ matrix) / len(matrix)
        assert abs(abs(overlap) - 1) < 1e-5, (name, matrix)  # stim's matrices are in single precision
    assert clifford or name in NOT_CLIFFORD
    if row.params and row.qubits:
        assert decompose(row.matrix([0.3] * row.params, 0)) is None


def test_an_angle_that_is_nearly_clifford_is_not(caplog: pytest.LogCaptureFixture) -> None:
    builder = Builder(2, 0)
    builder.gate("rx", [1], [math.pi / 2 + 1e-9])
    z = PauliSum([(1.0, "Z", [1])])
    with pytest.raises(Unsupported, match=r"gate 'rx' of angles .* on qubits \[1\] is not Clifford"):
        run(builder.finish(), outputs=frozenset(("expectations",)), observables=(z,), shots=0)


def test_expectation_values_of_a_ghz_state() -> None:
    builder = Builder(70, 0)
    builder.gate("h", [0])
    for q in range(69):
        builder.gate("cx", [q, q + 1])
    wanted = (
        PauliSum([(2.0, "X" * 70, list(range(70)))]),
        PauliSum([(1.0, "Z", [3])]),
        PauliSum([(0.5, "ZZ", [0, 69]), (-3.0, "YY" + "X" * 68, list(range(70))), (0.25, "", [])]),
    )
    row = run(builder.finish(), outputs=frozenset(("expectations",)), observables=wanted, shots=0)
    assert row.expectations is not None
    assert list(row.expectations) == [2.0, 0.0, 0.5 + 3.0 + 0.25]


def test_measurement_and_reset_in_the_middle() -> None:
    builder = Builder(2, 3)
    builder.gate("h", [0])
    builder.measure(0, 0)
    builder.gate("cx", [0, 1])
    builder.reset(0)
    builder.measure(0, 1)
    builder.measure(1, 2)
    found = counts(run(builder.finish(), shots=1000))
    assert found.keys() == {0b000, 0b101}
    assert abs(found[0] - 500) < 120


def test_the_last_measurement_into_a_bit_counts_and_others_stay_zero() -> None:
    builder = Builder(2, 10)
    builder.gate("x", [1])
    builder.measure(1, 9)
    builder.measure(1, 4)
    builder.measure(0, 9)
    row = run(builder.finish(), shots=7)
    assert counts(row) == {1 << 4: 7}
    assert row.memory is not None and row.memory.shape == (7, 2)


def test_many_shots_come_in_parts_and_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    from qfw.qpm.plugins.stim import executor

    monkeypatch.setattr(executor, "SHOTS_AT_ONCE", 64)
    builder = Builder(9, 9)
    for q in range(9):
        builder.gate("h", [q])
        builder.measure(q, q)
    row = run(builder.finish(), shots=1000)
    assert row.memory is not None and row.count_keys is not None
    seen = [int.from_bytes(shot.tobytes(), "little") for shot in row.memory]
    found = counts(row)
    assert len(seen) == sum(found.values()) == 1000
    assert {value: seen.count(value) for value in found} == found
    assert list(found) == sorted(found)


def test_a_cancelled_task_stops() -> None:
    builder = Builder(1, 1)
    builder.measure(0, 0)
    with pytest.raises(Cancelled):
        run(builder.finish(), stopped=lambda: True)


def test_the_device_lists_what_it_can_do() -> None:
    (spec,) = plugin.devices()
    assert not NOT_CLIFFORD & set(spec.gates)
    assert {"h", "cx", "rz", "measure", "reset"} <= set(spec.gates)
    assert spec.outputs == ("counts", "memory", "expectations")
    assert plugin.missing() == ""
