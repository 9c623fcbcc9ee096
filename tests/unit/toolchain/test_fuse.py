"""The tool fuse: fewer gates, the same program."""

from __future__ import annotations

import dense
import numpy as np
import pytest

from qfw.program import Affine, Builder
from qfw.toolchain.tools.fuse import fuse


@pytest.mark.parametrize("seed", range(20))
def test_states_are_the_same_to_rounding(seed: int) -> None:
    program = dense.random_program(seed, length=40, ends="")
    values = np.random.default_rng(seed).uniform(-3, 3, 2)
    fused = fuse(program)
    assert np.abs(dense.statevector(fused, values) - dense.statevector(program, values)).max() < 1e-12
    assert len(fused.instructions) <= len(program.instructions)


def test_a_run_of_constant_gates_is_one_matrix() -> None:
    builder = Builder(2)
    for _ in range(5):
        builder.gate("h", [0])
        builder.gate("t", [1])
        builder.gate("cx", [1, 0])
    fused = fuse(builder.finish())
    assert [i.op for i in fused.instructions] == ["unitary"]


def test_single_gates_stay_what_they_are() -> None:
    builder = Builder(3)
    builder.gate("h", [0])
    builder.gate("ccx", [0, 1, 2])
    builder.gate("rz", [1], [0.5])
    assert [i.name for i in fuse(builder.finish()).instructions] == ["h", "ccx", "rz"]


def test_what_cancels_leaves_only_its_phase() -> None:
    builder = Builder(2)
    builder.gate("s", [0])
    builder.gate("x", [0])
    builder.gate("rz", [0], [2 * np.pi])
    builder.gate("x", [0])
    builder.gate("sdg", [0])
    fused = fuse(builder.finish())
    assert len(fused.instructions) == 0
    assert abs(np.exp(1j * fused.global_phase) + 1) < 1e-14


def test_fences_and_parameters() -> None:
    builder = Builder(2, 2)
    slot = builder.parameter("a")
    builder.gate("h", [0])
    builder.barrier([0])
    builder.gate("h", [0])
    builder.gate("rx", [0], [Affine(slot, 2.0, 1.0)])
    builder.gate("h", [0])
    builder.measure(0, 0)
    builder.gate("h", [0])
    builder.reset(0)
    fused = fuse(builder.finish())
    assert [i.name or i.op for i in fused.instructions] == [i.name or i.op for i in builder.finish().instructions]
    assert fused.parameters == builder.finish().parameters
