"""Results: dicts made when asked for, arrays as read-only views."""

import gc

import numpy as np
import pytest

from qfw import qpi
from qfw.qpi.errors import InvalidArgument

ALL_SAMPLED = ("counts", "memory", "probabilities", "statevector")


def test_counts_have_the_highest_bit_left(mesh: qpi.Mesh) -> None:
    builder = qpi.Builder(10, 10)
    builder.gate("x", [0])
    builder.gate("x", [9])
    for q in range(10):
        builder.measure(q, q)
    result = mesh.run(qpi.Task(builder.finish(), shots=5))
    assert result.counts == {"1000000001": 5}
    keys, values = result.rows[0].count_arrays
    assert keys.tolist() == [[1, 2]]
    assert values.tolist() == [5]


def test_counts_agree_with_memory(mesh: qpi.Mesh, bell: qpi.Program) -> None:
    row = mesh.run(qpi.Task(bell, shots=300, seed=5, outputs=ALL_SAMPLED)).rows[0]
    assert row.memory.shape == (300, 1)
    assert row.memory.dtype == np.uint8
    seen, times = np.unique(row.memory[:, 0], return_counts=True)
    assert {f"{k:02b}": n for k, n in zip(seen, times, strict=True)} == row.counts


def test_exact_outputs(mesh: qpi.Mesh, bell: qpi.Program) -> None:
    row = mesh.run(qpi.Task(bell, outputs=("statevector", "probabilities"))).rows[0]
    assert row.statevector.dtype == np.complex128
    assert row.statevector == pytest.approx([2**-0.5, 0, 0, 2**-0.5])
    assert row.probabilities == pytest.approx([0.5, 0, 0, 0.5])
    assert row.counts == {}
    assert len(row.memory) == len(row.expectations) == 0
    assert row.error is None


def test_expectations(mesh: qpi.Mesh, bell: qpi.Program) -> None:
    observables = [qpi.PauliSum([(2.0, "ZZ", [0, 1])]), qpi.PauliSum([(1.0, "Z", [0]), (0.25, "", [])])]
    result = mesh.run(qpi.Task(bell, outputs="expectations", observables=observables))
    assert result.rows[0].expectations == pytest.approx([2.0, 0.25])


def test_marginal_probabilities(mesh: qpi.Mesh) -> None:
    builder = qpi.Builder(2)
    builder.gate("x", [1])
    row = mesh.run(qpi.Task(builder.finish(), outputs="probabilities", qubits=(1, 0))).rows[0]
    assert row.probabilities == pytest.approx([0, 1, 0, 0])  # the first named is least significant


def test_a_sweep_has_a_row_for_each_row_of_bindings(mesh: qpi.Mesh, rotation: qpi.Program) -> None:
    angles = np.linspace(0, np.pi, 7)
    task = qpi.Task(rotation, bindings=angles[:, None], outputs="probabilities")
    result = mesh.run(task)
    assert len(result) == len(result.rows) == 7
    got = [row.probabilities[1] for row in result]
    assert got == pytest.approx(np.sin(angles / 2) ** 2)


def test_same_seed_same_bits(mesh: qpi.Mesh, bell: qpi.Program) -> None:
    """QFw echoed the seed and never used it."""

    def memory(seed: int | None) -> tuple[bytes, int]:
        result = mesh.run(qpi.Task(bell, shots=500, seed=seed, outputs="memory"))
        return result.rows[0].memory.tobytes(), result.seed

    assert memory(3) == memory(3)
    assert memory(3) != memory(4)
    drawn, seed = memory(None)
    assert memory(seed) == (drawn, seed)


def test_a_state_vector_comes_only_on_request(mesh: qpi.Mesh, bell: qpi.Program) -> None:
    """QFw returned it with every shot run."""
    assert len(mesh.run(qpi.Task(bell, shots=10)).rows[0].statevector) == 0


def test_views_are_read_only_and_outlive_the_result(mesh: qpi.Mesh, bell: qpi.Program) -> None:
    state = mesh.run(qpi.Task(bell, outputs="statevector")).rows[0].statevector
    gc.collect()
    assert not state.flags.owndata
    assert np.vdot(state, state).real == pytest.approx(1.0)
    with pytest.raises(ValueError, match="read-only"):
        state[0] = 0


def test_timing_parts_add_up(mesh: qpi.Mesh, bell: qpi.Program) -> None:
    timing = mesh.run(qpi.Task(bell, convert_ns=123)).timing
    assert timing.convert_ns == 123
    assert timing.execute_ns > 0
    assert timing.total_ns == sum(timing.as_dict().values())
    assert "execute_ns=" in repr(timing)


def test_what_a_result_says_of_itself(mesh: qpi.Mesh, bell: qpi.Program) -> None:
    result = mesh.run(qpi.Task(bell, shots=7, seed=1))
    assert (result.shots, result.seed, result.device, result.num_bits) == (7, 1, "statevec", 2)
    assert result.error is None
    assert "7 shots" in repr(result)
    with pytest.raises(InvalidArgument, match="row 1 of a result with 1 rows"):
        result._native.counts(1)
